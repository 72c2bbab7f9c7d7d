import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { Connection, type ConnectionState } from "../../src/connection.js";
import type { PageEvent } from "../../src/index.js";
import { ManualTime } from "./manual_time.js";

describe("the connection", () => {
  let time: ManualTime;
  let online: boolean;
  let tell: (event: PageEvent) => void;
  let connection: Connection;
  let states: ConnectionState[];

  beforeEach(() => {
    time = new ManualTime();
    online = true;
    const observe = (listener: (event: PageEvent) => void) => {
      tell = listener;
      return () => {};
    };
    connection = new Connection(time, { isOnline: () => online, observe }, assert.ifError);
    states = [];
    connection.state.observe((state) => states.push(state));
  });

  test("is made by the first answer, and lost by a call without one", async () => {
    await time.advance(60_000);
    connection.answered();
    connection.lost();
    await time.advance(9_999);
    connection.lost();
    assert.deepEqual(states, ["connecting", "online", "connecting"]);
    await time.advance(1);
    connection.answered();
    assert.deepEqual(states, ["connecting", "online", "connecting", "offline", "online"]);
    assert.equal(time.waiting, 0);
  });

  test("is as good as the stream, while there is one", () => {
    connection.streamIs("live");
    connection.lost();
    connection.streamIs("lost");
    connection.answered();
    connection.streamIs("unused");
    assert.deepEqual(states, ["connecting", "online", "connecting", "online"]);
  });

  test("is none when the device says so", () => {
    connection.answered();
    online = false;
    tell("offline");
    online = true;
    tell("online");
    assert.deepEqual(states, ["connecting", "online", "offline", "online"]);
  });
});
