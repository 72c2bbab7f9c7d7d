// The arena and what moves in it: plain numbers, no network and no pictures. The world is a square of SIZE units; the
// first team begins below, the second above.

export const SIZE = 1000;
export const SHIP_RADIUS = 34;
export const BOLT_RADIUS = 11;

const SPEED = 430;
const ACCELERATION = 3_400;
const BOLT_SPEED = 820;
const BOLT_MS = 1_600;
/** Shots: so many at once, one more after a while, and never faster than that. */
export const CHARGES = 3;
const CHARGE_MS = 750;
const RELOAD_MS = 200;
const WALL = SHIP_RADIUS + 8;

export interface Point {
  x: number;
  y: number;
}

export interface Body extends Point {
  vx: number;
  vy: number;
}

export interface Pillar extends Point {
  radius: number;
}

export interface Bolt extends Body {
  id: string;
  /** Where it was at `bornAt`, by the server's clock. */
  from: Point;
  bornAt: number;
  mine: boolean;
}

/** Cover: bolts end there. */
export const PILLARS: readonly Pillar[] = [
  { x: 285, y: 360, radius: 58 },
  { x: 715, y: 360, radius: 58 },
  { x: 285, y: 640, radius: 58 },
  { x: 715, y: 640, radius: 58 },
];

export function spawn(team: number): Body {
  return { x: SIZE / 2, y: team === 0 ? SIZE - 140 : 140, vx: 0, vy: 0 };
}

/** Moves a ship for a while; `wish` is where it wants to go, of length 1 at most. */
export function steer(ship: Body, wish: Point, seconds: number): void {
  const reach = ACCELERATION * seconds;
  ship.vx += clamp(wish.x * SPEED - ship.vx, reach);
  ship.vy += clamp(wish.y * SPEED - ship.vy, reach);
  ship.x += ship.vx * seconds;
  ship.y += ship.vy * seconds;
  for (const pillar of PILLARS) pushOut(ship, pillar);
  for (const [axis, speed] of [["x", "vx"], ["y", "vy"]] as const) {
    const inside = Math.min(Math.max(ship[axis], WALL), SIZE - WALL);
    if (inside !== ship[axis]) ship[speed] = 0;
    ship[axis] = inside;
  }
}

/** Where to shoot to meet somebody who goes on as they do. */
export function aim(from: Point, target: Body): Point {
  const dx = target.x - from.x;
  const dy = target.y - from.y;
  // |d + v·t| = BOLT_SPEED·t
  const a = BOLT_SPEED ** 2 - target.vx ** 2 - target.vy ** 2;
  const b = dx * target.vx + dy * target.vy;
  const t = (b + Math.sqrt(b * b + a * (dx * dx + dy * dy))) / a;
  const length = Math.hypot(dx + target.vx * t, dy + target.vy * t) || 1;
  return { x: (dx + target.vx * t) / length, y: (dy + target.vy * t) / length };
}

export function shoot(id: string, from: Point, direction: Point, now: number): Bolt {
  const muzzle = { x: from.x + direction.x * SHIP_RADIUS, y: from.y + direction.y * SHIP_RADIUS };
  return { id, ...muzzle, from: muzzle, vx: direction.x * BOLT_SPEED, vy: direction.y * BOLT_SPEED, bornAt: now, mine: true };
}

/** What a bolt flew into on its way to where it is now. */
export type Flight = "flies" | "gone" | { struck: Point } | { blocked: Point };

/** Moves a bolt to where it is now; `target` is whom it may strike. */
export function fly(bolt: Bolt, now: number, target: Point | undefined): Flight {
  const age = Math.max(0, now - bolt.bornAt) / 1000;
  const before = { x: bolt.x, y: bolt.y };
  bolt.x = bolt.from.x + bolt.vx * age;
  bolt.y = bolt.from.y + bolt.vy * age;
  const blocks = PILLARS.map((pillar) => touch(before, bolt, pillar, pillar.radius + BOLT_RADIUS * 0.6));
  const pillar = Math.min(...blocks.map((at) => at ?? Infinity));
  const ship = (target && touch(before, bolt, target, SHIP_RADIUS + BOLT_RADIUS)) ?? Infinity;
  const at = Math.min(pillar, ship);
  if (at !== Infinity) {
    const place = { x: before.x + (bolt.x - before.x) * at, y: before.y + (bolt.y - before.y) * at };
    return ship <= pillar ? { struck: place } : { blocked: place };
  }
  const out = bolt.x < 0 || bolt.y < 0 || bolt.x > SIZE || bolt.y > SIZE;
  return out || now - bolt.bornAt > BOLT_MS ? "gone" : "flies";
}

/** The shots that one may fire. */
export class Gun {
  #fullAt = 0;
  #readyAt = 0;

  /** How many there are, parts of one too. */
  charges(now: number): number {
    return CHARGES - Math.max(0, this.#fullAt - now) / CHARGE_MS;
  }

  fire(now: number): boolean {
    if (now < this.#readyAt || this.charges(now) < 1) return false;
    this.#fullAt = Math.max(now, this.#fullAt) + CHARGE_MS;
    this.#readyAt = now + RELOAD_MS;
    return true;
  }
}

/** At what part of the way from a to b one comes within `radius` of `center`, if at all. */
function touch(a: Point, b: Point, center: Point, radius: number): number | undefined {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const fx = a.x - center.x;
  const fy = a.y - center.y;
  const c = fx * fx + fy * fy - radius * radius;
  if (c <= 0) return 0;
  const square = dx * dx + dy * dy;
  const half = fx * dx + fy * dy;
  const root = half * half - square * c;
  if (square === 0 || root < 0) return undefined;
  const at = (-half - Math.sqrt(root)) / square;
  return at >= 0 && at <= 1 ? at : undefined;
}

function pushOut(ship: Body, pillar: Pillar): void {
  const dx = ship.x - pillar.x;
  const dy = ship.y - pillar.y;
  const distance = Math.hypot(dx, dy) || 1;
  const missing = pillar.radius + SHIP_RADIUS - distance;
  if (missing <= 0) return;
  ship.x += (dx / distance) * missing;
  ship.y += (dy / distance) * missing;
}

function clamp(value: number, limit: number): number {
  return Math.min(Math.max(value, -limit), limit);
}
