import { create } from "@bufbuild/protobuf";
import { type Client, Code } from "@connectrpc/connect";

import { type Ambient, newId } from "../ambient.js";
import { type Attributes, toAttributes } from "../attributes.js";
import { MusterError } from "../errors.js";
import { type GameEvent, GameEventSchema } from "../gen/muster/events/v1/event_pb.js";
import {
  type EventService,
  type NewEvent,
  NewEventSchema,
  type PublishedEvent,
} from "../gen/muster/events/v1/events_pb.js";

/** An event of the game's own. */
export interface GameEventInit {
  /** What it is, in the game's words, 1–64 characters. */
  readonly name: string;
  readonly attributes?: Attributes;
  readonly data?: Uint8Array;
  /** To whom it goes: everyone in the session if it is not said, the one who publishes too. */
  readonly to?: { readonly playerId: string } | { readonly team: string };
  /** A UUID; made if absent. */
  readonly eventId?: string;
}

/** How many events go in one call. */
const EVENTS_IN_A_CALL = 100;

/** How many unretained events wait while a call with others is on its way. The oldest give way. */
const WAITING_SENDS = 100;

/** How many publications wait for those before them. */
const WAITING_PUBLICATIONS = 1_000;

/** What is unretained is worth nothing later, ms. */
const SEND_TIMEOUT_MS = 2_000;

/** Publishes to one session, one call of each kind at a time, so that events keep their order. */
export class Publisher {
  readonly #client: Client<typeof EventService>;
  readonly #sessionId: string;
  readonly #ambient: Ambient;
  readonly #report: (error: unknown) => void;
  #sends: NewEvent[] = [];
  #sending = false;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(
    client: Client<typeof EventService>,
    sessionId: string,
    ambient: Ambient,
    report: (error: unknown) => void,
  ) {
    this.#client = client;
    this.#sessionId = sessionId;
    this.#ambient = ambient;
    this.#report = report;
  }

  /** Whether nothing is on its way or waits. */
  get isIdle(): boolean {
    return !this.#sending && this.#waiting === 0;
  }

  /** Publishes retained events after those of earlier calls. */
  async publish(inits: readonly GameEventInit[]): Promise<PublishedEvent[]> {
    if (this.#waiting >= WAITING_PUBLICATIONS) {
      throw new MusterError("too many publications wait", Code.ResourceExhausted, "TOO_MANY_WAITING");
    }
    const events = inits.map((init) => this.#newEvent(init, false));
    const call = () => this.#client.publish({ sessionId: this.#sessionId, events });
    const answer = this.#last.then(call, call);
    this.#last = answer;
    this.#waiting += 1;
    try {
      return (await answer).events;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Sends an unretained event with the others that wait. */
  send(init: GameEventInit): void {
    this.#sends.push(this.#newEvent(init, true));
    if (this.#sends.length > WAITING_SENDS) this.#sends.shift();
    if (!this.#sending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    await undefined; // what is sent in one go goes in one call
    while (this.#sends.length > 0) {
      const events = this.#sends.splice(0, EVENTS_IN_A_CALL);
      try {
        await this.#client.publish({ sessionId: this.#sessionId, events }, { timeoutMs: SEND_TIMEOUT_MS });
      } catch (error) {
        if (!isOutage(error)) this.#report(error);
      }
    }
    this.#sending = false;
  }

  #newEvent(init: GameEventInit, unretained: boolean): NewEvent {
    const eventId = init.eventId ?? newId(this.#ambient);
    return create(NewEventSchema, { eventId, unretained, event: gameEvent(init) });
  }
}

/** A network that comes and goes is no news. */
function isOutage(error: unknown): boolean {
  return error instanceof MusterError && (error.code === Code.Unavailable || error.code === Code.DeadlineExceeded);
}

function gameEvent({ name, attributes = {}, data = new Uint8Array(), to }: GameEventInit): GameEvent {
  return create(GameEventSchema, { name, attributes: toAttributes(attributes), data, audience: audience(to) });
}

function audience(to: GameEventInit["to"]): GameEvent["audience"] {
  if (!to) return { case: undefined };
  return "team" in to ? { case: "team", value: to.team } : { case: "toPlayerId", value: to.playerId };
}
