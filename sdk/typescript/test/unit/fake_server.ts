import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createRouterTransport,
  type HandlerContext,
} from "@connectrpc/connect";

import { AuthService, LoginWithDeviceResponseSchema, type User, UserSchema } from "../../src/api.js";
import {
  EventService,
  type PublishRequest,
  PublishResponseSchema,
  type SubscribeRequest,
  SubscribeResponseSchema,
} from "../../src/api.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { createMuster, type Muster, type MusterOptions } from "../../src/index.js";
import { ManualTime } from "./manual_time.js";

export const PLAYER_ID = "01900000-0000-7000-8000-000000000001";
export const TOKEN_LIFETIME_MS = 15 * 60_000;

/** An error as the server gives it. */
export function refusal(
  code: Code,
  reason: string,
  more: { metadata?: Record<string, string>; field?: string; retryAfterMs?: number } = {},
): ConnectError {
  const { metadata = {}, field, retryAfterMs } = more;
  return new ConnectError(reason, code, undefined, [
    { desc: ErrorInfoSchema, value: { reason, domain: "muster", metadata } },
    { desc: BadRequestSchema, value: { fieldViolations: field ? [{ field, description: "change it" }] : [] } },
    ...(retryAfterMs ? [{ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs) } }] : []),
  ]);
}

/** What a connection that breaks looks like. */
export function broken(): ConnectError {
  return new ConnectError("fetch failed", Code.Unavailable);
}

type MessageInit = NonNullable<MessageInitShape<typeof SubscribeResponseSchema>["message"]>;

/** A stream that a client has opened. */
export class OpenStream {
  readonly #waiting: (MessageInit | ConnectError | "end")[] = [];
  #wake = () => {};
  readonly request: SubscribeRequest;
  readonly token: string;
  readonly #signal: AbortSignal;

  constructor(request: SubscribeRequest, context: HandlerContext) {
    this.request = request;
    this.token = bearer(context);
    this.#signal = context.signal;
    this.#signal.addEventListener("abort", () => this.#wake());
  }

  /** Whether the client has closed it, or it has ended. */
  get isClosed(): boolean {
    return this.#signal.aborted;
  }

  /** The cursors that were asked for. */
  get cursors(): Record<string, string> {
    return Object.fromEntries(this.request.subscriptions.map(({ topic, cursor }) => [topic, cursor]));
  }

  send(message: MessageInit): void {
    this.#put(message);
  }

  /** Follows topics from the cursors asked for, all by default. */
  follow(...topics: string[]): void {
    for (const { topic, cursor } of this.request.subscriptions) {
      if (topics.length > 0 && !topics.includes(topic)) continue;
      this.send({ case: "subscribed", value: { topic, cursor: cursor || "start" } });
    }
  }

  /** A retained event of the game, named like its cursor. */
  event(topic: string, cursor: string, more: { eventId?: string; name?: string } = {}): void {
    const { eventId = "", name = cursor } = more;
    this.send({ case: "event", value: { topic, cursor, eventId, payload: { case: "gameEvent", value: { name } } } });
  }

  end(): void {
    this.#put("end");
  }

  fail(error: ConnectError): void {
    this.#put(error);
  }

  async *messages() {
    while (!this.#signal.aborted) {
      const message = this.#waiting.shift();
      if (message === "end") return;
      if (message instanceof ConnectError) throw message;
      if (message) yield create(SubscribeResponseSchema, { message });
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #put(message: MessageInit | ConnectError | "end"): void {
    this.#waiting.push(message);
    this.#wake();
  }
}

/** A server in memory, as little of it as the tests need, and what it was asked. */
export class FakeServer {
  readonly time = new ManualTime();
  readonly streams: OpenStream[] = [];
  readonly publications: PublishRequest[] = [];
  /** The refresh tokens that were brought. */
  readonly refreshes: string[] = [];
  readonly secrets: string[] = [];
  /** What happens before a call is answered: it may throw. */
  before: (method: string, context: HandlerContext) => void | Promise<void> = () => {};
  /** As on the device after a sign-in. */
  user: User = create(UserSchema, { userId: PLAYER_ID, username: "guest-1", guest: true });
  #generation = 0;

  /** Knows no token any more. */
  forgetTokens(): void {
    this.#generation += 1;
  }

  get newestStream(): OpenStream {
    return this.streams.at(-1)!;
  }

  /** The newest one. */
  get accessToken(): string {
    return `access-${this.#generation}`;
  }

  /** A client of this server. More services may be given. */
  client(options: Partial<MusterOptions> = {}, more: (router: ConnectRouter) => void = () => {}): Muster {
    const transport = createRouterTransport((router) => {
      this.#routes(router);
      more(router);
    });
    const onError = (error: unknown) => {
      throw error;
    };
    return createMuster({ url: "", transport, ambient: this.time, onError, ...options });
  }

  #routes({ service }: ConnectRouter): void {
    service(AuthService, {
      loginWithDevice: async ({ deviceSecret }, context) => {
        this.secrets.push(deviceSecret);
        await this.before("loginWithDevice", context);
        return create(LoginWithDeviceResponseSchema, { user: this.user, tokens: this.#tokens(), created: true });
      },
      refreshToken: async ({ refreshToken }, context) => {
        this.refreshes.push(refreshToken);
        const tokens = this.#tokens();
        await this.before("refreshToken", context);
        return { tokens };
      },
      validateToken: async ({ accessToken }, context) => {
        await this.before("validateToken", context);
        return { valid: accessToken === this.accessToken };
      },
      logout: async (_, context) => {
        await this.before("logout", context);
        return {};
      },
      upgradeGuest: async ({ username }, context) => {
        await this.before("upgradeGuest", context);
        return { user: { ...this.user, username, guest: false } };
      },
      deleteAccount: async (_, context) => {
        await this.before("deleteAccount", context);
        return {};
      },
    });
    service(EventService, {
      subscribe: (request, context) => {
        const stream = new OpenStream(request, context);
        this.streams.push(stream);
        return stream.messages();
      },
      publish: async (request, context) => {
        this.publications.push(request);
        await this.before("publish", context);
        return create(PublishResponseSchema, {
          events: request.events.map(({ eventId }) => ({ eventId, cursor: "1" })),
        });
      },
    });
  }

  #tokens() {
    this.#generation += 1;
    return {
      accessToken: this.accessToken,
      refreshToken: `refresh-${this.#generation}`,
      expiresIn: durationFromMs(TOKEN_LIFETIME_MS),
    };
  }
}

/** The token of a call. */
export function bearer({ requestHeader }: HandlerContext): string {
  return (requestHeader.get("authorization") ?? "").replace(/^Bearer /, "");
}
