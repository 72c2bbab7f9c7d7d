// What the page of browser.mjs does: the life of an account, by gRPC-Web.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { ErrorInfoSchema } from "generated/google/rpc/error_details_pb.js";
import { AuthService } from "generated/muster/auth/v1/auth_pb.js";
import { PlayerService } from "generated/muster/player/v1/player_pb.js";

globalThis.live = async (baseUrl) => {
  const transport = createGrpcWebTransport({ baseUrl });
  const auth = createClient(AuthService, transport);
  const players = createClient(PlayerService, transport);
  const username = `neo_${Date.now()}`;
  const registered = `${username}@example.com`;
  try {
    const { tokens } = await auth.register({ username, email: registered, password: "correct-horse-9" });
    const headers = { authorization: `Bearer ${tokens.accessToken}` };
    let requestId;
    const onHeader = (answered) => (requestId = answered.get("x-request-id"));
    const { profile } = await players.getProfile({}, { headers, onHeader });
    await auth.logout({}, { headers });
    const refused = await players.getProfile({}, { headers }).then(() => undefined, describe);
    return { registered, email: profile.email, requestId, refused };
  } catch (error) {
    return { failed: describe(error) };
  }
};

function describe(thrown) {
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  return { code: Code[error.code].toLowerCase(), reason: info?.reason, message: error.message };
}
