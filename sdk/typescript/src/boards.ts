import { type Client, Code } from "@connectrpc/connect";

import { type Ambient, newId, pause } from "./ambient.js";
import { type Attributes, toAttributes } from "./attributes.js";
import { promised } from "./calls/promised.js";
import { isMusterError } from "./errors.js";
import type { Events } from "./events/events.js";
import type { Subscription } from "./events/topic.js";
import type { LeaderboardUpdated } from "./gen/muster/events/v1/event_pb.js";
import { LeaderboardPeriod } from "./gen/muster/game/v1/definition_pb.js";
import {
  type BoardView,
  type GetEntryResponse,
  type LeaderboardService,
  type Submission,
  SubmissionStatus,
} from "./gen/muster/leaderboard/v1/leaderboard_pb.js";
import { topics } from "./topics.js";

/** A leaderboard, and which kind of period of it: the first of its definition if it is not said. */
export interface BoardName {
  readonly gameId: string;
  readonly boardKey: string;
  readonly period?: LeaderboardPeriod;
}

/** A score of the player who is signed in. */
export interface Score {
  readonly gameId: string;
  readonly boardKey: string;
  readonly value: bigint | number;
  /** The running session in which it was reached, where the board demands one. */
  readonly sessionId?: string;
  readonly attributes?: Attributes;
  /** A UUID; made if absent. */
  readonly submissionId?: string;
}

/** How to read. */
export interface ReadOptions {
  /** Wait until the board has applied this position, such as that of one's own submission. */
  readonly minPosition?: string;
}

/** How many entries to read. */
export interface CountOptions extends ReadOptions {
  /** 10 by default. */
  readonly count?: number;
}

/** What to show of a board that moves. */
export interface LiveOptions {
  /** 10 by default. */
  readonly count?: number;
  /** The places around this player; the top for as long as the player is not ranked. */
  readonly around?: string;
}

const DEFAULT_COUNT = 10;

/** How long `submit` asks for an outcome that takes its time, ms, and between two questions. */
const OUTCOME_LIMIT_MS = 10_000;
const OUTCOME_POLL_MS = 500;

/**
 * Between two reads of a board that moves, ms: at least, and up to twice as long, so that viewers do not ask all at
 * once.
 */
const READ_INTERVAL_MS = 500;

/** Leaderboards. */
export class Boards {
  readonly #client: Client<typeof LeaderboardService>;
  readonly #events: Events;
  readonly #ambient: Ambient;
  readonly #report: (error: unknown) => void;

  constructor(
    client: Client<typeof LeaderboardService>,
    events: Events,
    ambient: Ambient,
    report: (error: unknown) => void,
  ) {
    this.#client = client;
    this.#events = events;
    this.#ambient = ambient;
    this.#report = report;
  }

  /**
   * Submits a score, which counts once. The answer holds the outcome with the rank, or is still pending after ten
   * seconds.
   */
  async submit(score: Score): Promise<Submission> {
    const { value, attributes = {}, submissionId = newId(this.#ambient), ...rest } = score;
    const request = { ...rest, submissionId, value: BigInt(value), attributes: toAttributes(attributes) };
    let { submission } = await this.#client.submitScore({ score: request });
    const endMs = this.#ambient.monotonicMs() + OUTCOME_LIMIT_MS;
    while (submission?.status === SubmissionStatus.PENDING && this.#ambient.monotonicMs() < endMs) {
      await pause(this.#ambient, OUTCOME_POLL_MS);
      const { gameId, boardKey } = score;
      ({ submission } = await this.#client.getSubmission({ gameId, boardKey, submissionId }));
    }
    return promised(submission);
  }

  /** The best. */
  async top(board: BoardName, options: CountOptions = {}): Promise<BoardView> {
    const { count = DEFAULT_COUNT, minPosition = "" } = options;
    return promised((await this.#client.listEntries({ ...place(board), pageSize: count, minPosition })).view);
  }

  /** The places around a player, who is among them. Fails with NOT_RANKED if the player has none. */
  async around(board: BoardName, playerId: string, options: CountOptions = {}): Promise<BoardView> {
    const { count = DEFAULT_COUNT, minPosition = "" } = options;
    return promised((await this.#client.listEntriesAround({ ...place(board), playerId, count, minPosition })).view);
  }

  /** A player's place, with the number of all and the percentile; undefined if the player has none. */
  async entry(board: BoardName, playerId: string, options: ReadOptions = {}): Promise<GetEntryResponse | undefined> {
    const { minPosition = "" } = options;
    try {
      return await this.#client.getEntry({ ...place(board), playerId, minPosition });
    } catch (error) {
      if (isMusterError(error, "NOT_RANKED")) return undefined;
      throw error;
    }
  }

  /** Shows a part of a board as it is, and again whenever it has changed. It comes on the one stream of the window. */
  live(board: BoardName, show: (view: BoardView) => void, options: LiveOptions = {}): Subscription {
    const { count = DEFAULT_COUNT, around } = options;
    const read = async () => {
      if (around === undefined) return this.top(board, { count });
      try {
        return await this.around(board, around, { count });
      } catch (error) {
        if (isMusterError(error, "NOT_RANKED")) return this.top(board, { count });
        throw error;
      }
    };
    const view = new LiveView(read, show, around === undefined ? count : undefined, this.#ambient, this.#report);
    const subscription = this.#events.subscribe(topics.board(board.gameId, board.boardKey), {
      on: { leaderboardUpdated: (update) => view.updated(update) },
      gap: () => view.outdated(),
      closed: () => view.stop(),
    });
    subscription.ready.then(
      () => view.outdated(),
      () => {},
    );
    return {
      topic: subscription.topic,
      ready: subscription.ready,
      get cursor() {
        return subscription.cursor;
      },
      unsubscribe() {
        view.stop();
        subscription.unsubscribe();
      },
    };
  }
}

/** A view that is kept as new as the news about it. */
class LiveView {
  readonly #read: () => Promise<BoardView>;
  readonly #show: (view: BoardView) => void;
  /** How many entries of an event are enough to need no read; undefined if none are. */
  readonly #topCount: number | undefined;
  readonly #ambient: Ambient;
  readonly #report: (error: unknown) => void;
  #kind: LeaderboardPeriod | undefined;
  #version = 0;
  #isOutdated = false;
  #isReading = false;
  #isStopped = false;

  constructor(
    read: () => Promise<BoardView>,
    show: (view: BoardView) => void,
    topCount: number | undefined,
    ambient: Ambient,
    report: (error: unknown) => void,
  ) {
    this.#read = read;
    this.#show = show;
    this.#topCount = topCount;
    this.#ambient = ambient;
    this.#report = report;
  }

  updated({ views }: LeaderboardUpdated): void {
    const view = views.find(({ period }) => period?.kind === this.#kind);
    if (this.#kind !== undefined && !view) return; // another period has changed
    if (view && this.#isEnough(view)) this.#set(view);
    else this.outdated();
  }

  /** What is shown may not be so any more. */
  outdated(): void {
    this.#isOutdated = true;
    if (!this.#isReading) void this.#readAll();
  }

  stop(): void {
    this.#isStopped = true;
  }

  #isEnough({ entries, totalCount }: BoardView): boolean {
    return this.#topCount !== undefined && (entries.length >= this.#topCount || BigInt(entries.length) >= totalCount);
  }

  async #readAll(): Promise<void> {
    this.#isReading = true;
    while (this.#isOutdated && !this.#isStopped) {
      this.#isOutdated = false;
      const version = this.#version;
      try {
        const view = await this.#read();
        this.#kind = view.period?.kind ?? LeaderboardPeriod.UNSPECIFIED;
        if (version === this.#version) this.#set(view); // nothing newer has come meanwhile
      } catch (error) {
        this.#isOutdated = isMusterError(error) && error.code !== Code.Unauthenticated && error.retryable;
        if (!this.#isOutdated) this.#report(error);
      }
      await pause(this.#ambient, READ_INTERVAL_MS * (1 + this.#ambient.random()));
    }
    this.#isReading = false;
  }

  #set(view: BoardView): void {
    if (this.#isStopped) return;
    this.#version += 1;
    const entries = this.#topCount === undefined ? view.entries : view.entries.slice(0, this.#topCount);
    try {
      this.#show({ ...view, entries });
    } catch (error) {
      this.#report(error);
    }
  }
}

function place({ gameId, boardKey, period = LeaderboardPeriod.UNSPECIFIED }: BoardName) {
  return { gameId, boardKey, period };
}
