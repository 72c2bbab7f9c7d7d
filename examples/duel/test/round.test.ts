import assert from "node:assert/strict";
import { test } from "node:test";

import { RULES, Round } from "../src/round.ts";

const START = 1_000_000;
const PLAYING = START + RULES.countdownMs;

function running(): Round {
  const round = new Round(["red", "blue"]);
  round.connection("red", true, START - 20);
  round.connection("blue", true, START - 10);
  round.start(START);
  return round;
}

test("it waits for both, counts down, and runs", () => {
  const round = new Round(["red", "blue"]);
  round.connection("red", true, START - 20);
  assert.deepEqual([...round.absent], ["blue"]);
  assert.equal(round.countdownMs(START), undefined);
  round.connection("blue", true, START - 10);
  assert.equal(round.countdownMs(START), undefined);
  round.start(START);
  assert.equal(round.countdownMs(START + 1_000), RULES.countdownMs - 1_000);
  assert.equal(round.isPlaying(PLAYING - 1), false);
  assert.equal(round.isPlaying(PLAYING), true);
  assert.equal(round.remainingMs(PLAYING + 5_000), RULES.roundMs - 5_000);
});

test("three hits end it, each told once", () => {
  const round = running();
  for (const count of [1, 2, 2, 1]) round.hit("red", count, PLAYING + 1_000 * count);
  assert.equal(round.hitsOf("red"), 2);
  assert.equal(round.outcome, undefined);
  round.hit("red", 3, PLAYING + 5_000);
  assert.deepEqual(round.outcome, { winner: "blue", why: "hits" });
  round.hit("blue", 3, PLAYING + 5_001);
  assert.equal(round.hitsOf("blue"), 0);
});

test("time ends it: most hits win, a hit after the end is none", () => {
  const round = running();
  const end = PLAYING + RULES.roundMs;
  round.hit("blue", 1, end - 1);
  round.settle(end + RULES.settleMs - 1);
  assert.equal(round.outcome, undefined);
  round.hit("red", 1, end + 1);
  assert.deepEqual(round.outcome, { winner: "red", why: "time" });
  assert.equal(round.hitsOf("red"), 0);

  const draw = running();
  draw.settle(end + RULES.settleMs);
  assert.deepEqual(draw.outcome, { winner: undefined, why: "time" });
});

test("it stands still while somebody is away", () => {
  const round = running();
  round.connection("blue", false, PLAYING + 4_000);
  assert.equal(round.isPlaying(PLAYING + 5_000), false);
  assert.equal(round.playedMs(PLAYING + 14_000), 4_000);
  round.connection("blue", true, PLAYING + 14_000);
  assert.equal(round.countdownMs(PLAYING + 14_000), RULES.resumeMs);
  const resumed = PLAYING + 14_000 + RULES.resumeMs;
  assert.equal(round.isPlaying(resumed), true);
  assert.equal(round.playedMs(resumed + 1_000), 5_000);
  // Away again during the countdown.
  round.connection("red", false, resumed + 2_000);
  round.connection("red", true, resumed + 3_000);
  round.connection("red", false, resumed + 3_100);
  assert.equal(round.playedMs(resumed + 60_000), 6_000);
});

test("it stands still while somebody is not heard of", () => {
  const round = running();
  round.silence("blue", true, PLAYING + 4_000);
  assert.deepEqual([round.isSilent("blue"), [...round.absent]], [true, ["blue"]]);
  // The server notices later, and that they are back before they say so.
  round.connection("blue", false, PLAYING + 8_000);
  round.connection("blue", true, PLAYING + 12_000);
  assert.equal(round.playedMs(PLAYING + 20_000), 4_000);
  round.silence("blue", false, PLAYING + 20_000);
  assert.equal(round.countdownMs(PLAYING + 20_000), RULES.resumeMs);
  round.silence("somebody", true, PLAYING + 21_000);
  assert.equal(round.absent.size, 0);
});

test("who leaves has lost, unless it was over or had not begun", () => {
  const left = running();
  left.leave("red", PLAYING + 1_000);
  assert.deepEqual(left.outcome, { winner: "blue", why: "left" });

  const over = running();
  over.hit("red", 3, PLAYING + 1_000);
  over.leave("blue", PLAYING + 1_500);
  assert.deepEqual(over.outcome, { winner: "blue", why: "hits" });

  const early = new Round(["red", "blue"]);
  early.leave("red", START);
  assert.deepEqual([early.outcome, early.left], [undefined, "red"]);
});

test("a page that missed events learns them from the other", () => {
  const knowing = running();
  knowing.hit("red", 2, PLAYING + 3_000);
  knowing.connection("red", false, PLAYING + 8_000);

  const fresh = new Round(["red", "blue"]);
  fresh.restore(true, ["blue"], PLAYING + 9_000);
  assert.deepEqual([...fresh.absent], ["red"]);
  for (const round of [knowing, fresh]) round.connection("red", true, PLAYING + 10_000);
  fresh.learn(knowing.tally(), PLAYING + 10_050);
  const later = PLAYING + 10_000 + RULES.resumeMs + 700;
  assert.equal(fresh.hitsOf("red"), 2);
  assert.equal(fresh.playedMs(later), knowing.playedMs(later));
});
