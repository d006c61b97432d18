import { type KeySet, ownerFolder, slotName, slotOf } from './key-set.ts';
import type { KeySetStore } from './key-set-store.ts';

/** A claim is a run of this many lanes: a process takes one for a set of keys and needs no other. */
const LANES_PER_CLAIM = 2 ** 16;
const MAX_CLAIMS = 2 ** 16;

interface Claimed {
  readonly claim: number;
  /** Lanes given out of it. */
  used: number;
}

/**
 * Where `cenc` IVs begin, so that no key ever sees one twice. An IV of 8 bytes is `claim (16 bits) | lane (16) |
 * counter (32)`: a claim belongs to one process (a file on disk that can be made once), a lane to one track of it, and
 * the counter is the track's own. What a process that died had used is in its claims, and they are never used again.
 */
export class IvLanes {
  readonly #store: KeySetStore;
  readonly #claimed = new Map<string, Claimed>();

  constructor(store: KeySetStore) {
    this.#store = store;
  }

  /** The first IV of a new lane. @throws AppError DRM_KEYS_UNAVAILABLE */
  begin(set: KeySet): Uint8Array {
    let claimed = this.#claimed.get(nameOf(set));
    if (claimed === undefined || claimed.used === LANES_PER_CLAIM) {
      claimed = { claim: this.#store.claimSync(set, leastAfter(claimed), MAX_CLAIMS), used: 0 };
      this.#claimed.set(nameOf(set), claimed);
    }
    const iv = new Uint8Array(8);
    new DataView(iv.buffer).setUint32(0, claimed.claim * LANES_PER_CLAIM + claimed.used);
    claimed.used += 1;
    return iv;
  }

  /** Makes the first {@link begin} of a set touch no disk. @throws AppError DRM_KEYS_UNAVAILABLE */
  async prepare(set: KeySet): Promise<void> {
    if (this.#claimed.has(nameOf(set))) return;
    const claim = await this.#store.claim(set, 0, MAX_CLAIMS);
    // Somebody may have begun meanwhile, with a claim of its own: this one is then never used.
    if (!this.#claimed.has(nameOf(set))) this.#claimed.set(nameOf(set), { claim, used: 0 });
  }

  /** The set is gone. */
  forget(set: KeySet): void {
    this.#claimed.delete(nameOf(set));
  }
}

function leastAfter(claimed: Claimed | undefined): number {
  return claimed === undefined ? 0 : claimed.claim + 1;
}

function nameOf(set: KeySet): string {
  return `${ownerFolder(set.owner)}/${slotName(slotOf(set))}`;
}
