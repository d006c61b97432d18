import { generateKeyPairSync } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { isCode, readSecretFile, syncDirectory } from '../base/secret-file.ts';
import { parseCompactJws } from './compact-jws.ts';
import {
  type SigningKey,
  signingKey,
  signJws,
  TOKEN_ALGORITHMS,
  type TokenAlgorithm,
  verifyJws,
} from './jws-signature.ts';

export interface TokenRingOptions {
  /** The file with the keys: 0600, made when it is missing. */
  readonly path: string;
  /** What new keys sign with. */
  readonly algorithm: TokenAlgorithm;
  /** A key signs for so long; then there is a new one, and the old one only verifies. */
  readonly keyLifeMs: number;
  /** After that the old key is thrown away: longer than any token lives. */
  readonly overlapMs: number;
}

export interface TokenRingDeps {
  readonly clock: Clock;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** Longest token that is looked at. */
export const MAX_TOKEN_LENGTH = 4999;
/** Who our own tokens say they are from. */
export const LOCAL_ISSUER = 'headwater';

interface RingKey extends SigningKey {
  readonly kid: string;
  readonly createdMs: number;
}

/** As it stands in the file. */
interface StoredKey {
  readonly kid: string;
  readonly algorithm: TokenAlgorithm;
  readonly createdMs: number;
  /** Base64url of the secret, or of the private key in PKCS #8. */
  readonly secret: string;
}

const SECRET_BYTES = 32;
const KID_BYTES = 6;
/** A token of a key that is not known has the file read again, but not more often than this. */
const RELOAD_COOLDOWN_MS = 1_000;
/** A failed change of keys is tried again so much later. */
const ROTATE_RETRY_MS = 60_000;

/**
 * The keys that sign our own tokens: the newest signs, those before it verify until their last token is over. Several
 * processes may share the file.
 */
export class TokenRing {
  readonly #options: TokenRingOptions;
  readonly #deps: TokenRingDeps;
  #keys: readonly RingKey[] = [];
  #version = '';
  #lookedMs = Number.NEGATIVE_INFINITY;
  #rotateAfterMs = Number.NEGATIVE_INFINITY;
  #rotating: Promise<void> | undefined;

  private constructor(options: TokenRingOptions, deps: TokenRingDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /**
   * Reads the keys, or makes the first.
   * @throws AppError SECRET_FILE_UNSAFE, which never has the value
   */
  static async open(options: TokenRingOptions, deps: TokenRingDeps): Promise<TokenRing> {
    const ring = new TokenRing(options, deps);
    await ring.#load();
    if (ring.#keys.length === 0 || ring.#isDue()) await ring.#rotate();
    return ring;
  }

  /** Keys that verify now. */
  get size(): number {
    return this.#keys.length;
  }

  /** Signs claims with the newest key. */
  sign(claims: Readonly<Record<string, unknown>>): string {
    const key = this.#keys[0];
    if (key === undefined) throw new Error('the ring was opened with a key');
    this.#rotateWhenDue();
    const header = { alg: key.algorithm, kid: key.kid };
    const signed = `${encode(header)}.${encode(claims)}`;
    return `${signed}.${signJws(key, signed).toString('base64url')}`;
  }

  /** The claims of a token that one of our keys has signed; undefined for any other. Nothing but that is checked. */
  async verify(token: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const jws = parseCompactJws(token, MAX_TOKEN_LENGTH);
    if (jws === undefined) return undefined;
    const { alg, kid, crit, typ } = jws.header;
    if (typeof kid !== 'string' || crit !== undefined || (typ !== undefined && typ !== 'JWT'))
      return undefined;
    const key = this.#find(kid) ?? (await this.#findAgain(kid));
    // One key, one algorithm: a public key is never a shared secret, and `none` is nobody's.
    if (key === undefined || alg !== key.algorithm) return undefined;
    return verifyJws(key, jws.signed, jws.signature) ? jws.payload : undefined;
  }

  /**
   * What tells whether another ring has the same keys, newest first, of the file as it is now: `print` is given each key's
   * private bytes. @throws AppError SECRET_FILE_UNSAFE
   */
  async fingerprints(print: (secret: Buffer) => string): Promise<readonly string[]> {
    await this.#load();
    return this.#keys.map((key) => print(Buffer.from(storedKey(key).secret, 'base64url')));
  }

  #find(kid: string): RingKey | undefined {
    return this.#keys.find((key) => key.kid === kid);
  }

  async #findAgain(kid: string): Promise<RingKey | undefined> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#lookedMs < RELOAD_COOLDOWN_MS) return undefined;
    // A file that cannot be read now makes a key unknown, and takes nothing from those that are known.
    await this.#load().catch(() => undefined);
    return this.#find(kid);
  }

  #isDue(): boolean {
    const newest = this.#keys[0];
    return newest === undefined || this.#deps.clock.wallMs() - newest.createdMs >= this.#options.keyLifeMs;
  }

  /** In the background: signing goes on with the old key, which verifies for long enough. */
  #rotateWhenDue(): void {
    if (this.#rotating || !this.#isDue()) return;
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs < this.#rotateAfterMs) return;
    this.#rotateAfterMs = nowMs + ROTATE_RETRY_MS;
    this.#rotating = this.#rotate()
      .catch(() => undefined)
      .finally(() => {
        this.#rotating = undefined;
      });
  }

  async #rotate(): Promise<void> {
    const { path, algorithm, overlapMs } = this.#options;
    const nowMs = this.#deps.clock.wallMs();
    const draftPath = `${path}.new`;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const draft = await openDraft(draftPath, nowMs);
    // Another process is at it: its key will do.
    if (draft === undefined) return this.#load();
    try {
      await this.#load();
      if (!this.#isDue()) return;
      const kept = this.#keys.filter((_, i) => {
        // It signed until the next newer one was made.
        const successorMs = this.#keys[i - 1]?.createdMs ?? nowMs;
        return nowMs - successorMs < overlapMs;
      });
      const keys = [this.#newKey(algorithm, nowMs), ...kept.map(storedKey)];
      await draft.writeFile(`${JSON.stringify({ keys }, undefined, 2)}\n`);
      await draft.sync();
      await rename(draftPath, path);
      await syncDirectory(dirname(path));
      await this.#load();
    } finally {
      await draft.close();
      await rm(draftPath, { force: true });
    }
  }

  #newKey(algorithm: TokenAlgorithm, createdMs: number): StoredKey {
    const kid = Buffer.from(this.#deps.randomBytes(KID_BYTES)).toString('base64url');
    const secret =
      algorithm === 'HS256' ? Buffer.from(this.#deps.randomBytes(SECRET_BYTES)) : newPrivateKey(algorithm);
    return { kid, algorithm, createdMs, secret: secret.toString('base64url') };
  }

  async #load(): Promise<void> {
    const { path } = this.#options;
    this.#lookedMs = this.#deps.clock.monotonicMs();
    const version = await fileVersion(path);
    if (version === undefined || version === this.#version) return;
    const keys = parseRing(await readSecretFile(path, SECRET_BYTES));
    if (keys === undefined) throw new AppError('SECRET_FILE_UNSAFE', `${path} holds no token keys`);
    this.#keys = keys;
    this.#version = version;
  }
}

/** A writer holds the draft for milliseconds; one that is older belongs to a process that died. */
const DRAFT_STALE_MS = 10_000;

async function openDraft(path: string, nowMs: number) {
  for (let turn = 0; turn < 2; turn++) {
    try {
      return await open(path, 'wx', 0o600);
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: nowMs }));
    if (nowMs - mtimeMs < DRAFT_STALE_MS) return undefined;
    await rm(path, { force: true });
  }
  return undefined;
}

async function fileVersion(path: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs, size } = await stat(path, { bigint: true });
    return `${ino}:${mtimeNs}:${size}`;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function newPrivateKey(algorithm: 'ES256' | 'EdDSA'): Buffer {
  const { privateKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('ed25519');
  return privateKey.export({ format: 'der', type: 'pkcs8' });
}

/** Newest first; undefined when the bytes are no ring. */
function parseRing(bytes: Buffer): RingKey[] | undefined {
  try {
    const value = JSON.parse(bytes.toString('utf8')) as { readonly keys?: unknown };
    if (!Array.isArray(value.keys)) return undefined;
    const keys = value.keys.map(parseKey);
    return keys.length === 0 ? undefined : keys.sort((a, b) => b.createdMs - a.createdMs);
  } catch {
    return undefined;
  }
}

/** @throws Error when it is no key */
function parseKey(value: unknown): RingKey {
  const { kid, algorithm, createdMs, secret } = value as Partial<StoredKey>;
  if (typeof kid !== 'string' || typeof createdMs !== 'number' || typeof secret !== 'string')
    throw new TypeError();
  if (algorithm === undefined || !TOKEN_ALGORITHMS.includes(algorithm)) throw new TypeError();
  const bytes = Buffer.from(secret, 'base64url');
  if (bytes.length < SECRET_BYTES) throw new TypeError();
  return { kid, createdMs, ...signingKey(algorithm, bytes) };
}

function storedKey({ kid, algorithm, createdMs, signer }: RingKey): StoredKey {
  const secret = algorithm === 'HS256' ? signer.export() : signer.export({ format: 'der', type: 'pkcs8' });
  return { kid, algorithm, createdMs, secret: secret.toString('base64url') };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
