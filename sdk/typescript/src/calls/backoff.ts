import type { Ambient } from "../ambient.js";

/** How long to wait between attempts. */
export interface Backoff {
  /** The longest wait before the second attempt, ms. It doubles with each attempt. */
  readonly firstMs: number;
  /** The longest wait of all, ms. */
  readonly ceilingMs: number;
}

/**
 * The wait after so many failed attempts (1 and more), ms: between half and the whole, so that clients do not come in
 * step.
 */
export function backoffMs({ firstMs, ceilingMs }: Backoff, failures: number, ambient: Ambient): number {
  const longest = Math.min(ceilingMs, firstMs * 2 ** (failures - 1));
  return (longest * (1 + ambient.random())) / 2;
}
