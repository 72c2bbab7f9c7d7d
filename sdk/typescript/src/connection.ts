import type { Ambient } from "./ambient.js";
import { type Observable, Variable } from "./observable.js";
import type { Page } from "./page.js";

/**
 * - `online`: live events come; or, while no topic is followed, the last call was answered.
 * - `connecting`: not yet, or not any more, and it is being tried.
 * - `offline`: the device has no network, or nothing has been answered for 10 s. It is being tried all the same.
 */
export type ConnectionState = "online" | "connecting" | "offline";

/** How long the connection may be lost before it is called offline, ms. */
const OFFLINE_AFTER_MS = 10_000;

/** What is known of the way to the server, from all who use it. */
export class Connection {
  readonly #ambient: Ambient;
  readonly #page: Page;
  readonly #state: Variable<ConnectionState>;
  readonly #leavePage: () => void;
  #calls: "answered" | "lost" | "untried" = "untried";
  #stream: "live" | "lost" | "unused" = "unused";
  #patient = true;
  #cancelPatience: (() => void) | undefined;

  constructor(ambient: Ambient, page: Page, report: (error: unknown) => void) {
    this.#ambient = ambient;
    this.#page = page;
    this.#state = new Variable<ConnectionState>(page.isOnline() ? "connecting" : "offline", report);
    this.#leavePage = page.observe(() => this.#update());
  }

  get state(): Observable<ConnectionState> {
    return this.#state;
  }

  /** A call was answered. */
  answered(): void {
    this.#calls = "answered";
    this.#update();
  }

  /** A call was not. */
  lost(): void {
    this.#calls = "lost";
    this.#update();
  }

  /** Live events come, do not come, or are not wanted. */
  streamIs(stream: "live" | "lost" | "unused"): void {
    this.#stream = stream;
    this.#update();
  }

  close(): void {
    this.#leavePage();
    this.#cancelPatience?.();
  }

  #update(): void {
    const good = this.#stream === "live" || (this.#stream === "unused" && this.#calls === "answered");
    if (good) {
      this.#cancelPatience?.();
      this.#cancelPatience = undefined;
      this.#patient = true;
    } else if (this.#stream === "lost" || this.#calls === "lost") {
      this.#cancelPatience ??= this.#ambient.after(OFFLINE_AFTER_MS, () => {
        this.#patient = false;
        this.#update();
      });
    }
    if (!this.#page.isOnline()) this.#state.set("offline");
    else if (good) this.#state.set("online");
    else this.#state.set(this.#patient ? "connecting" : "offline");
  }
}
