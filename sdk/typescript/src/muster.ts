import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { type Ambient, systemAmbient } from "./ambient.js";
import { Auth, type DeviceDescription } from "./auth.js";
import { Boards } from "./boards.js";
import { promised } from "./calls/promised.js";
import { callTransport } from "./calls/transport.js";
import { Clock } from "./clock.js";
import { Connection, type ConnectionState } from "./connection.js";
import { notSignedIn } from "./errors.js";
import { Events } from "./events/events.js";
import { AuthService } from "./gen/muster/auth/v1/auth_pb.js";
import { EventService } from "./gen/muster/events/v1/events_pb.js";
import { ClockService } from "./gen/muster/game/v1/clock_pb.js";
import { LeaderboardService } from "./gen/muster/leaderboard/v1/leaderboard_pb.js";
import { MatchmakingService } from "./gen/muster/matchmaking/v1/matchmaking_pb.js";
import type { Observable } from "./observable.js";
import { type Page, thisPage } from "./page.js";
import { type Alone, DeviceSession } from "./session.js";
import { isShared, type KeyValueStorage, memoryStorage, withoutErrors } from "./storage.js";
import { Tickets } from "./tickets.js";

export interface MusterOptions {
  /** Where Muster is served, such as `location.origin` or "http://localhost:8080". */
  readonly url: string;
  /**
   * Where tokens and the guest's secret are kept: `sessionStorage` (every window is a player of its own),
   * `localStorage` (a browser is one player), or `memoryStorage()`, which is what happens if it is not said.
   */
  readonly storage?: KeyValueStorage;
  /** What the keys in the storage begin with; "muster" by default. */
  readonly storagePrefix?: string;
  /** What the player sees in the list of their devices. */
  readonly device?: DeviceDescription;
  /** The deadline of a call with all its attempts, ms; 20,000 by default. A call's own `timeoutMs` overrules it. */
  readonly timeoutMs?: number;
  /** Errors that nobody waits for: what handlers throw, sent events that were refused. `console.error` by default. */
  readonly onError?: (error: unknown) => void;
  /** Another way to the server than gRPC-Web over `fetch`. */
  readonly transport?: Transport;
  /** Another time and other randomness than the device's. */
  readonly ambient?: Ambient;
  /** Other news of the network and the page than the window's. */
  readonly page?: Page;
}

/** A player's way to Muster. */
export interface Muster {
  /** Signing in and out. */
  readonly auth: Auth;
  /** Whether the server can be reached. */
  readonly connection: Observable<ConnectionState>;
  /** Live events. */
  readonly events: Events;
  /** The server's clock. */
  readonly clock: Clock;
  /** Finding a match. */
  readonly tickets: Tickets;
  /** Leaderboards. */
  readonly boards: Boards;
  /** A client of any service of `muster-client/api`; the same one each time. */
  client<S extends DescService>(service: S): Client<S>;
  /** Ends streams and timers. What is in the storage stays. */
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 20_000;

/** Puts it all together. Nothing is sent before it is asked for. */
export function createMuster(options: MusterOptions): Muster {
  const { url, ambient = systemAmbient, page = thisPage(), timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const { storage: chosen = memoryStorage(), storagePrefix: prefix = "muster", device = {} } = options;
  const report = options.onError ?? ((error) => console.error(error));
  const storage = withoutErrors(chosen, report);
  const sessionKey = `${prefix}.session`;

  const connection = new Connection(ambient, page, report);
  const session: DeviceSession = new DeviceSession({
    storage,
    key: sessionKey,
    refresh: async (refreshToken) => promised((await auth.refreshToken({ refreshToken })).tokens),
    alone: isShared(chosen) ? oneWindowAtATime(sessionKey) : (run) => run(),
    ambient,
    report,
  });
  const inner = options.transport ?? createGrpcWebTransport({ baseUrl: url });
  const transport = callTransport(inner, { tokens: session, observer: connection, ambient, timeoutMs });
  const auth = createClient(AuthService, transport);

  const clients = new Map<DescService, unknown>();
  const client = <S extends DescService>(service: S): Client<S> => {
    if (!clients.has(service)) clients.set(service, createClient(service, transport));
    return clients.get(service) as Client<S>;
  };
  const events = new Events({ client: client(EventService), tokens: session, connection, page, ambient, report });
  const clock = new Clock(client(ClockService), ambient);
  const stopWatching = unsubscribeAtSignOut(session, events);

  return {
    auth: new Auth({ client: auth, session, storage, key: `${prefix}.device`, device, ambient }),
    connection: connection.state,
    events,
    clock,
    tickets: new Tickets({
      client: client(MatchmakingService),
      events,
      playerId: () => session.user.value?.userId,
      ambient,
      report,
    }),
    boards: new Boards(client(LeaderboardService), events, ambient, report),
    client,
    close() {
      stopWatching();
      events.close();
      clock.close();
      connection.close();
    },
  };
}

/** Another player sees other topics. */
function unsubscribeAtSignOut(session: DeviceSession, events: Events): () => void {
  let before: string | undefined;
  return session.user.observe((user) => {
    if (before !== undefined && user?.userId !== before) events.unsubscribeAll(notSignedIn());
    before = user?.userId;
  });
}

/** Windows that share a session refresh its tokens in turn, where the browser can do that. */
function oneWindowAtATime(name: string): Alone {
  const { locks } = navigator;
  return locks ? (run) => locks.request(name, run) : (run) => run();
}
