import { AppError } from '../base/errors.ts';
import type { ContentKey, CryptoPeriod, OwnerKeys } from '../drm/content-key.ts';
import { canProtect, SampleEncryptor } from '../media/isobmff/sample-encryptor.ts';
import { type KeyTier, tierOf, type TrackProtection } from '../media/protection.ts';
import type { Track } from '../stream/track.ts';

/** How one stream is encrypted. */
export interface Encryption {
  readonly keys: OwnerKeys;
  /** Sound stays in the clear. */
  readonly clearAudio: boolean;
}

/** A track with its lock on: what players are told, and what encrypts its samples. */
export interface LockedTrack {
  readonly protection: TrackProtection;
  readonly encryptor: SampleEncryptor;
}

/** Encrypts the tracks of one period, all with keys of one crypto period: one key for each tier. */
export class PeriodCipher {
  readonly cryptoPeriod: CryptoPeriod;
  readonly #keys: OwnerKeys;
  readonly #clearAudio: boolean;
  readonly #byTier = new Map<KeyTier, ContentKey>();

  /**
   * For a period that begins at `startMs`.
   * @throws AppError DRM_KEYS_UNAVAILABLE
   */
  constructor({ keys, clearAudio }: Encryption, startMs: number) {
    this.#keys = keys;
    this.#clearAudio = clearAudio;
    this.cryptoPeriod = keys.periodAt(startMs);
    // All tiers are made together: what can be had now can be had when a rung joins.
    this.#key('AUDIO');
  }

  /**
   * Undefined: the track is to stay in the clear.
   * @throws AppError DRM_KEYS_UNAVAILABLE, DRM_TRACK_REFUSED: the track must not be sent then
   */
  lock(track: Track): LockedTrack | undefined {
    if (track.kind === 'audio' && this.#clearAudio) return undefined;
    const allowed = canProtect(track, this.#keys.scheme);
    if (allowed !== true) {
      throw new AppError('DRM_TRACK_REFUSED', `${track.codecString} cannot be encrypted: ${allowed.reason}`);
    }
    const key = this.#key(tierOf(track));
    const protection = this.#keys.protection(key);
    const lane = protection.scheme === 'cenc' ? this.#keys.ivLane(key) : undefined;
    return { protection, encryptor: new SampleEncryptor(track, protection, key.key, lane) };
  }

  #key(tier: KeyTier): ContentKey {
    const known = this.#byTier.get(tier);
    if (known) return known;
    const key = this.#keys.key(this.cryptoPeriod, tier);
    this.#byTier.set(tier, key);
    return key;
  }
}
