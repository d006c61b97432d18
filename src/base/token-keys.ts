import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import type { Clock } from './clock.ts';
import { AppError } from './errors.ts';
import type { OutgoingHttp } from './outgoing-http.ts';
import { isCode, readTextSecretFile } from './secret-file.ts';

/** Where the keys come from that tokens are checked with. */
export interface TokenKeys {
  /** What a token says it was signed with → the key. Rejects as jose's own key sets do, or with `unavailable`. */
  readonly find: JWTVerifyGetKey;
  /** @throws AppError when there is no key to be had; called at start */
  verify(): Promise<void>;
}

/** A key set is fetched again when it is this old. */
const JWKS_MAX_AGE_MS = 5 * 60_000;
/** When it cannot be fetched, the last one counts for so long. */
const JWKS_STALE_MS = 60 * 60_000;
/** A token signed with a key that is not in the set has it fetched again, but not sooner than this after the last time. */
const JWKS_COOLDOWN_MS = 10_000;
/** The same after a fetch that failed. */
const JWKS_RETRY_MS = 1_000;
/** Longest key file. */
const MAX_KEY_FILE_BYTES = 256 * 1024;
/** RFC 7518 3.2 asks for as many bits as the hash has. */
const MIN_SHARED_SECRET_BYTES = 32;

type KeySet = ReturnType<typeof createLocalJWKSet>;

/** Fetch outcomes, for a metric. */
export type JwksFetch = 'ok' | 'failed';

export interface JwksDeps {
  readonly http: OutgoingHttp;
  readonly clock: Clock;
  readonly onFetch: (outcome: JwksFetch) => void;
  /** What is thrown when the set cannot be had. */
  readonly unavailable: () => Error;
}

/** The keys of a JWKS URL: kept for minutes, fetched again when a token names one that is not there. */
export class JwksUrlKeys implements TokenKeys {
  readonly #url: string;
  readonly #deps: JwksDeps;
  #set: KeySet | undefined;
  #fetchedMs = 0;
  /** Not before this time is it fetched again. */
  #nextTryMs = Number.NEGATIVE_INFINITY;
  #fetching: Promise<KeySet | undefined> | undefined;

  constructor(url: string, deps: JwksDeps) {
    this.#url = url;
    this.#deps = deps;
  }

  /** The identity provider may start after us: nothing to check now. */
  async verify(): Promise<void> {}

  readonly find: JWTVerifyGetKey = async (header, token) => {
    const set = await this.#current();
    try {
      return await set(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      const newer = await this.#refetch();
      if (newer === undefined) throw error;
      return newer(header, token);
    }
  };

  async #current(): Promise<KeySet> {
    const ageMs = this.#deps.clock.monotonicMs() - this.#fetchedMs;
    if (this.#set !== undefined && ageMs < JWKS_MAX_AGE_MS) return this.#set;
    const fetched = await this.#refetch();
    if (fetched !== undefined) return fetched;
    if (this.#set !== undefined && ageMs < JWKS_STALE_MS) return this.#set;
    throw this.#deps.unavailable();
  }

  /** The new set; undefined when it was tried a moment ago or is not to be had. */
  async #refetch(): Promise<KeySet | undefined> {
    if (this.#fetching) return this.#fetching;
    const { clock } = this.#deps;
    if (clock.monotonicMs() < this.#nextTryMs) return undefined;
    this.#fetching = this.#fetch();
    try {
      const set = await this.#fetching;
      this.#nextTryMs = clock.monotonicMs() + (set === undefined ? JWKS_RETRY_MS : JWKS_COOLDOWN_MS);
      return set;
    } finally {
      this.#fetching = undefined;
    }
  }

  async #fetch(): Promise<KeySet | undefined> {
    const outcome = await this.#deps.http.call({
      method: 'GET',
      url: this.#url,
      headers: { Accept: 'application/jwk-set+json, application/json' },
    });
    const set = outcome.kind === 'answer' && outcome.status === 200 ? parseKeySet(outcome.body) : undefined;
    this.#deps.onFetch(set === undefined ? 'failed' : 'ok');
    if (set === undefined) return undefined;
    this.#set = set;
    this.#fetchedMs = this.#deps.clock.monotonicMs();
    return set;
  }
}

/** The key in a file: a public key or certificate (PEM), a JWK or JWKS. Read again when the file changes. */
export class PublicKeyFile implements TokenKeys {
  readonly #path: string;
  #version = '';
  #key: KeyObject | KeySet | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async verify(): Promise<void> {
    await this.#load();
  }

  readonly find: JWTVerifyGetKey = async (header, token) => {
    const key = await this.#load();
    return typeof key === 'function' ? key(header, token) : key;
  };

  async #load(): Promise<KeyObject | KeySet> {
    const version = await this.#fileVersion();
    if (this.#key !== undefined && version === this.#version) return this.#key;
    const text = await this.#read();
    const key = parsePublicKey(text);
    if (key === undefined) {
      throw this.#unusable(
        text.includes('PRIVATE KEY')
          ? 'holds a private key: only the public one belongs here'
          : 'holds no public key (PEM), certificate (PEM), JWK or JWKS',
      );
    }
    this.#key = key;
    this.#version = version;
    return key;
  }

  async #fileVersion(): Promise<string> {
    try {
      const { ino, mtimeNs, size } = await stat(this.#path, { bigint: true });
      return `${ino}:${mtimeNs}:${size}`;
    } catch (cause) {
      throw this.#unusable(isCode(cause, 'ENOENT') ? 'is missing' : 'cannot be read', cause);
    }
  }

  async #read(): Promise<string> {
    const file = await open(this.#path, 'r');
    try {
      const { size } = await file.stat();
      if (size > MAX_KEY_FILE_BYTES) throw this.#unusable(`is longer than ${MAX_KEY_FILE_BYTES} bytes`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  }

  #unusable(what: string, cause?: unknown): AppError {
    return new AppError('TOKEN_KEY_UNUSABLE', `${this.#path} ${what}`, { cause });
  }
}

/** The shared secret of HS256 and the like: the file's text without its last line break. */
export class SharedSecretFile implements TokenKeys {
  readonly #path: string;
  /** jose imports bytes anew for each token, which takes longer than the check itself; a key only once. */
  #secret: KeyObject | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async verify(): Promise<void> {
    this.#secret = createSecretKey(await readTextSecretFile(this.#path, MIN_SHARED_SECRET_BYTES));
  }

  readonly find: JWTVerifyGetKey = async () => {
    if (this.#secret === undefined) await this.verify();
    return this.#secret as KeyObject;
  };
}

function parsePublicKey(text: string): KeyObject | KeySet | undefined {
  if (text.trimStart().startsWith('{')) return parseKeySet(text);
  if (text.includes('PRIVATE KEY')) return undefined;
  try {
    return createPublicKey(text);
  } catch {
    return undefined;
  }
}

/** A JWKS, or one JWK alone. Undefined when it is neither or has no key. */
function parseKeySet(text: string): KeySet | undefined {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json !== 'object' || json === null) return undefined;
    const keys: unknown = 'keys' in json ? json.keys : [json];
    if (!Array.isArray(keys)) return undefined;
    // Shared secrets have no place in what is public, and private parts none in what only checks.
    const usable = keys.filter(isPublicJwk);
    return usable.length === 0 ? undefined : createLocalJWKSet({ keys: usable });
  } catch {
    return undefined;
  }
}

function isPublicJwk(key: unknown): boolean {
  if (typeof key !== 'object' || key === null || !('kty' in key)) return false;
  return ['RSA', 'EC', 'OKP'].includes(String(key.kty)) && !('d' in key);
}
