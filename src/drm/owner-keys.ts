import { KEY_TIERS, type KeyTier, type ProtectionScheme, type TrackProtection } from '../media/protection.ts';
import type { ContentKey, CryptoPeriod, KeyOwner, OwnerKeys } from './content-key.ts';
import { periodAt } from './crypto-period.ts';
import { unavailable } from './durable-files.ts';
import type { IvLanes } from './iv-lanes.ts';
import type { KeySet } from './key-set.ts';
import type { KeyVault } from './key-vault.ts';
import { kidHex } from './kid.ts';
import { signalledSystems, type SignallingOptions } from './signalling.ts';

/** Sets whose keys are held in the clear: the current one, the last, the next, and room for a late track. */
const MAX_OPEN_SETS = 4;

export interface OwnerKeysOptions {
  readonly scheme: ProtectionScheme;
  /** 0: never. */
  readonly rotationMs: number;
  readonly signalling: SignallingOptions;
}

interface OpenSet {
  readonly set: KeySet;
  readonly keys: Map<KeyTier, ContentKey>;
}

/** The keys of one owner out of the vault; those in use are held open. One object an owner and process. */
export class LocalOwnerKeys implements OwnerKeys {
  readonly owner: KeyOwner;
  readonly scheme: ProtectionScheme;
  readonly #options: OwnerKeysOptions;
  readonly #vault: KeyVault;
  readonly #lanes: IvLanes;
  /** By start of the period, least recently used first. */
  readonly #open = new Map<number, OpenSet>();
  readonly #protections = new WeakMap<ContentKey, TrackProtection>();
  #latest: CryptoPeriod | undefined;

  constructor(owner: KeyOwner, options: OwnerKeysOptions, parts: { vault: KeyVault; lanes: IvLanes }) {
    this.owner = owner;
    this.scheme = options.scheme;
    this.#options = options;
    this.#vault = parts.vault;
    this.#lanes = parts.lanes;
  }

  /** The latest period that a key was asked of. */
  get latest(): CryptoPeriod | undefined {
    return this.#latest;
  }

  periodAt(mediaMs: number): CryptoPeriod {
    return periodAt(mediaMs, this.#options.rotationMs);
  }

  key(period: CryptoPeriod, tier: KeyTier): ContentKey {
    const { set, keys } = this.#openSet(period);
    const known = keys.get(tier);
    if (known) return known;
    const stored = set.keys.find((each) => each.tier === tier);
    if (stored === undefined) throw unavailable(`there is no content key of the tier ${tier}`);
    const key = this.#vault.open({ set, stored });
    keys.set(tier, key);
    return key;
  }

  async prepare(period: CryptoPeriod): Promise<void> {
    const set = await this.#vault.obtain(this.owner, this.#slot(period));
    if (this.scheme === 'cenc') await this.#lanes.prepare(set);
  }

  protection(key: ContentKey): TrackProtection {
    let protection = this.#protections.get(key);
    if (protection === undefined) {
      const { scheme, tier, kid } = key;
      const constantIv = scheme === 'cbcs' ? key.constantIv : undefined;
      const systems =
        key.systems ?? signalledSystems({ scheme, kid, contentId: this.owner.id }, this.#options.signalling);
      protection = { scheme, tier, kid, constantIv, systems };
      this.#protections.set(key, protection);
    }
    return protection;
  }

  ivLane(key: ContentKey): Uint8Array {
    const found = this.#vault.index.ownedBy(this.owner, key.kid);
    const open = [...this.#open.values()].find(({ set }) =>
      set.keys.some(({ kid }) => kidHex(kid) === kidHex(key.kid)),
    );
    const set = found?.set ?? open?.set;
    if (set === undefined) throw unavailable('this content key is not there any more');
    return this.#lanes.begin(set);
  }

  #openSet(period: CryptoPeriod): OpenSet {
    this.#latest = laterOf(this.#latest, period);
    let open = this.#open.get(period.startMs);
    if (open === undefined) {
      open = { set: this.#vault.obtainSync(this.owner, this.#slot(period)), keys: new Map() };
    }
    this.#open.delete(period.startMs);
    this.#open.set(period.startMs, open);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN_SETS && oldest !== undefined) this.#open.delete(oldest);
    return open;
  }

  #slot(period: CryptoPeriod) {
    return { period, scheme: this.scheme, tiers: KEY_TIERS, foreignKid: undefined };
  }
}

/** A late track may ask for the last period once more; only a clock that was set back leads further back. */
function laterOf(latest: CryptoPeriod | undefined, asked: CryptoPeriod): CryptoPeriod {
  if (latest === undefined || asked.startMs > latest.startMs) return asked;
  return asked.endMs < latest.startMs ? asked : latest;
}
