import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** What a call failed with. Program against `reason`: it is stable. The message is for people. */
export class MusterError extends Error {
  override readonly name = "MusterError";
  /** The gRPC code. */
  readonly code: Code;
  /**
   * Why, such as "SESSION_FULL". Beside the reasons of the server: CONNECTION_LOST, DEADLINE_EXCEEDED, CANCELLED,
   * NOT_SIGNED_IN, CLOSED, TOO_MANY_WAITING; and the name of the code where something between here and Muster answered.
   */
  readonly reason: string;
  /** More about the reason; the API says what. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Which fields of the request are at fault, and what to change. */
  readonly fields: readonly FieldViolation[];
  /** Whether the same call may succeed later as it is. It may have taken effect already. */
  readonly retryable: boolean;
  /** How long to wait before the next attempt, if the server said so, ms. */
  readonly retryAfterMs: number | undefined;
  /** The server's id of the request, for its log; empty if it did not answer. */
  readonly requestId: string;

  constructor(message: string, code: Code, reason: string, more: MusterErrorDetails = {}) {
    super(message, { cause: more.cause });
    this.code = code;
    this.reason = reason;
    this.metadata = more.metadata ?? {};
    this.fields = more.fields ?? [];
    this.retryAfterMs = more.retryAfterMs;
    this.requestId = more.requestId ?? "";
    this.retryable = RETRYABLE_CODES.has(code) || RETRYABLE_REASONS.has(reason) || more.retryAfterMs !== undefined;
  }
}

/** A field of a request that is at fault. */
export interface FieldViolation {
  /** Its path, such as "score.value". */
  readonly field: string;
  /** What to change, for people. */
  readonly description: string;
}

interface MusterErrorDetails {
  metadata?: Record<string, string>;
  fields?: FieldViolation[];
  retryAfterMs?: number | undefined;
  requestId?: string;
  cause?: unknown;
}

const RETRYABLE_CODES = new Set([Code.Unavailable, Code.DeadlineExceeded]);
const RETRYABLE_REASONS = new Set(["ACCOUNT_CHANGED", "TOO_MANY_CHANGES"]);

/** What a transport says when the connection broke: of these codes Muster itself always gives a reason. */
const CODES_OF_LOST_CONNECTIONS = new Set([Code.Unavailable, Code.Unknown, Code.DataLoss, Code.Canceled, Code.Aborted]);

/** Whether it is an error of Muster, and of this reason if one is given. */
export function isMusterError(error: unknown, reason?: string): error is MusterError {
  return error instanceof MusterError && (reason === undefined || error.reason === reason);
}

/** Whatever a transport throws, as the one error. `signal` is the caller's. */
export function toMusterError(error: unknown, signal?: AbortSignal): MusterError {
  if (error instanceof MusterError) return error;
  if (signal?.aborted) return cancelled(error);
  const status = ConnectError.from(error);
  const [info] = status.findDetails(ErrorInfoSchema);
  if (!info && CODES_OF_LOST_CONNECTIONS.has(status.code)) return connectionLost(status);
  const [badRequest] = status.findDetails(BadRequestSchema);
  const [retryInfo] = status.findDetails(RetryInfoSchema);
  return new MusterError(status.rawMessage, status.code, info?.reason ?? codeName(status.code), {
    metadata: info?.metadata ?? {},
    fields: badRequest?.fieldViolations.map(({ field, description }) => ({ field, description })) ?? [],
    retryAfterMs: retryInfo?.retryDelay && durationMs(retryInfo.retryDelay),
    requestId: status.metadata.get("x-request-id") ?? "",
    cause: status,
  });
}

/** The connection broke, or could not be made. */
export function connectionLost(cause: unknown): MusterError {
  return new MusterError("the connection was lost", Code.Unavailable, "CONNECTION_LOST", { cause });
}

/** The caller has given it up. */
export function cancelled(cause?: unknown): MusterError {
  return new MusterError("cancelled", Code.Canceled, "CANCELLED", { cause });
}

/** The call needs a player. */
export function notSignedIn(): MusterError {
  return new MusterError("nobody is signed in", Code.Unauthenticated, "NOT_SIGNED_IN");
}

/** `close` was called. */
export function closed(): MusterError {
  return new MusterError("the client is closed", Code.Canceled, "CLOSED");
}

/** NotFound → NOT_FOUND */
function codeName(code: Code): string {
  return Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
