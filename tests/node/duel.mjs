// Two people play the example game in a real browser, by keys and by touch: one on a desktop, one on a phone. In the middle
// the phone has no network for ten seconds, and the desktop's page is loaded again. Both see the result, their ratings and
// the leaderboard, and both want a rematch; in the end one of two windows is closed. Says how far it has come; ends with
// the first check that fails.
//
// node duel.mjs BASE_URL contexts|windows CHROMIUM FOLDER_FOR_PICTURES

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";

import { launch } from "./site.mjs";

const [baseUrl, kind, executablePath, folder] = process.argv.slice(2);
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const OFFLINE_MS = 10_000;
const WAIT_MS = 28_000;

await mkdir(folder, { recursive: true });
const browser = await launch(executablePath);
try {
  const [one, two] = await open();
  await enter(one, two);
  await fight(one, two);
  await seeResult(one, two);
  await playAgain(one, two);
  if (kind === "windows") await winAlone(one, two);
} finally {
  await browser.close();
}

// Two browsers' worth of storage, or two windows that share all but their session's.
async function open() {
  if (kind === "contexts") {
    const contexts = [await browser.newContext(DESKTOP), await browser.newContext(PHONE)];
    const [one, two] = await Promise.all(contexts.map((context) => context.newPage()));
    return [player("Ada", one, (on) => contexts[0].setOffline(on)), player("Grace", two, (on) => contexts[1].setOffline(on))];
  }
  const context = await browser.newContext({ ...DESKTOP, hasTouch: true });
  const pages = [await context.newPage(), await context.newPage()];
  // The network of one window alone: a context's is that of both.
  const cutter = async (page) => {
    const devtools = await context.newCDPSession(page);
    const unlimited = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    return (offline) => devtools.send("Network.emulateNetworkConditions", { offline, ...unlimited });
  };
  const [cutOne, cutTwo] = await Promise.all(pages.map(cutter));
  return [player("Ada", pages[0], cutOne), player("Grace", pages[1], cutTwo)];
}

function player(name, page, setOffline) {
  const problems = [];
  page.setDefaultTimeout(WAIT_MS);
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) problems.push(message.text());
  });
  return { name, page, setOffline, problems };
}

async function enter(one, two) {
  await Promise.all([one, two].map(({ page }) => page.goto(baseUrl)));
  for (const { name, page } of [one, two]) {
    assert.match(page.url(), /\/duel\/$/);
    await page.locator("#home").waitFor();
    await page.locator("#name").fill(name);
  }
  await picture(one, "home");
  await one.page.locator("#name").press("Enter");
  await one.page.getByText("Nobody else is waiting yet", { exact: false }).waitFor();
  await picture(one, "waiting");
  await two.page.locator("#play").tap();
  await Promise.all([one, two].map(({ page }) => page.locator("#playing").waitFor()));
  say("matched");
}

async function fight(one, two) {
  await one.page.locator("#theirs .name", { hasText: two.name }).waitFor();
  await one.page.keyboard.down("Space");
  await two.page.waitForFunction(() => Number(document.querySelector("#mine .pips").dataset.left) <= 2);
  await one.page.keyboard.up("Space");
  say("first hit");

  await two.setOffline(true);
  const since = Date.now();
  await two.page.locator("#banner strong", { hasText: "Reconnecting" }).waitFor();
  await one.page.locator("#banner strong", { hasText: "Paused" }).waitFor();
  await picture(one, "paused");
  await pause(OFFLINE_MS - (Date.now() - since));
  const left = await one.page.locator("#clock").textContent();
  assert.ok(Number(left) > 15, `the clock stood still: ${left}`);
  await two.setOffline(false);
  await Promise.all([one, two].map(({ page }) => page.locator("#banner").waitFor({ state: "hidden" })));
  say("resumed");

  await both([roam(one.page), swipe(two)]);
  const before = await pips(one);
  await one.page.reload();
  await one.page.locator("#playing").waitFor();
  await one.page.locator("#banner").waitFor({ state: "hidden" });
  // A shot that was on its way may have hit since.
  for (const [row, left] of (await pips(one)).entries()) {
    assert.ok(Number(left) <= Number(before[row]), `a page that is loaded again knows the hits: ${left} of ${before[row]}`);
  }
  say("reloaded");

  await one.page.keyboard.down("Space");
  await Promise.all([one, two].map(({ page }) => page.locator("#result").waitFor()));
  await one.page.keyboard.up("Space");
  say("finished");
}

// By keys, and a picture on the way.
async function roam(page) {
  await page.keyboard.down("KeyD");
  await page.keyboard.down("ArrowUp");
  await pause(350);
  await page.keyboard.up("ArrowUp");
  await page.keyboard.press("Space", { delay: 250 });
  await page.screenshot({ path: file("desktop-duel") });
  await page.keyboard.up("KeyD");
  await page.keyboard.down("KeyA");
  await pause(450);
  await page.keyboard.up("KeyA");
}

// By two fingers: one on the stick, one on the button.
async function swipe({ page }) {
  const devtools = await page.context().newCDPSession(page);
  const stick = page.locator("#stick");
  if (!(await stick.isVisible())) return;
  const at = async (locator) => {
    const { x, y, width, height } = await locator.boundingBox();
    return { x: x + width / 2, y: y + height / 2 };
  };
  const thumb = await at(stick);
  const finger = await at(page.locator("#trigger"));
  const touch = (type, touchPoints) => devtools.send("Input.dispatchTouchEvent", { type, touchPoints });
  await touch("touchStart", [{ ...thumb, id: 1 }]);
  await touch("touchMove", [{ x: thumb.x - 40, y: thumb.y - 12, id: 1 }]);
  await touch("touchStart", [{ x: thumb.x - 40, y: thumb.y - 12, id: 1 }, { ...finger, id: 2 }]);
  await pause(300);
  await page.screenshot({ path: file("phone-duel") });
  await touch("touchEnd", []);
}

async function seeResult(one, two) {
  const winner = one;
  for (const who of [one, two]) {
    const { page } = who;
    assert.equal(await page.locator("#result-title").textContent(), who === winner ? "Victory" : "Defeat");
    const changes = page.locator("#ratings td:last-child");
    await changes.nth(1).filter({ hasText: /\d/ }).waitFor();
    const texts = await changes.allTextContents();
    const mine = who === winner ? /^\+\d/ : /^−\d/;
    assert.match(texts[0], mine, "one's own rating has changed");
    assert.doesNotMatch(texts[1], mine, "and the other's the other way");
    assert.match(await page.locator("#score").textContent(), who === winner ? /^3 : \d/ : /^\d : 3/);
    await page.locator("#entries li", { hasText: winner.name }).first().waitFor();
    assert.equal(await page.locator("#entries li.me").count(), who === winner ? 1 : 0);
    await page.locator("#board").scrollIntoViewIfNeeded();
    await picture(who, who === one ? "result" : "phone-leaderboard");
  }
  await one.page.locator("#rank", { hasText: "number" }).waitFor();
  say("seen by both");
}

async function playAgain(one, two) {
  await one.page.locator("#rematch").click();
  await two.page.locator("#rematch").click();
  for (const { page, name, problems } of [one, two]) {
    await page.locator("#playing").waitFor();
    await page.locator("#clock", { hasText: "30" }).waitFor();
    assert.deepEqual(problems, [], `what went wrong on the page of ${name}`);
  }
  say("rematch");
}

// Who goes away in a duel and does not come back has lost it, once the seat is given up.
async function winAlone(one, two) {
  for (const { page } of [one, two]) await page.locator("#banner").waitFor({ state: "hidden" });
  await two.page.close();
  await one.page.locator("#banner strong", { hasText: "Paused" }).waitFor();
  say("one is gone");
  await one.page.locator("#result-title", { hasText: "Victory" }).waitFor();
  await one.page.locator("#entries li.me .wins", { hasText: "2" }).waitFor();
  say("won alone");
}

// The shields that are left: one's own, the other's.
function pips({ page }) {
  return page.evaluate(() => [...document.querySelectorAll(".pips")].map((row) => row.dataset.left));
}

async function picture({ page }, name) {
  await page.screenshot({ path: file(name) });
}

function file(name) {
  return path.join(folder, `${kind}-${name}.png`);
}

function both(actions) {
  return Promise.all(actions);
}

function say(what) {
  console.log(`so far: ${what}`);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
