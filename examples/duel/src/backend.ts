// Everything that the game asks of Muster, in the game's words.

import { createMuster, isMusterError } from "muster-client";
import type { Muster, TicketSearch } from "muster-client";
import { CatalogService, LeaderboardPeriod, MatchmakingService, PlayerService, SessionService } from "muster-client/api";
import type { BoardView, Match, PlayerResult, Rating, Session, Submission } from "muster-client/api";

const GAME = "duel";
const QUEUE = "open";
const BOARD = "wins";
/** The property by which two who want to play again meet nobody else. */
const REMATCH = "rematch";
const NO_REMATCH = "no";

/** A seat is free a moment after its session's end, a minute later if the session was lost: until then one cannot queue. */
const SEAT_LIMIT_MS = 75_000;
const SEAT_RETRY_MS = 3_000;
const FIRST_SEAT_RETRY_MS = 300;
/** A rating changes a moment after it. */
const RATING_LIMIT_MS = 8_000;
const ASK_EVERY_MS = 250;
const NAMES_KEPT = 500;

export type Period = "weekly" | "allTime";
const PERIODS = { weekly: LeaderboardPeriod.WEEKLY, allTime: LeaderboardPeriod.ALL_TIME } as const;

export type Active = { search: TicketSearch; match?: undefined } | { match: Match; search?: undefined } | undefined;

/** How a player did: absent means that they have no result. */
export interface Standing {
  playerId: string;
  placement: number;
  hits: number;
}

export class Backend {
  readonly muster: Muster;
  readonly #names = new Map<string, string>();
  #gameId = "";
  #me = "";

  constructor() {
    // A window is a player: what it keeps is its own, and survives a reload.
    const device = { name: "Duel", platform: "web" };
    // Positions that are lost on the way are no news: the connection says more.
    const onError = (error: unknown) => console.debug(error);
    this.muster = createMuster({ url: location.origin, storage: sessionStorage, device, onError });
  }

  get me(): string {
    return this.#me;
  }

  /** The guest of this window; the first time it makes one. */
  async signIn(): Promise<void> {
    const user = await this.muster.auth.signInAsGuest();
    this.#me = user.userId;
    const { game } = await this.muster.client(CatalogService).findGame({ key: GAME });
    this.#gameId = game?.gameId ?? "";
    // It takes a second and a half, and the game needs it later.
    this.muster.clock.synchronize().catch(() => undefined);
  }

  now(): number {
    return this.muster.clock.serverNow();
  }

  // ---- names

  /** The name that this player chose, if they did. */
  async name(): Promise<string | undefined> {
    const { profile } = await this.muster.client(PlayerService).getProfile({});
    const player = profile?.player;
    return player?.displayName === player?.username ? undefined : player?.displayName;
  }

  async rename(displayName: string): Promise<void> {
    const request = { profile: { player: { displayName } }, updateMask: { paths: ["player.display_name"] } };
    await this.muster.client(PlayerService).updateProfile(request);
    this.#names.set(this.#me, displayName);
  }

  /** The names of players, as far as they have one. */
  async names(playerIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const unknown = [...new Set(playerIds)].filter((id) => !this.#names.has(id));
    if (unknown.length > 0) {
      const { players } = await this.muster.client(PlayerService).batchGetPlayers({ playerIds: unknown });
      if (this.#names.size > NAMES_KEPT) this.#names.clear();
      for (const player of players) this.#names.set(player.playerId, player.displayName);
    }
    return this.#names;
  }

  /** Asks again for names the next time: players may have chosen others. */
  forgetNames(playerIds: readonly string[]): void {
    for (const id of playerIds) this.#names.delete(id);
  }

  // ---- matches

  /** What this player waits for or plays: after a reload. */
  async active(): Promise<Active> {
    return this.muster.tickets.active(this.#gameId);
  }

  /** Waits for an opponent; for the one of a session, if both want to play again. Says when the last seat is still taken. */
  async search(rematchOf: string | undefined, delayed: () => void): Promise<TicketSearch> {
    const properties = { [REMATCH]: rematchOf ?? NO_REMATCH };
    const until = Date.now() + SEAT_LIMIT_MS;
    for (let retryMs = FIRST_SEAT_RETRY_MS; ; retryMs = SEAT_RETRY_MS) {
      try {
        return await this.muster.tickets.create({ gameId: this.#gameId, queueKey: QUEUE, properties });
      } catch (error) {
        if (!isMusterError(error, "ALREADY_IN_MATCH") || Date.now() > until) throw error;
        if (retryMs === SEAT_RETRY_MS) delayed();
        await pause(retryMs);
      }
    }
  }

  async session(sessionId: string): Promise<Session | undefined> {
    const { session } = await this.muster.client(SessionService).getSession({ sessionId });
    return session;
  }

  /** Says how a session ended. */
  async finish(sessionId: string, standings: readonly Standing[], attributes: Record<string, string>): Promise<void> {
    const players = standings.map(({ playerId, placement, hits }) => ({ playerId, placement, score: BigInt(hits) }));
    const facts = Object.entries(attributes).map(([key, value]) => [
      key,
      { kind: { case: "stringValue" as const, value } },
    ]);
    const results = { players, attributes: Object.fromEntries(facts) };
    await this.muster.client(SessionService).finishSession({ sessionId, results });
  }

  async leave(sessionId: string): Promise<void> {
    await this.muster.client(SessionService).leaveSession({ sessionId });
  }

  /** A player's rating after a session; as it is, if the session does not change it in time. */
  async ratingAfter(sessionId: string, playerId: string): Promise<Rating | undefined> {
    const until = Date.now() + RATING_LIMIT_MS;
    for (;;) {
      const request = { gameId: this.#gameId, queueKey: QUEUE, playerId };
      const { rating } = await this.muster.client(MatchmakingService).getRating(request);
      if (rating?.lastSessionId === sessionId || Date.now() > until) return rating;
      await pause(ASK_EVERY_MS);
    }
  }

  // ---- the leaderboard

  /** Counts a win. The session is the submission's id: however often it is sent, a duel is won once. */
  async countWin(sessionId: string): Promise<Submission> {
    const score = { gameId: this.#gameId, boardKey: BOARD, value: 1, sessionId, submissionId: sessionId };
    return this.muster.boards.submit(score);
  }

  /** Shows the best, now and after every change, until the function that it returns is called. */
  watchBoard(period: Period, count: number, show: (view: BoardView) => void, failed: (error: unknown) => void): () => void {
    const board = { gameId: this.#gameId, boardKey: BOARD, period: PERIODS[period] };
    const following = this.muster.boards.live(board, show, { count });
    following.ready.catch(failed);
    return () => following.unsubscribe();
  }

  /** This player's place. */
  async place(period: Period): Promise<{ rank: number; wins: number } | undefined> {
    const board = { gameId: this.#gameId, boardKey: BOARD, period: PERIODS[period] };
    const found = await this.muster.boards.entry(board, this.#me);
    return found?.entry && { rank: Number(found.entry.rank), wins: Number(found.entry.value) };
  }
}

/** What the results say of the players; empty if there are none. */
export function standings(results: readonly PlayerResult[]): Standing[] {
  return results.map(({ playerId, placement, score }) => ({ playerId, placement, hits: Number(score ?? 0n) }));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
