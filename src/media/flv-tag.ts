import type { FlvAudioCodec, FlvVideoCodec } from './flv-codecs.ts';

/** What is the same in all tags of tracks: Enhanced RTMP numbers them, all others are of track 0. */
interface OfTrack {
  /** 0 to 255. */
  readonly track: number;
}

export interface VideoConfigTag extends OfTrack {
  readonly kind: 'config';
  readonly codec: FlvVideoCodec;
  /** The codec's configuration record. */
  readonly config: Uint8Array;
}

export interface VideoFrameTag extends OfTrack {
  readonly kind: 'frame';
  readonly codec: FlvVideoCodec;
  readonly key: boolean;
  readonly compositionOffsetMs: number;
  /** What the tag's time lacks, 0 to 1,048,575 ns or so: senders may say it finer than in milliseconds. */
  readonly offsetNs: number;
  /** One access unit, as its codec's ISO binding has it. */
  readonly data: Uint8Array;
}

export interface AudioConfigTag extends OfTrack {
  readonly kind: 'config';
  readonly codec: FlvAudioCodec;
  /** AudioSpecificConfig, OpusHead (may be empty), or FLAC's `fLaC` and STREAMINFO. */
  readonly config: Uint8Array;
}

export interface AudioFrameTag extends OfTrack {
  readonly kind: 'frame';
  readonly codec: FlvAudioCodec;
  /** As of {@link VideoFrameTag}. */
  readonly offsetNs: number;
  /** One raw frame or packet of the codec. */
  readonly data: Uint8Array;
}

export type TagOddity =
  /** Nothing to decode, and nothing wrong: an empty body, an end of sequence, a seek marker, colour metadata. */
  | { readonly kind: 'ignored' }
  /** A codec or form that is not understood. `codec` comes from a closed list, or is `other`. */
  | ({ readonly kind: 'unsupported'; readonly codec: string } & OfTrack)
  | { readonly kind: 'malformed' };

/** What a tag says of one video track. */
export type VideoTrackTag = VideoConfigTag | VideoFrameTag | TagOddity;
/** What a tag says of one audio track. */
export type AudioTrackTag = AudioConfigTag | AudioFrameTag | TagOddity;

/** Several tracks in one body, in the order sent. */
interface Tracks<T> {
  readonly kind: 'tracks';
  readonly tags: readonly T[];
}

export type VideoTag = VideoTrackTag | Tracks<VideoTrackTag>;
export type AudioTag = AudioTrackTag | Tracks<AudioTrackTag>;

export const IGNORED: TagOddity = { kind: 'ignored' };
export const MALFORMED: TagOddity = { kind: 'malformed' };

/** The signed 24-bit number at `at`; what lies behind the end counts as zeros. */
export function signed24(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8)) >> 8;
}
