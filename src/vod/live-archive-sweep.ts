import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { ArchiveDeleter } from './live-archive-deleter.ts';
import { LIVE_PREFIX, livePeriodPrefix, type LiveKeyParts, parseLiveKey } from './live-archive-key.ts';

export interface SweepDeps {
  readonly store: BlobStore;
  readonly deleter: ArchiveDeleter;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a blob is stored, or being stored, for good reason. */
  readonly isKnown: (key: string) => boolean;
  /** Whether a blob that is not known may be deleted: others may keep theirs in the same store. */
  readonly isOurs: (parts: LiveKeyParts | undefined) => boolean;
  /** What the index had when the sweep was made: numbers by {@link livePeriodPrefix}. */
  readonly indexed: ReadonlyMap<string, ReadonlySet<number>>;
  /** The index has a segment that is not in the store. */
  readonly onMissing: (prefix: string, number: number) => void;
  readonly onDone: () => void;
}

const RETRY_MS = 60_000;

/**
 * Compares the store with the index once, page by page, in the background: blobs that no index has are deleted (their
 * process was killed before it could say so), segments without a blob are lost.
 */
export class ArchiveSweep {
  readonly #deps: SweepDeps;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(deps: SweepDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#sweep();
      if (!this.#closed) this.#deps.onDone();
    } catch (error) {
      if (this.#closed) return;
      this.#deps.log.warn({ error }, 'the store could not be compared with the index; tried again');
      this.#timer = this.#deps.clock.after(RETRY_MS, () => this.start());
    }
  }

  async #sweep(): Promise<void> {
    const missing = new Map([...this.#deps.indexed].map(([prefix, numbers]) => [prefix, new Set(numbers)]));
    let from: string | undefined;
    do {
      const page = await this.#deps.store.list(LIVE_PREFIX, from);
      const orphans: string[] = [];
      for (const { key } of page.blobs) {
        const parts = parseLiveKey(key);
        if (parts)
          missing.get(livePeriodPrefix(parts.stream, parts.rendition, parts.periodId))?.delete(parts.number);
        if (!this.#deps.isKnown(key) && this.#deps.isOurs(parts)) orphans.push(key);
      }
      await this.#deps.deleter.delete(orphans, 'orphan');
      from = page.next;
    } while (from !== undefined && !this.#closed);
    for (const [prefix, numbers] of missing) await this.#look(prefix, numbers);
  }

  /** A list may be behind: only what is not there either when it is asked for is missing. */
  async #look(prefix: string, numbers: ReadonlySet<number>): Promise<void> {
    for (const number of numbers) {
      if (this.#closed) return;
      const found = await this.#deps.store.stat(`${prefix}${number}.m4s`);
      if (!found && !this.#closed) this.#deps.onMissing(prefix, number);
    }
  }
}
