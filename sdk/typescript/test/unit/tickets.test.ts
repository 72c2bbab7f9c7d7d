import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";

import {
  CancelTicketResponseSchema,
  CreateTicketRequestSchema,
  type CreateTicketRequest,
  GetActiveMatchResponseSchema,
  GetTicketResponseSchema,
  MatchSchema,
  MatchmakingService,
  Region,
  type Ticket,
  TicketSchema,
  TicketStatus,
} from "../../src/api.js";
import { isMusterError, type Muster, topics } from "../../src/index.js";
import { FakeServer, PLAYER_ID, refusal } from "./fake_server.js";
import { settled, until } from "./manual_time.js";

const MATCH = create(MatchSchema, { matchId: "m", sessionId: "s", sessionCursor: "c" });
const QUEUED = create(TicketSchema, { ticketId: "t", status: TicketStatus.QUEUED });

describe("a ticket", () => {
  let server: FakeServer;
  let muster: Muster;
  let request: CreateTicketRequest;
  /** The ticket as the server has it; undefined if it has forgotten it. */
  let ticket: Ticket | undefined;
  let cursor: number;
  let polls: number;
  let active: MessageInitShape<typeof GetActiveMatchResponseSchema>;

  beforeEach(async () => {
    server = new FakeServer();
    request = create(CreateTicketRequestSchema);
    ticket = QUEUED;
    [polls, cursor, active] = [0, 0, {}];
    const current = () => {
      if (!ticket) throw refusal(Code.NotFound, "TICKET_NOT_FOUND");
      return { ticket };
    };
    muster = server.client({}, ({ service }) =>
      service(MatchmakingService, {
        createTicket: (message) => {
          request = message;
          return current();
        },
        getTicket: () => {
          polls += 1;
          return create(GetTicketResponseSchema, current());
        },
        cancelTicket: () => {
          ticket = { ...QUEUED, status: TicketStatus.CANCELLED };
          return create(CancelTicketResponseSchema, current());
        },
        getActiveMatch: () => create(GetActiveMatchResponseSchema, active),
      }),
    );
    await muster.auth.signInAsGuest();
  });

  async function search() {
    const found = await muster.tickets.create({ gameId: "g", queueKey: "q" });
    await until("the player's topic", () => server.streams.length === 1);
    server.newestStream.follow();
    await settled();
    return found;
  }

  const tell = (payload: { case: "matchFound" | "ticketChanged"; value: object }) => {
    cursor += 1;
    server.newestStream.send({
      case: "event",
      value: { topic: topics.player(PLAYER_ID), cursor: `${cursor}`, payload },
    });
  };

  test("says what the queue needs", async () => {
    await muster.tickets.create({
      gameId: "g",
      queueKey: "q",
      latencies: [{ region: Region.EU_WEST, latencyMs: 30.5 }],
      properties: { level: 3n },
    });
    const [player] = request.players;
    assert.equal(player!.latencies[0]!.latency!.nanos, 30_500_000);
    assert.equal(player!.properties["level"]!.kind.value, 3n);
    assert.match(request.ticketId, /^[0-9a-f-]{36}$/);
  });

  test("ends with the match that the player's topic tells", async () => {
    const found = await search();
    tell({ case: "matchFound", value: { ticketId: "another", match: MATCH } });
    tell({ case: "matchFound", value: { ticketId: "t", match: MATCH } });
    const ended = await found.ended;
    assert.equal(ended.status, TicketStatus.MATCHED);
    assert.equal(ended.match?.sessionId, "s");
    await settled();
    assert.ok(server.newestStream.isClosed);
    assert.equal(server.time.waiting, 0);
  });

  test("ends without one when the topic says so", async () => {
    const found = await search();
    tell({ case: "ticketChanged", value: { ticket: { ticketId: "t", status: TicketStatus.EXPIRED } } });
    assert.equal((await found.ended).status, TicketStatus.EXPIRED);
  });

  test("is asked for all along, which brings the estimates and what the topic has missed", async () => {
    const found = await search();
    const waits: (bigint | undefined)[] = [];
    found.ticket.observe(({ estimatedWait }) => waits.push(estimatedWait?.seconds));
    assert.equal(polls, 1);
    ticket = { ...QUEUED, estimatedWait: durationFromMs(7_000) };
    await server.time.advance(8_000);
    assert.equal(polls, 3);
    ticket = { ...QUEUED, status: TicketStatus.MATCHED, match: MATCH };
    await server.time.advance(4_000);
    assert.equal((await found.ended).match?.sessionId, "s");
    assert.deepEqual(waits.slice(0, 2), [undefined, 7n]);
  });

  test("that nobody knows any more is lost", async () => {
    const found = await search();
    ticket = undefined;
    await server.time.advance(4_000);
    assert.equal((await found.ended).status, TicketStatus.LOST);
  });

  test("is cancelled, or left alone", async () => {
    const cancelled = await search();
    assert.equal((await cancelled.cancel()).status, TicketStatus.CANCELLED);
    assert.equal((await cancelled.ended).status, TicketStatus.CANCELLED);
    ticket = QUEUED;
    const left = await muster.tickets.create({ gameId: "g", queueKey: "q" });
    left.stop();
    await assert.rejects(left.ended, (error) => isMusterError(error, "CANCELLED"));
  });

  test("is followed no more when the player signs out, or the client is closed", async () => {
    const found = await search();
    const other = await muster.tickets.create({ gameId: "g", queueKey: "q" });
    await muster.auth.signOut();
    await assert.rejects(found.ended, (error) => isMusterError(error, "NOT_SIGNED_IN"));
    await assert.rejects(other.ended, (error) => isMusterError(error, "NOT_SIGNED_IN"));
    await muster.auth.signInAsGuest();
    const last = await muster.tickets.create({ gameId: "g", queueKey: "q" });
    muster.close();
    await assert.rejects(last.ended, (error) => isMusterError(error, "CLOSED"));
    await settled();
    assert.equal(server.time.waiting, 0);
  });

  test("that is matched at once needs no stream", async () => {
    ticket = { ...QUEUED, status: TicketStatus.MATCHED, match: MATCH };
    const found = await muster.tickets.create({ gameId: "g", queueKey: "q" });
    assert.ok((await found.ended).match);
    await settled();
    assert.equal(server.streams.length, 0);
  });

  test("or its match is found again after a reload", async () => {
    assert.equal(await muster.tickets.active("g"), undefined);
    active = { active: { case: "match", value: MATCH } };
    assert.equal((await muster.tickets.active("g"))?.match?.sessionId, "s");
    active = { active: { case: "ticket", value: QUEUED } };
    const again = await muster.tickets.active("g");
    assert.equal(again?.search?.ticket.value.ticketId, "t");
  });
});
