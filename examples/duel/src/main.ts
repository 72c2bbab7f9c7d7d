// The game from screen to screen: home, waiting, playing, the result, and again.

import { isMusterError } from "muster-client";
import type { TicketSearch } from "muster-client";
import { TicketStatus } from "muster-client/api";
import type { BoardView, Match, PlayerResult, Ticket } from "muster-client/api";

import { Backend, standings } from "./backend.ts";
import type { Period } from "./backend.ts";
import { Duel } from "./duel.ts";
import { Input } from "./input.ts";
import { Picture } from "./picture.ts";
import * as screens from "./screens.ts";

const { element, show } = screens;

/** How long one waits for the same opponent before anybody will do. */
const REMATCH_MS = 20_000;
const BOARD_SIZE = 10;
/** How long the last picture stands before the result comes. */
const LAST_PICTURE_MS = 1_400;

/** What comes next. */
type Next =
  | { screen: "home"; notice?: string }
  | { screen: "waiting"; search: TicketSearch; rematch?: { sessionId: string; opponent: string } }
  | { screen: "playing"; match: Match }
  | { screen: "result"; duel: Duel; results: readonly PlayerResult[]; names: ReadonlyMap<string, string> };

const backend = new Backend();
const picture = new Picture(element<HTMLCanvasElement>("arena"));
const input = new Input(element("stick"), element("trigger"));

backend.muster.connection.observe(screens.showConnection);
void run();

async function run(): Promise<void> {
  let next = await begin();
  for (;;) {
    try {
      next = await go(next);
    } catch (error) {
      console.error(error);
      next = { screen: "home", notice: explain(error) };
    }
  }
}

function go(next: Next): Promise<Next> {
  switch (next.screen) {
    case "home":
      return home(next.notice ?? "");
    case "waiting":
      return wait(next.search, next.rematch);
    case "playing":
      return play(next.match);
    case "result":
      return showResult(next.duel, next.results, next.names);
  }
}

/** Signs in, and goes on where a reload has cut. */
async function begin(): Promise<Next> {
  try {
    await backend.signIn();
    followBoard("weekly");
    return (await whatIsActive()) ?? { screen: "home" };
  } catch (error) {
    console.error(error);
    return { screen: "home", notice: explain(error) };
  }
}

async function whatIsActive(): Promise<Next | undefined> {
  const active = await backend.active();
  if (active?.match) return { screen: "playing", match: active.match };
  return active?.search && { screen: "waiting", search: active.search };
}

// ---- home

async function home(notice: string): Promise<Next> {
  const name = element<HTMLInputElement>("name");
  element("notice").textContent = notice;
  name.required = backend.me !== "";
  if (backend.me === "") {
    show("home");
    await pressed("play");
    return begin();
  }
  const chosen = await backend.name();
  name.value ||= chosen ?? suggestName();
  show("home");
  await pressed("play");
  element("notice").textContent = "";
  const wanted = name.value.trim();
  if (wanted !== chosen) await backend.rename(wanted);
  return search();
}

async function search(rematch?: { sessionId: string; opponent: string }): Promise<Next> {
  // Shown at once: a seat in the match before may not be free yet.
  screens.showSearching(rematch?.opponent);
  show("waiting");
  try {
    const found = await backend.search(rematch?.sessionId, screens.showDelay);
    return { screen: "waiting", search: found, ...(rematch && { rematch }) };
  } catch (error) {
    // Another call of this window was faster, before a reload perhaps.
    const active = isMusterError(error, "ALREADY_QUEUED") ? await whatIsActive() : undefined;
    if (active) return active;
    throw error;
  }
}

// ---- waiting

async function wait(search: TicketSearch, rematch?: { sessionId: string; opponent: string }): Promise<Next> {
  const over = new AbortController();
  screens.showSearching(rematch?.opponent);
  const stop = search.ticket.observe((ticket) => screens.showTicket(ticket, rematch?.opponent));
  const since = Date.now();
  const clock = setInterval(() => screens.showWaited(Date.now() - since), 250);
  const patience = rematch && setTimeout(() => cancel(search), REMATCH_MS);
  show("waiting");
  element<HTMLButtonElement>("cancel").disabled = false;
  let wasCancelled = false;
  void pressed("cancel", over.signal).then(() => {
    wasCancelled = true;
    cancel(search);
  });
  try {
    return await afterwards(await search.ended, rematch !== undefined, () => wasCancelled);
  } finally {
    clearInterval(clock);
    clearTimeout(patience);
    over.abort();
    stop();
    search.stop();
  }
}

/** Too late to cancel: then it was matched. */
function cancel(search: TicketSearch): void {
  search.cancel().catch((error: unknown) => console.debug(error));
}

async function afterwards(ticket: Ticket, isRematch: boolean, wasCancelled: () => boolean): Promise<Next> {
  if (ticket.match) return { screen: "playing", match: ticket.match };
  switch (ticket.status) {
    case TicketStatus.CANCELLED:
      // The one of the last duel did not want to: anybody will do.
      return isRematch && !wasCancelled() ? search() : { screen: "home" };
    case TicketStatus.LOST:
    case TicketStatus.REFUSED:
      return search();
    default:
      return { screen: "home", notice: "Nobody came. Try again, or open a second window." };
  }
}

// ---- playing

async function play(match: Match): Promise<Next> {
  const over = new AbortController();
  const duel = new Duel(backend, match, input, picture);
  backend.forgetNames([duel.them]);
  const naming = backend.names([duel.me, duel.them]).catch(() => new Map<string, string>());
  let names: ReadonlyMap<string, string> = new Map();
  void naming.then((found) => screens.showPlayers(duel, (names = found)));
  picture.clear(duel.team);
  screens.showPlayers(duel, names);
  screens.showBanner("");
  show("playing");
  input.listen(over.signal);
  const draw = (): void => {
    if (over.signal.aborted) return;
    const now = backend.now();
    duel.step(now);
    picture.draw(duel, now);
    screens.showRound(duel, now);
    showState(duel, names.get(duel.them) ?? "your opponent", now);
    requestAnimationFrame(draw);
  };
  draw();
  try {
    const ending = await duel.play();
    if (ending.kind === "broken") return { screen: "home", notice: ending.why };
    if (duel.round.outcome) await pause(LAST_PICTURE_MS);
    return { screen: "result", duel, results: ending.results, names: await naming };
  } finally {
    over.abort();
  }
}

function showState(duel: Duel, opponent: string, now: number): void {
  const { round } = duel;
  const countdown = round.countdownMs(now);
  if (round.outcome) screens.showBanner(headline(round.outcome.winner, duel.me), reason(duel, opponent));
  else if (!duel.isOnline) screens.showBanner("Reconnecting", "Your seat is kept for 20 s.");
  else if (round.absent.has(duel.them)) {
    const text = round.started ? `${opponent} has lost the connection.` : `${opponent} is on the way.`;
    screens.showBanner(round.started ? "Paused" : "Get ready", text);
  } else if (countdown === undefined) screens.showBanner("Get ready");
  else if (countdown > 0) screens.showBanner(String(Math.ceil(countdown / 1000)));
  else if (round.remainingMs(now) <= 0) screens.showBanner("Time");
  else if (round.playedMs(now) < 600) screens.showBanner("Fight");
  else screens.showBanner("");
}

function headline(winner: string | undefined, me: string): string {
  return winner === undefined ? "Draw" : winner === me ? "Victory" : "Defeat";
}

function reason(duel: Duel, opponent: string): string {
  switch (duel.round.outcome?.why) {
    case "left":
      return `${opponent} did not come back.`;
    case "time":
      return "Time is up.";
    default:
      return "";
  }
}

// ---- the result

async function showResult(
  duel: Duel,
  results: readonly PlayerResult[],
  names: ReadonlyMap<string, string>,
): Promise<Next> {
  const over = new AbortController();
  const places = standings(results);
  const mine = places.find(({ playerId }) => playerId === duel.me);
  const theirs = places.find(({ playerId }) => playerId === duel.them);
  const isDraw = mine?.placement === theirs?.placement;
  const hasWon = !isDraw && mine?.placement === 1;
  const title = element("result-title");
  title.textContent = isDraw ? "Draw" : hasWon ? "Victory" : "Defeat";
  title.className = isDraw ? "" : `team-${hasWon ? duel.team : 1 - duel.team}`;
  element("score").textContent = `${mine?.hits ?? 0} : ${theirs?.hits ?? 0} hits`;
  element("rank").textContent = "";
  const opponent = names.get(duel.them) ?? "your opponent";
  element("rematch").textContent = `Rematch with ${opponent}`;
  show("result");
  void showRatings(duel, opponent);
  void showPlace(hasWon);
  const choice = await Promise.race([
    pressed("rematch", over.signal).then(() => "rematch" as const),
    pressed("another", over.signal).then(() => "another" as const),
    pressed("leave", over.signal).then(() => "leave" as const),
  ]);
  over.abort();
  if (choice === "leave") return { screen: "home" };
  return search(choice === "rematch" ? { sessionId: duel.sessionId, opponent } : undefined);
}

async function showRatings(duel: Duel, opponent: string): Promise<void> {
  const rows = [
    { name: "You", team: duel.team, player: duel.me },
    { name: opponent, team: 1 - duel.team, player: duel.them },
  ];
  screens.showRatings(rows.map(({ name, team }) => ({ name, team, rating: undefined })));
  const known = (player: string) => backend.ratingAfter(duel.sessionId, player).catch(() => undefined);
  const ratings = await Promise.all(rows.map(({ player }) => known(player)));
  screens.showRatings(rows.map(({ name, team }, index) => ({ name, team, rating: ratings[index] })));
}

async function showPlace(hasWon: boolean): Promise<void> {
  const place = await backend.place("weekly").catch(() => undefined);
  if (!place) return;
  const wins = place.wins === 1 ? "1 win" : `${place.wins} wins`;
  element("rank").textContent = `${hasWon ? "You are now" : "You are"} number ${place.rank} this week, with ${wins}.`;
}

// ---- the leaderboard, on every screen

let stopBoard = (): void => undefined;

function followBoard(period: Period): void {
  stopBoard();
  for (const tab of ["weekly", "allTime"] as const) {
    element(tab).setAttribute("aria-pressed", String(tab === period));
    element(tab).onclick = () => followBoard(tab);
  }
  let latest: BoardView | undefined;
  const show = async (view: BoardView): Promise<void> => {
    latest = view;
    const players = view.entries.map((entry) => entry.playerId);
    const names = await backend.names(players).catch(() => new Map<string, string>());
    if (latest === view) screens.showBoard(view, names, backend.me);
  };
  const failed = (error: unknown): void => {
    console.warn(error);
    element("board-note").textContent = "The leaderboard is not there now.";
  };
  const unsubscribe = backend.watchBoard(period, BOARD_SIZE, (view) => void show(view), failed);
  stopBoard = () => {
    latest = undefined;
    unsubscribe();
  };
}

// ---- little things

/** A name for who has none yet. */
function suggestName(): string {
  const names = ["Albatross", "Badger", "Comet", "Dragonfly", "Ember", "Falcon", "Gecko", "Heron", "Ibis", "Jackdaw", "Kite"];
  const [one = 0, two = 0] = crypto.getRandomValues(new Uint8Array(2));
  return `${names[one % names.length] ?? "Lynx"} ${10 + (two % 90)}`;
}

/** Resolves when a button is pressed; a form's only if it is filled in. Never, once the signal says so. */
function pressed(id: string, signal?: AbortSignal): Promise<void> {
  const button = element<HTMLButtonElement>(id);
  const target: HTMLElement = button.form ?? button;
  return new Promise((resolve) => {
    const options = { once: true, ...(signal && { signal }) };
    target.addEventListener(
      button.form ? "submit" : "click",
      (event) => {
        event.preventDefault();
        resolve();
      },
      options,
    );
  });
}

/** What went wrong, for people. */
function explain(error: unknown): string {
  if (isMusterError(error, "GAME_NOT_FOUND")) return "This server does not have the game: apply examples/duel/game.toml.";
  if (isMusterError(error, "GAME_ARCHIVED")) return "The game is closed.";
  if (isMusterError(error, "INVALID_FIELD")) return error.fields[0]?.description ?? error.message;
  if (isMusterError(error) && error.retryable) return "The server does not answer. Try again.";
  return isMusterError(error) ? error.message : "Something went wrong. Try again.";
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
