import { createHmac, timingSafeEqual } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, every } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { isStreamName } from '../stream/stream-name.ts';
import {
  changedKeys,
  type KeyChange,
  type KeyRecord,
  type KeyRecords,
  parseRecords,
  type PublishKeyInfo,
  renderRecords,
} from './publish-key-records.ts';
import { createSecretFile, isCode, readSecretFile, syncDirectory } from '../base/secret-file.ts';

export interface PublishKeysDeps {
  readonly clock: Clock;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** Who wants to know of keys that stop counting, whichever process changed them. Neither call may throw. */
export interface KeyWatcher {
  onChange(stream: string, change: KeyChange): void;
  /** The keys cannot be read now: nothing is changed by it, and the next look may succeed. */
  onFailure(error: unknown): void;
}

const KEY_PREFIX = 'hw_';
const KEY_BYTES = 24;
/** Longer names are not looked up: no key of ours is. */
const MAX_KEY_LENGTH = 128;
const SECRET_BYTES = 32;
/** 24 bytes are 32 characters; SRT takes 10 to 79. */
const SRT_PASSPHRASE_BYTES = 24;
/** How long to try while another process is changing the keys, and after what age its claim is a dead one's. */
const LOCK_WAIT_MS = 1_000;
const LOCK_STALE_MS = 10_000;
/** How often a watched folder is looked at for what other processes changed. */
const WATCH_INTERVAL_MS = 2_000;

/**
 * The publish keys of `<dir>/publish-keys.json`. Several processes may hold the same directory open: what one of them
 * changes counts in the others from their next lookup on, and their watchers hear of it within two seconds. Every
 * method may throw INGEST_KEYS_CORRUPT or SECRET_FILE_UNSAFE; a damaged file is never written over.
 */
export class PublishKeys {
  readonly #dir: string;
  readonly #deps: PublishKeysDeps;
  readonly #file: string;
  /** The new contents before they are renamed; that it exists is also the lock among writers. */
  readonly #draft: string;
  readonly #secretFile: string;
  readonly #watchers = new Set<KeyWatcher>();
  #secret: Buffer | undefined;
  #records: KeyRecords = new Map();
  /** Identity of the file that `#records` came from; undefined before the first look. */
  #version: string | undefined;
  /** Looks run one after the other: a slow one must not lay old records over new ones. */
  #looks: Promise<unknown> = Promise.resolve();

  /** Touches no file. */
  constructor(dir: string, deps: PublishKeysDeps) {
    this.#dir = dir;
    this.#deps = deps;
    this.#file = join(dir, 'publish-keys.json');
    this.#draft = join(dir, 'publish-keys.json.new');
    this.#secretFile = join(dir, 'secrets', 'publish-key.hmac');
  }

  /**
   * Makes a key for a stream that has none and returns it: this is the only time it is seen.
   * @throws AppError STREAM_NAME_INVALID, INGEST_STREAM_EXISTS, INGEST_KEYS_BUSY.
   */
  async create(stream: string): Promise<string> {
    if (!isStreamName(stream)) throw new AppError('STREAM_NAME_INVALID');
    const key = this.#newKey();
    await this.#change((records, secret) => {
      if (records.has(stream)) {
        throw new AppError('INGEST_STREAM_EXISTS', `the stream ${stream} already has a publish key`);
      }
      const nowMs = this.#deps.clock.wallMs();
      return records.set(stream, { stream, createdMs: nowMs, rotatedMs: nowMs, hmac: hmacOf(secret, key) });
    });
    return key;
  }

  /**
   * Makes a new key for a stream and returns it; the old one is dead from the next lookup on.
   * @throws AppError STREAM_NOT_FOUND, INGEST_KEYS_BUSY.
   */
  async rotate(stream: string): Promise<string> {
    const key = this.#newKey();
    await this.#change((records, secret) => {
      const old = requireRecord(records, stream);
      const rotatedMs = this.#deps.clock.wallMs();
      return records.set(stream, { ...old, rotatedMs, hmac: hmacOf(secret, key) });
    });
    return key;
  }

  /**
   * Takes the stream's key back; it has none until `create`.
   * @throws AppError STREAM_NOT_FOUND, INGEST_KEYS_BUSY.
   */
  async revoke(stream: string): Promise<void> {
    await this.#change((records) => {
      requireRecord(records, stream);
      records.delete(stream);
      return records;
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

  /**
   * The SRT passphrase of a stream that has a key: 32 URL-safe characters, another one with each new key. It is stored
   * nowhere but follows from our secret and the key's record. Undefined when the stream has no key.
   */
  async srtPassphrase(stream: string): Promise<string | undefined> {
    const record = (await this.#load()).get(stream);
    if (record === undefined) return undefined;
    const secret = await this.#openSecret(false);
    const digest = createHmac('sha256', secret).update(`srt\0${stream}\0`).update(record.hmac).digest();
    return digest.subarray(0, SRT_PASSPHRASE_BYTES).toString('base64url');
  }

  /** Tells of keys that change from now on, by us or by any process, until the returned function is called. */
  watch(watcher: KeyWatcher): () => void {
    this.#watchers.add(watcher);
    const look = (): void => {
      this.#load().catch((error: unknown) => {
        if (this.#watchers.has(watcher)) watcher.onFailure(error);
      });
    };
    look();
    const timer = every(this.#deps.clock, WATCH_INTERVAL_MS, look);
    return () => {
      timer.cancel();
      this.#watchers.delete(watcher);
    };
  }

  #newKey(): string {
    return KEY_PREFIX + Buffer.from(this.#deps.randomBytes(KEY_BYTES)).toString('base64url');
  }

  /** Reads, changes and replaces the file while no other writer can. `change` gets a copy. */
  async #change(change: (records: Map<string, KeyRecord>, secret: Buffer) => KeyRecords): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const draft = await this.#lock();
    try {
      const before = await this.#load();
      const after = change(new Map(before), await this.#openSecret(before.size === 0));
      await draft.writeFile(renderRecords(after));
      await draft.sync();
      await rename(this.#draft, this.#file);
    } catch (error) {
      await rm(this.#draft, { force: true });
      throw error;
    } finally {
      await draft.close();
    }
    await syncDirectory(this.#dir);
    // Whoever watches hears of it before the caller does.
    await this.#load();
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
  #load(): Promise<KeyRecords> {
    const look = this.#looks.then(() => this.#look());
    this.#looks = look.catch(() => undefined);
    return look;
  }

  async #look(): Promise<KeyRecords> {
    const found = await statOrUndefined(this.#file);
    const version = found === undefined ? 'none' : `${found.ino}:${found.mtimeNs}:${found.size}`;
    if (version === this.#version) return this.#records;
    const records = found === undefined ? new Map<string, KeyRecord>() : await this.#read();
    const changes =
      this.#version === undefined ? new Map<string, KeyChange>() : changedKeys(this.#records, records);
    this.#records = records;
    this.#version = version;
    for (const [stream, change] of changes) {
      for (const watcher of this.#watchers) watcher.onChange(stream, change);
    }
    return records;
  }

  async #read(): Promise<KeyRecords> {
    let records: KeyRecords | undefined;
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
    const exists = (await statOrUndefined(this.#secretFile)) !== undefined;
    if (!exists && mayCreate) await createSecretFile(this.#secretFile, SECRET_BYTES, this.#deps.randomBytes);
    const secret = await readSecretFile(this.#secretFile, SECRET_BYTES);
    this.#secret = secret;
    return secret;
  }
}

/** @throws AppError STREAM_NOT_FOUND */
function requireRecord(records: KeyRecords, stream: string): KeyRecord {
  const record = records.get(stream);
  if (record === undefined)
    throw new AppError('STREAM_NOT_FOUND', 'no stream of this name has a publish key');
  return record;
}

function hmacOf(secret: Buffer, key: string): Buffer {
  return createHmac('sha256', secret).update(key, 'utf8').digest();
}

async function statOrUndefined(path: string) {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
