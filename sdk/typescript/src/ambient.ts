/** Time and randomness, which are arguments everywhere: a test gives its own. */
export interface Ambient {
  /** The device's clock, ms since 1970. It may jump. */
  wallMs(): number;
  /** A clock that never jumps, ms since some moment. It may stand still while the device sleeps. */
  monotonicMs(): number;
  /** Runs a function once, after so many ms, unless the function that it returns is called before. */
  after(ms: number, run: () => void): () => void;
  /** Evenly spread, 0 ≤ x < 1. For jitter, not for secrets. */
  random(): number;
  /** Random bytes, good enough for secrets. */
  randomBytes(count: number): Uint8Array;
}

/** Those of the device. */
export const systemAmbient: Ambient = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

/** Waits. Ends early, without an error, when the signal is aborted. */
export function pause(ambient: Ambient, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = ambient.after(ms, finish);
    signal?.addEventListener("abort", finish);
  });
}

/** A new UUIDv7. Made by hand, since browsers have `crypto.randomUUID` on https and localhost only. */
export function newId(ambient: Ambient): string {
  const bytes = ambient.randomBytes(16);
  new DataView(bytes.buffer).setUint32(0, Math.floor(ambient.wallMs() / 0x1_0000));
  new DataView(bytes.buffer).setUint16(4, ambient.wallMs() % 0x1_0000);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
