import { type Clock, type Timer } from '../base/clock.ts';
import type { IndexKey, IndexRow, SegmentIndex } from '../state/lmdb-segment-index.ts';

export interface ArchiveRowsDeps {
  readonly index: SegmentIndex;
  readonly clock: Clock;
  /** A write has failed. */
  readonly onFailed: (error: unknown) => void;
  readonly onWritten: () => void;
}

/** How often rows that could not be written are tried again. */
const RETRY_MS = 5000;
/** Rows waiting to be written; what comes beyond is not written: the segments they tell of are taken for lost. */
const MAX_WAITING = 100_000;

/**
 * Writes rows of the index in the background. Those that are {@link set} are written some time, the newest of a key, also
 * when the disk is full for a while; those that are {@link commit}ted now, or the caller is told that they are not.
 */
export class ArchiveRows {
  readonly #deps: ArchiveRowsDeps;
  #waiting = new Map<string, IndexRow>();
  #flushing: Promise<void> | undefined;
  #retry: Timer | undefined;
  #closed = false;

  constructor(deps: ArchiveRowsDeps) {
    this.#deps = deps;
  }

  set(...rows: readonly IndexRow[]): void {
    for (const row of rows) {
      const id = idOf(row.key);
      if (this.#waiting.size < MAX_WAITING || this.#waiting.has(id)) this.#waiting.set(id, row);
    }
    if (!this.#retry && !this.#closed) void this.flush().catch(() => undefined);
  }

  remove(...keys: readonly IndexKey[]): void {
    this.set(...keys.map((key) => ({ key, text: undefined })));
  }

  /** Writes them, behind everything that was set before. Rejects with AppError STATE_SEGMENTS_UNAVAILABLE. */
  async commit(rows: readonly IndexRow[]): Promise<void> {
    await this.flush();
    for (const { key } of rows) this.#waiting.delete(idOf(key));
    await this.#write(rows);
  }

  /** Resolves when everything set so far is written. Rejects with AppError STATE_SEGMENTS_UNAVAILABLE. */
  flush(): Promise<void> {
    if (this.#waiting.size === 0) return this.#flushing ?? Promise.resolve();
    this.#flushing ??= this.#flushAll().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /** Tries once more what is left, and then writes nothing any more. */
  async close(): Promise<void> {
    this.#retry?.cancel();
    await this.flush().catch(() => undefined);
    this.#retry?.cancel();
    this.#closed = true;
  }

  async #flushAll(): Promise<void> {
    this.#retry?.cancel();
    this.#retry = undefined;
    // What is set in the same turn goes along.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const rows = this.#waiting;
      this.#waiting = new Map();
      try {
        await this.#write([...rows.values()]);
      } catch (error) {
        for (const [id, row] of rows) if (!this.#waiting.has(id)) this.#waiting.set(id, row);
        this.#armRetry();
        throw error;
      }
    }
  }

  async #write(rows: readonly IndexRow[]): Promise<void> {
    try {
      await this.#deps.index.write(rows);
      this.#deps.onWritten();
    } catch (error) {
      this.#deps.onFailed(error);
      throw error;
    }
  }

  #armRetry(): void {
    if (this.#closed || this.#retry) return;
    this.#retry = this.#deps.clock.after(RETRY_MS, () => {
      this.#retry = undefined;
      void this.flush().catch(() => undefined);
    });
  }
}

function idOf(key: IndexKey): string {
  return key.join('/');
}
