// An account's life as a web page sees it: gRPC-Web by connect-web, and CORS by plain HTTP, since Node's fetch does not
// act on it. Ends with the first check that fails.
//
// node accounts.mjs BASE_URL ALLOWED_ORIGIN FOLDER_OF_GENERATED_CODE

import assert from "node:assert/strict";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

const [baseUrl, allowedOrigin, generated] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(path.join(generated, file)));
const { AuthService, Role } = await load("muster/auth/v1/auth_pb.js");
const { PlayerService } = await load("muster/player/v1/player_pb.js");
const { BadRequestSchema, ErrorInfoSchema } = await load("google/rpc/error_details_pb.js");

const transport = createGrpcWebTransport({ baseUrl });
const auth = createClient(AuthService, transport);
const players = createClient(PlayerService, transport);

const username = `neo_${Date.now()}`;
const email = `${username}@example.com`;
const password = "correct-horse-9";
const LOGIN = "/muster.auth.v1.AuthService/Login";

const checks = {
  async "an account is registered, signed in, used and signed out"() {
    const registered = await auth.register({ username, email, password });
    assert.equal(registered.user.username, username);
    assert.equal(registered.user.role, Role.PLAYER);

    const { tokens } = await auth.login({ identifier: email.toUpperCase(), password });
    const headers = bearer(tokens.accessToken);
    const { profile } = await players.getProfile({}, { headers });
    assert.equal(profile.email, email);
    const changed = await players.updateProfile(
      { profile: { player: { displayName: "The One ☎" } }, updateMask: { paths: ["player.display_name"] } },
      { headers },
    );
    assert.equal(changed.profile.player.displayName, "The One ☎");

    const { sessions } = await auth.listDeviceSessions({}, { headers });
    assert.equal(sessions.length, 2);
    const refreshed = await auth.refreshToken({ refreshToken: tokens.refreshToken });
    await auth.logout({}, { headers: bearer(refreshed.tokens.accessToken) });
    const refused = await refusal(players.getProfile({}, { headers }));
    assert.deepEqual([refused.code, reason(refused)], [Code.Unauthenticated, "TOKEN_REVOKED"]);
  },

  async "an error has its code, its reason and the fields at fault"() {
    const refused = await refusal(auth.register({ username: "n", email, password }));
    assert.deepEqual([refused.code, reason(refused)], [Code.InvalidArgument, "INVALID_FIELD"]);
    const [violations] = refused.findDetails(BadRequestSchema);
    assert.deepEqual(violations.fieldViolations.map(({ field }) => field), ["username"]);

    const wrong = await refusal(auth.login({ identifier: username, password: "not-the-password" }));
    assert.deepEqual([wrong.code, reason(wrong)], [Code.Unauthenticated, "CREDENTIALS_INVALID"]);
    const missing = await refusal(players.getProfile({}));
    assert.deepEqual([missing.code, reason(missing)], [Code.Unauthenticated, "TOKEN_MISSING"]);
  },

  async "the request id is returned, with an answer and with an error"() {
    const seen = [];
    const onHeader = (headers) => seen.push(headers.get("x-request-id"));
    const headers = { "x-request-id": "a-page-made-this" };
    await auth.login({ identifier: username, password }, { headers, onHeader });
    await auth.login({ identifier: username, password }, { onHeader });
    const refused = await refusal(auth.login({ identifier: username, password: "not-the-password" }, { headers }));
    seen.push(refused.metadata.get("x-request-id"));
    assert.equal(seen[0], headers["x-request-id"]);
    assert.match(seen[1], /^[0-9a-f-]{36}$/);
    assert.equal(seen[2], headers["x-request-id"]);
  },

  async "a page of an allowed origin is told so, once"() {
    const preflight = await request("OPTIONS", {
      origin: allowedOrigin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,x-grpc-web",
    });
    assert.ok(preflight.status === 200 || preflight.status === 204, `${preflight.status}`);
    assert.deepEqual(preflight.all("access-control-allow-origin"), [allowedOrigin]);
    for (const header of ["authorization", "content-type", "x-grpc-web"]) {
      assert.ok(preflight.list("access-control-allow-headers").includes(header), header);
    }
    assert.ok(preflight.list("access-control-allow-methods").includes("post"));

    const answer = await request("POST", { origin: allowedOrigin, "content-type": "application/grpc-web+proto" });
    assert.deepEqual(answer.all("access-control-allow-origin"), [allowedOrigin]);
    assert.equal(answer.all("access-control-expose-headers").length, 1);
    for (const header of ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"]) {
      assert.ok(answer.list("access-control-expose-headers").includes(header), header);
    }
    for (const header of ["content-type", "x-request-id"]) {
      assert.equal(answer.all(header).length, 1, header);
    }
  },

  async "a page of another origin is told nothing"() {
    for (const method of ["OPTIONS", "POST"]) {
      const answer = await request(method, {
        origin: "https://evil.example.com",
        "access-control-request-method": "POST",
        "content-type": "application/grpc-web+proto",
      });
      assert.deepEqual(answer.all("access-control-allow-origin"), [], method);
    }
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`ok: ${name}`);
}

function bearer(accessToken) {
  return { authorization: `Bearer ${accessToken}` };
}

async function refusal(call) {
  const error = await call.then(() => assert.fail("the call succeeded"), (error) => error);
  assert.ok(error instanceof ConnectError, error);
  return error;
}

function reason(error) {
  const [info] = error.findDetails(ErrorInfoSchema);
  assert.equal(info?.domain, "muster");
  return info.reason;
}

// An empty gRPC-Web message to Login, with every header line of the answer.
function request(method, headers) {
  return new Promise((resolve, reject) => {
    const sent = http.request(new URL(LOGIN, baseUrl), { method, headers }, (answer) => {
      const lines = [];
      for (let i = 0; i < answer.rawHeaders.length; i += 2) {
        lines.push([answer.rawHeaders[i].toLowerCase(), answer.rawHeaders[i + 1]]);
      }
      const all = (name) => lines.filter(([header]) => header === name).map(([, value]) => value);
      const list = (name) => all(name).flatMap((value) => value.toLowerCase().split(/\s*,\s*/));
      answer.resume().on("end", () => resolve({ status: answer.statusCode, all, list }));
    });
    sent.on("error", reject).end(method === "POST" ? Buffer.alloc(5) : undefined);
  });
}
