import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";

import { type Ambient, pause } from "./ambient.js";
import type { ClockService } from "./gen/muster/game/v1/clock_pb.js";

/** How far the device's clock is off. */
export interface ClockEstimate {
  /** What to add to the device's clock, ms. */
  readonly offsetMs: number;
  /** The error is no greater, ms. */
  readonly errorMs: number;
  /** The round trip of the sample that was used, ms. */
  readonly roundTripMs: number;
}

const SAMPLES = 8;
const SAMPLE_INTERVAL_MS = 200;

/** After how long of use the estimate is made anew, ms. */
const RENEW_AFTER_MS = 5 * 60_000;

/** If it fails, how long until the next try, ms. */
const RETRY_AFTER_MS = 10_000;

/** By how much the device's clocks may part before it must have slept, or its clock was set, ms. */
const DRIFT_LIMIT_MS = 1_000;

/** The server's clock, estimated. */
export class Clock {
  readonly #client: Client<typeof ClockService>;
  readonly #ambient: Ambient;
  readonly #end = new AbortController();
  #anchor: Anchor | undefined;
  #running: Promise<ClockEstimate> | undefined;
  #failedAtMs = -Infinity;

  constructor(client: Client<typeof ClockService>, ambient: Ambient) {
    this.#client = client;
    this.#ambient = ambient;
  }

  /** The estimate in use; undefined before the first one. */
  get estimate(): ClockEstimate | undefined {
    return this.#anchor?.estimate;
  }

  /**
   * The server's clock, ms since 1970; the device's own before the first `synchronize`. It may jump by a little when it
   * is estimated anew.
   */
  serverNow(): number {
    const { wallMs, monotonicMs } = this.#now();
    if (!this.#anchor) return wallMs;
    const { takenAtMs, wallLeadMs, monotonicOffsetMs } = this.#anchor;
    const ageMs = monotonicMs - takenAtMs;
    const slept = Math.abs(wallMs - monotonicMs - wallLeadMs) > DRIFT_LIMIT_MS;
    const due = (ageMs > RENEW_AFTER_MS || slept) && monotonicMs - this.#failedAtMs > RETRY_AFTER_MS;
    if (due && !this.#end.signal.aborted) this.synchronize().catch(() => {}); // the next call tries again
    return monotonicMs + monotonicOffsetMs;
  }

  /**
   * Estimates the server's clock: takes 8 samples, 200 ms apart, and uses the one with the shortest round trip.
   * `serverNow` repeats it by itself, every five minutes of use and after the device slept. Several calls at once are
   * one.
   */
  synchronize(): Promise<ClockEstimate> {
    this.#running ??= this.#synchronize().finally(() => (this.#running = undefined));
    return this.#running;
  }

  close(): void {
    this.#end.abort();
  }

  async #synchronize(): Promise<ClockEstimate> {
    let best: Anchor | undefined;
    let failure: unknown;
    for (let number = 1; number <= SAMPLES; number += 1) {
      try {
        const sample = await this.#sample();
        if (!best || sample.estimate.roundTripMs < best.estimate.roundTripMs) best = sample;
      } catch (error) {
        failure = error;
        if (this.#end.signal.aborted) break;
      }
      if (number < SAMPLES) await pause(this.#ambient, SAMPLE_INTERVAL_MS, this.#end.signal);
    }
    if (!best) {
      this.#failedAtMs = this.#ambient.monotonicMs();
      throw failure;
    }
    this.#anchor = best;
    return best.estimate;
  }

  /** One question, by the clock that never jumps. */
  async #sample(): Promise<Anchor> {
    const t0 = this.#ambient.monotonicMs();
    const { receiveTime, sendTime } = await this.#client.getTime({}, { signal: this.#end.signal });
    const { monotonicMs: t3, wallMs } = this.#now();
    const [t1, t2] = [milliseconds(receiveTime), milliseconds(sendTime)];
    const roundTripMs = t3 - t0 - (t2 - t1);
    const monotonicOffsetMs = (t1 - t0 + (t2 - t3)) / 2;
    const wallLeadMs = wallMs - t3;
    const estimate = { offsetMs: monotonicOffsetMs - wallLeadMs, errorMs: roundTripMs / 2, roundTripMs };
    return { estimate, monotonicOffsetMs, wallLeadMs, takenAtMs: t3 };
  }

  #now() {
    return { wallMs: this.#ambient.wallMs(), monotonicMs: this.#ambient.monotonicMs() };
  }
}

/** An estimate with the moment that it was made at. */
interface Anchor {
  readonly estimate: ClockEstimate;
  /** What to add to the clock that never jumps, ms. */
  readonly monotonicOffsetMs: number;
  /** By how much the device's clock was ahead of the one that never jumps, ms. */
  readonly wallLeadMs: number;
  readonly takenAtMs: number;
}

/** With fractions: `timestampMs` of the library rounds. */
function milliseconds(timestamp: Timestamp | undefined): number {
  return timestamp ? timestampMs({ ...timestamp, nanos: 0 }) + timestamp.nanos / 1e6 : NaN;
}
