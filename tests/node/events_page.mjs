// What the page of events_browser.mjs does.

import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { EventService } from "generated/muster/events/v1/events_pb.js";
import { SessionService } from "generated/muster/game/v1/session_pb.js";

globalThis.play = async ({ baseUrl, token, gameId, count }) => {
  const transport = createGrpcWebTransport({ baseUrl });
  const events = createClient(EventService, transport);
  const headers = { authorization: `Bearer ${token}` };
  const numbers = [];
  try {
    const { session, cursor } = await createClient(SessionService, transport).createSession({ gameId }, { headers });
    const { sessionId } = session;
    const publish = (number) => {
      const event = { name: "move", data: new Uint8Array([number]) };
      return events.publish({ sessionId, events: [{ eventId: crypto.randomUUID(), event }] }, { headers });
    };
    const subscriptions = [{ topic: `session/${sessionId}`, cursor }];
    for await (const { message } of events.subscribe({ subscriptions }, { headers })) {
      if (message.case === "subscribed") await publish(0);
      if (message.case !== "event" || message.value.payload.case !== "gameEvent") continue;
      numbers.push(message.value.payload.value.data[0]);
      if (numbers.length === count) return { numbers };
      await publish(numbers.length);
    }
    return { numbers, failed: "the stream ended" };
  } catch (error) {
    return { numbers, failed: ConnectError.from(error).message };
  }
};
