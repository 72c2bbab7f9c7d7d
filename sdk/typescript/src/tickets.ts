import { create, equals } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code } from "@connectrpc/connect";

import type { Ambient } from "./ambient.js";
import { type Attributes, toAttributes } from "./attributes.js";
import { cancelled, isMusterError, MusterError, notSignedIn } from "./errors.js";
import type { Events } from "./events/events.js";
import type { Region } from "./gen/muster/game/v1/region_pb.js";
import {
  type Match,
  type MatchmakingService,
  type Ticket,
  TicketEndReason,
  TicketPlayerSchema,
  TicketSchema,
  TicketStatus,
} from "./gen/muster/matchmaking/v1/matchmaking_pb.js";
import { type Observable, Variable } from "./observable.js";
import { topics } from "./topics.js";

/** A wish for a match. */
export interface TicketRequest {
  readonly gameId: string;
  readonly queueKey: string;
  /** The round trips to the regions that the device measured; needed where the queue limits latency. */
  readonly latencies?: readonly { readonly region: Region; readonly latencyMs: number }[];
  /** The properties that the queue's rules ask for. */
  readonly properties?: Attributes;
  /** Where to play; everywhere if it is not said. */
  readonly regions?: readonly Region[];
  /** A UUIDv7; made if absent. */
  readonly ticketId?: string;
}

/** A ticket that is followed. */
export interface TicketSearch {
  /** The ticket as it is now: its status, `estimatedWait` and `unmetRules`, and `match` once it is matched. */
  readonly ticket: Observable<Ticket>;
  /**
   * The ticket with its last status; it has a `match` if it was matched. Rejected when nobody is signed in
   * any more, and by `stop` and `close`.
   */
  readonly ended: Promise<Ticket>;
  /** Takes it out of the queue. Fails with TICKET_MATCHED if a match is being made. */
  cancel(): Promise<Ticket>;
  /** Follows it no more. The ticket stays until it is cancelled, matched, or expires for want of signs of life. */
  stop(): void;
}

/** What a player waits for, or plays. */
export type ActiveMatch =
  | { readonly search: TicketSearch; readonly match?: undefined }
  | { readonly match: Match; readonly search?: undefined };

export interface TicketsOptions {
  readonly client: Client<typeof MatchmakingService>;
  readonly events: Events;
  /** Who is signed in. */
  readonly playerId: () => string | undefined;
  readonly ambient: Ambient;
  readonly report: (error: unknown) => void;
}

/** Finding a match. */
export class Tickets {
  readonly #options: TicketsOptions;

  constructor(options: TicketsOptions) {
    this.#options = options;
  }

  /** Puts the player into a queue. */
  async create(request: TicketRequest): Promise<TicketSearch> {
    const { gameId, queueKey, latencies = [], properties = {}, regions = [], ticketId = "" } = request;
    const player = create(TicketPlayerSchema, {
      latencies: latencies.map(({ region, latencyMs }) => ({ region, latency: durationFromMs(latencyMs) })),
      properties: toAttributes(properties),
    });
    const players = [player];
    const { ticket } = await this.#options.client.createTicket({
      ticketId,
      gameId,
      queueKey,
      players,
      regions: [...regions],
    });
    return this.#follow(ticket ?? create(TicketSchema));
  }

  /** What the player waits for or plays in a game, as after a reload; undefined if neither. */
  async active(gameId: string): Promise<ActiveMatch | undefined> {
    const { active } = await this.#options.client.getActiveMatch({ gameId });
    switch (active.case) {
      case "ticket":
        return { search: this.#follow(active.value) };
      case "match":
        return { match: active.value };
      default:
        return undefined;
    }
  }

  #follow(ticket: Ticket): TicketSearch {
    const playerId = this.#options.playerId();
    if (playerId === undefined) throw notSignedIn();
    return new FollowedTicket(this.#options, playerId, ticket);
  }
}

/**
 * How often the ticket is asked for, ms: a sign of life of its player, and the way to the estimates. What becomes of it
 * comes at once, on the player's topic: no stream of its own is needed.
 */
const POLL_MS = 4_000;

/** A ticket, followed by the player's topic and by asking. */
class FollowedTicket implements TicketSearch {
  readonly ended: Promise<Ticket>;
  readonly #options: TicketsOptions;
  readonly #ticket: Variable<Ticket>;
  readonly #unsubscribe: () => void;
  #resolve!: (ticket: Ticket) => void;
  #reject!: (error: MusterError) => void;
  #cancelPoll = () => {};
  #isOver = false;

  constructor(options: TicketsOptions, playerId: string, ticket: Ticket) {
    this.#options = options;
    this.#ticket = new Variable(ticket, options.report);
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ended.catch(() => {}); // it need not be awaited
    const subscription = options.events.subscribe(topics.player(playerId), {
      on: {
        matchFound: ({ ticketId, match }) => {
          if (ticketId !== ticket.ticketId || !match) return;
          this.#set(
            create(TicketSchema, { ...this.#ticket.value, status: TicketStatus.MATCHED, match, unmetRules: [] }),
          );
        },
        ticketChanged: ({ ticket: changed }) => {
          if (changed?.ticketId === ticket.ticketId) this.#set(changed);
        },
      },
      gap: () => void this.#poll(),
      closed: (why) => {
        if (isMusterError(why, "NOT_SIGNED_IN") || isMusterError(why, "CLOSED")) this.#finish(() => this.#reject(why));
      },
    });
    this.#unsubscribe = () => subscription.unsubscribe();
    // What happened before the topic was followed.
    subscription.ready.then(
      () => this.#poll(),
      () => this.#poll(),
    );
    this.#set(ticket);
  }

  get ticket(): Observable<Ticket> {
    return this.#ticket;
  }

  async cancel(): Promise<Ticket> {
    const { ticket } = await this.#options.client.cancelTicket({ ticketId: this.#ticket.value.ticketId });
    if (ticket) this.#set(ticket);
    return this.#ticket.value;
  }

  stop(): void {
    this.#finish(() => this.#reject(cancelled()));
  }

  #set(ticket: Ticket): void {
    if (this.#isOver) return;
    if (!equals(TicketSchema, ticket, this.#ticket.value)) this.#ticket.set(ticket);
    if (ticket.status === TicketStatus.QUEUED || ticket.status === TicketStatus.MATCHING) return;
    this.#finish(() => this.#resolve(ticket));
  }

  #finish(settle: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelPoll();
    this.#unsubscribe();
    settle();
  }

  async #poll(): Promise<void> {
    this.#cancelPoll();
    if (this.#isOver) return;
    try {
      const { ticket } = await this.#options.client.getTicket({ ticketId: this.#ticket.value.ticketId });
      if (ticket) this.#set(ticket);
    } catch (error) {
      this.#failed(error);
    }
    if (this.#isOver) return;
    this.#cancelPoll();
    this.#cancelPoll = this.#options.ambient.after(POLL_MS, () => void this.#poll());
  }

  #failed(error: unknown): void {
    if (isMusterError(error, "TICKET_NOT_FOUND")) {
      // Ended tickets are kept for an hour: this one is gone with its queue's store.
      const lost = { status: TicketStatus.LOST, endReason: TicketEndReason.QUEUE_LOST };
      this.#set(create(TicketSchema, { ...this.#ticket.value, ...lost }));
    } else if (isMusterError(error) && error.code === Code.Unauthenticated) {
      this.#finish(() => this.#reject(error));
    }
  }
}
