import { createHash } from 'node:crypto';
import { AppError } from '../../src/base/errors.ts';
import type { ContentKey, CryptoPeriod, KeyOwner, OwnerKeys } from '../../src/drm/content-key.ts';
import type { KeyTier, ProtectionScheme, TrackProtection } from '../../src/media/protection.ts';
import { CLEARKEY } from './protection.ts';

/** Keys that can be told from their period and tier, so that a test can decrypt without asking anybody. */
export class FakeKeys implements OwnerKeys {
  readonly owner: KeyOwner = { kind: 'live', id: 'cam' };
  readonly scheme: ProtectionScheme;
  readonly #rotationMs: number;
  #lanes = 0;
  /** Of crypto periods from this index on there are no keys. */
  missingFrom = Number.POSITIVE_INFINITY;

  constructor(rotationMs: number, scheme: ProtectionScheme = 'cbcs') {
    this.#rotationMs = rotationMs;
    this.scheme = scheme;
  }

  periodAt(mediaMs: number): CryptoPeriod {
    const index = Math.floor(mediaMs / this.#rotationMs);
    return { index, startMs: index * this.#rotationMs, endMs: (index + 1) * this.#rotationMs };
  }

  key(period: CryptoPeriod, tier: KeyTier): ContentKey {
    if (period.index >= this.missingFrom) throw new AppError('DRM_KEYS_UNAVAILABLE');
    const bytes = (what: string): Uint8Array =>
      createHash('sha256').update(`${what} ${period.index} ${tier}`).digest().subarray(0, 16);
    return {
      tier,
      kid: bytes('kid'),
      key: bytes('key'),
      constantIv: bytes('iv'),
      scheme: this.scheme,
      systems: undefined,
    };
  }

  async prepare(): Promise<void> {}

  protection({ tier, kid, constantIv }: ContentKey): TrackProtection {
    const { scheme } = this;
    return { scheme, tier, kid, constantIv: scheme === 'cbcs' ? constantIv : undefined, systems: [CLEARKEY] };
  }

  ivLane(): Uint8Array {
    this.#lanes += 1;
    const lane = new Uint8Array(8);
    new DataView(lane.buffer).setUint32(0, this.#lanes);
    return lane;
  }
}
