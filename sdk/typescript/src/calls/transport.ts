import type { DescMessage, DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { Code, type StreamResponse, type Transport } from "@connectrpc/connect";

import { type Ambient, newId, pause } from "../ambient.js";
import { cancelled, MusterError, notSignedIn, toMusterError } from "../errors.js";
import { type Backoff, backoffMs } from "./backoff.js";
import { prepare } from "./repeatable.js";

/** What calls need to know of who is signed in. */
export interface TokenSource {
  /** A token that is good for a while; undefined if nobody is signed in. */
  token(): Promise<AccessToken | undefined>;
  /** A newer token than one that the server has called expired or invalid; undefined if the session has ended. */
  renew(refused: string): Promise<AccessToken | undefined>;
  /** The server has revoked this token: whoever it belongs to is not signed in any more. */
  revoked(token: string): void;
}

/** A token for the header, and for how long it is good, ms from now. */
export interface AccessToken {
  readonly value: string;
  readonly freshForMs: number;
}

/** What calls tell of the network. */
export interface CallObserver {
  /** Muster has answered, be it with an error. */
  answered(): void;
  /** A call got no answer. */
  lost(): void;
}

export interface CallOptions {
  readonly tokens: TokenSource;
  readonly observer: CallObserver;
  readonly ambient: Ambient;
  /** The deadline of unary calls that have none of their own, ms: for all attempts together. */
  readonly timeoutMs: number;
}

/** How long one attempt of a call may take that can be made again, ms: a connection may be dead without saying so. */
export const ATTEMPT_TIMEOUT_MS = 8_000;

/** Between the attempts of a call. */
export const CALL_BACKOFF: Backoff = { firstMs: 100, ceilingMs: 2_000 };

/** These may come without an answer of the server. */
const LOCAL_REASONS = new Set(["CANCELLED", "DEADLINE_EXCEEDED", "NOT_SIGNED_IN"]);

/** Their credential is in the request. */
const PUBLIC_METHODS = new Set(
  ["Register", "Login", "LoginWithDevice", "RefreshToken", "ValidateToken", "IssueServerToken"].map(
    (method) => `muster.auth.v1.AuthService/${method}`,
  ),
);

/**
 * A transport over another one, with everything that calls have in common: the caller's token, which is refreshed and
 * the call repeated once if the server calls it expired; a deadline; attempts with growing waits where the request may
 * be repeated; request ids; and one kind of error. Streams get a token and the errors: only their readers know how to
 * go on.
 */
export function callTransport(inner: Transport, options: CallOptions): Transport {
  return {
    unary: (method, signal, timeoutMs, header, input, contextValues) => {
      const send = (token: string | undefined, limitMs: number, message: typeof input) =>
        inner.unary(method, signal, limitMs, withToken(header, token), message, contextValues);
      return new Call(options, method, signal, timeoutMs, hasOwnToken(header)).run(input, send);
    },
    stream: async (method, signal, timeoutMs, header, input, contextValues) => {
      try {
        const token = await tokenFor(method, options.tokens, hasOwnToken(header));
        const response = await inner.stream(method, signal, timeoutMs, withToken(header, token), input, contextValues);
        return { ...response, message: withErrors(response.message, signal) } as typeof response;
      } catch (error) {
        throw toMusterError(error, signal);
      }
    },
  };
}

/** One unary call with all its attempts. */
class Call<I extends DescMessage> {
  readonly #options: CallOptions;
  readonly #method: DescMethod & { input: I };
  readonly #signal: AbortSignal | undefined;
  readonly #ownToken: boolean;
  readonly #endMs: number;
  #token: string | undefined;
  #renewed = false;

  constructor(
    options: CallOptions,
    method: DescMethod & { input: I },
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    ownToken: boolean,
  ) {
    this.#options = options;
    this.#method = method;
    this.#signal = signal;
    this.#ownToken = ownToken;
    const limitMs = timeoutMs !== undefined && timeoutMs > 0 ? timeoutMs : options.timeoutMs;
    this.#endMs = options.ambient.monotonicMs() + limitMs;
  }

  async run<R>(
    input: MessageInitShape<I>,
    send: (token: string | undefined, limitMs: number, message: MessageInitShape<I>) => Promise<R>,
  ): Promise<R> {
    const { ambient, tokens, observer } = this.#options;
    const { message, repeatable } = prepare(this.#method, input, () => newId(ambient));
    for (let failures = 1; ; failures += 1) {
      try {
        this.#token = await tokenFor(this.#method, tokens, this.#ownToken);
        const limitMs = this.#remainingMs();
        // `create` leaves a whole message as it is.
        const request = message as MessageInitShape<I>;
        const response = await send(this.#token, repeatable ? Math.min(limitMs, ATTEMPT_TIMEOUT_MS) : limitMs, request);
        observer.answered();
        return response;
      } catch (thrown) {
        const error = toMusterError(thrown, this.#signal);
        this.#observe(error);
        if (await this.#renew(error)) continue;
        if (!repeatable || !isTransient(error)) throw error;
        await this.#waitAfter(error, failures);
      }
    }
  }

  #remainingMs(): number {
    // Fractions have no place in the header.
    return Math.max(1, Math.ceil(this.#endMs - this.#options.ambient.monotonicMs()));
  }

  #observe(error: MusterError): void {
    if (error.reason === "CONNECTION_LOST") this.#options.observer.lost();
    else if (!LOCAL_REASONS.has(error.reason)) this.#options.observer.answered();
  }

  /** Whether there is another token now, so that the call is worth one more attempt. */
  async #renew(error: MusterError): Promise<boolean> {
    if (error.code !== Code.Unauthenticated || this.#token === undefined || this.#ownToken) return false;
    if (error.reason === "TOKEN_REVOKED") this.#options.tokens.revoked(this.#token);
    if (this.#renewed || !["TOKEN_EXPIRED", "TOKEN_INVALID"].includes(error.reason)) return false;
    this.#renewed = true;
    return (await this.#options.tokens.renew(this.#token)) !== undefined;
  }

  /** Waits before the next attempt; throws the error if there is no time for one. */
  async #waitAfter(error: MusterError, failures: number): Promise<void> {
    const { ambient } = this.#options;
    const waitMs = Math.max(backoffMs(CALL_BACKOFF, failures, ambient), error.retryAfterMs ?? 0);
    if (waitMs >= this.#remainingMs()) throw error;
    await pause(ambient, waitMs, this.#signal);
    if (this.#signal?.aborted) throw cancelled(error);
  }
}

/** Whether nobody knows what became of the call, or nothing did, and the next attempt may find another replica. */
function isTransient({ code }: MusterError): boolean {
  return code === Code.Unavailable || code === Code.DeadlineExceeded;
}

async function tokenFor(method: DescMethod, tokens: TokenSource, ownToken: boolean): Promise<string | undefined> {
  if (ownToken || PUBLIC_METHODS.has(`${method.parent.typeName}/${method.name}`)) return undefined;
  const token = await tokens.token();
  if (!token) throw notSignedIn();
  return token.value;
}

function hasOwnToken(header: HeadersInit | undefined): boolean {
  return new Headers(header).has("authorization");
}

function withToken(header: HeadersInit | undefined, token: string | undefined): Headers {
  const headers = new Headers(header);
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  return headers;
}

async function* withErrors<T>(messages: StreamResponse["message"] | AsyncIterable<T>, signal: AbortSignal | undefined) {
  try {
    yield* messages;
  } catch (error) {
    throw toMusterError(error, signal);
  }
}
