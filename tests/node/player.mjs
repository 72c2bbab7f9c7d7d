// A player on a web page: gRPC-Web by connect-web. Takes a seat, answers each batch of events of the other player with one
// of its own, and follows the session until it has heard everything of both, each event once and in its order. Streams and
// calls may break at any time; it goes on from its cursor, and repeats publications by their ids.
//
// node player.mjs BASE_URL TOKEN PLAYER_ID SESSION_ID COUNT BATCH FOLDER_OF_GENERATED_CODE

import assert from "node:assert/strict";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

const [baseUrl, token, me, sessionId, countText, batchText, generated] = process.argv.slice(2);
const [count, batch] = [Number(countText), Number(batchText)];
const load = (file) => import(pathToFileURL(path.join(generated, file)));
const { EventService } = await load("muster/events/v1/events_pb.js");
const { SessionService } = await load("muster/game/v1/session_pb.js");

// Broken connections, and replicas that cannot do it now.
const LOST = [Code.Unavailable, Code.Unknown, Code.Internal, Code.Canceled, Code.Aborted, Code.ResourceExhausted];
const PAUSE_MS = 50;

const transport = createGrpcWebTransport({ baseUrl });
const events = createClient(EventService, transport);
const headers = { authorization: `Bearer ${token}` };
const topic = `session/${sessionId}`;
const text = { encode: (value) => new TextEncoder().encode(value), decode: (bytes) => new TextDecoder().decode(bytes) };

const joined = await createClient(SessionService, transport).joinSession({ sessionId }, { headers });
console.log("joined");

let cursor = joined.cursor;
let order = "";
const heard = { mine: 0, theirs: 0 };
const waiting = [];

await Promise.all([follow(), answer()]);
console.log(`order: ${order}`);
process.exit(0); // whatever the connections still do

// Follows the session over as many streams as it takes.
async function follow() {
  while (!isComplete()) {
    try {
      for await (const { message } of events.subscribe({ subscriptions: [{ topic, cursor }] }, { headers })) {
        hear(message);
        if (isComplete()) return;
      }
    } catch (error) {
      assertLost(error);
      await pause(PAUSE_MS);
    }
  }
}

function hear(message) {
  assert.ok(message.case !== "gap" && message.case !== "topicClosed", `events are lost: ${message.case}`);
  if (message.case !== "event") return;
  cursor = message.value.cursor;
  if (message.value.payload.case !== "gameEvent") return;
  const whose = message.value.playerId === me ? "mine" : "theirs";
  const number = Number(text.decode(message.value.payload.value.data));
  assert.equal(number, heard[whose], `lost, doubled or out of order: ${whose}`);
  heard[whose] += 1;
  order += whose[0];
  waiting.splice(0).forEach((wake) => wake());
}

// One batch for each that the other one has published.
async function answer() {
  for (let first = 0; first < count; first += batch) {
    while (heard.theirs < first + batch) await new Promise((wake) => waiting.push(wake));
    const numbers = Array.from({ length: batch }, (_, index) => first + index);
    await publish(numbers.map((number) => ({
      eventId: crypto.randomUUID(),
      event: { name: "move", data: text.encode(`${number}`) },
    })));
  }
}

async function publish(batchOfEvents) {
  for (;;) {
    try {
      await events.publish({ sessionId, events: batchOfEvents }, { headers });
      return;
    } catch (error) {
      assertLost(error);
      await pause(PAUSE_MS);
    }
  }
}

function isComplete() {
  return heard.mine === count && heard.theirs === count;
}

function assertLost(error) {
  if (error instanceof assert.AssertionError) throw error;
  const { code, message } = ConnectError.from(error);
  assert.ok(LOST.includes(code), `${Code[code]}: ${message}`);
}
