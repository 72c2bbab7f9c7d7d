import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";

import type { Ambient } from "./ambient.js";
import type { AccessToken, TokenSource } from "./calls/transport.js";
import { isMusterError } from "./errors.js";
import { type Tokens, type User, UserSchema } from "./gen/muster/auth/v1/auth_pb.js";
import { type Observable, Variable } from "./observable.js";
import type { KeyValueStorage } from "./storage.js";

export interface SessionOptions {
  readonly storage: KeyValueStorage;
  /** The key in the storage. */
  readonly key: string;
  /** Asks for the successors of tokens. Repeating it with the same refresh token must be safe. */
  readonly refresh: (refreshToken: string) => Promise<Tokens>;
  /** Runs one at a time among all who share the storage. */
  readonly alone: Alone;
  readonly ambient: Ambient;
  readonly report: (error: unknown) => void;
}

/** Runs something while nobody else does. */
export type Alone = <T>(run: () => Promise<T>) => Promise<T>;

/** A token is refreshed when less than this is left of its life, but not before 4/5 of it are over, ms. */
const REFRESH_MARGIN_MS = 60_000;

/**
 * The session of the device: who is signed in, and the tokens. They are refreshed before they expire, by one call for
 * all that wait. Windows that share a storage share the session: each looks for newer tokens there before it asks for
 * some.
 */
export class DeviceSession implements TokenSource {
  readonly #options: SessionOptions;
  readonly #user: Variable<User | undefined>;
  #current: Kept | undefined;
  #refreshing: Promise<AccessToken | undefined> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#user = new Variable<User | undefined>(undefined, options.report);
  }

  get user(): Observable<User | undefined> {
    return this.#user;
  }

  /** Begins with the tokens of a sign-in. */
  begin(user: User, tokens: Tokens): void {
    this.#keep({ ...this.#withLifetime(tokens), user: toJson(UserSchema, user) });
    this.#user.set(user);
  }

  /** What the storage holds of an earlier session: to be checked, then either `resume`d or ended. */
  stored(): AccessToken | undefined {
    this.#current = this.#read();
    return this.#current && this.#accessToken(this.#current);
  }

  /** Goes on with the session that was `stored`. */
  resume(): User | undefined {
    const user = this.#current && userOf(this.#current);
    this.#user.set(user);
    return user;
  }

  /** The account has changed. */
  update(user: User): void {
    if (this.#current) this.#keep({ ...this.#current, user: toJson(UserSchema, user) });
    this.#user.set(user);
  }

  /** Forgets it, here and in the storage. */
  end(): void {
    this.#current = undefined;
    this.#options.storage.removeItem(this.#options.key);
    this.#user.set(undefined);
  }

  async token(): Promise<AccessToken | undefined> {
    const current = this.#current;
    if (!current) return undefined;
    const token = this.#accessToken(current);
    // While a token is being refreshed that looks fresh, the server has refused it.
    if (token.freshForMs > 0 && !this.#refreshing) return token;
    try {
      return await this.#refreshOnce();
    } catch (error) {
      // It cannot be refreshed now, but is still good.
      if (this.#current === current && current.expiresAtMs > this.#options.ambient.wallMs()) return token;
      throw error;
    }
  }

  async renew(refused: string): Promise<AccessToken | undefined> {
    if (this.#current && this.#current.accessToken !== refused) return this.token();
    return this.#refreshOnce();
  }

  revoked(token: string): void {
    if (this.#current?.accessToken === token) this.end();
  }

  #refreshOnce(): Promise<AccessToken | undefined> {
    this.#refreshing ??= this.#options.alone(() => this.#refresh()).finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #refresh(): Promise<AccessToken | undefined> {
    if (this.#adoptNewer()) return this.#accessToken(this.#current!);
    const before = this.#current;
    if (!before) return undefined;
    try {
      const tokens = await this.#options.refresh(before.refreshToken);
      // Somebody may have signed in or out meanwhile.
      if (this.#current === before) this.#keep({ ...this.#withLifetime(tokens), user: before.user });
      return this.#current && this.#accessToken(this.#current);
    } catch (error) {
      if (!isRefusal(error) || this.#current !== before) throw error;
      if (this.#adoptNewer()) return this.#accessToken(this.#current);
      this.end();
      throw error;
    }
  }

  /** Whether another window has other tokens of the session, or has ended it. */
  #adoptNewer(): boolean {
    const stored = this.#read();
    if (!stored && this.#current) this.end();
    if (!stored || stored.refreshToken === this.#current?.refreshToken) return false;
    this.#current = stored;
    return this.#accessToken(stored).freshForMs > 0;
  }

  #accessToken({ accessToken, expiresAtMs, lifetimeMs }: Kept): AccessToken {
    const marginMs = Math.min(REFRESH_MARGIN_MS, lifetimeMs / 5);
    return { value: accessToken, freshForMs: expiresAtMs - marginMs - this.#options.ambient.wallMs() };
  }

  #withLifetime({ accessToken, refreshToken, expiresIn }: Tokens): Omit<Kept, "user"> {
    const lifetimeMs = expiresIn ? durationMs(expiresIn) : 0;
    return { accessToken, refreshToken, lifetimeMs, expiresAtMs: this.#options.ambient.wallMs() + lifetimeMs };
  }

  #keep(kept: Kept): void {
    this.#current = kept;
    this.#options.storage.setItem(this.#options.key, JSON.stringify(kept));
  }

  #read(): Kept | undefined {
    const text = this.#options.storage.getItem(this.#options.key);
    if (text === null) return undefined;
    try {
      const kept = JSON.parse(text) as Kept;
      userOf(kept);
      return kept;
    } catch (error) {
      this.#options.report(error); // not of this version
      return undefined;
    }
  }
}

/** A session as it lies in the storage. */
interface Kept {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** By the device's own clock, so that it need not be right. */
  readonly expiresAtMs: number;
  readonly lifetimeMs: number;
  readonly user: JsonValue;
}

function userOf({ user }: Kept): User {
  return fromJson(UserSchema, user, { ignoreUnknownFields: true });
}

/** Whether the server has said that the session is over. */
function isRefusal(error: unknown): boolean {
  return isMusterError(error) && (error.code === Code.Unauthenticated || error.code === Code.PermissionDenied);
}
