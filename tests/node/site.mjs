// Pages for tests: a script, bundled with the generated code, on a server of its own, in a real browser.

import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

export function launch(executablePath) {
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
}

// A file of this folder, with all that it imports.
export async function bundle(file, generated) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    alias: { generated: path.resolve(generated) },
    bundle: true,
    format: "iife",
    write: false,
  });
  return outputFiles[0].text;
}

// Serves a page with this script at HOST:PORT.
export function serve(address, script) {
  const [host, port] = address.split(":");
  const server = http.createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html; charset=utf-8");
    response.end(isScript ? script : "<!doctype html><title>Muster</title><script src=page.js></script>");
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(Number(port), host, () => resolve(server));
  });
}
