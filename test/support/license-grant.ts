import type { ContentKey, KeyEntry, KeyOwner } from '../../src/drm/content-key.ts';
import type {
  Credentials,
  GrantedKey,
  LicenseAsk,
  LicenseGate,
  LicenseVerdict,
} from '../../src/license/authorised-request.ts';
import {
  commonTiers,
  type KeyTier,
  outputProtectionOf,
  type Robustness,
  tiersOf,
} from '../../src/license/tiers.ts';
import type { HttpRequest } from '../../src/http/types.ts';

type Grant = Extract<LicenseVerdict, { granted: true }>;

const OWNER: KeyOwner = { kind: 'live', id: 'studio' };
const TIER_BYTES = { AUDIO: 0xa0, SD: 0x50, HD: 0xd0, UHD: 0xe0 } as const;
const START_MS = Date.UTC(2026, 10, 22, 12, 0, 0);
const ROTATION_MS = 300_000;

/** The entry of a key: the KID is the tier's byte 15 times and the period. */
export function keyEntry(tier: KeyTier, index = 1): KeyEntry {
  const kid = Buffer.alloc(16, TIER_BYTES[tier]);
  kid[15] = index;
  const period = { index, startMs: index * ROTATION_MS, endMs: (index + 1) * ROTATION_MS };
  return { owner: OWNER, tier, kid, period, scheme: 'cbcs' };
}

/** Its key: the KID with every bit turned. The IV: 15 times 0x11 and the period. */
export function contentKey({ tier, kid, period, scheme }: KeyEntry): ContentKey {
  const constantIv = Buffer.alloc(16, 0x11);
  constantIv[15] = period.index;
  return {
    tier,
    kid,
    key: Buffer.from(kid.map((byte) => byte ^ 0xff)),
    constantIv,
    scheme,
    systems: undefined,
  };
}

/** What policy grants a session of that level on a title that has all of `tiers`. */
export function grantFor(
  robustness: Robustness,
  { tiers = ['AUDIO', 'SD', 'HD', 'UHD'], periods = [1], ttlMs = 3_600_000 }: GrantOptions = {},
): Grant {
  const granted = commonTiers(tiers, tiersOf(robustness));
  const keys: GrantedKey[] = periods.flatMap((index) =>
    granted.map((tier) => ({ entry: keyEntry(tier, index), tier, output: outputProtectionOf(tier) })),
  );
  return {
    granted: true,
    session: { id: 'session-1', viewer: 'viewer-1', device: undefined, owner: OWNER },
    keys,
    tiers: granted,
    robustness,
    ttlMs,
    expiresMs: START_MS + ttlMs,
  };
}

export interface GrantOptions {
  readonly tiers?: readonly KeyTier[];
  readonly periods?: readonly number[];
  readonly ttlMs?: number;
}

/** The door to licences, which answers as it is told and remembers who asked for what. */
export class FakeGate implements LicenseGate {
  readonly asks: { readonly credentials: Credentials; readonly ask: LicenseAsk }[] = [];
  verdict: LicenseVerdict;

  constructor(verdict: LicenseVerdict) {
    this.verdict = verdict;
  }

  credentials(request: HttpRequest): Credentials {
    return {
      method: request.method,
      url: `http://localhost${request.path}`,
      authorization: request.header('authorization'),
      proof: request.header('dpop'),
      address: request.remoteAddress,
      country: undefined,
    };
  }

  authorise(credentials: Credentials, ask: LicenseAsk): Promise<LicenseVerdict> {
    this.asks.push({ credentials, ask });
    return Promise.resolve(this.verdict);
  }
}
