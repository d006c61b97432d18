import { AppError } from '../base/errors.ts';
import type { BlobInfo, BlobRange, BlobStore, OpenBlob } from './blob-store.ts';
import { Slots } from './slots.ts';
import type { StorageMetrics } from './storage-metrics.ts';

export interface BlobCacheOptions {
  /** What is held at most, reads under way included; 0 holds nothing, and every read is streamed. */
  readonly maxBytes: number;
  /** Larger blobs are streamed; at most {@link maxBytes}. */
  readonly maxBlobBytes: number;
}

/** A whole blob in memory. Its bytes are everybody's: never change them; a range is a `subarray` of them. */
export interface HeldBlob {
  readonly kind: 'held';
  readonly info: BlobInfo;
  readonly bytes: Uint8Array;
}

/** A blob that is too large to be held. */
export interface LargeBlob {
  readonly kind: 'large';
  /** As it was last seen: `open` says how it is. */
  readonly info: BlobInfo;
  /** Reads it from the store; undefined when it is gone meanwhile. */
  open(range?: BlobRange): Promise<OpenBlob | undefined>;
}

export type CachedBlob = HeldBlob | LargeBlob;

/** Reads from the store at once; more wait. With as many of the largest blobs the cache must still have room. */
const MAX_READS = 32;
/** Large blobs whose size is remembered, so that they are not opened in vain. */
const MAX_LARGE_KNOWN = 10_000;

/** A read from the store that is under way. */
interface Loading {
  readonly result: Promise<CachedBlob | undefined>;
  /** Whether what comes of it may be kept. */
  wanted: boolean;
}

/**
 * Whole blobs in memory before a store, the least recently used given up first. Readers of one key at the same time
 * share one read: it fails for all of them, and a failure, or that there is no such blob, is never kept. Made for blobs
 * that do not change under their key (segments); what is replaced or deleted must be forgotten.
 */
export class BlobCache {
  readonly #store: BlobStore;
  readonly #maxBytes: number;
  readonly #maxBlobBytes: number;
  readonly #metrics: StorageMetrics;
  readonly #reads: Slots;
  /** In the order of their last use. */
  readonly #held = new Map<string, HeldBlob>();
  readonly #large = new Map<string, BlobInfo>();
  readonly #loading = new Map<string, Loading>();
  #heldBytes = 0;
  /** Room that reads under way have taken. */
  #readingBytes = 0;

  constructor(store: BlobStore, { maxBytes, maxBlobBytes }: BlobCacheOptions, metrics: StorageMetrics) {
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#maxBlobBytes = Math.min(maxBlobBytes, maxBytes);
    this.#metrics = metrics;
    const fit = this.#maxBlobBytes > 0 ? Math.floor(maxBytes / this.#maxBlobBytes) : MAX_READS;
    this.#reads = new Slots(Math.max(1, Math.min(MAX_READS, fit)));
  }

  /** Bytes held, those of reads under way with them: never above `maxBytes`. */
  get bytes(): number {
    return this.#heldBytes + this.#readingBytes;
  }

  /** The blob; undefined: there is none. Rejects as the store does. */
  async read(key: string): Promise<CachedBlob | undefined> {
    const held = this.#held.get(key);
    if (held) {
      this.#held.delete(key);
      this.#held.set(key, held);
      this.#metrics.cacheRead('hit');
      return held;
    }
    const large = this.#large.get(key);
    if (large) {
      this.#metrics.cacheRead('streamed');
      return this.#asLarge(large);
    }
    const shared = this.#loading.get(key);
    if (shared?.wanted) {
      this.#metrics.cacheRead('coalesced');
      return shared.result;
    }
    return this.#load(key);
  }

  /** Gives up what is held of a key, or of all keys that begin with it when it ends with a slash. */
  forget(keyOrPrefix: string): void {
    const concerns = keyOrPrefix.endsWith('/')
      ? (key: string): boolean => key.startsWith(keyOrPrefix)
      : (key: string): boolean => key === keyOrPrefix;
    for (const [key, blob] of this.#held) if (concerns(key)) this.#drop(key, blob);
    for (const key of this.#large.keys()) if (concerns(key)) this.#large.delete(key);
    for (const [key, loading] of this.#loading) if (concerns(key)) loading.wanted = false;
    this.#report();
  }

  #load(key: string): Promise<CachedBlob | undefined> {
    const result = this.#reads.run(() => this.#readFromStore(key));
    const loading: Loading = { result, wanted: true };
    this.#loading.set(key, loading);
    return this.#settle(key, loading);
  }

  async #settle(key: string, loading: Loading): Promise<CachedBlob | undefined> {
    try {
      const blob = await loading.result;
      if (loading.wanted && blob?.kind === 'held') this.#keep(key, blob);
      this.#metrics.cacheRead(blob === undefined ? 'missing' : blob.kind === 'held' ? 'miss' : 'streamed');
      return blob;
    } catch (error) {
      this.#metrics.cacheRead('failed');
      throw error;
    } finally {
      if (this.#loading.get(key) === loading) this.#loading.delete(key);
    }
  }

  async #readFromStore(key: string): Promise<CachedBlob | undefined> {
    const opened = await this.#store.open(key);
    if (!opened) return undefined;
    const { info, body } = opened;
    if (info.sizeBytes > this.#maxBlobBytes || this.#maxBytes === 0) {
      await body[Symbol.asyncIterator]().return?.();
      this.#rememberLarge(info);
      return this.#asLarge(info);
    }
    this.#readingBytes += info.sizeBytes;
    this.#makeRoom();
    try {
      return { kind: 'held', info, bytes: await readWhole(body, info.sizeBytes) };
    } finally {
      this.#readingBytes -= info.sizeBytes;
      this.#report();
    }
  }

  #keep(key: string, blob: HeldBlob): void {
    this.#held.set(key, blob);
    this.#heldBytes += blob.bytes.length;
    this.#makeRoom();
    this.#report();
  }

  #makeRoom(): void {
    for (const [key, blob] of this.#held) {
      if (this.bytes <= this.#maxBytes) break;
      this.#drop(key, blob);
      this.#metrics.cacheEvicted();
    }
    this.#report();
  }

  #drop(key: string, blob: HeldBlob): void {
    this.#held.delete(key);
    this.#heldBytes -= blob.bytes.length;
  }

  #rememberLarge(info: BlobInfo): void {
    const oldest = this.#large.keys().next();
    if (this.#large.size >= MAX_LARGE_KNOWN && !oldest.done) this.#large.delete(oldest.value);
    this.#large.set(info.key, info);
  }

  #asLarge(info: BlobInfo): LargeBlob {
    return { kind: 'large', info, open: (range) => this.#store.open(info.key, range) };
  }

  #report(): void {
    this.#metrics.cacheHolds(this.bytes, this.#held.size);
  }
}

async function readWhole(body: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let position = 0;
  for await (const piece of body) {
    if (position + piece.length > sizeBytes) break;
    bytes.set(piece, position);
    position += piece.length;
  }
  if (position === sizeBytes) return bytes;
  throw new AppError('STORAGE_UNAVAILABLE', 'a blob is not as long as the store said');
}
