import type { KeyTier, ProtectionScheme, TrackProtection } from '../media/protection.ts';

/** What is encrypted with keys of its own: a live stream or a VOD title. */
export interface KeyOwner {
  readonly kind: 'live' | 'vod';
  /** Name of the stream or title. */
  readonly id: string;
}

/** A content key in the clear. Only the process that encrypts, or answers a licence, ever holds one. */
export interface ContentKey {
  readonly tier: KeyTier;
  /** 16 bytes, in the order of the UUID's text. */
  readonly kid: Uint8Array;
  /** AES-128. */
  readonly key: Uint8Array;
  /** `cbcs`: 16 random bytes, made with the key and never changed. */
  readonly constantIv: Uint8Array;
}

/** A stretch of a stream with one set of keys. Grid of time, not of publishers: a restart goes on in it. */
export interface CryptoPeriod {
  /** floor(startMs / rotation): grows by one. A title that does not rotate has only period 0. */
  readonly index: number;
  /** Ms since the Unix epoch; media of a segment that starts in [startMs, endMs) has these keys. */
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * The keys of one stream or title, for whoever encrypts it. Everything is there when it is asked for: nothing waits.
 * What it gives out is on disk already.
 */
export interface OwnerKeys {
  readonly scheme: ProtectionScheme;
  /** The crypto period of a segment that starts at `mediaMs`. */
  periodAt(mediaMs: number): CryptoPeriod;
  /**
   * The key of a tier in that period; made, wrapped and stored when it is not there yet.
   * @throws AppError DRM_KEYS_UNAVAILABLE when it cannot be stored or unwrapped: then nothing may be sent in its place
   */
  key(period: CryptoPeriod, tier: KeyTier): ContentKey;
  /** What players are told of that key. */
  protection(key: ContentKey): TrackProtection;
  /**
   * `cenc`: where the IVs of one track may begin, 8 bytes; the following 2^32 values are never given to anybody else
   * for that key, also not after a restart.
   */
  ivLane(key: ContentKey): Uint8Array;
}

/** A key as the licence server sees it. */
export interface KeyEntry {
  readonly owner: KeyOwner;
  readonly tier: KeyTier;
  readonly kid: Uint8Array;
  readonly period: CryptoPeriod;
  readonly scheme: ProtectionScheme;
}

/** What the licence server may ask of the keys. It never learns a key that policy has not granted. */
export interface KeyDirectory {
  /** Undefined: no key of ours. */
  find(kid: Uint8Array): KeyEntry | undefined;
  /**
   * The keys of an owner that may be given out at `nowMs`: of periods that begin within the lead time, and of old ones
   * until their media has left every window and the longest licence is over. Oldest period first.
   */
  obtainable(owner: KeyOwner, nowMs: number): readonly KeyEntry[];
  /** @throws AppError DRM_KEYS_UNAVAILABLE */
  unwrap(entry: KeyEntry): Promise<ContentKey>;
}
