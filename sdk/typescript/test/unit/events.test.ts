import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";

import { GoAwayReason, TopicCloseReason } from "../../src/api.js";
import { isMusterError, type Muster, type Page, type PageEvent, type TopicHandlers } from "../../src/index.js";
import { broken, FakeServer, refusal, TOKEN_LIFETIME_MS } from "./fake_server.js";
import { settled, until } from "./manual_time.js";

describe("events", () => {
  let server: FakeServer;
  let muster: Muster;
  /** What subscribers have heard: names of events, "gap", "closed". */
  let heard: string[];
  let errors: unknown[];
  let tellPage: (event: PageEvent) => void;

  beforeEach(async () => {
    server = new FakeServer();
    [heard, errors] = [[], []];
    const page: Page = {
      isOnline: () => true,
      observe(listener) {
        tellPage = listener;
        return () => {};
      },
    };
    muster = server.client({ page, onError: (error) => errors.push(error) });
    await muster.auth.signInAsGuest();
  });

  const handlers = (who = ""): TopicHandlers => ({
    on: { gameEvent: ({ name }) => void heard.push(who + name) },
    gap: ({ cursor }) => void heard.push(`${who}gap ${cursor}`),
    closed: (why) => void heard.push(`${who}closed ${typeof why === "number" ? TopicCloseReason[why] : why.reason}`),
  });

  const streams = (count: number) => until(`${count} streams`, () => server.streams.length >= count);
  const stream = (number: number) => server.streams[number - 1]!;

  /** Follows topics and makes the server say that it does. */
  async function follow(...names: string[]) {
    const subscriptions = names.map((name) => muster.events.subscribe(name, handlers()));
    const count = server.streams.length + 1;
    await streams(count);
    stream(count).follow();
    await Promise.all(subscriptions.map(({ ready }) => ready));
    return subscriptions;
  }

  test("of topics that are asked for in one go come on one stream", async () => {
    const [a, b] = await follow("a", "b");
    assert.equal(server.streams.length, 1);
    assert.deepEqual(stream(1).cursors, { a: "", b: "" });
    assert.equal(a!.cursor, "start");
    stream(1).event("a", "a1");
    stream(1).event("b", "b1");
    await settled();
    assert.deepEqual(heard, ["a1", "b1"]);
    assert.equal(b!.cursor, "b1");
    assert.equal(muster.connection.value, "online");
  });

  test("go on from the last cursors after a loss", async () => {
    await follow("a", "b");
    stream(1).event("a", "a1");
    stream(1).event("a", "a2");
    await settled();
    stream(1).fail(broken());
    await settled();
    assert.equal(muster.connection.value, "connecting");
    await server.time.advance(250);
    assert.deepEqual(stream(2).cursors, { a: "a2", b: "start" });
    stream(2).follow();
    stream(2).event("a", "a3");
    await settled();
    assert.deepEqual(heard, ["a1", "a2", "a3"]);
    assert.equal(muster.connection.value, "online");
  });

  test("are asked for again after growing waits while the server is away", async () => {
    await follow("a");
    const times: number[] = [];
    stream(1).fail(broken());
    for (let number = 2; number <= 8; number += 1) {
      await server.time.advance(0);
      while (server.streams.length < number) await server.time.advance(10);
      times.push(server.time.monotonicMs());
      stream(number).fail(broken());
    }
    const waits = times.slice(1).map((time, index) => time - times[index]!);
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    assert.equal(muster.connection.value, "offline");
  });

  test("of a silent stream are asked for again, after sleep at once", async () => {
    await follow("a");
    await server.time.advance(37_000);
    stream(1).send({ case: "heartbeat", value: {} });
    await server.time.advance(37_000);
    assert.equal(server.streams.length, 1);
    await server.time.advance(1_000);
    await streams(2);
    assert.ok(stream(1).isClosed);
    stream(2).follow();
    await settled();

    server.time.sleep(20_000);
    tellPage("visible");
    await streams(3);
    tellPage("visible");
    await settled();
    assert.equal(server.streams.length, 3);
  });

  test("come over another network at once", async () => {
    await follow("a");
    tellPage("online");
    await streams(2);
    stream(2).follow();
    await settled();
    assert.ok(stream(1).isClosed);
  });

  test("go on elsewhere when the server drains, after the wait that it asks for", async () => {
    await follow("a");
    stream(1).event("a", "a1");
    const retryDelay = durationFromMs(1_700);
    stream(1).send({ case: "goAway", value: { reason: GoAwayReason.DRAIN, retryDelay } });
    stream(1).end();
    await server.time.advance(1_600);
    assert.equal(server.streams.length, 1);
    await server.time.advance(100);
    assert.deepEqual(stream(2).cursors, { a: "a1" });
  });

  test("of another topic need a new stream, and the old one lasts until it is there", async () => {
    await follow("a");
    stream(1).event("a", "a1");
    await settled();
    const b = muster.events.subscribe("b", handlers());
    await streams(2);
    assert.deepEqual(stream(2).cursors, { a: "a1", b: "" });
    // Both streams bring what happens until the new one follows everything.
    stream(1).event("a", "a2");
    stream(2).follow("a");
    await settled();
    stream(2).event("a", "a2");
    stream(2).event("a", "a3");
    await settled();
    stream(1).event("a", "a3");
    await settled();
    assert.ok(!stream(1).isClosed);
    stream(2).follow("b");
    await b.ready;
    assert.ok(stream(1).isClosed);
    stream(2).event("a", "a4");
    stream(2).event("b", "b1");
    await settled();
    assert.deepEqual(heard, ["a1", "a2", "a3", "a4", "b1"]);
  });

  test("that are unretained come from one of two streams", async () => {
    await follow("a");
    const b = muster.events.subscribe("b", handlers());
    await streams(2);
    const both = (name: string, eventId = "") =>
      [1, 2].forEach((number) => stream(number).event("a", "", { name, eventId }));
    stream(1).event("a", "", { name: "before" });
    await settled();
    stream(2).follow("a");
    await settled();
    both("between");
    await settled();
    stream(2).follow("b");
    await b.ready;
    stream(2).event("a", "", { name: "after", eventId: "1" });
    stream(2).event("a", "", { name: "after", eventId: "1" });
    await settled();
    assert.deepEqual(heard, ["before", "between", "after"]);
  });

  test("of a topic that nobody follows any more are not asked for", async () => {
    const [a, b] = await follow("a", "b");
    a!.unsubscribe();
    await streams(2);
    assert.deepEqual(stream(2).cursors, { b: "start" });
    stream(2).follow();
    await settled();
    assert.ok(stream(1).isClosed);
    b!.unsubscribe();
    await settled();
    assert.ok(stream(2).isClosed);
    assert.equal(server.streams.length, 2);
    assert.equal(server.time.waiting, 0);
  });

  test("that are missing are told as a gap, and go on behind it", async () => {
    await follow("a");
    stream(1).event("a", "a1");
    await settled();
    stream(1).fail(broken());
    await server.time.advance(250);
    stream(2).follow();
    stream(2).send({ case: "gap", value: { topic: "a", cursor: "a7", session: { entitiesComplete: true } } });
    stream(2).event("a", "a8");
    await settled();
    stream(2).fail(broken());
    await server.time.advance(250);
    assert.deepEqual(stream(3).cursors, { a: "a8" });
    assert.deepEqual(heard, ["a1", "gap a7", "a8"]);
  });

  test("of a topic that is refused end for it alone", async () => {
    const [a] = await follow("a");
    const refused = muster.events.subscribe("secret", handlers());
    await streams(2);
    stream(2).fail(refusal(Code.PermissionDenied, "TOPIC_NOT_ALLOWED", { metadata: { topic: "secret" } }));
    await assert.rejects(refused.ready, (error) => isMusterError(error, "TOPIC_NOT_ALLOWED"));
    await streams(3);
    assert.deepEqual(stream(3).cursors, { a: a!.cursor });
    assert.ok(!stream(1).isClosed);
    assert.deepEqual(heard, ["closed TOPIC_NOT_ALLOWED"]);
  });

  test("of a topic that is over end without another stream", async () => {
    await follow("a", "b");
    stream(1).send({ case: "topicClosed", value: { topic: "a", reason: TopicCloseReason.ENDED } });
    await settled();
    assert.deepEqual(heard, ["closed ENDED"]);
    assert.equal(server.streams.length, 1);
    stream(1).send({ case: "topicClosed", value: { topic: "b", reason: TopicCloseReason.NOT_ALLOWED } });
    await settled();
    assert.ok(stream(1).isClosed);
  });

  test("come on a stream with a new token before the old one expires", async () => {
    const expiryMs = server.time.wallMs() + TOKEN_LIFETIME_MS;
    await follow("a");
    while (server.refreshes.length === 0) {
      stream(1).send({ case: "heartbeat", value: {} });
      await server.time.advance(10_000);
      assert.ok(server.time.wallMs() < expiryMs);
    }
    await streams(2);
    assert.equal(stream(1).token, "access-1");
    assert.equal(stream(2).token, "access-2");
    assert.ok(!stream(1).isClosed);
    stream(2).follow();
    await settled();
    assert.ok(stream(1).isClosed);
    assert.deepEqual(server.refreshes, ["refresh-1"]);
  });

  test("go on with another token when the server calls theirs expired", async () => {
    await follow("a");
    stream(1).fail(refusal(Code.Unauthenticated, "TOKEN_EXPIRED"));
    await settled();
    await server.time.advance(250);
    assert.equal(stream(2).token, "access-2");
    assert.deepEqual(server.refreshes, ["refresh-1"]);
  });

  test("end when the player signs out", async () => {
    await follow("a");
    await muster.auth.signOut();
    await settled();
    assert.deepEqual(heard, ["closed NOT_SIGNED_IN"]);
    assert.ok(stream(1).isClosed);
    const nobody = muster.events.subscribe("a", {});
    await assert.rejects(nobody.ready, (error) => isMusterError(error, "NOT_SIGNED_IN"));
  });

  test("end for good when the token is revoked", async () => {
    await follow("a");
    stream(1).fail(refusal(Code.Unauthenticated, "TOKEN_REVOKED"));
    await settled();
    assert.equal(muster.auth.user.value, undefined);
    assert.deepEqual(heard, ["closed NOT_SIGNED_IN"]);
  });

  test("give way to themselves when there are too many streams", async () => {
    await follow("a");
    muster.events.subscribe("b", handlers());
    await streams(2);
    stream(2).fail(refusal(Code.ResourceExhausted, "TOO_MANY_STREAMS"));
    await settled();
    assert.ok(stream(1).isClosed);
    await server.time.advance(250);
    assert.deepEqual(stream(3).cursors, { a: "start", b: "" });
  });

  test("reach all subscribers of a topic, whatever one of them throws", async () => {
    await follow("a");
    const failing = muster.events.subscribe("a", {
      event: () => {
        throw new Error("mine");
      },
    });
    muster.events.subscribe("a", handlers("second "));
    await failing.ready;
    assert.equal(server.streams.length, 1);
    stream(1).event("a", "a1");
    await settled();
    assert.deepEqual(heard, ["a1", "second a1"]);
    assert.equal((errors[0] as Error).message, "mine");
  });

  test("come in order to one who joins with an older cursor", async () => {
    await follow("a");
    for (const cursor of ["a1", "a2", "a3"]) stream(1).event("a", cursor);
    await settled();
    const late = muster.events.subscribe("a", handlers("late "), { cursor: "a1" });
    await streams(2);
    assert.ok(stream(1).isClosed);
    assert.deepEqual(stream(2).cursors, { a: "a1" });
    stream(2).follow();
    for (const cursor of ["a2", "a3", "a4"]) stream(2).event("a", cursor);
    await late.ready;
    await settled();
    assert.deepEqual(heard, ["a1", "a2", "a3", "late a2", "late a3", "a4", "late a4"]);
  });

  test("end with the client", async () => {
    await follow("a");
    muster.close();
    await settled();
    assert.ok(stream(1).isClosed);
    assert.equal(server.time.waiting, 0);
    assert.throws(
      () => muster.events.subscribe("a", {}),
      (error) => isMusterError(error, "CLOSED"),
    );
  });
});
