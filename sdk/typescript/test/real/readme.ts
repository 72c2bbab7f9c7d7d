// The examples of the README are one program. It is checked by the compiler, and run by two players at once against a
// real server. Comments say what it prints.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import { output } from "./program.js";
import { PACKAGE, withServer } from "./server.js";

/** How long it may take until the last promise is kept, ms. */
const PATIENCE_MS = 30_000;

const folder = path.join(PACKAGE, "build/readme");
const readme = readFileSync(path.join(PACKAGE, "README.md"), "utf8");
const blocks = (language: string) =>
  [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter((block) => block[1] === language);

const [game] = blocks("toml").map((block) => block[2]!);
const examples = blocks("ts").map((block) => block[2]!);
const promises = [...readme.matchAll(/\/\/ prints: (.*)$/gm)].map((comment) => comment[1]!);
// The last one ends the client: what was promised before comes first.
const program = [...examples.slice(0, -1), "await kept;\n", ...examples.slice(-1)].join("\n");

/** What a browser has and Node has not, and a promise for all that the README promises. */
const SURROUNDINGS = `
import { format } from "node:util";
import { memoryStorage } from "muster-client";

globalThis.sessionStorage = memoryStorage();
const promises = new Set(${JSON.stringify(promises)});
globalThis.kept = new Promise((resolve) => {
  const { log } = console;
  console.log = (...values) => {
    log(...values);
    for (const promise of promises) if (format(...values).includes(promise)) promises.delete(promise);
    if (promises.size === 0) resolve();
  };
});
setTimeout(() => {
  console.error("not kept:", promises);
  process.exit(1);
}, ${PATIENCE_MS}).unref();
`;
assert.ok(game && promises.length > 10, "the README has examples");

await withServer(async (server) => {
  await server.applyGame(game);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const file = (name: string, text: string) => writeFileSync(path.join(folder, name), text);
  file("example.ts", program.replaceAll("http://localhost:8080", server.url));
  const compilerOptions = { rootDir: ".", outDir: "out" };
  file("tsconfig.json", JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, include: ["*.ts"] }));
  file("surroundings.d.ts", "declare const kept: Promise<void>;\n");
  file("surroundings.mjs", SURROUNDINGS);
  await output(path.join(PACKAGE, "node_modules/.bin/tsc"), ["--project", folder], PACKAGE);

  const play = () => output(process.execPath, ["--import", "./surroundings.mjs", "out/example.js"], folder);
  await Promise.all([play(), play()]);
});
console.log(`README: ${examples.length} examples kept their ${promises.length} promises, with two players`);
