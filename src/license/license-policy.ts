import type { KeyEntry } from '../drm/content-key.ts';
import type { Standing } from '../state/session-store.ts';
import type { GrantedKey } from './authorised-request.ts';
import type { PlaybackClaims } from './playback-claims.ts';
import {
  commonTiers,
  type KeyTier,
  type LicenseSystem,
  outputProtectionOf,
  type Robustness,
  robustnessAt,
  tiersOf,
  weaker,
} from './tiers.ts';

/** Everything a decision is made of; it looks at nothing else. */
export interface PolicyInput {
  readonly claims: Pick<
    PlaybackClaims,
    'owner' | 'tiers' | 'robustness' | 'entitledFromMs' | 'entitledUntilMs' | 'maxTtlMs' | 'countries'
  >;
  readonly standing: Standing;
  readonly request: {
    readonly system: LicenseSystem;
    /** What the vendor's server found the device to be; undefined where nobody has. */
    readonly robustness: Robustness | undefined;
    readonly country: string | undefined;
    /** What the rules on addresses and countries say of it. */
    readonly regionAllowed: boolean;
  };
  /** What was asked for, as far as it exists and may be given out to somebody now. */
  readonly asked: readonly KeyEntry[];
  /** What may be given out of this content now, oldest period first. */
  readonly obtainable: readonly KeyEntry[];
  readonly nowMs: number;
  readonly limits: PolicyLimits;
}

export interface PolicyLimits {
  /** Longest licence. */
  readonly maxTtlMs: number;
  /** Keys in one licence; at the limit the ones asked for come first. */
  readonly maxKeys: number;
}

export type PolicyRefusal =
  | 'not_entitled'
  | 'region'
  | 'session_ended'
  | 'session_revoked'
  | 'viewer_revoked'
  | 'device_revoked';

export type PolicyDecision =
  | {
      readonly granted: true;
      readonly keys: readonly GrantedKey[];
      readonly tiers: readonly KeyTier[];
      readonly robustness: Robustness;
      readonly ttlMs: number;
    }
  | { readonly granted: false; readonly refusal: PolicyRefusal };

/** No licence lasts longer, whatever is configured or claimed. */
export const MAX_LICENSE_TTL_MS = 24 * 3_600_000;

const REFUSAL_OF: Readonly<Record<Exclude<Standing, 'alive'>, PolicyRefusal>> = {
  ended: 'session_ended',
  session_revoked: 'session_revoked',
  viewer_revoked: 'viewer_revoked',
  device_revoked: 'device_revoked',
};

/**
 * Decides on one licence. Whoever may have something gets all of it that is asked for, and what is current or comes next
 * besides, as players give up a whole title at a refusal; a key above the session's level is never among it. Which kids
 * were asked for can make no difference between a key that is withheld and one that does not exist.
 */
export function decideLicense(input: PolicyInput): PolicyDecision {
  const { claims, request, nowMs } = input;
  if (input.standing !== 'alive') return { granted: false, refusal: REFUSAL_OF[input.standing] };
  if (!isRegionAllowed(input)) return { granted: false, refusal: 'region' };
  const ttlMs = licenseTtlMs(input);
  if (claims.entitledFromMs > nowMs || ttlMs <= 0) return { granted: false, refusal: 'not_entitled' };
  const robustness = robustnessAt(request.system, weaker(claims.robustness, request.robustness ?? 'L1'));
  const tiers = commonTiers(claims.tiers, tiersOf(robustness));
  const keys = chooseKeys(input, tiers);
  if (keys.length === 0) return { granted: false, refusal: 'not_entitled' };
  return { granted: true, keys: keys.map(grant), tiers, robustness, ttlMs };
}

function isRegionAllowed({ claims, request }: PolicyInput): boolean {
  if (!request.regionAllowed) return false;
  // What cannot be found out is not where it may be played.
  return claims.countries === undefined || claims.countries.includes(request.country ?? '');
}

function licenseTtlMs({ claims, limits, nowMs }: PolicyInput): number {
  return Math.min(claims.entitledUntilMs - nowMs, claims.maxTtlMs, limits.maxTtlMs, MAX_LICENSE_TTL_MS);
}

/** What was asked for first, then what is current or comes next, each in the order of time. */
function chooseKeys(input: PolicyInput, tiers: readonly KeyTier[]): readonly KeyEntry[] {
  const { claims, limits } = input;
  const isEntitled = ({ tier, owner }: KeyEntry): boolean =>
    tiers.includes(tier) && owner.kind === claims.owner.kind && owner.id === claims.owner.id;
  const asked = input.asked.filter(isEntitled);
  const present = presentKeys(input).filter(isEntitled);
  const chosen = eachOnce([...asked, ...present]).slice(0, limits.maxKeys);
  if (chosen.length > 0) return chosen;
  // A recording whose periods are all over, asked for something else: its latest keys.
  return input.obtainable.filter(isEntitled).slice(-limits.maxKeys);
}

function eachOnce(entries: readonly KeyEntry[]): readonly KeyEntry[] {
  return [...new Map(entries.map((entry) => [Buffer.from(entry.kid).toString('hex'), entry])).values()];
}

/** Found from the end on: of a stream with a long window most are old. */
function presentKeys({ obtainable, nowMs }: PolicyInput): readonly KeyEntry[] {
  const lastOver = obtainable.findLastIndex(({ period }) => period.endMs <= nowMs);
  return obtainable.slice(lastOver + 1);
}

function grant(entry: KeyEntry): GrantedKey {
  return { entry, tier: entry.tier, output: outputProtectionOf(entry.tier) };
}
