import type { KeyDirectory, KeyEntry, KeyOwner } from '../drm/content-key.ts';

/** A list is asked for again when it is this old. Far below any lead time, so that nobody misses a key by it. */
const MAX_AGE_MS = 200;
/** Owners whose lists are kept; at the limit the one listed longest ago is dropped. */
const MAX_OWNERS = 1000;

interface Listed {
  readonly entries: readonly KeyEntry[];
  readonly atMs: number;
}

/**
 * What may be given out of each title, listed a few times a second at most: when keys change, thousands ask for the same
 * title at once, and a long window has thousands of keys.
 */
export class ObtainableKeys {
  readonly #keys: KeyDirectory;
  readonly #lists = new Map<string, Listed>();

  constructor(keys: KeyDirectory) {
    this.#keys = keys;
  }

  /** As `KeyDirectory.obtainable`, up to 200 ms old. */
  of(owner: KeyOwner, nowMs: number): readonly KeyEntry[] {
    const name = `${owner.kind}/${owner.id}`;
    const known = this.#lists.get(name);
    // A clock that was set back makes every list old.
    if (known && nowMs >= known.atMs && nowMs - known.atMs < MAX_AGE_MS) return known.entries;
    const entries = this.#keys.obtainable(owner, nowMs);
    this.#lists.delete(name);
    this.#lists.set(name, { entries, atMs: nowMs });
    const oldest = this.#lists.size > MAX_OWNERS ? this.#lists.keys().next().value : undefined;
    if (oldest !== undefined) this.#lists.delete(oldest);
    return entries;
  }
}
