// Where the opponent is: between the positions that were told, a little in the past, by the server's clock.

import type { Body } from "./arena.ts";

/** How far in the past the opponent is shown: positions come 50 ms apart, and not evenly. */
const DELAY_MS = 110;
/** How long they are thought to go on as they did when nothing new comes. */
const EXTRAPOLATION_MS = 160;
const KEPT = 40;

/** A position at a moment of the server's clock. */
export interface Sample extends Body {
  t: number;
}

export class Opponent {
  #samples: Sample[] = [];

  hear(sample: Sample): void {
    const last = this.#samples.at(-1);
    // Positions go alone and may overtake one another.
    if (last && sample.t <= last.t) return;
    this.#samples.push(sample);
    if (this.#samples.length > KEPT) this.#samples.shift();
  }

  forget(): void {
    this.#samples = [];
  }

  /** Where they are shown now. */
  at(now: number): Body | undefined {
    const t = now - DELAY_MS;
    const after = this.#samples.findIndex((sample) => sample.t > t);
    const last = this.#samples.at(-1);
    if (!last) return undefined;
    if (after === -1) return ahead(last, Math.min(t - last.t, EXTRAPOLATION_MS) / 1000);
    const to = this.#samples[after] ?? last;
    const from = this.#samples[after - 1];
    return from ? between(from, to, t) : to;
  }
}

function ahead(sample: Sample, seconds: number): Body {
  return { x: sample.x + sample.vx * seconds, y: sample.y + sample.vy * seconds, vx: sample.vx, vy: sample.vy };
}

/** A cubic through both positions with both speeds. */
function between(from: Sample, to: Sample, t: number): Body {
  const span = (to.t - from.t) / 1000;
  const s = (t - from.t) / (to.t - from.t);
  const curve = (p0: number, v0: number, p1: number, v1: number) =>
    (2 * s ** 3 - 3 * s ** 2 + 1) * p0 +
    (s ** 3 - 2 * s ** 2 + s) * span * v0 +
    (-2 * s ** 3 + 3 * s ** 2) * p1 +
    (s ** 3 - s ** 2) * span * v1;
  return {
    x: curve(from.x, from.vx, to.x, to.vx),
    y: curve(from.y, from.vy, to.y, to.vy),
    vx: from.vx + (to.vx - from.vx) * s,
    vy: from.vy + (to.vy - from.vy) * s,
  };
}
