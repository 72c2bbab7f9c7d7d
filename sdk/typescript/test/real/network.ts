// Two players on a network that breaks again and again, with tokens that live for seconds: every event comes once and
// in order.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

import { CatalogService, SessionService } from "../../src/api.js";
import { createMuster, type Muster, topics } from "../../src/index.js";
import { withServer } from "./server.js";

const GAME = 'key = "rough"\nname = "Rough"\n';
const EVENTS_EACH = 60;
const PAUSE_MS = 100;
const CUT_EVERY_MS = 700;
const LIMIT_MS = 60_000;

/** A way to a server whose connections can be cut. */
async function breakable(target: URL) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {}).on("close", () => (sockets.delete(one), other.destroy()));
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const cut = () => [...sockets].forEach((socket) => socket.destroy());
  return { url, cut, close: () => (cut(), server.close()) };
}

/** Follows the session, and publishes numbers to it, until everything of both has come. */
async function play(muster: Muster, sessionId: string, cursor: string, me: string): Promise<string[]> {
  const heard: string[] = [];
  const complete = new Promise<void>((resolve) => {
    const hear = ({ name }: { name: string }, { playerId }: { playerId: string }) => {
      heard.push(`${playerId} ${name}`);
      if (heard.length === 2 * EVENTS_EACH) resolve();
    };
    const gap = () => assert.fail("a gap");
    muster.events.subscribe(topics.session(sessionId), { on: { gameEvent: hear }, gap }, { cursor });
  });
  for (let number = 0; number < EVENTS_EACH; number += 1) {
    await muster.events.publish(sessionId, { name: `${number}` });
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await complete;
  for (const player of new Set(heard.map((event) => event.split(" ")[0]))) {
    const numbers = heard.filter((event) => event.startsWith(`${player} `)).map((event) => Number(event.split(" ")[1]));
    assert.deepEqual(
      numbers,
      Array.from({ length: EVENTS_EACH }, (_, number) => number),
      `of ${player}, heard by ${me}`,
    );
  }
  return heard;
}

await withServer(
  async (server) => {
    await server.applyGame(GAME);
    const way = await breakable(new URL(server.url));
    const players = [0, 1].map(() => createMuster({ url: way.url }));
    const [ann, ben] = players as [Muster, Muster];
    const ids = await Promise.all(players.map(async ({ auth }) => (await auth.signInAsGuest()).userId));
    const { game } = await ann.client(CatalogService).findGame({ key: "rough" });
    const { session, cursor } = await ann.client(SessionService).createSession({ gameId: game!.gameId });
    const { sessionId } = session!;
    await ben.client(SessionService).joinSession({ sessionId });

    const cutting = setInterval(way.cut, CUT_EVERY_MS);
    const limit = setTimeout(() => assert.fail("it takes too long"), LIMIT_MS);
    const [first, second] = await Promise.all(
      players.map((player, index) => play(player, sessionId, cursor, ids[index]!)),
    );
    clearInterval(cutting);
    clearTimeout(limit);
    assert.deepEqual(first, second, "both have heard the same, in the same order");
    for (const player of players) player.close();
    way.close();
  },
  "--access-token-lifetime",
  "4s",
);
console.log(`network: ${2 * EVENTS_EACH} events came once and in order, through cuts every ${CUT_EVERY_MS} ms`);
