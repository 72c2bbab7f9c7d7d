// Builds the page: one file of each kind, the same bytes on every machine.
//
// node build.mjs FOLDER            index.html, duel.js, duel.css
// node build.mjs --test FOLDER     the tests, for node --test

import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";

import { build } from "esbuild";

const isTest = process.argv[2] === "--test";
const folder = process.argv[isTest ? 3 : 2];
if (!folder) throw new Error("node build.mjs [--test] FOLDER");

const shared = { bundle: true, format: "esm", target: "es2022", charset: "utf8", logLevel: "warning" };
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
if (isTest) {
  const entryPoints = (await readdir("test")).map((file) => path.join("test", file));
  await build({ ...shared, entryPoints, platform: "node", outdir: folder, outExtension: { ".js": ".mjs" } });
} else {
  const page = { ...shared, minify: true, legalComments: "none" };
  await build({ ...page, entryPoints: ["src/main.ts"], outfile: path.join(folder, "duel.js") });
  await build({ ...page, entryPoints: ["src/style.css"], outfile: path.join(folder, "duel.css") });
  await copyFile("src/index.html", path.join(folder, "index.html"));
}
