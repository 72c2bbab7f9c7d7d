import type { Client } from "@connectrpc/connect";

import type { Ambient } from "../ambient.js";
import { connectionLost, type MusterError, toMusterError } from "../errors.js";
import type { EventService, SubscribeResponse, Subscription } from "../gen/muster/events/v1/events_pb.js";
import type { GoAway } from "../gen/muster/game/v1/stream_pb.js";

/** Who reads a stream. */
export interface StreamReader {
  message(stream: EventStream, message: SubscribeResponse["message"]): void;
  /** The stream has ended: in good order, by an error, or by its silence. Not called after `close`. */
  ended(stream: EventStream, ending: { readonly goAway?: GoAway; readonly error?: MusterError }): void;
}

/** The server says something at least as often, ms. */
export const HEARTBEAT_MS = 15_000;

/** How long a stream may be silent before it counts as dead, ms. */
const SILENCE_LIMIT_MS = 2.5 * HEARTBEAT_MS;

/** How long the first message may take, ms. */
const OPENING_LIMIT_MS = 10_000;

/** One call of Subscribe, for as long as it lasts. */
export class EventStream {
  /** The token that it was opened with. */
  readonly token: string;
  /** The topics that were asked for and of which nothing has come yet. */
  readonly pending: Set<string>;
  /** The topics that it brings. */
  readonly following = new Set<string>();
  readonly #ambient: Ambient;
  readonly #reader: StreamReader;
  readonly #abort = new AbortController();
  #cancelWatchdog = () => {};
  #heardAtMs: number;
  #goAway: GoAway | undefined;

  constructor(
    client: Client<typeof EventService>,
    token: string,
    subscriptions: readonly Pick<Subscription, "topic" | "cursor">[],
    reader: StreamReader,
    ambient: Ambient,
  ) {
    this.token = token;
    this.pending = new Set(subscriptions.map(({ topic }) => topic));
    this.#ambient = ambient;
    this.#reader = reader;
    this.#heardAtMs = ambient.wallMs();
    this.#watch(OPENING_LIMIT_MS);
    const options = { signal: this.#abort.signal, headers: { authorization: `Bearer ${token}` } };
    void this.#read(client.subscribe({ subscriptions: [...subscriptions] }, options));
  }

  /**
   * Whether it has been silent for longer than the server ever is. By the wall's clock: others stand still in sleep.
   */
  get isSilent(): boolean {
    return this.#ambient.wallMs() - this.#heardAtMs > 1.2 * HEARTBEAT_MS;
  }

  close(): void {
    this.#cancelWatchdog();
    this.#abort.abort();
  }

  async #read(messages: AsyncIterable<SubscribeResponse>): Promise<void> {
    try {
      for await (const { message } of messages) {
        if (this.#abort.signal.aborted) return;
        this.#heardAtMs = this.#ambient.wallMs();
        this.#watch(SILENCE_LIMIT_MS);
        if (message.case === "goAway") this.#goAway = message.value;
        this.#reader.message(this, message);
      }
      this.#end({});
    } catch (error) {
      this.#end({ error: toMusterError(error) });
    }
  }

  #watch(limitMs: number): void {
    this.#cancelWatchdog();
    this.#cancelWatchdog = this.#ambient.after(limitMs, () => this.#end({ error: connectionLost("silence") }));
  }

  #end(ending: { readonly error?: MusterError }): void {
    if (this.#abort.signal.aborted) return;
    this.close();
    this.#reader.ended(this, this.#goAway ? { goAway: this.#goAway } : ending);
  }
}
