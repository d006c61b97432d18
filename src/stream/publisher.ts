import type { AudioCodec, EventKind, VideoCodec } from './track.ts';

export type PublishProtocol = 'rtmp' | 'rtmps' | 'srt' | 'cmaf';

/**
 * `primary` is what a publisher is unless it says otherwise. A `backup` stands by, warm, and takes over when the
 * primary is lost or stalls.
 */
export type PublishRole = 'primary' | 'backup';

/** Who is publishing: only what logs, metrics and the control API may show. */
export interface PublisherInfo {
  readonly protocol: PublishProtocol;
  readonly role: PublishRole;
  /** Session id, random, for logs. */
  readonly session: string;
  /** Address and port of the peer, for the control API and logs; never a metric label. */
  readonly remoteAddress: string;
  /** Timestamps given to {@link Publisher.write} are in these ticks a second and wrap at 2^wrapBits. */
  readonly timescale: number;
  readonly wrapBits: number;
}

/** One access unit as the protocol delivered it: source clock, may wrap, jump or repeat. */
export interface RawSample {
  readonly kind: 'video' | 'audio';
  /** Which video track; see {@link Publisher.videoConfig}. 0 when left out; audio has only 0. */
  readonly track?: number;
  /** Decode time, source ticks, modulo 2^wrapBits; a sender may be finer than its ticks. */
  readonly dts: number;
  /** pts − dts in source ticks, may be negative. */
  readonly compositionOffset: number;
  readonly key: boolean;
  /**
   * One access unit as its codec's CMAF binding has it: length-prefixed NAL units (the configuration's lengthSize), a
   * temporal unit of OBUs without temporal delimiter, a VP9 superframe; one raw AAC frame, AC-3 syncframe, Opus packet,
   * FLAC frame. Handed over: never reused.
   */
  readonly data: Uint8Array;
}

/** A {@link TimedEvent} as the protocol delivered it. */
export interface RawEvent {
  readonly kind: EventKind;
  /** When it applies, on the clock of the samples' pts, modulo 2^wrapBits; undefined: with the next picture. */
  readonly pts: number | undefined;
  /** Handed over: never reused. */
  readonly data: Uint8Array;
}

/**
 * The one who feeds a stream, from `StreamHub.publish()` until `close()` or until the hub closes it (the `onClosed`
 * given at publish). Calls never throw on bad media: what cannot be used is counted and dropped.
 */
export interface Publisher {
  readonly stream: string;
  /**
   * Declares (or replaces) a video track. Track 0 is the source; further ones are lesser encodings of the same picture
   * with the same key frames and times, which become rungs of the ladder as they are.
   * @param config body of the codec's box: `avcC`, `hvcC`, `av1C`, or `vpcC` with its version and flags
   */
  videoConfig(codec: VideoCodec, config: Uint8Array, track?: number): void;
  /**
   * Declares (or replaces) the audio track.
   * @param config an AudioSpecificConfig for `mp4a`; else body of the codec's box: `dac3`, `dec3`, `dOps`, or `dfLa`
   *   with its version and flags
   */
  audioConfig(codec: AudioCodec, config: Uint8Array): void;
  /** What the source says it will send (onMetaData): the warm-up waits a little for what is announced. */
  announce(kinds: { readonly video: boolean; readonly audio: boolean }): void;
  write(sample: RawSample): void;
  event(event: RawEvent): void;
  /** Publisher gone. `graceful` when it said goodbye (deleteStream, FCUnpublish): still within the grace time. */
  close(reason: 'unpublished' | 'disconnected' | 'timeout' | 'error'): void;
}
