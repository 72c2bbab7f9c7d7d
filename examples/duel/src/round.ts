// What counts in a duel, and nothing else: a fold over the retained events of the session's topic. Both pages read the
// same events in the same order with the server's times, so both come to the same end, a page that was reloaded too.

/** The rules, spans in ms. */
export const RULES = {
  hitsToLose: 3,
  roundMs: 30_000,
  /** From the start to the first shot. */
  countdownMs: 3_000,
  /** The same, after somebody was away. */
  resumeMs: 1_500,
  /** How long nobody can be hit again. */
  safeMs: 1_000,
  /** How long after the end of the round hits within it may still be told. */
  settleMs: 700,
} as const;

/** How it ended: without a winner it is a draw. */
export interface Outcome {
  winner: string | undefined;
  why: "hits" | "time" | "left";
}

/** What a page that knows the round tells one that does not. */
export interface Tally {
  hits: ReadonlyMap<string, number>;
  playedMs: number;
}

export class Round {
  readonly players: readonly [string, string];
  /** Who has no stream on the topic, as the server knows at once or within a minute: nobody has, before the first event. */
  readonly #streamless: Set<string>;
  /** Who was not heard of, as the other one says, and did not answer. */
  readonly #silent = new Set<string>();
  readonly #hits: Map<string, number>;
  #left: string | undefined;
  #started = false;
  #outcome: Outcome | undefined;
  /** What was played before `#runsFrom`. */
  #playedMs = 0;
  /** Since when it runs; in the future during a countdown. */
  #runsFrom: number | undefined;

  constructor(players: readonly [string, string]) {
    this.players = players;
    this.#streamless = new Set(players);
    this.#hits = new Map(players.map((player) => [player, 0]));
  }

  /** Who is away: then it stands still. */
  get absent(): ReadonlySet<string> {
    return new Set([...this.#streamless, ...this.#silent]);
  }

  isSilent(player: string): boolean {
    return this.#silent.has(player);
  }

  get started(): boolean {
    return this.#started;
  }

  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** Who gave the seat up. */
  get left(): string | undefined {
    return this.#left;
  }

  /** How often a player was hit. */
  hitsOf(player: string): number {
    return this.#hits.get(player) ?? 0;
  }

  other(player: string): string {
    return this.players[0] === player ? this.players[1] : this.players[0];
  }

  /** How much of the round was played, ms. It stands still while somebody is away. */
  playedMs(now: number): number {
    const running = this.#runsFrom === undefined ? 0 : Math.max(0, now - this.#runsFrom);
    return Math.min(this.#playedMs + running, RULES.roundMs);
  }

  remainingMs(now: number): number {
    return RULES.roundMs - this.playedMs(now);
  }

  /** How long until it runs; 0 if it does, undefined if nobody knows: somebody is away, or it is over. */
  countdownMs(now: number): number | undefined {
    if (this.#runsFrom === undefined || this.#outcome) return undefined;
    return Math.max(0, this.#runsFrom - now);
  }

  isPlaying(now: number): boolean {
    return this.countdownMs(now) === 0 && this.remainingMs(now) > 0;
  }

  start(time: number): void {
    if (this.#started) return;
    this.#started = true;
    if (this.absent.size === 0) this.#runsFrom = time + RULES.countdownMs;
  }

  connection(player: string, connected: boolean, time: number): void {
    this.settle(time, 0);
    if (connected) this.#streamless.delete(player);
    else this.#streamless.add(player);
    this.#runOrStop(time);
  }

  /** The other one hears nothing of a player, or the player answers. */
  silence(player: string, silent: boolean, time: number): void {
    this.settle(time, 0);
    if (!this.#hits.has(player)) return;
    if (silent) this.#silent.add(player);
    else this.#silent.delete(player);
    this.#runOrStop(time);
  }

  /** A player says how often they were hit, so far. */
  hit(player: string, count: number, time: number): void {
    this.settle(time, 0);
    if (!this.#started || this.#outcome || !this.#hits.has(player)) return;
    this.#hits.set(player, Math.max(this.hitsOf(player), Math.min(count, RULES.hitsToLose)));
    if (this.hitsOf(player) >= RULES.hitsToLose) this.#end({ winner: this.other(player), why: "hits" }, time);
  }

  leave(player: string, time: number): void {
    this.settle(time, 0);
    if (this.#left === undefined) this.#left = player;
    if (this.#started && !this.#outcome) this.#end({ winner: this.other(player), why: "left" }, time);
  }

  /** Ends the round when its time is up and everything was told that happened in it. */
  settle(now: number, patienceMs: number = RULES.settleMs): void {
    if (this.#outcome || this.remainingMs(now - patienceMs) > 0) return;
    const [one, two] = this.players;
    const difference = this.hitsOf(one) - this.hitsOf(two);
    const winner = difference === 0 ? undefined : difference < 0 ? one : two;
    this.#end({ winner, why: "time" }, now);
  }

  tally(): Tally {
    return { hits: new Map(this.#hits), playedMs: this.#playedMs };
  }

  /** Begins again from what is there now, after events were lost: the hits are those that somebody still knows. */
  restore(started: boolean, connected: readonly string[], now: number): void {
    this.#stop(now);
    this.#started = started;
    this.#silent.clear();
    this.#streamless.clear();
    for (const player of this.players) if (!connected.includes(player)) this.#streamless.add(player);
    if (started && this.absent.size === 0 && !this.#outcome) this.#runsFrom = now + RULES.resumeMs;
  }

  /** Takes over what another page knows. */
  learn(tally: Tally, time: number): void {
    for (const [player, count] of tally.hits) this.hit(player, count, time);
    this.#playedMs = Math.max(this.#playedMs, Math.min(tally.playedMs, RULES.roundMs));
  }

  #runOrStop(time: number): void {
    if (!this.#started || this.#outcome) return;
    if (this.absent.size > 0) this.#stop(time);
    else this.#runsFrom ??= time + RULES.resumeMs;
  }

  #stop(time: number): void {
    this.#playedMs = this.playedMs(time);
    this.#runsFrom = undefined;
  }

  #end(outcome: Outcome, time: number): void {
    this.#stop(time);
    this.#outcome = outcome;
  }
}
