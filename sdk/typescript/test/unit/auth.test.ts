import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import { UserSchema } from "../../src/api.js";
import { isMusterError, memoryStorage } from "../../src/index.js";
import { broken, FakeServer, refusal } from "./fake_server.js";

describe("a guest", () => {
  let server: FakeServer;

  beforeEach(() => {
    server = new FakeServer();
  });

  test("has a secret that is kept before it is used", async () => {
    const storage = memoryStorage();
    server.before = (method) => {
      if (method === "loginWithDevice") throw refusal(Code.Internal, "INTERNAL");
    };
    const muster = server.client({ storage });
    await assert.rejects(muster.auth.signInAsGuest());
    server.before = () => {};
    await muster.auth.signInAsGuest();
    assert.equal(server.secrets.length, 2);
    assert.equal(new Set(server.secrets).size, 1);
    assert.match(server.secrets[0]!, /^[0-9a-f]{64}$/);
  });

  test("signs in once, however often it is asked for at once", async () => {
    const muster = server.client();
    const users = await Promise.all([muster.auth.signInAsGuest(), muster.auth.signInAsGuest()]);
    assert.equal(server.secrets.length, 1);
    assert.equal(users[0], users[1]);
  });

  test("goes on with the session after a reload", async () => {
    const storage = memoryStorage();
    await server.client({ storage }).auth.signInAsGuest();
    const user = await server.client({ storage }).auth.signInAsGuest();
    assert.equal(user.userId, server.user.userId);
    assert.equal(user.guest, true);
    assert.equal(server.secrets.length, 1);
    assert.deepEqual(server.refreshes, []);
  });

  test("signs in anew when the session has ended meanwhile", async () => {
    const storage = memoryStorage();
    await server.client({ storage }).auth.signInAsGuest();
    server.user = create(UserSchema, { userId: "another", guest: true });
    server.forgetTokens();
    server.before = (method) => {
      if (method === "refreshToken") throw refusal(Code.Unauthenticated, "REFRESH_TOKEN_INVALID");
    };
    assert.equal((await server.client({ storage }).auth.signInAsGuest()).userId, "another");
    assert.equal(new Set(server.secrets).size, 1);
  });

  test("keeps the session when the server cannot be asked about it", async () => {
    const storage = memoryStorage();
    await server.client({ storage }).auth.signInAsGuest();
    server.before = () => {
      throw broken();
    };
    const muster = server.client({ storage });
    const resumed = assert.rejects(muster.auth.resume(), (error) => isMusterError(error, "CONNECTION_LOST"));
    await server.time.advance(60_000);
    await resumed;
    server.before = () => {};
    assert.ok(await muster.auth.resume());
  });

  test("becomes a full account and stays signed in", async () => {
    const storage = memoryStorage();
    const muster = server.client({ storage });
    await muster.auth.signInAsGuest();
    await muster.auth.upgradeGuest({ username: "ann", email: "ann@example.com", password: "correct-horse-9" });
    assert.equal(muster.auth.user.value?.username, "ann");
    const reloaded = server.client({ storage });
    assert.equal((await reloaded.auth.resume())?.username, "ann");
  });

  test("who signs out comes back as the same one, or as a new one if the device is forgotten", async () => {
    const muster = server.client();
    await muster.auth.signInAsGuest();
    await muster.auth.signOut();
    assert.equal(muster.auth.user.value, undefined);
    assert.equal(await muster.auth.resume(), undefined);
    await muster.auth.signInAsGuest();
    await muster.auth.signOut({ forgetDevice: true });
    await muster.auth.signInAsGuest();
    const [first, second, third] = server.secrets;
    assert.equal(first, second);
    assert.notEqual(second, third);
  });

  test("is signed out here even if the server does not hear of it", async () => {
    const muster = server.client();
    await muster.auth.signInAsGuest();
    server.before = () => {
      throw broken();
    };
    const signedOut = assert.rejects(muster.auth.signOut(), (error) => isMusterError(error, "CONNECTION_LOST"));
    await server.time.advance(60_000);
    await signedOut;
    assert.equal(muster.auth.user.value, undefined);
  });

  test("is signed out without an error if the session has ended already", async () => {
    const muster = server.client();
    await muster.auth.signInAsGuest();
    server.before = (method) => {
      if (method === "logout") throw refusal(Code.Unauthenticated, "TOKEN_REVOKED");
    };
    await muster.auth.signOut();
    assert.equal(muster.auth.user.value, undefined);
  });

  test("keeps nothing that it cannot read", async () => {
    const storage = memoryStorage();
    storage.setItem("muster.session", '{"of":"another version"}');
    const errors: unknown[] = [];
    await server.client({ storage, onError: (error) => errors.push(error) }).auth.signInAsGuest();
    assert.equal(errors.length, 1);
    assert.ok(await server.client({ storage }).auth.resume());
  });

  test("is told when nobody is there to be deleted", async () => {
    await assert.rejects(server.client().auth.deleteAccount(), (error) => isMusterError(error, "NOT_SIGNED_IN"));
  });

  test("lasts as long as the page where the storage is refused", async () => {
    const refuse = () => {
      throw new DOMException("denied", "SecurityError");
    };
    const errors: unknown[] = [];
    const storage = { getItem: refuse, setItem: refuse, removeItem: refuse };
    const muster = server.client({ storage, onError: (error) => errors.push(error) });
    await muster.auth.signInAsGuest();
    await muster.auth.signOut();
    await muster.auth.signInAsGuest();
    assert.equal(new Set(server.secrets).size, 1);
    assert.equal(errors.length, 1);
  });
});
