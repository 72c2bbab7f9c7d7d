// One match on one page: what the session's topic says, and what this player does.
//
// What counts is published and retained: that one was hit, which everyone says of themselves. What passes is sent and
// forgotten: positions and shots.

import { MusterError, fromAttributes, topics } from "muster-client";
import type { Attributes, Subscription, TopicHandlers } from "muster-client";
import { SessionState } from "muster-client/api";
import type { Event, Gap, Match, PlayerResult, Session } from "muster-client/api";

import { Gun, aim, fly, shoot, spawn, steer } from "./arena.ts";
import type { Body, Bolt, Point } from "./arena.ts";
import type { Backend, Standing } from "./backend.ts";
import { Opponent } from "./opponent.ts";
import { RULES, Round } from "./round.ts";

/** How often a ship that moves says where it is, and one that does not. */
const MOVING_MS = 50;
const STILL_MS = 200;
/** A longer step is cut: the page was asleep. */
const LONGEST_STEP_MS = 100;
/** How long the session's owner waits for the winner to have counted the win: scores need a running session. */
const WIN_LIMIT_MS = 5_000;
/** How long it waits before it tries again what did not work, or says again what was not answered. */
const RETRY_MS = 1_000;
const DUTIES_MS = 100;
/** An opponent of whom nothing is heard for so long is away, though the server may not know it yet. */
const SILENCE_MS = 2_000;
/** A page that took no step for so long was asleep, and cannot say who was silent meanwhile. */
const SLEEP_MS = 1_000;

export type Ending =
  | { kind: "finished"; results: readonly PlayerResult[] }
  | { kind: "broken"; why: string };

/** What the player wants. */
export interface Wishes {
  /** Where to, on the screen; of length 1 at most. */
  readonly direction: Point;
  readonly firing: boolean;
}

/** What happened that one wants to see. */
export interface Effects {
  fired(bolt: Bolt): void;
  struck(who: "me" | "them", at: Point): void;
  blocked(at: Point): void;
  ended(): void;
}

export class Duel {
  readonly round: Round;
  readonly sessionId: string;
  readonly them: string;
  /** 0 begins below, 1 above. */
  readonly team: number;
  readonly bolts: Bolt[] = [];
  readonly gun = new Gun();
  readonly #backend: Backend;
  readonly #match: Match;
  readonly #wishes: Wishes;
  readonly #effects: Effects;
  readonly #opponent = new Opponent();
  readonly #safeUntil = new Map<string, number>();
  #ship: Body;
  #owner = "";
  #steppedAt: number | undefined;
  #saidAt = 0;
  #heardAt = 0;
  #complainedAt = 0;
  #taken = 0;
  #scored = false;
  #lastTry = 0;
  #endedAt: number | undefined;
  /** Whether this page has read the round from its beginning, or was told what it missed. */
  #knows = true;
  #end: (ending: Ending) => void = () => undefined;

  constructor(backend: Backend, match: Match, wishes: Wishes, effects: Effects) {
    const teams = match.teams.map((team) => team.playerIds[0] ?? "");
    const [one = "", two = ""] = teams;
    this.round = new Round([one, two]);
    this.team = one === backend.me ? 0 : 1;
    this.them = this.round.other(backend.me);
    this.sessionId = match.sessionId;
    this.#backend = backend;
    this.#match = match;
    this.#wishes = wishes;
    this.#effects = effects;
    this.#ship = spawn(this.team);
  }

  get me(): string {
    return this.#backend.me;
  }

  get ship(): Body {
    return this.#ship;
  }

  /** Where the opponent is shown. */
  get target(): Body {
    return this.#opponent.at(this.#backend.now()) ?? spawn(1 - this.team);
  }

  isSafe(player: string, now: number): boolean {
    return now < (this.#safeUntil.get(player) ?? 0);
  }

  get isOnline(): boolean {
    return this.#backend.muster.connection.value === "online";
  }

  /** Plays it to its end. The topic is read from its beginning, so a page that was reloaded knows what happened. */
  async play(): Promise<Ending> {
    const ended = new Promise<Ending>((resolve) => (this.#end = resolve));
    const session = await this.#backend.session(this.sessionId);
    if (!session) return { kind: "broken", why: "The match is gone." };
    this.#owner = session.ownerPlayerId;
    if (isOver(session)) return this.#ending(session);
    const following = this.#follow();
    const duties = setInterval(() => this.#doDuties(), DUTIES_MS);
    try {
      return await ended;
    } finally {
      clearInterval(duties);
      following.unsubscribe();
    }
  }

  /** Brings everything to now: called for every picture, and for every event, since hidden pages have no pictures. */
  step(now: number): void {
    const elapsed = now - (this.#steppedAt ?? now);
    this.#steppedAt = now;
    if (elapsed > SLEEP_MS || !this.isOnline || !this.round.isPlaying(now)) this.#heardAt = now;
    this.round.settle(now);
    if (this.round.outcome) return this.#stop(now);
    if (!this.round.isPlaying(now)) return this.#reset();
    if (!this.isOnline) return;
    steer(this.#ship, this.#direction(), Math.min(elapsed, LONGEST_STEP_MS) / 1000);
    if (this.#wishes.firing) this.#fire(now);
    this.#fly(now);
    this.#sayPosition(now);
  }

  #follow(): Subscription {
    const handlers: TopicHandlers = {
      on: {
        gameEvent: (payload, event) => this.#hear(payload.name, fromAttributes(payload.attributes), event),
        playerConnectionChanged: ({ seat }, event) => {
          if (seat) this.round.connection(seat.playerId, seat.connected, timeOf(event));
        },
        playerLeft: ({ playerId }, event) => this.round.leave(playerId, timeOf(event)),
        sessionStateChanged: ({ newState }, event) => {
          if (newState === SessionState.STARTED) this.round.start(timeOf(event));
        },
        sessionOwnerChanged: ({ newOwnerPlayerId }) => (this.#owner = newOwnerPlayerId),
        sessionFinished: ({ results }) => this.#finished(results?.players),
      },
      gap: (gap) => this.#missed(gap),
      closed: (why) => void this.#closed(why),
    };
    const cursor = this.#match.sessionCursor;
    return this.#backend.muster.events.subscribe(topics.session(this.sessionId), handlers, { cursor });
  }

  // ---- what is heard

  #hear(name: string, attributes: Attributes, event: Event): void {
    const [who, now] = [event.playerId, this.#backend.now()];
    const isMine = who === this.me;
    this.step(now);
    if (!isMine) this.#heardAt = now;
    if (name === "hit") this.#hearHit(who, attributes, timeOf(event));
    else if (name === "scored") this.#scored ||= who === this.round.outcome?.winner;
    else if (name === "tally") this.#learn(attributes, timeOf(event));
    else if (name === "silent") this.round.silence(this.round.other(who), true, timeOf(event));
    else if (name === "here") this.round.silence(who, false, timeOf(event));
    else if (isMine) return;
    else if (name === "move") this.#hearMove(attributes);
    else if (name === "shot") this.#hearShot(attributes, now);
    else if (name === "ask" && this.#knows) this.#tell();
  }

  #hearHit(who: string, attributes: Attributes, time: number): void {
    const before = this.round.hitsOf(who);
    this.round.hit(who, number(attributes["count"]), time);
    this.#safeUntil.set(who, time + RULES.safeMs);
    this.#remove(attributes["shot"]);
    const isNews = this.round.hitsOf(who) > before && this.#backend.now() - time < RULES.safeMs;
    // One's own was shown when it happened.
    if (isNews && who === this.them) this.#effects.struck("them", pointOf(attributes));
  }

  #hearMove(attributes: Attributes): void {
    const { x, y } = pointOf(attributes);
    this.#opponent.hear({ x, y, vx: number(attributes["vx"]), vy: number(attributes["vy"]), t: number(attributes["t"]) });
  }

  #hearShot(attributes: Attributes, now: number): void {
    const id = String(attributes["id"]);
    if (!this.round.isPlaying(now) || this.bolts.some((bolt) => bolt.id === id)) return;
    const from = pointOf(attributes);
    const speed = { vx: number(attributes["vx"]), vy: number(attributes["vy"]) };
    this.bolts.push({ id, ...from, from, ...speed, bornAt: number(attributes["t"]), mine: false });
  }

  /** Events are missing: what is there now is in the session, and the hits are asked of the opponent. */
  #missed({ session }: Gap): void {
    const found = session?.session;
    if (!found) return;
    const connected = found.seats.filter((seat) => seat.connected).map((seat) => seat.playerId);
    const wasEmpty = !this.round.started;
    this.#owner = found.ownerPlayerId;
    this.round.restore(found.state === SessionState.STARTED, connected, this.#backend.now());
    this.#knows = !wasEmpty;
    this.#publish({ name: "ask" });
  }

  #tell(): void {
    const { hits, playedMs } = this.round.tally();
    this.#publish({ name: "tally", attributes: { ...Object.fromEntries(hits), playedMs } });
  }

  #learn(attributes: Attributes, time: number): void {
    const hits = new Map(this.round.players.map((player) => [player, number(attributes[player])]));
    this.round.learn({ hits, playedMs: number(attributes["playedMs"]) }, time);
    this.#knows = true;
  }

  // ---- what this player does

  #direction(): Point {
    // Everyone sees themselves below.
    const { x, y } = this.#wishes.direction;
    return this.team === 0 ? { x, y } : { x: -x, y: -y };
  }

  #fire(now: number): void {
    if (!this.gun.fire(now)) return;
    const bolt = shoot(newName(), this.#ship, aim(this.#ship, this.target), now);
    this.bolts.push(bolt);
    this.#effects.fired(bolt);
    const { id, from, vx, vy } = bolt;
    this.#send("shot", { id, ...tenths({ x: from.x, y: from.y, vx, vy }), t: now });
  }

  #fly(now: number): void {
    this.#taken = Math.max(this.#taken, this.round.hitsOf(this.me));
    const target = this.target;
    for (const bolt of [...this.bolts]) {
      const mayStrike = bolt.mine ? target : this.isSafe(this.me, now) ? undefined : this.#ship;
      const flight = fly(bolt, now, mayStrike);
      if (flight === "flies") continue;
      this.#remove(bolt.id);
      if (flight === "gone") continue;
      // A bolt of one's own that seems to strike counts when the opponent says so.
      if ("blocked" in flight || bolt.mine) this.#effects.blocked("blocked" in flight ? flight.blocked : flight.struck);
      else this.#takeHit(bolt, flight.struck, now);
    }
  }

  #takeHit(bolt: Bolt, at: Point, now: number): void {
    this.#taken += 1;
    this.#safeUntil.set(this.me, now + RULES.safeMs);
    this.#effects.struck("me", at);
    this.#publish({ name: "hit", attributes: { count: this.#taken, shot: bolt.id, ...tenths(at) } });
  }

  #sayPosition(now: number): void {
    const isMoving = Math.hypot(this.#ship.vx, this.#ship.vy) > 1;
    if (now - this.#saidAt < (isMoving ? MOVING_MS : STILL_MS)) return;
    this.#saidAt = now;
    this.#send("move", { ...tenths(this.#ship), t: now });
  }

  #send(name: string, attributes: Attributes): void {
    this.#backend.muster.events.send(this.sessionId, { name, attributes });
  }

  #publish(event: { name: string; attributes?: Attributes }): void {
    // It is tried again until it is there; a session that has ended meanwhile needs it no more.
    this.#backend.muster.events.publish(this.sessionId, event).catch((error: unknown) => console.debug(error));
  }

  #remove(id: unknown): void {
    const index = this.bolts.findIndex((bolt) => bolt.id === id);
    if (index >= 0) this.bolts.splice(index, 1);
  }

  /** Whoever was away, both begin again from their sides. */
  #reset(): void {
    this.#ship = spawn(this.team);
    this.#opponent.forget();
    this.bolts.length = 0;
  }

  #stop(now: number): void {
    if (this.#endedAt !== undefined) return;
    this.#endedAt = now;
    this.bolts.length = 0;
    this.#effects.ended();
  }

  // ---- the end

  /** The winner counts the win, then the owner finishes the session. */
  #doDuties(): void {
    const now = this.#backend.now();
    this.step(now);
    if (this.round.left !== undefined && !this.round.started) return this.#abandon();
    this.#speakOfSilence(now);
    const outcome = this.round.outcome;
    if (!outcome || this.#endedAt === undefined || now - this.#lastTry < RETRY_MS) return;
    if (outcome.winner === this.me && !this.#scored) {
      this.#lastTry = now;
      return void this.#countWin();
    }
    const isCounted = outcome.winner === undefined || this.#scored || now - this.#endedAt > WIN_LIMIT_MS;
    if (this.#owner !== this.me || !isCounted) return;
    this.#lastTry = now;
    this.#backend.finish(this.sessionId, this.#standings(), { ended_by: outcome.why }).catch(() => undefined);
  }

  /** Says that the opponent is not heard of, and answers if they say so: what was lost on the way is no matter then. */
  #speakOfSilence(now: number): void {
    const isSilent = this.isOnline && now - this.#heardAt > SILENCE_MS && !this.round.isSilent(this.them);
    const isMissed = this.isOnline && this.round.isSilent(this.me);
    if (this.round.outcome || (!isSilent && !isMissed) || now - this.#complainedAt < RETRY_MS) return;
    this.#complainedAt = now;
    this.#publish({ name: isMissed ? "here" : "silent" });
  }

  async #countWin(): Promise<void> {
    try {
      await this.#backend.countWin(this.sessionId);
    } catch (error) {
      // Somebody else may repeat what failed for now; what was refused stays so.
      if (error instanceof MusterError && error.retryable) return;
      console.warn(error);
    }
    this.#scored = true;
    this.#lastTry = 0;
    this.#publish({ name: "scored" });
  }

  #standings(): Standing[] {
    const winner = this.round.outcome?.winner;
    return this.round.players.map((playerId) => ({
      playerId,
      placement: winner === undefined || winner === playerId ? 1 : 2,
      hits: this.round.hitsOf(this.round.other(playerId)),
    }));
  }

  /** The opponent never came: there is nothing to finish. */
  #abandon(): void {
    this.#backend.leave(this.sessionId).catch(() => undefined);
    this.#end({ kind: "broken", why: "Your opponent did not come." });
  }

  #finished(results: readonly PlayerResult[] | undefined): void {
    this.step(this.#backend.now());
    this.#end(results ? { kind: "finished", results } : { kind: "broken", why: "The match ended without a result." });
  }

  async #closed(why: unknown): Promise<void> {
    const session = await this.#backend.session(this.sessionId).catch(() => undefined);
    if (session && isOver(session)) return this.#end(this.#ending(session));
    const isMine = session?.seats.some((seat) => seat.playerId === this.me);
    if (session && !isMine) return this.#end({ kind: "broken", why: "You were away for too long." });
    console.warn(why);
    this.#end({ kind: "broken", why: "The match is gone." });
  }

  #ending(session: Session): Ending {
    const results = session.results?.players;
    return results ? { kind: "finished", results } : { kind: "broken", why: "The match ended without a result." };
  }
}

/** A name for a bolt: nobody else's in this match. */
function newName(): string {
  return Math.random().toString(36).slice(2, 12);
}

function isOver(session: Session): boolean {
  return [SessionState.FINISHING, SessionState.FINISHED, SessionState.DELETED].includes(session.state);
}

function timeOf(event: Event): number {
  return event.time ? Number(event.time.seconds) * 1000 + event.time.nanos / 1e6 : 0;
}

/** What others send may be anything. */
function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function pointOf(attributes: Attributes): Point {
  return { x: number(attributes["x"]), y: number(attributes["y"]) };
}

function tenths<T extends object>(values: T): { [key in keyof T]: number } {
  const rounded = Object.entries(values).map(([key, value]) => [key, Math.round(Number(value) * 10) / 10]);
  return Object.fromEntries(rounded) as { [key in keyof T]: number };
}
