import type { KeyTier, SystemData, TrackProtection } from '../../src/media/protection.ts';

const TIER_BYTE: Readonly<Record<KeyTier, number>> = { AUDIO: 1, SD: 2, HD: 3, UHD: 4 };

/** A key id that says which key it is: the key period, then the tier. */
export function exampleKid(tier: KeyTier, keyPeriod = 0): Uint8Array {
  return new Uint8Array(16).fill(TIER_BYTE[tier]).fill(keyPeriod, 0, 1);
}

export const CLEARKEY: SystemData = {
  system: 'clearkey',
  pssh: new Uint8Array([1, 2, 3]),
  playReadyObject: undefined,
  licenseUrl: 'https://keys.example/license/clearkey',
};

/** How a track may be encrypted, told to ClearKey players unless `more` says otherwise. */
export function exampleProtection(
  tier: KeyTier,
  keyPeriod = 0,
  more: Partial<TrackProtection> = {},
): TrackProtection {
  return {
    scheme: 'cbcs',
    tier,
    kid: exampleKid(tier, keyPeriod),
    constantIv: new Uint8Array(16).fill(7),
    systems: [CLEARKEY],
    ...more,
  };
}
