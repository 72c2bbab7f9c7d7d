// A page in a real browser opens a session, follows it, and hears what it publishes, event by event, while the stream is
// open. Ends with the first check that fails.
//
// node events_browser.mjs BASE_URL HOST:PORT FOLDER_OF_GENERATED_CODE CHROMIUM TOKEN GAME_ID

import assert from "node:assert/strict";

import { bundle, launch, serve } from "./site.mjs";

const [baseUrl, address, generated, executablePath, token, gameId] = process.argv.slice(2);
const COUNT = 50;

const server = await serve(address, await bundle("events_page.mjs", generated));
const browser = await launch(executablePath);
try {
  const page = await browser.newPage();
  await page.goto(`http://${address}/`);
  const heard = await page.evaluate((scene) => globalThis.play(scene), { baseUrl, token, gameId, count: COUNT });
  assert.deepEqual(heard, { numbers: Array.from({ length: COUNT }, (_, number) => number) });
} finally {
  await browser.close();
  server.close();
}
