// A page in a real browser: it registers, reads its profile, signs out and is refused; a page of another origin is not let
// in by the browser. Ends with the first check that fails.
//
// node browser.mjs BASE_URL ALLOWED_HOST:PORT OTHER_HOST:PORT FOLDER_OF_GENERATED_CODE CHROMIUM

import assert from "node:assert/strict";

import { bundle, launch, serve } from "./site.mjs";

const [baseUrl, allowed, other, generated, executablePath] = process.argv.slice(2);

const script = await bundle("page.mjs", generated);
const servers = await Promise.all([allowed, other].map((address) => serve(address, script)));
const browser = await launch(executablePath);
try {
  const lived = await run(allowed);
  assert.equal(lived.email, lived.registered);
  assert.deepEqual([lived.refused.code, lived.refused.reason], ["unauthenticated", "TOKEN_REVOKED"]);
  assert.match(lived.requestId, /^[0-9a-f-]{36}$/);

  const refused = await run(other);
  assert.equal(refused.failed?.code, "unknown");
  assert.match(refused.failed.message, /Failed to fetch/);
  assert.match(refused.console, /blocked by CORS policy/);
} finally {
  await browser.close();
  servers.forEach((server) => server.close());
}

// What a page of this origin found, and what the browser said of it.
async function run(origin) {
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  await page.goto(`http://${origin}/`);
  const found = await page.evaluate((baseUrl) => globalThis.live(baseUrl), baseUrl);
  await page.close();
  return { ...found, console: said.join("\n") };
}
