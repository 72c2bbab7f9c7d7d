// What the player wants: keys, or a thumb on the field's left half and another one on the button.

import type { Point } from "./arena.ts";
import type { Wishes } from "./duel.ts";

const DIRECTIONS: Readonly<Record<string, Point>> = {
  ArrowUp: { x: 0, y: -1 },
  KeyW: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
  KeyS: { x: 0, y: 1 },
  ArrowLeft: { x: -1, y: 0 },
  KeyA: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  KeyD: { x: 1, y: 0 },
};
const FIRE = new Set(["Space", "Enter", "KeyJ"]);
/** How far a thumb goes for full speed, px. */
const STICK_REACH = 46;

export class Input implements Wishes {
  readonly #keys = new Set<string>();
  readonly #stick: HTMLElement;
  readonly #knob: HTMLElement;
  readonly #trigger: HTMLElement;
  #thumb: { id: number; from: Point; offset: Point } | undefined;
  #finger: number | undefined;

  constructor(stick: HTMLElement, trigger: HTMLElement) {
    this.#stick = stick;
    this.#knob = stick.querySelector<HTMLElement>(".knob") ?? stick;
    this.#trigger = trigger;
  }

  get firing(): boolean {
    return this.#finger !== undefined || [...this.#keys].some((key) => FIRE.has(key));
  }

  get direction(): Point {
    if (this.#thumb) return shorten({ x: this.#thumb.offset.x / STICK_REACH, y: this.#thumb.offset.y / STICK_REACH });
    let [x, y] = [0, 0];
    for (const key of this.#keys) {
      x += DIRECTIONS[key]?.x ?? 0;
      y += DIRECTIONS[key]?.y ?? 0;
    }
    return shorten({ x: Math.sign(x), y: Math.sign(y) });
  }

  /** Listens until the signal says that it is enough. */
  listen(signal: AbortSignal): void {
    const options = { signal };
    addEventListener("keydown", (event) => this.#press(event), options);
    addEventListener("keyup", (event) => this.#keys.delete(event.code), options);
    addEventListener("blur", () => this.#letGo(), options);
    this.#stick.addEventListener("pointerdown", (event) => this.#takeStick(event), options);
    this.#stick.addEventListener("pointermove", (event) => this.#moveStick(event), options);
    this.#trigger.addEventListener("pointerdown", (event) => this.#pull(event), options);
    for (const end of ["pointerup", "pointercancel"] as const) {
      addEventListener(end, (event) => this.#lift(event.pointerId), options);
    }
    this.#trigger.addEventListener("contextmenu", (event) => event.preventDefault(), options);
    signal.addEventListener("abort", () => this.#letGo(), { once: true });
  }

  #press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(event.code in DIRECTIONS) && !FIRE.has(event.code)) return;
    // Neither scrolls the page nor presses a button that has the focus.
    event.preventDefault();
    this.#keys.add(event.code);
  }

  #takeStick(event: PointerEvent): void {
    event.preventDefault();
    capture(this.#stick, event.pointerId);
    this.#thumb = { id: event.pointerId, from: { x: event.clientX, y: event.clientY }, offset: { x: 0, y: 0 } };
  }

  #moveStick(event: PointerEvent): void {
    if (this.#thumb?.id !== event.pointerId) return;
    this.#thumb.offset = { x: event.clientX - this.#thumb.from.x, y: event.clientY - this.#thumb.from.y };
    const { x, y } = this.direction;
    this.#knob.style.translate = `${x * STICK_REACH}px ${y * STICK_REACH}px`;
  }

  #pull(event: PointerEvent): void {
    event.preventDefault();
    this.#finger = event.pointerId;
    this.#trigger.classList.add("pressed");
  }

  #lift(pointer: number): void {
    if (this.#thumb?.id === pointer) {
      this.#thumb = undefined;
      this.#knob.style.translate = "";
    }
    if (this.#finger === pointer) {
      this.#finger = undefined;
      this.#trigger.classList.remove("pressed");
    }
  }

  #letGo(): void {
    this.#keys.clear();
    if (this.#thumb) this.#lift(this.#thumb.id);
    if (this.#finger !== undefined) this.#lift(this.#finger);
  }
}

/** So that a thumb that leaves the element still moves the stick. */
function capture(element: HTMLElement, pointer: number): void {
  try {
    element.setPointerCapture(pointer);
  } catch {
    // The finger is gone already.
  }
}

function shorten({ x, y }: Point): Point {
  const length = Math.hypot(x, y);
  return length > 1 ? { x: x / length, y: y / length } : { x, y };
}
