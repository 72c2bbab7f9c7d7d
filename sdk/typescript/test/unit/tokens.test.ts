import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { Code, type ConnectRouter } from "@connectrpc/connect";

import { GetProfileResponseSchema, PlayerService } from "../../src/api.js";
import { isMusterError, memoryStorage, type Muster, type MusterOptions } from "../../src/index.js";
import { bearer, broken, FakeServer, refusal, TOKEN_LIFETIME_MS } from "./fake_server.js";
import { until } from "./manual_time.js";

const ALMOST_A_LIFETIME_MS = TOKEN_LIFETIME_MS - 30_000;

describe("tokens", () => {
  let server: FakeServer;
  /** The tokens that calls came with. */
  let calls: string[];
  let accepted: (token: string) => boolean;

  beforeEach(() => {
    server = new FakeServer();
    calls = [];
    accepted = () => true;
  });

  async function signedIn(options: Partial<MusterOptions> = {}): Promise<Muster> {
    const muster = server.client(options, ({ service }: ConnectRouter) =>
      service(PlayerService, {
        getProfile: (_, context) => {
          calls.push(bearer(context));
          if (!accepted(bearer(context))) throw refusal(Code.Unauthenticated, "TOKEN_EXPIRED");
          return create(GetProfileResponseSchema);
        },
      }),
    );
    await muster.auth.signInAsGuest();
    return muster;
  }

  const getProfile = (muster: Muster) => muster.client(PlayerService).getProfile({});

  test("are refreshed before they expire, once for many calls", async () => {
    const muster = await signedIn();
    await getProfile(muster);
    await server.time.advance(ALMOST_A_LIFETIME_MS);
    await Promise.all(Array.from({ length: 50 }, () => getProfile(muster)));
    assert.deepEqual(server.refreshes, ["refresh-1"]);
    assert.deepEqual(calls, ["access-1", ...Array<string>(50).fill("access-2")]);
  });

  test("that the server calls expired are refreshed, and the calls repeated, once", async () => {
    const muster = await signedIn();
    accepted = (token) => token !== "access-1";
    await Promise.all(Array.from({ length: 20 }, () => getProfile(muster)));
    assert.deepEqual(server.refreshes, ["refresh-1"]);
    assert.equal(calls.filter((token) => token === "access-2").length, 20);
  });

  test("that are refused again end the call", async () => {
    const muster = await signedIn();
    accepted = () => false;
    await assert.rejects(getProfile(muster), (error) => isMusterError(error, "TOKEN_EXPIRED"));
    assert.deepEqual(calls, ["access-1", "access-2"]);
  });

  test("are asked for again with the same old token when the answer is lost", async () => {
    const muster = await signedIn();
    await server.time.advance(ALMOST_A_LIFETIME_MS);
    let failures = 2;
    server.before = (method) => {
      if (method === "refreshToken" && failures-- > 0) throw broken();
    };
    const call = getProfile(muster);
    await server.time.advance(1_000);
    await call;
    assert.deepEqual(server.refreshes, ["refresh-1", "refresh-1", "refresh-1"]);
  });

  test("that cannot be refreshed now are used while they are good", async () => {
    const muster = await signedIn();
    await server.time.advance(ALMOST_A_LIFETIME_MS);
    server.before = (method) => {
      if (method === "refreshToken") throw broken();
    };
    const call = getProfile(muster);
    await server.time.advance(25_000);
    await call;
    assert.deepEqual(calls, ["access-1"]);
  });

  test("whose refresh is refused end the session", async () => {
    const storage = memoryStorage();
    const muster = await signedIn({ storage });
    server.before = (method) => {
      if (method === "refreshToken") throw refusal(Code.Unauthenticated, "REFRESH_TOKEN_EXPIRED");
    };
    accepted = () => false;
    await assert.rejects(getProfile(muster), (error) => isMusterError(error, "REFRESH_TOKEN_EXPIRED"));
    assert.equal(muster.auth.user.value, undefined);
    assert.equal(storage.getItem("muster.session"), null);
    await assert.rejects(getProfile(muster), (error) => isMusterError(error, "NOT_SIGNED_IN"));
  });

  test("that are revoked end the session", async () => {
    const muster = await signedIn();
    const users: (string | undefined)[] = [];
    muster.auth.user.observe((user) => users.push(user?.userId));
    accepted = () => {
      throw refusal(Code.Unauthenticated, "TOKEN_REVOKED");
    };
    await assert.rejects(getProfile(muster), (error) => isMusterError(error, "TOKEN_REVOKED"));
    assert.deepEqual(users, [server.user.userId, undefined]);
    assert.deepEqual(server.refreshes, []);
  });

  test("of windows that share a storage are refreshed by one of them", async () => {
    const storage = memoryStorage();
    const one = await signedIn({ storage });
    const two = await signedIn({ storage });
    assert.equal(server.secrets.length, 1, "the second window goes on with the session of the first");
    await server.time.advance(ALMOST_A_LIFETIME_MS);
    await getProfile(one);
    await getProfile(two);
    assert.deepEqual(server.refreshes, ["refresh-1"]);
    assert.deepEqual(calls, ["access-2", "access-2"]);
  });

  test("of another window are taken when one's own are refused", async () => {
    const storage = memoryStorage();
    const one = await signedIn({ storage });
    const two = await signedIn({ storage });
    await server.time.advance(ALMOST_A_LIFETIME_MS);
    let proceed = () => {};
    server.before = (method) => {
      if (method !== "refreshToken" || server.refreshes.length > 1) return;
      return new Promise((_, reject) => {
        proceed = () => reject(refusal(Code.Unauthenticated, "REFRESH_TOKEN_REUSED"));
      });
    };
    const late = getProfile(two);
    await until("the second window asks first", () => server.refreshes.length === 1);
    await getProfile(one);
    proceed();
    await late;
    assert.ok(two.auth.user.value);
    assert.deepEqual(calls, ["access-3", "access-3"]);
  });
});
