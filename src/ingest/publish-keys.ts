import { createHmac, timingSafeEqual } from 'node:crypto';
import { type FileHandle, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { isStreamName } from '../stream/stream-name.ts';

/** A stream that has a publish key. Times are milliseconds since the Unix epoch. */
export interface PublishKeyInfo {
  readonly stream: string;
  readonly createdMs: number;
  /** When the present key was made. */
  readonly rotatedMs: number;
}

interface KeyRecord extends PublishKeyInfo {
  /** HMAC-SHA-256 of the key: the key itself is stored nowhere. */
  readonly hmac: Buffer;
}

export interface PublishKeysDeps {
  readonly clock: Clock;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

type Records = ReadonlyMap<string, KeyRecord>;

const KEY_PREFIX = 'hw_';
const KEY_BYTES = 24;
/** Longer names are not looked up: no key of ours is. */
const MAX_KEY_LENGTH = 128;
const SECRET_BYTES = 32;
const HMAC_BYTES = 32;
const OTHERS_MAY_ACCESS = 0o077;
const FILE_VERSION = 1;
/** How long to try while another process is changing the keys, and after what age its claim is a dead one's. */
const LOCK_WAIT_MS = 1_000;
const LOCK_STALE_MS = 10_000;

/**
 * The publish keys of `<dir>/publish-keys.json`. Several processes may hold the same directory open: what one of them
 * changes counts in the others from their next lookup on. Every method may throw INGEST_KEYS_CORRUPT or
 * INGEST_SECRET_UNSAFE; a damaged file is never written over.
 */
export class PublishKeys {
  readonly #dir: string;
  readonly #deps: PublishKeysDeps;
  readonly #file: string;
  /** The new contents before they are renamed; that it exists is also the lock among writers. */
  readonly #draft: string;
  readonly #secretDir: string;
  readonly #secretFile: string;
  #secret: Buffer | undefined;
  #records: Records = new Map();
  /** Identity of the file that `#records` came from. */
  #version = '';

  /** Touches no file. */
  constructor(dir: string, deps: PublishKeysDeps) {
    this.#dir = dir;
    this.#deps = deps;
    this.#file = join(dir, 'publish-keys.json');
    this.#draft = join(dir, 'publish-keys.json.new');
    this.#secretDir = join(dir, 'secrets');
    this.#secretFile = join(this.#secretDir, 'publish-key.hmac');
  }

  /**
   * Makes a key for a stream that has none and returns it: this is the only time it is seen.
   * @throws AppError STREAM_NAME_INVALID, INGEST_STREAM_EXISTS, INGEST_KEYS_BUSY.
   */
  async create(stream: string): Promise<string> {
    if (!isStreamName(stream)) throw new AppError('STREAM_NAME_INVALID');
    return this.#change((records, secret) => {
      if (records.has(stream)) {
        throw new AppError('INGEST_STREAM_EXISTS', `the stream ${stream} already has a publish key`);
      }
      const nowMs = this.#deps.clock.wallMs();
      return this.#withNewKey(records, secret, { stream, createdMs: nowMs, rotatedMs: nowMs });
    });
  }

  /**
   * Makes a new key for a stream and returns it; the old one is dead from the next lookup on.
   * @throws AppError STREAM_NOT_FOUND, INGEST_KEYS_BUSY.
   */
  async rotate(stream: string): Promise<string> {
    return this.#change((records, secret) => {
      const old = records.get(stream);
      if (old === undefined)
        throw new AppError('STREAM_NOT_FOUND', 'no stream of this name has a publish key');
      return this.#withNewKey(records, secret, { ...old, rotatedMs: this.#deps.clock.wallMs() });
    });
  }

  /** Reads everything that lookups need: what is wrong with it comes to light now, not at the first publish. */
  async verify(): Promise<void> {
    const records = await this.#load();
    if (records.size > 0) await this.#openSecret(false);
  }

  /** Streams that have a key, by name. */
  async list(): Promise<PublishKeyInfo[]> {
    const records = await this.#load();
    return [...records.values()]
      .map(({ stream, createdMs, rotatedMs }) => ({ stream, createdMs, rotatedMs }))
      .sort((a, b) => (a.stream < b.stream ? -1 : 1));
  }

  /** The stream a key publishes; undefined when it is nobody's. Takes the same time whichever key it is. */
  async find(key: string): Promise<string | undefined> {
    const records = await this.#load();
    if (records.size === 0 || key.length > MAX_KEY_LENGTH) return undefined;
    const hmac = hmacOf(await this.#openSecret(false), key);
    let found: string | undefined;
    for (const record of records.values()) if (timingSafeEqual(record.hmac, hmac)) found = record.stream;
    return found;
  }

  #withNewKey(records: Records, secret: Buffer, info: PublishKeyInfo): { records: Records; key: string } {
    const key = KEY_PREFIX + Buffer.from(this.#deps.randomBytes(KEY_BYTES)).toString('base64url');
    const { stream, createdMs, rotatedMs } = info;
    const record: KeyRecord = { stream, createdMs, rotatedMs, hmac: hmacOf(secret, key) };
    return { records: new Map(records).set(stream, record), key };
  }

  /** Reads, changes and replaces the file while no other writer can. */
  async #change(
    change: (records: Records, secret: Buffer) => { records: Records; key: string },
  ): Promise<string> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const draft = await this.#lock();
    let newKey: string;
    try {
      const before = await this.#load();
      const { records, key } = change(before, await this.#openSecret(before.size === 0));
      await draft.writeFile(renderRecords(records));
      await draft.sync();
      await rename(this.#draft, this.#file);
      newKey = key;
    } catch (error) {
      await rm(this.#draft, { force: true });
      throw error;
    } finally {
      await draft.close();
    }
    await syncDirectory(this.#dir);
    return newKey;
  }

  /** Tries without a pause between: a writer needs milliseconds, and each try is a turn of the file system. */
  async #lock(): Promise<FileHandle> {
    const deadlineMs = this.#deps.clock.monotonicMs() + LOCK_WAIT_MS;
    do {
      try {
        return await open(this.#draft, 'wx', 0o600);
      } catch (error) {
        if (!isCode(error, 'EEXIST')) throw error;
      }
      await this.#dropStaleLock();
    } while (this.#deps.clock.monotonicMs() < deadlineMs);
    throw new AppError('INGEST_KEYS_BUSY', `another process is changing the publish keys (${this.#draft})`);
  }

  /** A writer holds the lock for milliseconds; one that is old belongs to a process that died. */
  async #dropStaleLock(): Promise<void> {
    const found = await statOrUndefined(this.#draft);
    if (found === undefined) return;
    const ageMs = this.#deps.clock.wallMs() - Number(found.mtimeMs);
    if (ageMs > LOCK_STALE_MS) await rm(this.#draft, { force: true });
  }

  /** The records, read again when the file is not the one read last. */
  async #load(): Promise<Records> {
    const found = await statOrUndefined(this.#file);
    const version = found === undefined ? 'none' : `${found.ino}:${found.mtimeNs}:${found.size}`;
    if (version === this.#version) return this.#records;
    const records = found === undefined ? new Map<string, KeyRecord>() : await this.#read();
    this.#records = records;
    this.#version = version;
    return records;
  }

  async #read(): Promise<Records> {
    let records: Records | undefined;
    try {
      records = parseRecords(JSON.parse(await readFile(this.#file, 'utf8')));
    } catch (cause) {
      throw new AppError('INGEST_KEYS_CORRUPT', `cannot read ${this.#file}`, { cause });
    }
    if (records === undefined) throw new AppError('INGEST_KEYS_CORRUPT', `${this.#file} is damaged`);
    return records;
  }

  /** The HMAC secret. Made on first use only: without it the keys that exist would all be dead. */
  async #openSecret(mayCreate: boolean): Promise<Buffer> {
    if (this.#secret !== undefined) return this.#secret;
    const found = await statOrUndefined(this.#secretFile);
    if (found === undefined) {
      if (!mayCreate) throw this.#unsafe('is missing');
      await this.#createSecret();
    }
    const secret = await this.#readSecret();
    this.#secret = secret;
    return secret;
  }

  async #readSecret(): Promise<Buffer> {
    const file = await open(this.#secretFile, 'r');
    try {
      const { mode } = await file.stat();
      if ((mode & OTHERS_MAY_ACCESS) !== 0) throw this.#unsafe('may be read by other users: chmod 600 it');
      const secret = await file.readFile();
      if (secret.length < SECRET_BYTES) throw this.#unsafe(`is shorter than ${SECRET_BYTES} bytes`);
      return secret;
    } finally {
      await file.close();
    }
  }

  /** Whole or not at all, and never over an existing one: written aside, then linked to its name. */
  async #createSecret(): Promise<void> {
    await mkdir(this.#secretDir, { recursive: true, mode: 0o700 });
    const draftFile = `${this.#secretFile}.${Buffer.from(this.#deps.randomBytes(6)).toString('hex')}`;
    const draft = await open(draftFile, 'wx', 0o600);
    try {
      await draft.writeFile(this.#deps.randomBytes(SECRET_BYTES));
      await draft.sync();
      await link(draftFile, this.#secretFile);
      await syncDirectory(this.#secretDir);
    } catch (error) {
      // Another process was first: its secret counts.
      if (!isCode(error, 'EEXIST')) throw error;
    } finally {
      await draft.close();
      await rm(draftFile, { force: true });
    }
  }

  #unsafe(what: string): AppError {
    return new AppError('INGEST_SECRET_UNSAFE', `${this.#secretFile} ${what}`);
  }
}

function hmacOf(secret: Buffer, key: string): Buffer {
  return createHmac('sha256', secret).update(key, 'utf8').digest();
}

function renderRecords(records: Records): string {
  const streams = [...records.values()].map(({ stream, hmac, createdMs, rotatedMs }) => ({
    stream,
    hmac: hmac.toString('base64url'),
    createdMs,
    rotatedMs,
  }));
  return `${JSON.stringify({ version: FILE_VERSION, streams }, null, 2)}\n`;
}

/** Undefined when anything in it is not as we write it. */
function parseRecords(json: unknown): Records | undefined {
  if (!isObject(json) || json['version'] !== FILE_VERSION || !Array.isArray(json['streams']))
    return undefined;
  const records = new Map<string, KeyRecord>();
  for (const item of json['streams']) {
    const record = parseRecord(item);
    if (record === undefined || records.has(record.stream)) return undefined;
    records.set(record.stream, record);
  }
  return records;
}

function parseRecord(json: unknown): KeyRecord | undefined {
  if (!isObject(json)) return undefined;
  const { stream, hmac, createdMs, rotatedMs } = json;
  if (typeof stream !== 'string' || !isStreamName(stream) || typeof hmac !== 'string') return undefined;
  if (typeof createdMs !== 'number' || typeof rotatedMs !== 'number') return undefined;
  const bytes = Buffer.from(hmac, 'base64url');
  return bytes.length === HMAC_BYTES ? { stream, hmac: bytes, createdMs, rotatedMs } : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function statOrUndefined(path: string) {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Makes a rename or link in the directory survive a power cut. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
