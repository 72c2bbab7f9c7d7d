import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { Code } from "@connectrpc/connect";

import { fromAttributes, isMusterError, type Muster } from "../../src/index.js";
import { broken, FakeServer, refusal } from "./fake_server.js";
import { settled, until } from "./manual_time.js";

describe("publishing", () => {
  let server: FakeServer;
  let muster: Muster;
  let errors: unknown[];

  beforeEach(async () => {
    server = new FakeServer();
    errors = [];
    muster = server.client({ onError: (error) => errors.push(error) });
    await muster.auth.signInAsGuest();
  });

  const names = () => server.publications.map(({ events }) => events.map(({ event }) => event?.name));

  test("says who hears what", async () => {
    const data = new Uint8Array([1]);
    await muster.events.publish("s", [
      { name: "to all", attributes: { x: 1.5, n: 2n, ok: true, text: "t" } },
      { name: "to one", to: { playerId: "p" }, data },
      { name: "to a team", to: { team: "red" }, eventId: "mine" },
    ]);
    const [all, one, team] = server.publications[0]!.events;
    assert.deepEqual(fromAttributes(all!.event!.attributes), { x: 1.5, n: 2n, ok: true, text: "t" });
    assert.equal(all!.event!.audience.case, undefined);
    assert.deepEqual(one!.event!.audience, { case: "toPlayerId", value: "p" });
    assert.deepEqual(one!.event!.data, data);
    assert.deepEqual(team!.event!.audience, { case: "team", value: "red" });
    assert.equal(team!.eventId, "mine");
  });

  test("keeps the order of calls, and the ids through repetitions", async () => {
    let failures = 2;
    server.before = (method) => {
      if (method === "publish" && failures-- > 0) throw broken();
    };
    const calls = ["one", "two", "three"].map((name) => muster.events.publish("s", { name }));
    await server.time.advance(1_000);
    const answers = await Promise.all(calls);
    assert.deepEqual(names(), [["one"], ["one"], ["one"], ["two"], ["three"]]);
    const ids = server.publications.map(({ events }) => events[0]!.eventId);
    assert.equal(new Set(ids).size, 3);
    assert.deepEqual(
      answers.map(([event]) => event?.eventId),
      ids.slice(2),
    );
  });

  test("goes on after a refusal", async () => {
    let isFirst = true;
    server.before = (method) => {
      if (method !== "publish" || !isFirst) return;
      isFirst = false;
      throw refusal(Code.InvalidArgument, "EVENT_TOO_LARGE");
    };
    const large = muster.events.publish("s", { name: "large" });
    const small = muster.events.publish("s", { name: "small" });
    await assert.rejects(large, (error) => isMusterError(error, "EVENT_TOO_LARGE"));
    await small;
  });

  test("sends together what waits, and of much the newest", async () => {
    let proceed = () => {};
    server.before = (method) => {
      const isFirst = method === "publish" && server.publications.length === 1;
      return isFirst ? new Promise((resolve) => (proceed = resolve)) : undefined;
    };
    muster.events.send("s", { name: "a" });
    muster.events.send("s", { name: "b" });
    await until("the first call", () => server.publications.length === 1);
    for (let number = 0; number < 150; number += 1) muster.events.send("s", { name: `${number}` });
    proceed();
    await until("the second call", () => server.publications.length === 2);
    await settled();
    const newest = Array.from({ length: 100 }, (_, index) => `${index + 50}`);
    assert.deepEqual(names(), [["a", "b"], newest]);
    assert.ok(server.publications.every(({ events }) => events.every(({ unretained }) => unretained)));
  });

  test("reports what is refused of the sent, and not what is lost", async () => {
    server.before = (method) => {
      if (method === "publish") throw broken();
    };
    muster.events.send("s", { name: "lost" });
    await settled();
    assert.deepEqual(errors, []);
    server.before = (method) => {
      if (method === "publish") throw refusal(Code.PermissionDenied, "NOT_IN_SESSION");
    };
    muster.events.send("s", { name: "refused" });
    await settled();
    assert.equal(errors.length, 1);
    assert.ok(isMusterError(errors[0], "NOT_IN_SESSION"));
    assert.equal(server.publications.length, 2);
  });
});
