import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { DrmMetrics } from './drm-metrics.ts';
import type { KeySetStore } from './key-set-store.ts';
import type { KeyVault } from './key-vault.ts';

export interface KeyScanDeps {
  readonly store: KeySetStore;
  readonly vault: KeyVault;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: DrmMetrics;
}

/**
 * A folder is looked at again this often after it has changed: the clock of a file system has steps, and a file that
 * came within the same step as the last look would be missed.
 */
const LOOKS_AFTER_CHANGE = 2;
/** Files read at the same time: a start reads tens of thousands. */
const READS_AT_ONCE = 32;
/** A draft is there for milliseconds; an older one is a dead writer's. */
const DRAFT_STALE_MS = 3_600_000;

interface Looked {
  readonly changedMs: number;
  readonly looksLeft: number;
}

/** Keeps the index in step with the disk: sets that other processes made come in, those that they deleted go. */
export class KeyScan {
  readonly #deps: KeyScanDeps;
  readonly #folders = new Map<string, Looked>();
  /** Files that are no key sets, by folder and slot, and why: each is told of once. */
  readonly #damaged = new Map<string, string>();

  constructor(deps: KeyScanDeps) {
    this.#deps = deps;
  }

  /** Folders looked at by the last run: what a run costs. */
  get folders(): number {
    return this.#folders.size;
  }

  /** Looks at the folders that have changed. @throws the file system's error */
  async run(): Promise<void> {
    const folders = new Set(await this.#deps.store.folders());
    for (const folder of this.#folders.keys()) if (!folders.has(folder)) this.#forget(folder);
    for (const folder of folders) {
      const changedMs = await this.#deps.store.changedMs(folder);
      const looked = this.#folders.get(folder);
      if (changedMs === undefined) continue;
      const fresh = looked?.changedMs !== changedMs;
      if (!fresh && looked.looksLeft === 0) continue;
      this.#folders.set(folder, { changedMs, looksLeft: fresh ? LOOKS_AFTER_CHANGE : looked.looksLeft - 1 });
      await this.#look(folder);
    }
    this.#deps.metrics.damaged.set(this.#damaged.size);
  }

  #forget(folder: string): void {
    this.#folders.delete(folder);
    for (const set of [...this.#deps.vault.index.slots(folder).values()]) this.#deps.vault.drop(set);
    for (const name of this.#damaged.keys()) if (name.startsWith(`${folder}/`)) this.#damaged.delete(name);
  }

  async #look(folder: string): Promise<void> {
    const { store, vault } = this.#deps;
    await store.removeDrafts(folder, this.#deps.clock.wallMs() - DRAFT_STALE_MS);
    // Taken before the listing: what is made while we list is not missed in it.
    const before = new Map(vault.index.slots(folder));
    const onDisk = new Set(await store.slots(folder));
    for (const [slot, set] of before) if (!onDisk.has(slot)) vault.drop(set);
    const unknown = [...onDisk].filter((slot) => !vault.index.slots(folder).has(slot));
    for (let i = 0; i < unknown.length; i += READS_AT_ONCE) {
      await Promise.all(unknown.slice(i, i + READS_AT_ONCE).map((slot) => this.#takeIn(folder, slot)));
    }
    for (const name of this.#damaged.keys()) {
      const [where, slot = ''] = name.split('/');
      if (where === folder && !onDisk.has(slot)) this.#damaged.delete(name);
    }
  }

  async #takeIn(folder: string, slot: string): Promise<void> {
    const found = await this.#deps.store.load({ folder, slot });
    if (found === undefined) return;
    const problem = 'damaged' in found ? found.damaged : undefined;
    if ('set' in found && this.#deps.vault.take(found.set)) {
      this.#damaged.delete(`${folder}/${slot}`);
      return;
    }
    this.#tell(`${folder}/${slot}`, problem ?? 'with a KID of another stream or title');
  }

  #tell(name: string, problem: string): void {
    if (this.#damaged.get(name) === problem) return;
    this.#damaged.set(name, problem);
    this.#deps.metrics.failures.inc({ what: 'read' });
    this.#deps.log.error(
      { file: `${name}.json`, problem, code: 'DRM_KEYS_UNAVAILABLE' },
      'a key file is damaged; it is left as it is, and its keys cannot be had',
    );
  }
}
