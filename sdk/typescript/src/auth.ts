import { create } from "@bufbuild/protobuf";
import { type Client, Code } from "@connectrpc/connect";

import type { Ambient } from "./ambient.js";
import { promised } from "./calls/promised.js";
import { isMusterError, notSignedIn } from "./errors.js";
import { type AuthService, DeviceSchema, type Tokens, type User } from "./gen/muster/auth/v1/auth_pb.js";
import type { Observable } from "./observable.js";
import type { DeviceSession } from "./session.js";
import type { KeyValueStorage } from "./storage.js";

/** A name and a password for an account. */
export interface NewAccount {
  readonly username: string;
  readonly email: string;
  readonly password: string;
}

/** The device, in its user's words, to tell its sessions apart. */
export interface DeviceDescription {
  /** Such as "Ann's phone". */
  readonly name?: string;
  /** Such as "web" or "android". */
  readonly platform?: string;
}

export interface AuthOptions {
  readonly client: Client<typeof AuthService>;
  readonly session: DeviceSession;
  readonly storage: KeyValueStorage;
  /** The key of the device's secret in the storage. */
  readonly key: string;
  readonly device: DeviceDescription;
  readonly ambient: Ambient;
}

/** Signing in and out. */
export class Auth {
  readonly #options: AuthOptions;
  #resuming: Promise<User | undefined> | undefined;
  #signingIn: Promise<User> | undefined;

  constructor(options: AuthOptions) {
    this.#options = options;
  }

  /** Who is signed in. It becomes undefined when the session ends, whoever ended it. */
  get user(): Observable<User | undefined> {
    return this.#options.session.user;
  }

  /**
   * Goes on with the session in the storage, as after a reload, or else signs in the guest of this device; the first
   * time that makes an account. Several calls at once are one.
   */
  signInAsGuest(): Promise<User> {
    this.#signingIn ??= this.#signInAsGuest().finally(() => (this.#signingIn = undefined));
    return this.#signingIn;
  }

  /** Goes on with the session in the storage; undefined if there is none, or if it has ended. */
  resume(): Promise<User | undefined> {
    this.#resuming ??= this.#resume().finally(() => (this.#resuming = undefined));
    return this.#resuming;
  }

  /** Signs in with a username or an e-mail address, and a password. */
  async signIn(credentials: { readonly identifier: string; readonly password: string }): Promise<User> {
    const { client } = this.#options;
    return this.#begin(await client.login({ ...credentials, device: this.#device() }));
  }

  /** Makes an account and signs in. */
  async register(account: NewAccount): Promise<User> {
    const { client } = this.#options;
    return this.#begin(await client.register({ ...account, device: this.#device() }));
  }

  /** Makes the guest's account a full one. The player stays the same, with all that they have won. */
  async upgradeGuest(account: NewAccount): Promise<User> {
    const { client, session } = this.#options;
    const user = promised((await client.upgradeGuest(account)).user);
    session.update(user);
    return user;
  }

  /**
   * Ends the session. The device forgets it in any case; an error means that the server could not be told. With
   * `forgetDevice` the next guest is a new one, and the account of an unnamed guest is out of reach for ever.
   */
  async signOut(options: { readonly forgetDevice?: boolean } = {}): Promise<void> {
    const { client, session } = this.#options;
    try {
      if (this.user.value) await client.logout({});
    } catch (error) {
      const hasEnded = isMusterError(error) && error.code === Code.Unauthenticated;
      if (!hasEnded) throw error;
    } finally {
      session.end();
      if (options.forgetDevice) this.#forgetDevice();
    }
  }

  /** Deletes the account for good, with all that belongs to it. A guest needs no password. */
  async deleteAccount(password?: string): Promise<void> {
    const { client, session, storage, key } = this.#options;
    if (!this.user.value) throw notSignedIn();
    const deviceSecret = storage.getItem(key) ?? "";
    await client.deleteAccount({
      credential:
        password === undefined ? { case: "deviceSecret", value: deviceSecret } : { case: "password", value: password },
    });
    session.end();
    this.#forgetDevice();
  }

  async #signInAsGuest(): Promise<User> {
    const { client } = this.#options;
    const user = await this.resume();
    if (user) return user;
    return this.#begin(await client.loginWithDevice({ deviceSecret: this.#deviceSecret(), device: this.#device() }));
  }

  async #resume(): Promise<User | undefined> {
    const { client, session } = this.#options;
    if (this.user.value) return this.user.value;
    const token = session.stored();
    if (!token) return undefined;
    if (token.freshForMs > 0 && (await client.validateToken({ accessToken: token.value })).valid)
      return session.resume();
    try {
      return (await session.renew(token.value)) && session.resume();
    } catch (error) {
      if (session.stored()) throw error; // the server could not be asked
      return undefined;
    }
  }

  #begin({ user, tokens }: { user?: User | undefined; tokens?: Tokens | undefined }): User {
    const signedIn = promised(user);
    this.#options.session.begin(signedIn, promised(tokens));
    return signedIn;
  }

  /** Kept before it is used: a lost answer must not cost the account. */
  #deviceSecret(): string {
    const { storage, key, ambient } = this.#options;
    const kept = storage.getItem(key);
    if (kept !== null) return kept;
    const secret = Array.from(ambient.randomBytes(32), (byte) => byte.toString(16).padStart(2, "0")).join("");
    storage.setItem(key, secret);
    return secret;
  }

  #forgetDevice(): void {
    this.#options.storage.removeItem(this.#options.key);
  }

  #device() {
    const { name = "", platform = "web" } = this.#options.device;
    return create(DeviceSchema, { name, platform });
  }
}
