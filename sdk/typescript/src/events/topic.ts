import type { MusterError } from "../errors.js";
import type { Event } from "../gen/muster/events/v1/event_pb.js";
import type { Gap, TopicCloseReason } from "../gen/muster/events/v1/events_pb.js";

/** What to do with what happens on a topic. */
export interface TopicHandlers {
  /** Any event of the topic. */
  event?(event: Event): void;
  /** One handler for each kind of event. */
  on?: PayloadHandlers;
  /** Events are missing and cannot be had any more. On a session's topic `gap.session` is the state to go on from. */
  gap?(gap: Gap): void;
  /** The topic is not followed any more: the session has ended, the seat is gone, or the topic was refused. */
  closed?(why: TopicCloseReason | MusterError): void;
}

type Payload = Extract<Event["payload"], { case: string }>;

/** `gameEvent`, `playerJoined`, `sessionFinished` and so on: what happened, and the event around it. */
export type PayloadHandlers = {
  [Case in Payload["case"]]?: (payload: Extract<Payload, { case: Case }>["value"], event: Event) => void;
};

/** A topic that is followed. */
export interface Subscription {
  readonly topic: string;
  /** Events come. Rejected if the topic is refused; need not be awaited. */
  readonly ready: Promise<void>;
  /** The last cursor seen: to keep, and to go on from. Empty before the first one. */
  readonly cursor: string;
  unsubscribe(): void;
}

/** How many events are remembered to tell those that come twice: more than can come while two streams overlap. */
const REMEMBERED_EVENTS = 2_048;

/** A topic with all who follow it. */
export class Topic {
  readonly name: string;
  /** Where a new stream begins. */
  cursor: string;
  /** The stream that the topic is followed on. What is unretained comes from this one alone. */
  source: object | undefined;
  readonly #seen = new Recent(REMEMBERED_EVENTS);
  readonly #subscribers = new Set<Subscriber>();
  readonly #report: (error: unknown) => void;

  constructor(name: string, cursor: string, report: (error: unknown) => void) {
    this.name = name;
    this.cursor = cursor;
    this.#report = report;
  }

  get isFollowed(): boolean {
    return this.#subscribers.size > 0;
  }

  /**
   * Adds one who wants what happens from now on, or all that a stream brings that begins at the subscriber's cursor.
   */
  add(handlers: TopicHandlers, fromCursor: boolean): Subscriber {
    const subscriber = new Subscriber(this, handlers, fromCursor ? new Recent(REMEMBERED_EVENTS) : this.#seen.copy());
    this.#subscribers.add(subscriber);
    if (this.source && !fromCursor) subscriber.resolveReady();
    return subscriber;
  }

  delete(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
  }

  /** A stream follows the topic from the cursor on. */
  followed(source: object, cursor: string): void {
    this.source = source;
    if (this.cursor === "") this.cursor = cursor;
    for (const subscriber of this.#subscribers) subscriber.resolveReady();
  }

  /** That stream is no more. Another one may be left that follows the topic. */
  lost(source: object, other: object | undefined): void {
    if (this.source === source) this.source = other;
  }

  /** Hands an event to those who have not seen it. */
  event(event: Event, source: object): void {
    const id = event.cursor || event.eventId;
    if (source === this.source) this.cursor = event.cursor || this.cursor;
    else if (event.cursor === "") return;
    this.#seen.add(id);
    for (const subscriber of [...this.#subscribers]) {
      if (subscriber.seen.add(id)) this.#deliver(subscriber, event);
    }
  }

  /** Hands a gap to those who have not been past it. */
  gap(gap: Gap, source: object): void {
    if (source === this.source) this.cursor = gap.cursor;
    this.#seen.add(gap.cursor);
    for (const subscriber of [...this.#subscribers]) {
      if (subscriber.seen.add(gap.cursor)) this.#call(() => subscriber.handlers.gap?.(gap));
    }
  }

  /** It is over. */
  close(why: TopicCloseReason | MusterError): void {
    const subscribers = [...this.#subscribers];
    this.#subscribers.clear();
    for (const subscriber of subscribers) {
      subscriber.rejectReady(why);
      this.#call(() => subscriber.handlers.closed?.(why));
    }
  }

  #deliver({ handlers }: Subscriber, event: Event): void {
    this.#call(() => handlers.event?.(event));
    const { payload } = event;
    if (payload.case === undefined) return;
    // The map's type says that the handler of a case takes the value of that case.
    const handler = handlers.on?.[payload.case] as ((value: unknown, event: Event) => void) | undefined;
    this.#call(() => handler?.(payload.value, event));
  }

  /** What a handler throws is its own affair: the next ones are called all the same. */
  #call(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#report(error);
    }
  }
}

/** One who follows a topic. */
export class Subscriber {
  readonly topic: Topic;
  readonly handlers: TopicHandlers;
  readonly seen: Recent;
  readonly ready: Promise<void>;
  resolveReady!: () => void;
  rejectReady!: (why: unknown) => void;

  constructor(topic: Topic, handlers: TopicHandlers, seen: Recent) {
    this.topic = topic;
    this.handlers = handlers;
    this.seen = seen;
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve;
      this.rejectReady = reject;
    });
    this.ready.catch(() => {}); // it need not be awaited
  }
}

/** The newest of many names. */
class Recent {
  readonly #limit: number;
  readonly #names: Set<string>;

  constructor(limit: number, names: Iterable<string> = []) {
    this.#limit = limit;
    this.#names = new Set(names);
  }

  /** Whether the name is new. An empty one always is. */
  add(name: string): boolean {
    if (name === "") return true;
    if (this.#names.has(name)) return false;
    this.#names.add(name);
    // A set goes through its names in the order in which they came.
    if (this.#names.size > this.#limit) this.#names.delete(this.#names.values().next().value!);
    return true;
  }

  copy(): Recent {
    return new Recent(this.#limit, this.#names);
  }
}
