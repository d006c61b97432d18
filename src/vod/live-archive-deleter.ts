import type { BlobStore } from '../storage/blob-store.ts';
import { Slots } from '../storage/slots.ts';
import type { ArchiveDeletion, LiveArchiveMetrics } from './live-archive-metrics.ts';

/** Deletes on their way at once. */
const PARALLEL = 8;
/** Blobs that could not be deleted yet; those beyond are found at the next start. */
const MAX_LEFT = 100_000;

/** Deletes blobs that no index has, a few at once; what fails is tried again when more is deleted. */
export class ArchiveDeleter {
  readonly #store: BlobStore;
  readonly #metrics: LiveArchiveMetrics;
  readonly #slots = new Slots(PARALLEL);
  #left = new Map<string, ArchiveDeletion>();
  #stopped = false;

  constructor(store: BlobStore, metrics: LiveArchiveMetrics) {
    this.#store = store;
    this.#metrics = metrics;
  }

  /** How many could not be deleted. */
  get left(): number {
    return this.#left.size;
  }

  /** Resolves when all were tried. */
  async delete(keys: readonly string[], reason: ArchiveDeletion): Promise<void> {
    const again = this.#left;
    this.#left = new Map();
    const all = new Map([...again, ...keys.map((key) => [key, reason] as const)]);
    await Promise.all([...all].map(([key, why]) => this.#slots.run(() => this.#delete(key, why))));
  }

  stop(): void {
    this.#stopped = true;
  }

  async #delete(key: string, reason: ArchiveDeletion): Promise<void> {
    if (this.#stopped) return;
    try {
      await this.#store.delete(key);
      this.#metrics.deleted(reason);
    } catch {
      this.#metrics.deleteFailed();
      if (this.#left.size < MAX_LEFT) this.#left.set(key, reason);
    }
  }
}
