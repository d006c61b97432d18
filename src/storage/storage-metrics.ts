import type { ErrorCode } from '../base/errors.ts';
import type { Metrics } from '../base/metrics.ts';
import type { S3RetryReason } from './s3-client.ts';

/** Calls of a store. */
export type StorageOperation = 'put' | 'put_file' | 'get' | 'open' | 'stat' | 'list' | 'copy' | 'delete';

/** How a call ended. `missing`: there is no such blob, which is no failure. */
export type StorageOutcome =
  | 'ok'
  | 'missing'
  | 'exists'
  | 'conflict'
  | 'full'
  | 'unavailable'
  | 'invalid'
  | 'too_large'
  | 'failed';

/** How a read of the cache was answered. */
export type CacheOutcome = 'hit' | 'miss' | 'coalesced' | 'streamed' | 'missing' | 'failed';

const OUTCOMES: Partial<Readonly<Record<ErrorCode, StorageOutcome>>> = {
  STORAGE_NOT_FOUND: 'missing',
  STORAGE_EXISTS: 'exists',
  STORAGE_CONFLICT: 'conflict',
  STORAGE_FULL: 'full',
  STORAGE_UNAVAILABLE: 'unavailable',
  STORAGE_KEY_INVALID: 'invalid',
  STORAGE_TOO_LARGE: 'too_large',
};

const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** The outcome that an error code stands for. */
export function outcomeOf(code: ErrorCode): StorageOutcome {
  return OUTCOMES[code] ?? 'failed';
}

/** What is counted of storage and of the cache before it. */
export class StorageMetrics {
  readonly #calls;
  readonly #seconds;
  readonly #bytes;
  readonly #retries;
  readonly #swept;
  readonly #cacheReads;
  readonly #cacheBytes;
  readonly #cacheEntries;
  readonly #cacheEvictions;

  constructor(metrics: Metrics) {
    this.#calls = metrics.counter(
      'storage_calls_total',
      'Calls of the store of titles and recordings, by operation and outcome; missing: there was no such blob.',
      ['operation', 'outcome'],
    );
    this.#seconds = metrics.histogram(
      'storage_call_seconds',
      'Time such calls took; of open: to the first byte.',
      SECONDS,
      ['operation'],
    );
    this.#bytes = metrics.counter('storage_bytes_total', 'Bytes read from the store and written to it.', [
      'direction',
    ]);
    this.#retries = metrics.counter(
      'storage_retries_total',
      'Requests to an S3 store that were made again, by what the one before failed with.',
      ['reason'],
    );
    this.#swept = metrics.counter(
      'storage_swept_files_total',
      'Unfinished files of killed processes that were removed at start.',
    );
    this.#cacheReads = metrics.counter(
      'storage_cache_reads_total',
      'Reads of the cache before the store: hit, miss (read from the store), coalesced (waited for the read of another), streamed (too large to be kept), missing (no such blob), failed.',
      ['outcome'],
    );
    this.#cacheBytes = metrics.gauge(
      'storage_cache_bytes',
      'Bytes that the cache holds, those being read with them.',
    );
    this.#cacheEntries = metrics.gauge('storage_cache_entries', 'Blobs that the cache holds.');
    this.#cacheEvictions = metrics.counter(
      'storage_cache_evictions_total',
      'Blobs that the cache gave up for others.',
    );
  }

  called(operation: StorageOperation, outcome: StorageOutcome, seconds: number): void {
    this.#calls.inc({ operation, outcome });
    this.#seconds.observe({ operation }, seconds);
  }

  read(bytes: number): void {
    this.#bytes.inc({ direction: 'read' }, bytes);
  }

  written(bytes: number): void {
    this.#bytes.inc({ direction: 'written' }, bytes);
  }

  retried(reason: S3RetryReason): void {
    this.#retries.inc({ reason });
  }

  swept(): void {
    this.#swept.inc();
  }

  cacheRead(outcome: CacheOutcome): void {
    this.#cacheReads.inc({ outcome });
  }

  cacheHolds(bytes: number, entries: number): void {
    this.#cacheBytes.set(bytes);
    this.#cacheEntries.set(entries);
  }

  cacheEvicted(): void {
    this.#cacheEvictions.inc();
  }
}
