import type { KeyValueStore } from './key-value-store.ts';
import type { OfflineReport } from './resume-types.ts';

const PREFIX = 'report:';
/** The server takes so many at once. More titles than that while offline, and the oldest reports go. */
const MAX_REPORTS = 200;

/** Reports that could not be sent: of each play gesture the last one. Survives the page. */
export class OfflineQueue {
  readonly #store: KeyValueStore;
  /** One after the other: a delete must not pass a later put of the same. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: KeyValueStore) {
    this.#store = store;
  }

  /** Keeps a report in the place of an earlier one of the same gesture. Where nothing can be kept it is lost. */
  put(profile: string, report: OfflineReport): Promise<void> {
    return this.#inTurn(async () => {
      const key = keyOf(profile, report);
      const known = (await this.#store.get(key)) as OfflineReport | undefined;
      if (known && known.seq > report.seq) return;
      await this.#store.set(key, report);
      await this.#bound(profile);
    });
  }

  /** What waits, the oldest first. */
  async list(profile: string): Promise<readonly OfflineReport[]> {
    const entries = await this.#inTurn(() => this.#store.list(prefixOf(profile)));
    return (entries ?? []).map(([, value]) => value as OfflineReport).toSorted((a, b) => a.atMs - b.atMs);
  }

  /** Takes out what the server has seen, unless something newer of the gesture has come since. */
  remove(profile: string, seen: Pick<OfflineReport, 'title' | 'epoch' | 'seq'>): Promise<void> {
    return this.#inTurn(async () => {
      const key = keyOf(profile, seen);
      const known = (await this.#store.get(key)) as OfflineReport | undefined;
      if (known && known.seq <= seen.seq) await this.#store.delete(key);
    });
  }

  async #bound(profile: string): Promise<void> {
    const entries = await this.#store.list(prefixOf(profile));
    const oldest = entries.toSorted(([, a], [, b]) => (a as OfflineReport).atMs - (b as OfflineReport).atMs);
    const over = oldest.slice(0, Math.max(0, entries.length - MAX_REPORTS));
    await Promise.all(over.map(([key]) => this.#store.delete(key)));
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(act).catch(() => undefined as T);
    this.#turn = done;
    return done;
  }
}

function prefixOf(profile: string): string {
  return `${PREFIX}${profile}/`;
}

function keyOf(profile: string, { title, epoch }: Pick<OfflineReport, 'title' | 'epoch'>): string {
  return `${prefixOf(profile)}${title}/${epoch}`;
}
