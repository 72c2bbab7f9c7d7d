import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { Code, type HandlerContext } from "@connectrpc/connect";

import {
  CatalogService,
  type CreateSessionRequest,
  CreateSessionRequestSchema,
  CreateSessionResponseSchema,
  EntityService,
  EventService,
  FindGameResponseSchema,
  LeaderboardService,
  SessionService,
  UpdateEntityResponseSchema,
} from "../../src/api.js";
import { isMusterError, type Muster } from "../../src/index.js";
import { bearer, broken, FakeServer, refusal } from "./fake_server.js";
import { settled } from "./manual_time.js";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("a call", () => {
  let server: FakeServer;
  let muster: Muster;
  /** What the next calls fail with, one after the other. */
  let failures: Error[];
  /** When the calls came, ms after the first. */
  let times: number[];
  let sessions: CreateSessionRequest[];
  let context: HandlerContext;

  beforeEach(async () => {
    server = new FakeServer();
    [failures, times, sessions] = [[], [], []];
    const handle = (handlerContext: HandlerContext) => {
      context = handlerContext;
      times.push(server.time.monotonicMs());
      const failure = failures.shift();
      if (failure) throw failure;
    };
    muster = server.client({}, ({ service }) => {
      service(CatalogService, {
        findGame: (_, handlerContext) => {
          handle(handlerContext);
          return create(FindGameResponseSchema);
        },
      });
      service(SessionService, {
        createSession: (request, handlerContext) => {
          sessions.push(request);
          handle(handlerContext);
          return create(CreateSessionResponseSchema);
        },
      });
      service(EntityService, {
        updateEntity: (_, handlerContext) => {
          handle(handlerContext);
          return create(UpdateEntityResponseSchema);
        },
      });
    });
    await muster.auth.signInAsGuest();
  });

  const findGame = (options?: { signal?: AbortSignal; timeoutMs?: number; headers?: Record<string, string> }) =>
    muster.client(CatalogService).findGame({ key: "duel" }, options);

  test("that only reads is tried again, after growing waits", async () => {
    failures = [
      broken(),
      refusal(Code.Unavailable, "SERVER_DRAINING"),
      broken(),
      broken(),
      broken(),
      broken(),
      broken(),
    ];
    const call = findGame();
    await server.time.advance(20_000);
    await call;
    const waits = times.slice(1).map((time, index) => Math.round(time - times[index]!));
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
  });

  test("that writes is tried again with the id that was made for it", async () => {
    failures = [broken(), broken()];
    const call = muster.client(SessionService).createSession({ gameId: "g" });
    await server.time.advance(1_000);
    await call;
    assert.equal(sessions.length, 3);
    assert.match(sessions[0]!.sessionId, UUID_V7);
    assert.equal(new Set(sessions.map(({ sessionId }) => sessionId)).size, 1);
  });

  test("keeps the id that the caller has given, and leaves the caller's message as it is", async () => {
    const client = muster.client(SessionService);
    await client.createSession({ sessionId: "mine" });
    assert.equal(sessions[0]?.sessionId, "mine");
    const message = create(CreateSessionRequestSchema, { gameId: "g" });
    await client.createSession(message);
    assert.match(sessions[1]!.sessionId, UUID_V7);
    assert.equal(message.sessionId, "");
  });

  test("that cannot be told from its repetition is sent once", async () => {
    failures = [broken()];
    const call = muster.client(EntityService).updateEntity({ sessionId: "s", entityId: "e" });
    await assert.rejects(call, (error) => isMusterError(error, "CONNECTION_LOST"));
    assert.equal(times.length, 1);
  });

  test("that is refused is not tried again", async () => {
    for (const code of [Code.NotFound, Code.Internal, Code.ResourceExhausted, Code.Aborted, Code.PermissionDenied]) {
      failures = [refusal(code, "SOMETHING")];
      await assert.rejects(findGame(), (error) => isMusterError(error, "SOMETHING"));
    }
    assert.equal(times.length, 5);
  });

  test("waits as long as the server says", async () => {
    failures = [refusal(Code.Unavailable, "STORE_UNAVAILABLE", { retryAfterMs: 3_000 })];
    const call = findGame();
    await server.time.advance(2_900);
    assert.equal(times.length, 1);
    await server.time.advance(200);
    await call;
    assert.equal(times.length, 2);
  });

  test("ends with its last error when there is no time for another attempt", async () => {
    failures = Array.from({ length: 100 }, broken);
    const rejected = assert.rejects(findGame({ timeoutMs: 1_000 }), (error) => isMusterError(error, "CONNECTION_LOST"));
    await server.time.advance(1_000);
    await rejected;
    assert.equal(times.length, 4); // 0, 100, 300, 700 ms
  });

  test("tells the server its deadline", async () => {
    await findGame({ timeoutMs: 1_234 });
    assert.ok(context.timeoutMs()! <= 1_234);
  });

  test("that the caller cancels ends at once", async () => {
    failures = Array.from({ length: 100 }, broken);
    const controller = new AbortController();
    const rejected = assert.rejects(findGame({ signal: controller.signal }), (error) =>
      isMusterError(error, "CANCELLED"),
    );
    await settled();
    controller.abort();
    await rejected;
  });

  test("with a token of its own is left alone", async () => {
    failures = [refusal(Code.Unauthenticated, "TOKEN_EXPIRED")];
    const call = findGame({ headers: { authorization: "Bearer mine" } });
    await assert.rejects(call, (error) => isMusterError(error, "TOKEN_EXPIRED"));
    assert.equal(bearer(context), "mine");
    assert.deepEqual(server.refreshes, []);
  });

  test("without a player is not sent", async () => {
    const nobody = server.client();
    await assert.rejects(nobody.client(CatalogService).findGame({}), (error) => isMusterError(error, "NOT_SIGNED_IN"));
  });

  test("gets an id for each score and each retained event", async () => {
    const scores: string[] = [];
    const client = server.client({}, ({ service }) =>
      service(LeaderboardService, {
        batchSubmitScores: (request) => {
          scores.push(...request.scores.map(({ submissionId }) => submissionId));
          return {};
        },
      }),
    );
    await client.auth.signInAsGuest();
    await client.client(LeaderboardService).batchSubmitScores({ scores: [{ value: 1n }, { value: 2n }] });
    await client
      .client(EventService)
      .publish({ sessionId: "s", events: [{ event: { name: "a" } }, { event: { name: "b" } }] });
    const ids = [...scores, ...server.publications[0]!.events.map(({ eventId }) => eventId)];
    assert.equal(new Set(ids).size, 4);
    for (const id of ids) assert.match(id, UUID_V7);
  });

  test("with an unretained event is sent once", async () => {
    server.before = () => {
      throw broken();
    };
    const call = muster.client(EventService).publish({ sessionId: "s", events: [{ unretained: true }] });
    await assert.rejects(call, (error) => isMusterError(error, "CONNECTION_LOST"));
    assert.equal(server.publications.length, 1);
  });
});
