import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import { isMusterError, toMusterError } from "../../src/errors.js";
import { broken, refusal } from "./fake_server.js";

test("an error of the server keeps its reason, metadata and fields", () => {
  const details = { metadata: { index: "3" }, field: "scores[3].value" };
  const error = toMusterError(refusal(Code.InvalidArgument, "SCORE_OUT_OF_BOUNDS", details));
  assert.equal(error.code, Code.InvalidArgument);
  assert.equal(error.reason, "SCORE_OUT_OF_BOUNDS");
  assert.deepEqual({ ...error.metadata }, { index: "3" });
  assert.deepEqual(error.fields, [{ field: "scores[3].value", description: "change it" }]);
  assert.equal(error.retryable, false);
  assert.ok(isMusterError(error, "SCORE_OUT_OF_BOUNDS"));
  assert.ok(!isMusterError(error, "RATE_LIMITED"));
});

test("an error that tells how long to wait may be tried again", () => {
  const error = toMusterError(refusal(Code.ResourceExhausted, "RATE_LIMITED", { retryAfterMs: 1_500 }));
  assert.equal(error.retryAfterMs, 1_500);
  assert.equal(error.retryable, true);
});

test("whatever a broken connection looks like, it has one reason", () => {
  for (const thrown of [
    broken(),
    new TypeError("Failed to fetch"),
    "missing trailer",
    new ConnectError("eof", Code.DataLoss),
  ]) {
    const error = toMusterError(thrown);
    assert.equal(error.reason, "CONNECTION_LOST");
    assert.equal(error.code, Code.Unavailable);
    assert.equal(error.retryable, true);
  }
});

test("what the caller cancels is cancelled", () => {
  const error = toMusterError(new ConnectError("aborted", Code.Canceled), AbortSignal.abort());
  assert.equal(error.reason, "CANCELLED");
  assert.equal(error.retryable, false);
});

test("an answer from something that is not Muster is named by its code", () => {
  assert.equal(toMusterError(new ConnectError("HTTP 404", Code.Unimplemented)).reason, "UNIMPLEMENTED");
  assert.equal(toMusterError(new ConnectError("HTTP 403", Code.PermissionDenied)).reason, "PERMISSION_DENIED");
});

test("the time of a call is a reason of its own", () => {
  assert.equal(toMusterError(new ConnectError("timed out", Code.DeadlineExceeded)).reason, "DEADLINE_EXCEEDED");
});
