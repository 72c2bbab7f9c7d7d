import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code } from "@connectrpc/connect";

import type { Ambient } from "../ambient.js";
import { type Backoff, backoffMs } from "../calls/backoff.js";
import type { TokenSource } from "../calls/transport.js";
import type { Connection } from "../connection.js";
import { closed, type MusterError, notSignedIn, toMusterError } from "../errors.js";
import type { EventService, SubscribeResponse, TopicCloseReason } from "../gen/muster/events/v1/events_pb.js";
import type { GoAway } from "../gen/muster/game/v1/stream_pb.js";
import type { Page, PageEvent } from "../page.js";
import { EventStream, type StreamReader } from "./stream.js";
import { type Subscription, Topic, type TopicHandlers } from "./topic.js";

export interface FollowerOptions {
  readonly client: Client<typeof EventService>;
  readonly tokens: TokenSource;
  readonly connection: Connection;
  readonly page: Page;
  readonly ambient: Ambient;
  readonly report: (error: unknown) => void;
}

/** Between the attempts to open a stream. */
export const STREAM_BACKOFF: Backoff = { firstMs: 250, ceilingMs: 5_000 };

/** By how much a timer may be early, ms. */
const TIMER_SLACK_MS = 100;

/** When a token that could not be refreshed is tried again, ms. */
const RENEWAL_RETRY_MS = 5_000;

/**
 * Follows topics on one stream. Another set of topics, another token or a network that came back needs another stream:
 * it is opened with the last cursors, and the one before is closed when the new one follows everything.
 */
export class Follower implements StreamReader {
  readonly #options: FollowerOptions;
  readonly #topics = new Map<string, Topic>();
  readonly #leavePage: () => void;
  /** What is followed now, and what takes its place. */
  #current: EventStream | undefined;
  #next: EventStream | undefined;
  /** The topics on the newest of the two. */
  #carried = new Set<string>();
  #scheduled: "no" | "if needed" | "in any case" = "no";
  #attempt = 0;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  #cancelRenewal = () => {};
  #closed = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#leavePage = options.page.observe((event) => this.#pageChanged(event));
  }

  subscribe(name: string, handlers: TopicHandlers, cursor: string): Subscription {
    if (this.#closed) throw closed();
    const known = this.#topics.get(name);
    const topic = known ?? new Topic(name, cursor, this.#options.report);
    const fromCursor = cursor !== "" && known !== undefined && known.cursor !== cursor;
    const subscriber = topic.add(handlers, fromCursor || !known);
    this.#topics.set(name, topic);
    if (fromCursor) this.#beginAgain(topic, cursor);
    this.#schedule("if needed");
    return {
      topic: name,
      ready: subscriber.ready,
      get cursor() {
        return topic.cursor;
      },
      unsubscribe: () => {
        topic.delete(subscriber);
        if (topic.isFollowed || this.#topics.get(name) !== topic) return;
        this.#topics.delete(name);
        this.#schedule("if needed");
      },
    };
  }

  /** Closes all topics, and those who wait for them hear why. */
  closeTopics(why: MusterError): void {
    for (const topic of [...this.#topics.values()]) this.#closeTopic(topic, why);
  }

  close(): void {
    this.#closed = true;
    this.closeTopics(closed());
    this.#stop();
    this.#leavePage();
  }

  message(stream: EventStream, message: SubscribeResponse["message"]): void {
    switch (message.case) {
      case "subscribed":
        stream.following.add(message.value.topic);
        this.#topics.get(message.value.topic)?.followed(stream, message.value.cursor);
        return this.#heardOf(stream, message.value.topic);
      case "event":
        return this.#topics.get(message.value.topic)?.event(message.value, stream);
      case "gap":
        return this.#topics.get(message.value.topic)?.gap(message.value, stream);
      case "topicClosed": {
        const topic = this.#topics.get(message.value.topic);
        this.#carried.delete(message.value.topic);
        if (topic) this.#closeTopic(topic, message.value.reason);
        return this.#heardOf(stream, message.value.topic);
      }
      default: // heartbeats, the end that `ended` tells, and kinds that are not known yet
        return;
    }
  }

  ended(stream: EventStream, { goAway, error }: { goAway?: GoAway; error?: MusterError }): void {
    const isNext = stream === this.#next;
    if (isNext) this.#next = undefined;
    else this.#current = undefined;
    const other = this.#current ?? this.#next;
    for (const topic of this.#topics.values()) {
      topic.lost(stream, other?.following.has(topic.name) ? other : undefined);
    }
    if (!this.#current) this.#options.connection.streamIs("lost");
    if (this.#next) return; // it takes the place of this one already
    this.#carried = new Set();
    if (goAway) this.#retryAfter(goAway.retryDelay ? durationMs(goAway.retryDelay) : 0);
    else this.#recover(error, stream.token);
  }

  /** A stream has said the first about a topic; it counts when it has done so about all. */
  #heardOf(stream: EventStream, topic: string): void {
    stream.pending.delete(topic);
    if (stream !== this.#next || stream.pending.size > 0) return;
    this.#current?.close();
    this.#current = stream;
    this.#next = undefined;
    this.#failures = 0;
    this.#options.connection.streamIs("live");
  }

  /** Goes on after an ending that was not in good order. */
  #recover(error: MusterError | undefined, token: string): void {
    const topic = error && this.#topics.get(error.metadata["topic"] ?? "");
    if (error && topic) {
      this.#closeTopic(topic, error);
      return this.#schedule("in any case");
    }
    if (error && isFinal(error)) return this.closeTopics(error);
    if (error?.reason === "TOKEN_REVOKED") return this.#options.tokens.revoked(token);
    // There may be too many streams because of the one that was to be replaced.
    if (error?.reason === "TOO_MANY_STREAMS") this.#closeCurrent();
    this.#failures += 1;
    const waitMs = backoffMs(STREAM_BACKOFF, this.#failures, this.#options.ambient);
    this.#retryAfter(Math.max(waitMs, error?.retryAfterMs ?? 0));
    // Opening waits for the new token, and hears of its failure.
    if (error?.code === Code.Unauthenticated && token !== "") this.#options.tokens.renew(token).catch(() => {});
  }

  #retryAfter(ms: number): void {
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.ambient.after(ms, () => {
      this.#cancelRetry = undefined;
      this.#schedule("in any case");
    });
  }

  /** What is decided in one go needs one new stream. */
  #schedule(when: "if needed" | "in any case"): void {
    const isScheduled = this.#scheduled !== "no";
    if (this.#scheduled !== "in any case") this.#scheduled = when;
    if (isScheduled) return;
    queueMicrotask(() => {
      const anyCase = this.#scheduled === "in any case";
      this.#scheduled = "no";
      if (this.#closed) return;
      if (this.#topics.size === 0) return this.#stop();
      // A retry that is due soon takes the new topics along.
      if (anyCase || (!this.#cancelRetry && !this.#carriesAll())) void this.#open();
    });
  }

  #carriesAll(): boolean {
    if (!this.#current && !this.#next) return false;
    return (
      this.#carried.size === this.#topics.size && [...this.#topics.keys()].every((name) => this.#carried.has(name))
    );
  }

  async #open(): Promise<void> {
    const { tokens, client, ambient, connection } = this.#options;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#next?.close();
    this.#next = undefined;
    this.#carried = new Set(this.#topics.keys());
    if (!this.#current) connection.streamIs("lost");
    try {
      const token = await tokens.token();
      if (attempt !== this.#attempt) return; // other topics, or none
      if (!token) return this.closeTopics(notSignedIn());
      const subscriptions = [...this.#topics.values()].map(({ name, cursor }) => ({ topic: name, cursor }));
      this.#next = new EventStream(client, token.value, subscriptions, this, ambient);
      this.#cancelRenewal();
      const renewAfterMs = token.freshForMs > 0 ? token.freshForMs + TIMER_SLACK_MS : RENEWAL_RETRY_MS;
      this.#cancelRenewal = ambient.after(renewAfterMs, () => this.#schedule("in any case"));
    } catch (error) {
      if (attempt === this.#attempt) this.#recover(toMusterError(error), "");
    }
  }

  /** One who comes later needs what the others have seen: without an overlap it comes in its order. */
  #beginAgain(topic: Topic, cursor: string): void {
    topic.cursor = cursor;
    this.#next?.close();
    this.#next = undefined;
    this.#closeCurrent();
    this.#schedule("in any case");
  }

  #closeCurrent(): void {
    if (!this.#current) return;
    const stream = this.#current;
    this.#current = undefined;
    stream.close();
    for (const topic of this.#topics.values()) topic.lost(stream, undefined);
  }

  #closeTopic(topic: Topic, why: TopicCloseReason | MusterError): void {
    this.#topics.delete(topic.name);
    topic.close(why);
    this.#schedule("if needed");
  }

  /** No topic is followed. */
  #stop(): void {
    this.#attempt += 1;
    this.#next?.close();
    this.#next = undefined;
    this.#closeCurrent();
    this.#carried = new Set();
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#cancelRenewal();
    this.#failures = 0;
    this.#options.connection.streamIs("unused");
  }

  #pageChanged(event: PageEvent): void {
    if (this.#topics.size === 0) return;
    // Waits that were for a network that is back need not be sat out.
    const isDead = (this.#next ?? this.#current)?.isSilent ?? true;
    if (event === "online" || (event === "visible" && isDead)) this.#schedule("in any case");
  }
}

/** Whether the next attempt would end the same way. */
function isFinal({ code }: MusterError): boolean {
  return [Code.InvalidArgument, Code.PermissionDenied, Code.Unimplemented].includes(code);
}
