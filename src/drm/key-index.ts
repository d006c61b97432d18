import { KEY_TIERS } from '../media/protection.ts';
import type { KeyEntry, KeyOwner } from './content-key.ts';
import { type KeySet, type KeySlot, ownerFolder, slotName, slotOf, type StoredKey } from './key-set.ts';
import { kidHex } from './kid.ts';

/** A key with the set it belongs to. */
export interface IndexedKey {
  readonly set: KeySet;
  readonly stored: StoredKey;
}

/** All key sets in memory, still wrapped: by owner, slot and KID. */
export class KeyIndex {
  readonly #byFolder = new Map<string, Map<string, KeySet>>();
  /** More than one: a live stream, and the titles that adopted the key from it. */
  readonly #byKid = new Map<string, readonly IndexedKey[]>();
  /** By folder, in order; gone when a set comes or goes. */
  readonly #entries = new Map<string, readonly KeyEntry[]>();
  #size = 0;

  /** Number of sets. */
  get size(): number {
    return this.#size;
  }

  /**
   * Puts a set in, or in the place of the same one wrapped otherwise. False: a KID of it belongs to another set, and neither
   * has adopted it.
   */
  put(set: KeySet): boolean {
    const folder = ownerFolder(set.owner);
    const slot = slotName(slotOf(set));
    const old = this.#byFolder.get(folder)?.get(slot);
    const taken = set.keys.some((stored) =>
      this.#holders(stored.kid).some((other) => other.set !== old && !mayShare({ set, stored }, other)),
    );
    if (taken) return false;
    if (old) this.remove(old);
    let slots = this.#byFolder.get(folder);
    if (slots === undefined) {
      slots = new Map();
      this.#byFolder.set(folder, slots);
    }
    slots.set(slot, set);
    for (const stored of set.keys) {
      this.#byKid.set(kidHex(stored.kid), [...this.#holders(stored.kid), { set, stored }]);
    }
    this.#entries.delete(folder);
    this.#size += 1;
    return true;
  }

  remove(set: KeySet): void {
    const folder = ownerFolder(set.owner);
    const slots = this.#byFolder.get(folder);
    const slot = slotName(slotOf(set));
    if (slots?.get(slot) !== set) return;
    slots.delete(slot);
    if (slots.size === 0) this.#byFolder.delete(folder);
    for (const { kid } of set.keys) {
      const left = this.#holders(kid).filter((other) => other.set !== set);
      if (left.length > 0) this.#byKid.set(kidHex(kid), left);
      else this.#byKid.delete(kidHex(kid));
    }
    this.#entries.delete(folder);
    this.#size -= 1;
  }

  /** The key of that owner, or else of whoever has it: the first owner before those who adopted it. */
  find(kid: Uint8Array, owner?: KeyOwner): IndexedKey | undefined {
    const holders = this.#holders(kid);
    const own = owner && holders.find(({ set }) => sameOwner(set.owner, owner));
    return own ?? holders.find(({ set }) => !set.adopted) ?? holders[0];
  }

  /** The key of that owner and of nobody else. */
  ownedBy(owner: KeyOwner, kid: Uint8Array): IndexedKey | undefined {
    return this.#holders(kid).find(({ set }) => sameOwner(set.owner, owner));
  }

  at(owner: KeyOwner, slot: KeySlot): KeySet | undefined {
    return this.#byFolder.get(ownerFolder(owner))?.get(slotName(slot));
  }

  /** The sets of an owner's folder by slot. */
  slots(folder: string): ReadonlyMap<string, KeySet> {
    return this.#byFolder.get(folder) ?? new Map();
  }

  /** The keys of an owner as the licence server sees them: oldest period first, then by tier. */
  entries(owner: KeyOwner): readonly KeyEntry[] {
    const folder = ownerFolder(owner);
    let entries = this.#entries.get(folder);
    if (entries === undefined) {
      entries = [...this.slots(folder).values()]
        .flatMap((set) => set.keys.map((stored) => entryOf({ set, stored })))
        .sort(inOrder);
      // Anybody may ask for any name: only what is there is kept.
      if (entries.length > 0) this.#entries.set(folder, entries);
    }
    return entries;
  }

  *all(): Iterable<KeySet> {
    for (const slots of this.#byFolder.values()) yield* slots.values();
  }

  #holders(kid: Uint8Array): readonly IndexedKey[] {
    return this.#byKid.get(kidHex(kid)) ?? [];
  }
}

/** One key of two owners: one at most is its first, and both say the same of it. */
function mayShare(one: IndexedKey, other: IndexedKey): boolean {
  return (
    (one.set.adopted || other.set.adopted) &&
    !sameOwner(one.set.owner, other.set.owner) &&
    one.stored.tier === other.stored.tier &&
    one.set.scheme === other.set.scheme
  );
}

function sameOwner(one: KeyOwner, other: KeyOwner): boolean {
  return one.kind === other.kind && one.id === other.id;
}

/** What the licence server sees of a key. */
export function entryOf({ set, stored }: IndexedKey): KeyEntry {
  const { owner, period, scheme } = set;
  return { owner, tier: stored.tier, kid: stored.kid, period, scheme };
}

function inOrder(a: KeyEntry, b: KeyEntry): number {
  return a.period.startMs - b.period.startMs || KEY_TIERS.indexOf(a.tier) - KEY_TIERS.indexOf(b.tier);
}
