import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AppError } from '../../src/base/errors.ts';
import { requireBlobKey, splitPrefix } from '../../src/storage/blob-key.ts';
import { requireHoldable, spanOf } from '../../src/storage/blob-range.ts';
import type {
  BlobInfo,
  BlobPage,
  BlobRange,
  BlobStore,
  OpenBlob,
  PutOptions,
} from '../../src/storage/blob-store.ts';
import { conditionOf } from '../../src/storage/put-condition.ts';

const PIECE_BYTES = 64 * 1024;

/** A blob store in memory, for tests. Passes the contract suite. */
export class MemoryBlobStore implements BlobStore {
  /** The bytes that are there, by key. */
  readonly blobs: Map<string, Uint8Array>;
  /** The key of every put that succeeded, in their order. */
  readonly puts: string[] = [];
  /** From where to where every copy went, in their order. */
  readonly copies: (readonly [from: string, to: string])[] = [];
  /** The key of every call of `open`, in their order. */
  readonly opened: string[] = [];
  /** What every call but `close` fails with, while it is set. */
  failure: Error | undefined;
  /** Runs before each `open`, for tests that hold reads up or let them fail. */
  beforeOpen: (key: string) => Promise<void> = () => Promise.resolve();
  readonly #infos: Map<string, BlobInfo>;
  #closed = false;

  /** On the blobs of `other`, as another process would open the same store; else on none. */
  constructor(other?: MemoryBlobStore) {
    this.blobs = other?.blobs ?? new Map();
    this.#infos = other ? other.#infos : new Map();
  }

  async put(key: string, body: Uint8Array, options?: PutOptions): Promise<BlobInfo> {
    this.#check(key);
    const condition = conditionOf(options);
    const there = this.#infos.get(key);
    if (condition.kind === 'absent' && there) throw new AppError('STORAGE_EXISTS');
    if (condition.kind === 'match' && there?.etag !== condition.etag) throw new AppError('STORAGE_CONFLICT');
    this.puts.push(key);
    return this.#hold(key, Buffer.from(body));
  }

  async putFile(key: string, path: string, options?: PutOptions): Promise<BlobInfo> {
    this.#check(key);
    const bytes = await readFile(path).catch((cause: unknown) => {
      throw new AppError('INTERNAL', 'the file that is to be stored cannot be read', { cause });
    });
    return this.put(key, bytes, options);
  }

  async get(key: string, range?: BlobRange): Promise<Uint8Array | undefined> {
    this.#check(key);
    const bytes = this.blobs.get(key);
    if (!bytes) return undefined;
    const span = spanOf(range, bytes.length);
    requireHoldable(span);
    return bytes.subarray(span.start, span.end);
  }

  async open(key: string, range?: BlobRange): Promise<OpenBlob | undefined> {
    this.#check(key);
    this.opened.push(key);
    await this.beforeOpen(key);
    const [bytes, info] = [this.blobs.get(key), this.#infos.get(key)];
    if (!bytes || !info) return undefined;
    const { start, end } = spanOf(range, bytes.length);
    return { info, body: this.#pieces(bytes.subarray(start, end)) };
  }

  async stat(key: string): Promise<BlobInfo | undefined> {
    this.#check(key);
    return this.#infos.get(key);
  }

  async list(prefix: string, from = ''): Promise<BlobPage> {
    this.#requireOpen();
    splitPrefix(prefix);
    const keys = [...this.#infos.keys()].filter((key) => key.startsWith(prefix) && key > from).sort();
    const page = keys.slice(0, 1000);
    return {
      blobs: page.flatMap((key) => this.#infos.get(key) ?? []),
      next: keys.length > page.length ? page.at(-1) : undefined,
    };
  }

  async copy(from: string, to: string): Promise<BlobInfo> {
    this.#check(from);
    this.#check(to);
    const bytes = this.blobs.get(from);
    if (!bytes) throw new AppError('STORAGE_NOT_FOUND');
    if (from !== to) this.copies.push([from, to]);
    return this.#hold(to, bytes);
  }

  async delete(key: string): Promise<void> {
    this.#check(key);
    this.blobs.delete(key);
    this.#infos.delete(key);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #hold(key: string, bytes: Uint8Array): BlobInfo {
    const info = { key, sizeBytes: bytes.length, etag: randomUUID(), modifiedMs: Date.now() };
    this.blobs.set(key, bytes);
    this.#infos.set(key, info);
    return info;
  }

  async *#pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      this.#requireOpen();
      yield bytes.subarray(at, at + PIECE_BYTES);
    }
  }

  #check(key: string): void {
    this.#requireOpen();
    requireBlobKey(key);
  }

  #requireOpen(): void {
    if (this.#closed) throw new AppError('STORAGE_UNAVAILABLE', 'the store is closed');
    if (this.failure) throw this.failure;
  }
}
