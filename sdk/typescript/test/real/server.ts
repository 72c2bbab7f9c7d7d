import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

/** The folder of the package. */
export const PACKAGE = path.resolve(import.meta.dirname, "../../..");

const MUSTER = process.env["MUSTER_BIN"] ?? path.resolve(PACKAGE, "../../target/debug/muster");
const LIMIT_MS = 30_000;

/** A running Muster. */
export interface Server {
  readonly url: string;
  /** Brings a game to what a file says. */
  applyGame(toml: string): Promise<void>;
}

/**
 * Runs something beside a `muster dev` on a free port with a folder of its own, which are gone afterwards; or beside
 * the server that MUSTER_URL names, with the admin's token in MUSTER_TOKEN. The options are those of `muster dev`.
 */
export async function withServer(run: (server: Server) => Promise<void>, ...options: string[]): Promise<void> {
  const url = process.env["MUSTER_URL"];
  if (url === undefined) return withOwnServer(run, options);
  return run({
    url,
    applyGame: (toml) => inFolder((folder) => apply(folder, toml, url, process.env["MUSTER_TOKEN"] ?? "")),
  });
}

async function withOwnServer(run: (server: Server) => Promise<void>, options: readonly string[]): Promise<void> {
  await inFolder(async (folder) => {
    const data = path.join(folder, "data");
    const args = ["dev", "--listen", "127.0.0.1:0", "--data", data, "--log", "error", ...options];
    const child = spawn(MUSTER, args, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const url = await ready(child);
      const token = execFileSync(MUSTER, ["token", "--data", data], { encoding: "utf8" }).trim();
      await run({ url, applyGame: async (toml) => apply(folder, toml, url, token) });
    } finally {
      await end(child);
    }
  });
}

async function inFolder(run: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "muster-client-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function apply(folder: string, toml: string, url: string, token: string): void {
  const file = path.join(folder, "game.toml");
  writeFileSync(file, toml);
  execFileSync(MUSTER, ["apply", file, "--address", url, "--token", token], { stdio: ["ignore", "ignore", "inherit"] });
}

/** The first line says where it listens. */
async function ready(child: ChildProcess): Promise<string> {
  const timeout = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  try {
    for await (const line of createInterface({ input: child.stdout! })) {
      const url = /^Muster is ready at (\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      child.stdout!.resume(); // the rest is not read
      return url;
    }
    throw new Error(`${MUSTER} did not become ready`);
  } finally {
    clearTimeout(timeout);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  const timeout = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  await exit;
  clearTimeout(timeout);
}
