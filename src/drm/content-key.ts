import type { KeyTier, ProtectionScheme, SystemData, TrackProtection } from '../media/protection.ts';

/** What is encrypted with keys of its own: a live stream or a VOD title. */
export interface KeyOwner {
  readonly kind: 'live' | 'vod';
  /** Name of the stream or title. */
  readonly id: string;
}

/**
 * A content key in the clear. Only the process that encrypts, or answers a licence, ever holds one. Printing one, or
 * turning it into JSON, shows neither `key` nor `constantIv`.
 */
export interface ContentKey {
  readonly tier: KeyTier;
  /** 16 bytes, in the order of the UUID's text. */
  readonly kid: Uint8Array;
  /** AES-128. */
  readonly key: Uint8Array;
  /** `cbcs`: 16 random bytes, made with the key and never changed. */
  readonly constantIv: Uint8Array;
  readonly scheme: ProtectionScheme;
  /** What players are told of the key where a key server elsewhere said so; undefined: as we are configured. */
  readonly systems: readonly SystemData[] | undefined;
}

/** A stretch of a stream with one set of keys. Grid of time, not of publishers: a restart goes on in it. */
export interface CryptoPeriod {
  /** floor(startMs / rotation): grows by one. A title that does not rotate has only period 0. */
  readonly index: number;
  /** Ms since the Unix epoch; media of a segment that starts in [startMs, endMs) has these keys. */
  readonly startMs: number;
  /** `ENDLESS_MS` (Number.MAX_SAFE_INTEGER) when the keys do not rotate. */
  readonly endMs: number;
}

/**
 * The keys of one stream or title, for whoever encrypts it. Everything is there when it is asked for: nothing waits.
 * What it gives out is on disk already. While a stream asks for keys, those of its next period are made ahead.
 */
export interface OwnerKeys {
  readonly owner: KeyOwner;
  readonly scheme: ProtectionScheme;
  /** The crypto period of a segment that starts at `mediaMs`. */
  periodAt(mediaMs: number): CryptoPeriod;
  /**
   * The key of a tier in that period; made, wrapped and stored when it is not there yet (with those of the other
   * tiers). The same object for the same period and tier while the period is in use.
   * @throws AppError DRM_KEYS_UNAVAILABLE when it cannot be stored or unwrapped: then nothing may be sent in its place
   */
  key(period: CryptoPeriod, tier: KeyTier): ContentKey;
  /**
   * Makes the keys of a period without holding anybody up, so that `key` finds them. Needed only where `key` may not
   * touch the disk, or where keys come from elsewhere: the next period of a stream that runs is prepared by itself.
   * @throws AppError DRM_KEYS_UNAVAILABLE
   */
  prepare(period: CryptoPeriod): Promise<void>;
  /** What players are told of that key. */
  protection(key: ContentKey): TrackProtection;
  /**
   * `cenc`: where the IVs of one track may begin, 8 bytes; the following 2^32 values are never given to anybody else
   * for that key, also not after a restart, nor by another process. Each call begins a new lane.
   * @throws AppError DRM_KEYS_UNAVAILABLE
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
  /**
   * Undefined: no key of ours. Says nothing about whether it may be given out now: see {@link isObtainable}. The key of a live
   * stream may also belong to titles that were recorded of it: `owner`'s own entry comes first then. Whoever asks must look
   * whose it is.
   */
  find(kid: Uint8Array, owner?: KeyOwner): KeyEntry | undefined;
  /**
   * The keys of an owner that may be given out at `nowMs`: of periods that begin within the lead time, and of old ones
   * until their media has left every window and the longest licence is over. Oldest period first, then by tier.
   */
  obtainable(owner: KeyOwner, nowMs: number): readonly KeyEntry[];
  /** Whether this key is one of those, without listing them. */
  isObtainable(entry: KeyEntry, nowMs: number): boolean;
  /** The key, as long as the owner of the entry has it. @throws AppError DRM_KEYS_UNAVAILABLE */
  unwrap(entry: KeyEntry): Promise<ContentKey>;
}
