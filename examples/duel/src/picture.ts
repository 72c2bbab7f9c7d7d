// The picture of the arena. Everyone sees themselves below: for the second team the world is turned round.

import { CHARGES, PILLARS, SHIP_RADIUS, SIZE } from "./arena.ts";
import type { Body, Bolt, Point } from "./arena.ts";
import type { Duel, Effects } from "./duel.ts";

export const COLORS = ["#ff7d6b", "#57c7ff"] as const;
const FLOOR = "#141933";
const LINE = "#222a52";
const PILLAR = "#2b3463";
const PILLAR_TOP = "#3a467f";
const CHARGE = "#ffd166";

const SHARPEST = 2;
const MOST_PARTICLES = 240;
const SHAKE_MS = 260;

interface Particle extends Body {
  color: string;
  size: number;
  age: number;
  life: number;
}

export class Picture implements Effects {
  readonly #canvas: HTMLCanvasElement;
  readonly #pen: CanvasRenderingContext2D;
  readonly #isCalm: MediaQueryList;
  readonly #glows: readonly HTMLCanvasElement[];
  #floor: HTMLCanvasElement;
  #particles: Particle[] = [];
  #team = 0;
  #shakenAt = -Infinity;
  #drawnAt = performance.now();
  #wreck: { who: "me" | "them" | undefined; shown: boolean } = { who: undefined, shown: false };

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error("there is no canvas");
    this.#pen = pen;
    this.#isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    this.#glows = COLORS.map(glow);
    this.#floor = floor();
  }

  /** Begins with a new match. */
  clear(team: number): void {
    this.#team = team;
    this.#particles = [];
    this.#wreck = { who: undefined, shown: false };
  }

  // ---- what happens

  fired(bolt: Bolt): void {
    this.#burst(bolt.from, CHARGE, 4, 160);
  }

  struck(who: "me" | "them", at: Point): void {
    this.#burst(at, this.#color(who), 34, 420);
    this.#burst(at, "#ffffff", 10, 260);
    if (who === "me") this.#shakenAt = performance.now();
  }

  blocked(at: Point): void {
    this.#burst(at, CHARGE, 6, 200);
  }

  ended(): void {
    this.#wreck.shown = true;
  }

  // ---- the picture

  draw(duel: Duel, now: number): void {
    this.#fit();
    const elapsed = Math.min(performance.now() - this.#drawnAt, 100) / 1000;
    this.#drawnAt = performance.now();
    const pen = this.#pen;
    const scale = this.#canvas.width / SIZE;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    this.#shake();
    pen.drawImage(this.#floor, 0, 0, SIZE, SIZE);
    this.#marks();
    for (const bolt of duel.bolts) this.#bolt(bolt);
    this.#ships(duel, now);
    this.#drawParticles(elapsed);
  }

  #ships(duel: Duel, now: number): void {
    const { outcome } = duel.round;
    const [me, them] = [duel.ship, duel.target];
    const loser = outcome?.winner === undefined ? undefined : duel.round.other(outcome.winner);
    if (this.#wreck.shown && this.#wreck.who === undefined && loser !== undefined) {
      this.#wreck.who = loser === duel.me ? "me" : "them";
      this.#explode(this.#wreck.who === "me" ? me : them, this.#wreck.who);
    }
    const isWrecked = (who: "me" | "them") => this.#wreck.who === who;
    if (!isWrecked("them")) {
      this.#ship(them, me, 1 - duel.team, duel.isSafe(duel.them, now), duel.round.absent.has(duel.them));
      this.#lives(them, duel.round.hitsOf(duel.them), 1 - duel.team);
    }
    if (!isWrecked("me")) {
      this.#ship(me, them, duel.team, duel.isSafe(duel.me, now), !duel.isOnline);
      this.#charges(me, duel.gun.charges(now));
    }
    this.#trail(me, duel.team);
    this.#trail(them, 1 - duel.team);
  }

  #ship(ship: Body, facing: Point, team: number, isSafe: boolean, isFaint: boolean): void {
    const pen = this.#pen;
    const at = this.#place(ship);
    const to = this.#place(facing);
    const color = COLORS[team] ?? COLORS[0];
    const glow = this.#glows[team];
    const isDim = isFaint || (isSafe && !this.#isCalm.matches && Math.floor(performance.now() / 90) % 2 === 0);
    pen.save();
    pen.globalAlpha = isDim ? 0.35 : 1;
    if (glow) pen.drawImage(glow, at.x - 90, at.y - 90, 180, 180);
    pen.translate(at.x, at.y);
    pen.rotate(Math.atan2(to.y - at.y, to.x - at.x) + Math.PI / 2);
    pen.fillStyle = color;
    pen.strokeStyle = "#0b0e20";
    pen.lineWidth = 5;
    pen.lineJoin = "round";
    pen.beginPath();
    if (team === 0) dart(pen);
    else crescent(pen);
    pen.fill();
    pen.stroke();
    pen.fillStyle = "#0b0e20";
    pen.beginPath();
    pen.arc(0, team === 0 ? 6 : 2, 9, 0, 2 * Math.PI);
    pen.fill();
    if (isSafe) {
      pen.strokeStyle = "#ffffff";
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(0, 0, SHIP_RADIUS + 14, 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.restore();
  }

  /** The shots that are left, around one's own ship. */
  #charges(ship: Body, charges: number): void {
    const pen = this.#pen;
    const at = this.#place(ship);
    const part = (2 * Math.PI) / CHARGES;
    pen.lineWidth = 5;
    pen.lineCap = "round";
    for (let index = 0; index < CHARGES; index++) {
      const filled = Math.min(Math.max(charges - index, 0), 1);
      const from = -Math.PI / 2 + part * index + 0.16;
      const whole = part - 0.32;
      pen.strokeStyle = "#ffffff22";
      arc(pen, at, from, from + whole);
      pen.strokeStyle = filled === 1 ? CHARGE : `${CHARGE}88`;
      if (filled > 0) arc(pen, at, from, from + whole * filled);
    }
  }

  #lives(ship: Body, hits: number, team: number): void {
    const pen = this.#pen;
    const at = this.#place(ship);
    for (let index = 0; index < 3; index++) {
      pen.fillStyle = index < 3 - hits ? (COLORS[team] ?? "") : "#ffffff22";
      pen.beginPath();
      pen.arc(at.x - 18 + 18 * index, at.y - SHIP_RADIUS - 26, 5.5, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  #bolt(bolt: Bolt): void {
    const pen = this.#pen;
    const at = this.#place(bolt);
    const from = this.#place({ x: bolt.x - bolt.vx * 0.06, y: bolt.y - bolt.vy * 0.06 });
    const color = COLORS[bolt.mine ? this.#team : 1 - this.#team] ?? COLORS[0];
    const fade = pen.createLinearGradient(at.x, at.y, from.x, from.y);
    fade.addColorStop(0, color);
    fade.addColorStop(1, `${color}00`);
    pen.lineCap = "round";
    pen.strokeStyle = fade;
    pen.lineWidth = 15;
    line(pen, at, from);
    pen.strokeStyle = "#ffffff";
    pen.lineWidth = 6;
    line(pen, at, { x: at.x + (from.x - at.x) * 0.2, y: at.y + (from.y - at.y) * 0.2 });
  }

  #trail(ship: Body, team: number): void {
    const speed = Math.hypot(ship.vx, ship.vy);
    if (this.#isCalm.matches || speed < 80 || this.#particles.length > MOST_PARTICLES) return;
    const back = { x: ship.x - (ship.vx / speed) * SHIP_RADIUS, y: ship.y - (ship.vy / speed) * SHIP_RADIUS };
    const jitter = () => (Math.random() - 0.5) * 60;
    const drift = { vx: -ship.vx * 0.25 + jitter(), vy: -ship.vy * 0.25 + jitter() };
    this.#particles.push({ ...back, ...drift, color: COLORS[team] ?? "", size: 5, age: 0, life: 0.35 });
  }

  #explode(ship: Body, who: "me" | "them"): void {
    this.#burst(ship, this.#color(who), 80, 560);
    this.#burst(ship, CHARGE, 40, 380);
    this.#shakenAt = performance.now();
  }

  #burst(at: Point, color: string, count: number, speed: number): void {
    const some = this.#isCalm.matches ? Math.ceil(count / 4) : count;
    for (let index = 0; index < some && this.#particles.length < MOST_PARTICLES; index++) {
      const angle = Math.random() * 2 * Math.PI;
      const reach = speed * (0.25 + Math.random() * 0.75);
      const velocity = { vx: Math.cos(angle) * reach, vy: Math.sin(angle) * reach };
      const [size, life] = [3 + Math.random() * 6, 0.3 + Math.random() * 0.5];
      this.#particles.push({ x: at.x, y: at.y, ...velocity, color, size, age: 0, life });
    }
  }

  #drawParticles(elapsed: number): void {
    const pen = this.#pen;
    pen.save();
    pen.globalCompositeOperation = "lighter";
    for (const particle of this.#particles) {
      particle.age += elapsed;
      particle.x += particle.vx * elapsed;
      particle.y += particle.vy * elapsed;
      particle.vx *= 1 - 2.4 * elapsed;
      particle.vy *= 1 - 2.4 * elapsed;
      const left = Math.max(0, 1 - particle.age / particle.life);
      const at = this.#place(particle);
      pen.globalAlpha = left;
      pen.fillStyle = particle.color;
      pen.beginPath();
      pen.arc(at.x, at.y, particle.size * left, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.restore();
    this.#particles = this.#particles.filter((particle) => particle.age < particle.life);
  }

  /** The two sides, in their colours. */
  #marks(): void {
    const pen = this.#pen;
    pen.lineWidth = 6;
    pen.lineCap = "round";
    for (const [team, y] of [[this.#team, SIZE - 20], [1 - this.#team, 20]] as const) {
      pen.strokeStyle = `${COLORS[team] ?? ""}aa`;
      line(pen, { x: 380, y }, { x: 620, y });
    }
  }

  #shake(): void {
    const since = performance.now() - this.#shakenAt;
    if (since > SHAKE_MS || this.#isCalm.matches) return;
    const reach = 14 * (1 - since / SHAKE_MS);
    this.#pen.translate((Math.random() - 0.5) * reach, (Math.random() - 0.5) * reach);
  }

  #color(who: "me" | "them"): string {
    return COLORS[who === "me" ? this.#team : 1 - this.#team] ?? COLORS[0];
  }

  #place({ x, y }: Point): Point {
    return this.#team === 0 ? { x, y } : { x: SIZE - x, y: SIZE - y };
  }

  /** As many dots as the screen has, within reason. */
  #fit(): void {
    const side = Math.round(this.#canvas.clientWidth * Math.min(devicePixelRatio, SHARPEST));
    if (side === 0 || this.#canvas.width === side) return;
    this.#canvas.width = side;
    this.#canvas.height = side;
  }
}

function dart(pen: CanvasRenderingContext2D): void {
  pen.moveTo(0, -SHIP_RADIUS - 8);
  pen.lineTo(SHIP_RADIUS, SHIP_RADIUS);
  pen.lineTo(0, SHIP_RADIUS * 0.55);
  pen.lineTo(-SHIP_RADIUS, SHIP_RADIUS);
  pen.closePath();
}

function crescent(pen: CanvasRenderingContext2D): void {
  const r = SHIP_RADIUS;
  pen.moveTo(-r, -r * 0.9);
  pen.quadraticCurveTo(-r * 0.45, -r * 0.35, 0, -r * 0.75);
  pen.quadraticCurveTo(r * 0.45, -r * 0.35, r, -r * 0.9);
  pen.quadraticCurveTo(r * 1.35, r * 0.9, 0, r);
  pen.quadraticCurveTo(-r * 1.35, r * 0.9, -r, -r * 0.9);
  pen.closePath();
}

function arc(pen: CanvasRenderingContext2D, at: Point, from: number, to: number): void {
  pen.beginPath();
  pen.arc(at.x, at.y, SHIP_RADIUS + 24, from, to);
  pen.stroke();
}

function line(pen: CanvasRenderingContext2D, from: Point, to: Point): void {
  pen.beginPath();
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
}

function glow(color: string): HTMLCanvasElement {
  const [canvas, pen] = sheet(180);
  const shine = pen.createRadialGradient(90, 90, 10, 90, 90, 90);
  shine.addColorStop(0, `${color}66`);
  shine.addColorStop(1, `${color}00`);
  pen.fillStyle = shine;
  pen.fillRect(0, 0, 180, 180);
  return canvas;
}

/** What never moves, drawn once. It looks the same from both sides. */
function floor(): HTMLCanvasElement {
  const [canvas, pen] = sheet(SIZE);
  const shine = pen.createRadialGradient(SIZE / 2, SIZE / 2, 80, SIZE / 2, SIZE / 2, SIZE * 0.75);
  shine.addColorStop(0, "#1b2146");
  shine.addColorStop(1, FLOOR);
  pen.fillStyle = shine;
  pen.fillRect(0, 0, SIZE, SIZE);
  pen.strokeStyle = LINE;
  pen.lineWidth = 2;
  for (let at = 100; at < SIZE; at += 100) {
    line(pen, { x: at, y: 0 }, { x: at, y: SIZE });
    line(pen, { x: 0, y: at }, { x: SIZE, y: at });
  }
  pen.lineWidth = 4;
  line(pen, { x: 0, y: SIZE / 2 }, { x: SIZE, y: SIZE / 2 });
  pen.beginPath();
  pen.arc(SIZE / 2, SIZE / 2, 110, 0, 2 * Math.PI);
  pen.stroke();
  for (const { x, y, radius } of PILLARS) {
    disc(pen, x, y + 10, radius, "#0b0e2077");
    disc(pen, x, y, radius, PILLAR);
    disc(pen, x, y, radius * 0.72, PILLAR_TOP);
    disc(pen, x, y, radius * 0.34, PILLAR);
  }
  return canvas;
}

function disc(pen: CanvasRenderingContext2D, x: number, y: number, radius: number, color: string): void {
  pen.fillStyle = color;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function sheet(side: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  canvas.width = side;
  canvas.height = side;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("there is no canvas");
  return [canvas, pen];
}
