import assert from "node:assert/strict";

import type { Ambient } from "../../src/ambient.js";

/** Time that passes only when it is told to, and no jitter. */
export class ManualTime implements Ambient {
  #nowMs = 1_800_000_000_000;
  /** The clock that never jumps is behind by this much, ms. */
  monotonicLagMs = 1_799_999_000_000;
  #timers: { atMs: number; run: () => void }[] = [];
  #bytes = 0;

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.monotonicLagMs;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  random(): number {
    return 0.999_999;
  }

  /** Different ones each time. */
  randomBytes(count: number): Uint8Array {
    this.#bytes += 1;
    const bytes = new Uint8Array(count);
    new DataView(bytes.buffer).setUint32(count - 4, this.#bytes);
    return bytes;
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Lets time pass, with all that falls due in it. */
  async advance(ms: number): Promise<void> {
    await settled();
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
      await settled();
    }
    this.#nowMs = endMs;
    await settled();
  }

  /** Lets time pass in which nothing runs, as in sleep. */
  sleep(ms: number): void {
    this.#nowMs += ms;
  }
}

/** Lets everything happen that needs no time. Calls in memory take some turns of the event loop. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const LIMIT_MS = 30_000;

/** Waits until something holds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = Date.now() + LIMIT_MS;
  while (!condition()) {
    assert.ok(Date.now() < endMs, `in vain: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
