import type { Clock } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import type {
  BlobInfo,
  BlobPage,
  BlobRange,
  BlobStore,
  CopyOptions,
  OpenBlob,
  PutOptions,
} from './blob-store.ts';
import { outcomeOf, type StorageMetrics, type StorageOperation } from './storage-metrics.ts';

/** Another store, with its calls counted and timed. Owns it. */
export class MeteredBlobStore implements BlobStore {
  readonly #store: BlobStore;
  readonly #metrics: StorageMetrics;
  readonly #clock: Clock;

  constructor(store: BlobStore, metrics: StorageMetrics, clock: Clock) {
    this.#store = store;
    this.#metrics = metrics;
    this.#clock = clock;
  }

  async put(key: string, body: Uint8Array, options?: PutOptions): Promise<BlobInfo> {
    const info = await this.#count('put', () => this.#store.put(key, body, options));
    this.#metrics.written(info.sizeBytes);
    return info;
  }

  async putFile(key: string, path: string, options?: PutOptions): Promise<BlobInfo> {
    const info = await this.#count('put_file', () => this.#store.putFile(key, path, options));
    this.#metrics.written(info.sizeBytes);
    return info;
  }

  async get(key: string, range?: BlobRange): Promise<Uint8Array | undefined> {
    const bytes = await this.#count('get', () => this.#store.get(key, range));
    if (bytes) this.#metrics.read(bytes.length);
    return bytes;
  }

  async open(key: string, range?: BlobRange): Promise<OpenBlob | undefined> {
    const opened = await this.#count('open', () => this.#store.open(key, range));
    return opened && { info: opened.info, body: new CountedBody(opened.body, this.#metrics) };
  }

  stat(key: string): Promise<BlobInfo | undefined> {
    return this.#count('stat', () => this.#store.stat(key));
  }

  list(prefix: string, from?: string): Promise<BlobPage> {
    return this.#count('list', () => this.#store.list(prefix, from));
  }

  copy(from: string, to: string, options?: CopyOptions): Promise<BlobInfo> {
    return this.#count('copy', () => this.#store.copy(from, to, options));
  }

  delete(key: string): Promise<void> {
    return this.#count('delete', () => this.#store.delete(key));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #count<T>(operation: StorageOperation, call: () => Promise<T>): Promise<T> {
    const beganMs = this.#clock.monotonicMs();
    const seconds = (): number => (this.#clock.monotonicMs() - beganMs) / 1000;
    try {
      const result = await call();
      const missing = result === undefined && operation !== 'delete';
      this.#metrics.called(operation, missing ? 'missing' : 'ok', seconds());
      return result;
    } catch (error) {
      this.#metrics.called(operation, outcomeOf(errorCode(error)), seconds());
      throw error;
    }
  }
}

/** Passes the pieces on as they are; what is not read does not count. */
class CountedBody implements AsyncIterableIterator<Uint8Array> {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #metrics: StorageMetrics;

  constructor(body: AsyncIterable<Uint8Array>, metrics: StorageMetrics) {
    this.#pieces = body[Symbol.asyncIterator]();
    this.#metrics = metrics;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { done, value } = await this.#pieces.next();
    if (done) return { done, value: undefined };
    this.#metrics.read(value.length);
    return { value };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#pieces.return?.();
    return { done: true, value: undefined };
  }
}
