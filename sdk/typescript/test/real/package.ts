// The package as it would be published: packed, installed into an empty folder, and used from there.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { output } from "./program.js";
import { PACKAGE, withServer } from "./server.js";

const GAME = 'key = "packed"\nname = "Packed"\n';

const PROGRAM = `
import { createMuster, topics } from "muster-client";
import { CatalogService, SessionService } from "muster-client/api";

const muster = createMuster({ url: process.argv[2] });
await muster.auth.signInAsGuest();
const { game } = await muster.client(CatalogService).findGame({ key: "packed" });
const { session, cursor } = await muster.client(SessionService).createSession({ gameId: game.gameId });
const { sessionId } = session;
await new Promise((resolve) => {
  const on = { gameEvent: ({ name }) => resolve(console.log("heard", name)) };
  muster.events.subscribe(topics.session(sessionId), { on }, { cursor });
  muster.events.publish(sessionId, { name: "hello" });
});
muster.close();
`;

interface Manifest {
  readonly dependencies: Record<string, string>;
}

const folder = mkdtempSync(path.join(tmpdir(), "muster-client-package-"));
try {
  const packed = await output("npm", ["pack", "--json", "--silent", "--pack-destination", folder], PACKAGE);
  const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
  const strays = files
    .map((file) => file.path)
    .filter((name) => !/^(dist\/|LICENSE-|README\.md$|package\.json$)/.test(name));
  assert.deepEqual(strays, []);

  // The packages that it depends on are here already: nothing needs to be fetched.
  const local = (name: string) => [name, `file:${path.join(PACKAGE, "node_modules", name)}`] as const;
  const { dependencies } = JSON.parse(readFileSync(path.join(PACKAGE, "package.json"), "utf8")) as Manifest;
  const installed = {
    "muster-client": `file:${filename}`,
    ...Object.fromEntries(Object.keys(dependencies).map(local)),
  };
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ type: "module", dependencies: installed }));
  writeFileSync(path.join(folder, "program.js"), PROGRAM);
  await output("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], folder);
  await withServer(async (server) => {
    await server.applyGame(GAME);
    assert.equal(await output(process.execPath, ["program.js", server.url], folder), "heard hello\n");
  });
  console.log(`package: ${files.length} files, installed and used`);
} finally {
  rmSync(folder, { recursive: true });
}
