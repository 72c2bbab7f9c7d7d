// What stands on the page around the arena.

import { MatchRule } from "muster-client/api";
import type { BoardView, Rating, Ticket } from "muster-client/api";

import type { Duel } from "./duel.ts";
import { RULES } from "./round.ts";

export type ScreenName = "home" | "waiting" | "playing" | "result";
const SCREENS: readonly ScreenName[] = ["home", "waiting", "playing", "result"];

/** Elements of the page by their ids. */
export function element<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as E;
}

/** Shows one screen, and leads the focus there. */
export function show(name: ScreenName): void {
  for (const screen of SCREENS) element(screen).hidden = screen !== name;
  document.body.classList.toggle("in-duel", name === "playing");
  if (name === "waiting" || name === "result") element(`${name}-title`).focus();
  else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  scrollTo(0, 0);
}

export function showConnection(state: string): void {
  const shown = element("connection");
  shown.dataset["state"] = state;
  shown.textContent = state === "connecting" ? "connecting" : state;
}

// ---- waiting

/** Shows that a search begins: there is nothing to cancel yet. */
export function showSearching(opponent: string | undefined): void {
  element("waiting-title").textContent = opponent ? `Waiting for ${opponent}` : "Looking for an opponent";
  element("estimate").textContent = "";
  element("unmet").textContent = opponent ? "They have to want it, too." : "";
  element<HTMLButtonElement>("cancel").disabled = true;
  showWaited(0);
}

export function showDelay(): void {
  element("unmet").textContent = "Your last match is still being cleared away.";
}

export function showTicket(ticket: Ticket, opponent: string | undefined): void {
  const seconds = ticket.estimatedWait && Math.max(1, Number(ticket.estimatedWait.seconds));
  element("estimate").textContent = seconds === undefined ? "" : `· about ${seconds} s to go`;
  element("unmet").textContent = opponent ? "They have to want it, too." : why(ticket);
}

export function showWaited(ms: number): void {
  const seconds = Math.floor(ms / 1000);
  element("waited").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Why it is not matched yet: what the server says of the rule that excludes most. */
function why(ticket: Ticket): string {
  const unmet = ticket.unmetRules[0];
  switch (unmet?.rule) {
    case undefined:
      return "";
    case MatchRule.PLAYER_COUNT:
      return "Nobody else is waiting yet. A second window will do.";
    case MatchRule.PROPERTY:
      return "Those who wait have a rematch in mind.";
    default:
      return "Nobody fits yet; the rules loosen while you wait.";
  }
}

// ---- playing

/** Shows who plays, once. */
export function showPlayers(duel: Duel, names: ReadonlyMap<string, string>): void {
  for (const [id, player, team] of [["mine", duel.me, duel.team], ["theirs", duel.them, 1 - duel.team]] as const) {
    const side = element(id);
    side.className = `side team-${team}`;
    const name = side.querySelector(".name");
    if (name) name.textContent = id === "mine" ? "You" : (names.get(player) ?? "Opponent");
  }
}

/** Shows the time and the hits: for every picture, so only what has changed is written. */
export function showRound(duel: Duel, now: number): void {
  write(element("clock"), String(Math.ceil(duel.round.remainingMs(now) / 1000)));
  for (const [id, player] of [["mine", duel.me], ["theirs", duel.them]] as const) {
    const pips = element(id).querySelector<HTMLElement>(".pips");
    const left = RULES.hitsToLose - duel.round.hitsOf(player);
    if (!pips || pips.dataset["left"] === String(left)) continue;
    pips.dataset["left"] = String(left);
    pips.setAttribute("aria-label", `${left} of ${RULES.hitsToLose} shields left`);
    const pip = (index: number) => Object.assign(document.createElement("i"), { className: index < left ? "" : "gone" });
    pips.replaceChildren(...Array.from({ length: RULES.hitsToLose }, (_, index) => pip(index)));
  }
}

/** Says in large letters what is going on. */
export function showBanner(title: string, text = ""): void {
  const banner = element("banner");
  banner.hidden = title === "" && text === "";
  for (const [name, content] of [["strong", title], ["span", text]] as const) {
    const place = banner.querySelector<HTMLElement>(name);
    if (place) write(place, content);
  }
}

// ---- the result

export function showRatings(rows: readonly { name: string; team: number; rating: Rating | undefined }[]): void {
  element("ratings").replaceChildren(
    ...rows.map(({ name, team, rating }) => {
      const row = document.createElement("tr");
      const player = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
      player.className = `team-${team}`;
      const value = Object.assign(document.createElement("td"), { textContent: rating ? rating.skill.toFixed(1) : "…" });
      const change = document.createElement("td");
      if (rating) {
        change.textContent = signed(rating.lastSkillChange);
        change.className = rating.lastSkillChange < 0 ? "down" : rating.lastSkillChange > 0 ? "up" : "";
      }
      row.append(player, value, change);
      return row;
    }),
  );
}

function signed(change: number): string {
  const text = Math.abs(change).toFixed(1);
  return change < 0 ? `−${text}` : `+${text}`;
}

// ---- the leaderboard

/** Shows the entries; one whose wins have changed lights up. */
export function showBoard(view: BoardView, names: ReadonlyMap<string, string>, me: string): void {
  const list = element("entries");
  const before = new Map([...list.querySelectorAll("li")].map((row) => [row.dataset["player"], row.dataset["wins"]]));
  list.replaceChildren(
    ...view.entries.map((entry) => {
      const row = document.createElement("li");
      const wins = String(entry.value);
      row.dataset["player"] = entry.playerId;
      row.dataset["wins"] = wins;
      row.classList.toggle("me", entry.playerId === me);
      row.classList.toggle("news", before.size > 0 && before.get(entry.playerId) !== wins);
      row.append(
        cell("place", `${entry.rank}.`),
        cell("who", names.get(entry.playerId) ?? "somebody"),
        cell("wins number", wins),
      );
      return row;
    }),
  );
  const total = Number(view.totalCount);
  const others = total > view.entries.length ? `${total} players in all` : "";
  element("board-note").textContent = total === 0 ? "Nobody has won yet." : others;
}

function cell(className: string, textContent: string): HTMLElement {
  return Object.assign(document.createElement("span"), { className, textContent });
}

function write(place: HTMLElement, text: string): void {
  if (place.textContent !== text) place.textContent = text;
}
