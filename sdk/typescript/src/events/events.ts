import type { MusterError } from "../errors.js";
import type { PublishedEvent } from "../gen/muster/events/v1/events_pb.js";
import { Follower, type FollowerOptions } from "./follower.js";
import { type GameEventInit, Publisher } from "./publisher.js";
import type { Subscription, TopicHandlers } from "./topic.js";

/** Live events, in both directions. All topics of a window come on one stream. */
export class Events {
  readonly #options: FollowerOptions;
  readonly #follower: Follower;
  readonly #publishers = new Map<string, Publisher>();

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#follower = new Follower(options);
  }

  /**
   * Follows a topic: from the cursor on, or from now on if there is none. Retained events come once and in order,
   * through lost connections, sleep and restarts of the server. A topic may have several subscribers.
   */
  subscribe(topic: string, handlers: TopicHandlers, options: { readonly cursor?: string } = {}): Subscription {
    return this.#follower.subscribe(topic, handlers, options.cursor ?? "");
  }

  /**
   * Publishes 1–100 retained events to a session, all or none, after those of earlier calls. They happen once, however
   * often they have to be sent.
   */
  publish(sessionId: string, events: GameEventInit | readonly GameEventInit[]): Promise<PublishedEvent[]> {
    return this.#publisher(sessionId).publish("name" in events ? [events] : events);
  }

  /**
   * Sends an unretained event (positions, inputs) to those who are there now. Never throws and never waits: what cannot
   * be sent is lost. While a call is on its way the next events wait for it, the newest 100, and go together.
   */
  send(sessionId: string, event: GameEventInit): void {
    this.#publisher(sessionId).send(event);
  }

  /** Ends all subscriptions. */
  unsubscribeAll(why: MusterError): void {
    this.#follower.closeTopics(why);
  }

  close(): void {
    this.#follower.close();
  }

  #publisher(sessionId: string): Publisher {
    const known = this.#publishers.get(sessionId);
    if (known) return known;
    for (const [other, { isIdle }] of this.#publishers) if (isIdle) this.#publishers.delete(other);
    const { client, ambient, report } = this.#options;
    const publisher = new Publisher(client, sessionId, ambient, report);
    this.#publishers.set(sessionId, publisher);
    return publisher;
  }
}
