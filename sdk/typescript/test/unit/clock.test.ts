import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import { ClockService, GetTimeResponseSchema } from "../../src/api.js";
import { isMusterError, type Muster } from "../../src/index.js";
import { FakeServer, refusal } from "./fake_server.js";
import { settled } from "./manual_time.js";

/** The server's clock is so far ahead of the device's, ms. */
const AHEAD_MS = 12_345.25;

describe("the clock", () => {
  let server: FakeServer;
  let muster: Muster;
  /** How long requests and answers take, ms, one after the other. */
  let ways: [request: number, answer: number][];
  let samples: number;
  let aheadMs: number;

  beforeEach(async () => {
    server = new FakeServer();
    [ways, samples, aheadMs] = [[], 0, AHEAD_MS];
    muster = server.client({}, ({ service }) =>
      service(ClockService, {
        getTime: () => {
          const [request, answer] = ways[samples % ways.length] ?? [0, 0];
          samples += 1;
          if (request === Infinity) throw refusal(Code.Internal, "INTERNAL");
          server.time.sleep(request);
          const now = timestamp(server.time.wallMs() + aheadMs);
          server.time.sleep(answer);
          return create(GetTimeResponseSchema, { receiveTime: now, sendTime: now });
        },
      }),
    );
    await muster.auth.signInAsGuest();
  });

  async function synchronize() {
    const estimate = muster.clock.synchronize();
    await server.time.advance(10_000);
    return estimate;
  }

  test("is the device's before it is estimated", () => {
    assert.equal(muster.clock.serverNow(), server.time.wallMs());
    assert.equal(muster.clock.estimate, undefined);
  });

  test("is that of the sample with the shortest round trip", async () => {
    ways = [
      [400, 0],
      [30, 90],
      [10, 14],
      [0, 300],
    ];
    const estimate = await synchronize();
    assert.equal(samples, 8);
    assert.equal(estimate.roundTripMs, 24);
    assert.equal(estimate.errorMs, 12);
    assert.ok(Math.abs(estimate.offsetMs - AHEAD_MS) <= estimate.errorMs);
    assert.ok(Math.abs(muster.clock.serverNow() - server.time.wallMs() - AHEAD_MS) <= estimate.errorMs);
  });

  test("goes on evenly when the device's clock is set", async () => {
    await synchronize();
    const before = muster.clock.serverNow();
    server.time.monotonicLagMs += 3_600_000;
    server.time.sleep(3_600_000); // only the wall's clock has moved
    assert.ok(Math.abs(muster.clock.serverNow() - before) < 0.01);
  });

  test("is estimated with what samples there are", async () => {
    ways = [
      [Infinity, 0],
      [20, 20],
    ];
    assert.equal((await synchronize()).roundTripMs, 40);
    ways = [[Infinity, 0]];
    const failed = assert.rejects(muster.clock.synchronize(), (error) => isMusterError(error, "INTERNAL"));
    await server.time.advance(10_000);
    await failed;
    assert.equal(muster.clock.estimate?.roundTripMs, 40);
  });

  test("is estimated anew after five minutes of use, and after sleep", async () => {
    await synchronize();
    muster.clock.serverNow();
    await settled();
    assert.equal(samples, 8);
    await server.time.advance(5 * 60_000);
    assert.equal(samples, 8, "nobody has asked");
    aheadMs += 500;
    muster.clock.serverNow();
    muster.clock.serverNow();
    await server.time.advance(10_000);
    assert.equal(samples, 16);
    assert.ok(Math.abs(muster.clock.serverNow() - server.time.wallMs() - aheadMs) < 0.01);
    server.time.monotonicLagMs += 60_000; // it stood still
    server.time.sleep(60_000);
    muster.clock.serverNow();
    await server.time.advance(10_000);
    assert.equal(samples, 24);
  });
});

function timestamp(ms: number) {
  const seconds = Math.floor(ms / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1_000) * 1e6) };
}
