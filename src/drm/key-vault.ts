import type { KeyTier } from '../media/protection.ts';
import { ClearKey, type KeyParts, randomKeys, sealable, unsealed } from './clear-key.ts';
import type { ContentKey, KeyOwner } from './content-key.ts';
import type { DrmMetrics } from './drm-metrics.ts';
import { unavailable } from './durable-files.ts';
import { type IndexedKey, KeyIndex } from './key-index.ts';
import { ENDLESS_MS } from './crypto-period.ts';
import { type KeySet, type KeySlot, slotName, slotOf, wrapContext } from './key-set.ts';
import type { KeySetStore } from './key-set-store.ts';
import type { KeySource } from './key-source.ts';
import type { KeyWrapper } from './key-wrapper.ts';
import { kidHex, kidText, randomKid } from './kid.ts';

export interface KeyVaultDeps {
  readonly store: KeySetStore;
  readonly wrapper: KeyWrapper;
  /** A key server elsewhere, if keys come from there. */
  readonly source: KeySource | undefined;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
  readonly metrics: DrmMetrics;
  /** Most sets held at once. */
  readonly maxSets: number;
}

/**
 * Key sets and the keys in them: finds a set in memory or on disk, makes it when there is none, and opens keys. Two
 * callers, or processes, that want the same set at once get the same one.
 */
export class KeyVault {
  readonly index = new KeyIndex();
  readonly #deps: KeyVaultDeps;
  /** Sets being made without holding up the process, by owner and slot. */
  readonly #making = new Map<string, Promise<KeySet>>();

  constructor(deps: KeyVaultDeps) {
    this.#deps = deps;
  }

  /**
   * The set of a slot, made now if there is none.
   * @throws AppError DRM_KEYS_UNAVAILABLE
   */
  obtainSync(owner: KeyOwner, slot: KeySlot): KeySet {
    const known = this.#known(owner, slot);
    if (known) return known;
    if (this.#deps.source) throw unavailable('the key server has not given the keys of this period');
    const set = this.#counted('make', () => {
      const draft = this.#wrapped(owner, slot, randomKeys(this.#newKids(slot.tiers), this.#deps.randomBytes));
      return this.#stored(this.#deps.store.createSync(draft), draft);
    });
    this.#deps.metrics.made.inc({ when: 'needed' });
    return set;
  }

  /** {@link obtainSync} without holding up the process. @throws AppError DRM_KEYS_UNAVAILABLE */
  obtain(owner: KeyOwner, slot: KeySlot): Promise<KeySet> {
    const name = `${owner.kind}/${owner.id}/${slotName(slot)}`;
    let making = this.#making.get(name);
    if (making === undefined) {
      making = this.#make(owner, slot).finally(() => this.#making.delete(name));
      this.#making.set(name, making);
    }
    return making;
  }

  /**
   * A key under a KID that somebody else chose. The same KID gives the same key, to the same owner only.
   * @throws AppError DRM_KEYS_UNAVAILABLE, also when the KID belongs to somebody else
   */
  async obtainForeign(
    owner: KeyOwner,
    slot: Omit<KeySlot, 'tiers'> & { readonly foreignKid: Uint8Array },
    tier: KeyTier,
  ): Promise<ContentKey> {
    const whole = { ...slot, tiers: [tier] };
    const known = this.#known(owner, whole);
    if (!known && this.index.find(slot.foreignKid))
      throw unavailable('this KID belongs to another stream or title');
    const set = known ?? (await this.#storeNew(owner, whole, [{ tier, kid: slot.foreignKid }]));
    const [stored] = set.keys;
    if (stored?.tier !== tier) throw unavailable('this KID belongs to another tier');
    return this.open({ set, stored });
  }

  /**
   * Makes a key that another owner has `owner`'s own as well, wrapped anew, from its time on without an end. One that it has
   * already stays as it is.
   * @throws AppError DRM_KEYS_UNAVAILABLE
   */
  async adopt(owner: KeyOwner, found: IndexedKey): Promise<void> {
    const { kid, tier } = found.stored;
    const { scheme, period } = found.set;
    const slot = { period: { ...period, endMs: ENDLESS_MS }, scheme, tiers: [tier], foreignKid: kid };
    if (this.#known(owner, slot)) return;
    try {
      const draft = this.#wrapped(owner, slot, [this.open(found)], true);
      this.#stored(await this.#deps.store.create(draft), draft);
    } catch (error) {
      this.#deps.metrics.failures.inc({ what: 'make' });
      throw error;
    }
    this.#deps.metrics.adopted.inc();
  }

  /**
   * Opens a key.
   * @throws AppError DRM_KEYS_UNAVAILABLE
   */
  open(found: IndexedKey): ContentKey {
    return this.#counted('open', () => {
      const current = this.#underKnownKek(found);
      const { set, stored } = current;
      const secret = this.#deps.wrapper.unwrap(stored.wrapped, wrapContext(set, stored));
      const parts = secret && unsealed(secret);
      if (parts) return new ClearKey(set.scheme, { ...stored, ...parts });
      throw unavailable(
        this.#deps.wrapper.has(stored.wrapped.kekId)
          ? `the content key ${kidText(stored.kid)} is damaged at rest; it is left as it is`
          : `the content key ${kidText(stored.kid)} is encrypted with the KEK ${stored.wrapped.kekId}, which is not there`,
      );
    });
  }

  /** Takes in a set that lies on disk. False: one of its KIDs belongs to another set. */
  take(set: KeySet): boolean {
    const taken = this.index.put(set);
    this.#deps.metrics.sets.set(this.index.size);
    return taken;
  }

  /** Lets go of a set that is not on disk any more. */
  drop(set: KeySet): void {
    this.index.remove(set);
    this.#deps.metrics.sets.set(this.index.size);
  }

  /** The same set with its keys wrapped under the newest KEK. @throws AppError DRM_KEYS_UNAVAILABLE */
  rewrapped(set: KeySet): KeySet {
    const parts = set.keys.map((stored) => ({ stored, clear: this.open({ set, stored }) }));
    const keys = parts.map(({ stored, clear }) => ({
      ...stored,
      wrapped: this.#deps.wrapper.wrap(sealable(clear), wrapContext(set, stored)),
    }));
    return { ...set, keys };
  }

  async #make(owner: KeyOwner, slot: KeySlot): Promise<KeySet> {
    const known = this.#known(owner, slot);
    if (known) return known;
    const set = await this.#storeNew(owner, slot, this.#newKids(slot.tiers));
    this.#deps.metrics.made.inc({ when: 'ahead' });
    return set;
  }

  async #storeNew(
    owner: KeyOwner,
    slot: KeySlot,
    kids: readonly { readonly tier: KeyTier; readonly kid: Uint8Array }[],
  ): Promise<KeySet> {
    try {
      this.#refuseAtLimit();
      const draft = this.#wrapped(owner, slot, await this.#parts(owner, slot, kids));
      return this.#stored(await this.#deps.store.create(draft), draft);
    } catch (error) {
      this.#deps.metrics.failures.inc({ what: 'make' });
      throw error;
    }
  }

  async #parts(
    owner: KeyOwner,
    slot: KeySlot,
    kids: readonly { readonly tier: KeyTier; readonly kid: Uint8Array }[],
  ): Promise<readonly KeyParts[]> {
    const own = randomKeys(kids, this.#deps.randomBytes);
    if (this.#deps.source === undefined || slot.foreignKid) return own;
    const { period, scheme } = slot;
    const given = await this.#deps.source
      .fetch({ owner, period, scheme, keys: kids })
      .catch((cause: unknown) => {
        throw unavailable('the key server gave no keys', cause);
      });
    return own.map((key) => {
      const found = given.find(({ kid }) => kidHex(kid) === kidHex(key.kid));
      if (found?.key.length !== 16 || (found.constantIv ?? key.constantIv).length !== 16) {
        throw unavailable(`the key server gave no usable key for the tier ${key.tier}`);
      }
      const { constantIv = key.constantIv, systems } = found;
      return { ...key, key: found.key, constantIv, systems };
    });
  }

  /** In memory, or left on disk by another process. */
  #known(owner: KeyOwner, slot: KeySlot): KeySet | undefined {
    const set = this.index.at(owner, slot);
    if (set) {
      this.#deps.store.settleSync(owner);
      return set;
    }
    const found = this.#counted('read', () => this.#deps.store.findSync(owner, slot));
    if (found === undefined) return undefined;
    if ('damaged' in found) {
      this.#deps.metrics.failures.inc({ what: 'read' });
      throw unavailable(`the key file ${slotName(slot)}.json is ${found.damaged}; it is left as it is`);
    }
    return this.#stored(found.set, undefined);
  }

  /** What the store says is in the slot now; `draft` is what we wanted there. */
  #stored(set: KeySet, draft: KeySet | undefined): KeySet {
    const known = this.index.at(set.owner, slotOf(set));
    if (known) return known;
    if (set !== draft) this.#deps.store.settleSync(set.owner);
    if (this.take(set)) return set;
    throw unavailable('the key file has a KID of another stream or title');
  }

  #wrapped(
    owner: KeyOwner,
    { period, scheme, foreignKid }: KeySlot,
    parts: readonly KeyParts[],
    adopted = false,
  ): KeySet {
    this.#refuseAtLimit();
    const identity = { owner, period, scheme, adopted };
    const keys = parts.map((key) => {
      const { tier, kid, systems } = key;
      const wrapped = this.#deps.wrapper.wrap(sealable(key), wrapContext(identity, { tier, kid, systems }));
      return { tier, kid, systems, wrapped };
    });
    return { ...identity, foreign: foreignKid !== undefined, keys };
  }

  #refuseAtLimit(): void {
    if (this.index.size < this.#deps.maxSets) return;
    this.#deps.metrics.limit.inc();
    throw unavailable(`as many sets of content keys are held as may be (${this.#deps.maxSets})`);
  }

  #newKids(tiers: readonly KeyTier[]): { tier: KeyTier; kid: Uint8Array }[] {
    return tiers.map((tier) => {
      let kid = randomKid(this.#deps.randomBytes);
      while (this.index.find(kid)) kid = randomKid(this.#deps.randomBytes);
      return { tier, kid };
    });
  }

  /** Another process may have wrapped the key anew, and our KEK may be gone since: then what lies on disk counts. */
  #underKnownKek(found: IndexedKey): IndexedKey {
    const { set, stored } = found;
    if (this.#deps.wrapper.has(stored.wrapped.kekId)) return found;
    const onDisk = this.#deps.store.findSync(set.owner, slotOf(set));
    if (!onDisk || 'damaged' in onDisk || !this.take(onDisk.set)) return found;
    return this.index.ownedBy(set.owner, stored.kid) ?? found;
  }

  #counted<T>(what: 'make' | 'open' | 'read', call: () => T): T {
    try {
      return call();
    } catch (error) {
      this.#deps.metrics.failures.inc({ what });
      throw error;
    }
  }
}
