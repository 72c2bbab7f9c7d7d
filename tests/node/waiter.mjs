// A player on a web page who waits for a match: gRPC-Web by connect-web. Says the session that they have a seat in.
//
// node waiter.mjs BASE_URL TOKEN GAME_ID QUEUE_KEY FOLDER_OF_GENERATED_CODE

import assert from "node:assert/strict";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

const [baseUrl, token, gameId, queueKey, generated] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(path.join(generated, file)));
const { MatchmakingService, TicketStatus } = await load("muster/matchmaking/v1/matchmaking_pb.js");

const matchmaking = createClient(MatchmakingService, createGrpcWebTransport({ baseUrl }));
const headers = { authorization: `Bearer ${token}` };

const { ticket } = await matchmaking.createTicket({ gameId, queueKey }, { headers });
let last = ticket;
for await (const { message } of matchmaking.watchTicket({ ticketId: ticket.ticketId }, { headers })) {
  if (message.case === "ticket") last = message.value;
}
assert.equal(last.status, TicketStatus.MATCHED);
console.log(`matched: ${last.match.sessionId}`);
process.exit(0); // whatever the connection still does
