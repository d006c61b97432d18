import type { KeyEntry } from '../drm/content-key.ts';

/** What a key opens; a licence gives or withholds whole tiers. */
export type KeyTier = KeyEntry['tier'];

/** DRM systems whose licences are given out or passed on. */
export type LicenseSystem = 'clearkey' | 'widevine' | 'playready' | 'fairplay';

export const LICENSE_SYSTEMS: readonly LicenseSystem[] = ['clearkey', 'widevine', 'playready', 'fairplay'];

/**
 * How well a device guards keys and pictures, in the words of Widevine: L1 all in hardware, L2 keys in hardware, L3 in
 * software.
 */
export type Robustness = 'L1' | 'L2' | 'L3';

/** How an output must be protected for a tier, as the systems call it; a hint that vendors' licences carry. */
export type OutputProtection = 'none' | 'hdcp1' | 'hdcp2.2';

/** All tiers, from the least to the most demanding. */
export const TIERS: readonly KeyTier[] = ['AUDIO', 'SD', 'HD', 'UHD'];

/** All levels, from the weakest to the strongest. */
export const ROBUSTNESS_LEVELS: readonly Robustness[] = ['L3', 'L2', 'L1'];

/** What a device of each level may have at most. Nothing configures L3 any higher: its keys can be read out. */
const TIERS_OF: Readonly<Record<Robustness, readonly KeyTier[]>> = {
  L3: ['AUDIO', 'SD'],
  L2: ['AUDIO', 'SD', 'HD'],
  L1: ['AUDIO', 'SD', 'HD', 'UHD'],
};

const OUTPUT_OF: Readonly<Record<KeyTier, OutputProtection>> = {
  AUDIO: 'none',
  SD: 'none',
  HD: 'hdcp1',
  UHD: 'hdcp2.2',
};

/** The tiers that a device of that level may have. */
export function tiersOf(robustness: Robustness): readonly KeyTier[] {
  return TIERS_OF[robustness];
}

/** The output protection to ask for with a key of that tier. */
export function outputProtectionOf(tier: KeyTier): OutputProtection {
  return OUTPUT_OF[tier];
}

/** The weaker of two levels. */
export function weaker(a: Robustness, b: Robustness): Robustness {
  return ROBUSTNESS_LEVELS.indexOf(a) < ROBUSTNESS_LEVELS.indexOf(b) ? a : b;
}

/**
 * What a session of that claim counts as at a system: ClearKey hands keys to the page, so it is L3 whatever is claimed.
 * Other systems prove their level to the vendor's server; the claim is only what is asked for there.
 */
export function robustnessAt(system: LicenseSystem, claimed: Robustness): Robustness {
  return system === 'clearkey' ? 'L3' : claimed;
}

/** Tiers in both lists, in the order of {@link TIERS}. */
export function commonTiers(a: readonly KeyTier[], b: readonly KeyTier[]): readonly KeyTier[] {
  return TIERS.filter((tier) => a.includes(tier) && b.includes(tier));
}

/** Whether any value is the name of a tier. */
export function isTier(value: unknown): value is KeyTier {
  return TIERS.includes(value as KeyTier);
}

/** Whether any value is the name of a level. */
export function isRobustness(value: unknown): value is Robustness {
  return ROBUSTNESS_LEVELS.includes(value as Robustness);
}
