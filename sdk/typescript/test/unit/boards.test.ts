import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import {
  type BoardView,
  BoardViewSchema,
  GetEntryResponseSchema,
  GetSubmissionResponseSchema,
  LeaderboardPeriod,
  LeaderboardService,
  ListEntriesAroundResponseSchema,
  ListEntriesResponseSchema,
  type SubmitScoreRequest,
  SubmissionStatus,
  SubmitScoreResponseSchema,
} from "../../src/api.js";
import { isMusterError, type Muster, topics } from "../../src/index.js";
import { broken, FakeServer, refusal } from "./fake_server.js";
import { settled, until } from "./manual_time.js";

const BOARD = { gameId: "g", boardKey: "wins" };

describe("a leaderboard", () => {
  let server: FakeServer;
  let muster: Muster;
  /** The values on the board, the best first. */
  let values: bigint[];
  let reads: string[];
  let isRanked: boolean;
  let beforeRead: () => void | Promise<void>;
  let scores: SubmitScoreRequest[];
  let statuses: SubmissionStatus[];

  beforeEach(async () => {
    server = new FakeServer();
    [values, reads, isRanked, beforeRead] = [[3n, 2n, 1n], [], true, () => {}];
    [scores, statuses] = [[], []];
    const read = async (what: string, count: number) => {
      const view = viewOf(values, count);
      reads.push(what);
      await beforeRead();
      return { view };
    };
    const notRanked = () => {
      if (!isRanked) throw refusal(Code.NotFound, "NOT_RANKED");
    };
    const outcome = () => ({ submission: { status: statuses.shift() ?? SubmissionStatus.ACCEPTED } });
    muster = server.client({}, ({ service }) =>
      service(LeaderboardService, {
        listEntries: async ({ pageSize }) => create(ListEntriesResponseSchema, await read("top", pageSize)),
        listEntriesAround: async ({ playerId, count }) => {
          notRanked();
          return create(ListEntriesAroundResponseSchema, await read(`around ${playerId}`, count));
        },
        getEntry: () => {
          notRanked();
          return create(GetEntryResponseSchema, { entry: { rank: 2n } });
        },
        submitScore: (request) => {
          scores.push(request);
          if (scores.length === 1) throw broken();
          return create(SubmitScoreResponseSchema, outcome());
        },
        getSubmission: () => create(GetSubmissionResponseSchema, outcome()),
      }),
    );
    await muster.auth.signInAsGuest();
  });

  /** Shows a board; the answer grows. */
  async function live(options: { count?: number; around?: string } = {}) {
    const shown: bigint[][] = [];
    const show = (view: BoardView) => void shown.push(view.entries.map(({ value }) => value));
    const subscription = muster.boards.live(BOARD, show, options);
    await until("the topic", () => server.streams.length === 1);
    server.newestStream.follow();
    await subscription.ready;
    await settled();
    return { shown, subscription };
  }

  let cursor = 0;
  const update = (...views: MessageInitShape<typeof BoardViewSchema>[]) => {
    const value = { boardKey: BOARD.boardKey, views };
    const payload = { case: "leaderboardUpdated", value } as const;
    const topic = topics.board(BOARD.gameId, BOARD.boardKey);
    server.newestStream.send({ case: "event", value: { topic, cursor: `${(cursor += 1)}`, payload } });
  };

  test("counts a score once, and tells its outcome when it is there", async () => {
    statuses = [SubmissionStatus.PENDING, SubmissionStatus.PENDING];
    const submitted = muster.boards.submit({ ...BOARD, value: 7, attributes: { map: "courtyard" } });
    await server.time.advance(5_000);
    assert.equal((await submitted).status, SubmissionStatus.ACCEPTED);
    const [first, second] = scores.map(({ score }) => score!);
    assert.equal(first!.submissionId, second!.submissionId);
    assert.equal(first!.value, 7n);
    assert.equal(first!.attributes["map"]!.kind.value, "courtyard");
  });

  test("that takes too long leaves the outcome open", async () => {
    statuses = Array<SubmissionStatus>(1_000).fill(SubmissionStatus.PENDING);
    const submitted = muster.boards.submit({ ...BOARD, value: 7n });
    await server.time.advance(15_000);
    assert.equal((await submitted).status, SubmissionStatus.PENDING);
  });

  test("is read from the top, around a player, and for one", async () => {
    assert.equal((await muster.boards.top(BOARD, { count: 2 })).entries.length, 2);
    await muster.boards.around(BOARD, "p");
    assert.equal((await muster.boards.entry(BOARD, "p"))?.entry?.rank, 2n);
    isRanked = false;
    assert.equal(await muster.boards.entry(BOARD, "p"), undefined);
    await assert.rejects(muster.boards.around(BOARD, "p"), (error) => isMusterError(error, "NOT_RANKED"));
    assert.deepEqual(reads, ["top", "around p"]);
  });

  test("that moves is shown by its events, without reading it again", async () => {
    const { shown } = await live({ count: 2 });
    update(viewOf([9n, 3n, 2n], 3), { ...viewOf([1n], 1), period: { kind: LeaderboardPeriod.DAILY } });
    update({ ...viewOf([5n], 1), period: { kind: LeaderboardPeriod.DAILY } });
    await server.time.advance(5_000);
    assert.deepEqual(shown, [
      [3n, 2n],
      [9n, 3n],
    ]);
    assert.deepEqual(reads, ["top"]);
  });

  test("of which events tell too little is read again, now and then", async () => {
    const { shown, subscription } = await live({ count: 3 });
    for (let number = 0; number < 10; number += 1) update({ ...viewOf(values, 2), totalCount: 3n });
    values = [4n, 3n, 2n];
    await server.time.advance(2_000);
    assert.deepEqual(shown, [
      [3n, 2n, 1n],
      [4n, 3n, 2n],
    ]);
    assert.equal(reads.length, 2);
    subscription.unsubscribe();
    await server.time.advance(2_000);
    assert.equal(reads.length, 2);
    assert.equal(server.time.waiting, 0);
  });

  test("is shown around a player, and from the top until they are ranked", async () => {
    isRanked = false;
    const { shown } = await live({ around: "p" });
    isRanked = true;
    update(viewOf(values, 3));
    await server.time.advance(2_000);
    assert.deepEqual(reads, ["top", "around p"]);
    assert.equal(shown.length, 2);
  });

  test("does not go back to what was read before the news", async () => {
    let proceed = () => {};
    beforeRead = () => new Promise((resolve) => (proceed = resolve));
    const { shown } = await live({ count: 1 });
    assert.deepEqual(shown, []);
    beforeRead = () => {};
    proceed();
    await settled();
    beforeRead = () => new Promise((resolve) => (proceed = resolve));
    update({ ...viewOf([], 0), totalCount: 5n }); // too little: read
    await server.time.advance(1_000);
    update(viewOf([8n], 1));
    await settled();
    proceed();
    await settled();
    assert.deepEqual(shown, [[3n], [8n]]);
  });

  test("is read after a gap, and again when that fails", async () => {
    const { shown } = await live({ count: 1 });
    values = [6n];
    let isFirst = true;
    beforeRead = () => {
      if (!isFirst) return;
      isFirst = false;
      throw refusal(Code.Unavailable, "STORE_UNAVAILABLE");
    };
    const topic = topics.board(BOARD.gameId, BOARD.boardKey);
    server.newestStream.send({ case: "gap", value: { topic, cursor: "gap" } });
    await server.time.advance(5_000);
    assert.deepEqual(shown, [[3n], [6n]]);
  });
});

function viewOf(values: bigint[], count: number) {
  const entries = values.slice(0, count).map((value) => ({ value }));
  return { entries, totalCount: BigInt(values.length), period: { kind: LeaderboardPeriod.ALL_TIME } };
}
