/** Sample entries of what a transport stream brings and Headwater carries. */
export type TsVideoCodec = 'avc1' | 'hvc1';
export type TsAudioCodec = 'mp4a' | 'ac-3' | 'ec-3' | 'Opus';

/** Timestamps of a transport stream: ticks a second, and the bits they have. */
export const TS_TIMESCALE = 90_000;
export const TS_WRAP_BITS = 33;
export const TS_WRAP = 2 ** TS_WRAP_BITS;

/** One access unit of video, or one frame of sound. */
export interface TsSample {
  readonly kind: 'video' | 'audio';
  /** 90 kHz, modulo 2^33, as the stream has it. */
  readonly dts: number;
  /** pts − dts, 90 kHz; 0 for sound. */
  readonly compositionOffset: number;
  /**
   * Decoding may start here: an IDR picture or an HEVC IRAP picture; in H.264 also an all-intra picture with a recovery
   * point of no frames (open GOP), for many encoders never send a second IDR. A recovery point some frames later
   * (intra refresh) is no key: no picture of such a stream is whole by itself.
   */
  readonly key: boolean;
  /**
   * NAL units with 4-byte lengths, without delimiters, filler data and configured parameter sets; a raw AAC frame; the
   * syncframes of an AC-3 or E-AC-3 access unit; an Opus packet. Handed over: never reused.
   */
  readonly data: Uint8Array;
}

/** Something timed that is neither picture nor sound. */
export interface TsEvent {
  /** A whole splice_info_section whose CRC is right; an ID3v2 tag; a KLV packet. */
  readonly kind: 'scte35' | 'id3' | 'klv';
  /** 90 kHz, modulo 2^33. For SCTE-35 the splice time, adjusted; undefined when it says none. */
  readonly pts: number | undefined;
  /** Handed over: never reused. */
  readonly data: Uint8Array;
}

/** Takes what a demuxer finds, in the stream's order. Calls must not throw. */
export interface TsSink {
  /** What the program has of what is carried; again whenever that changes. */
  tracks(present: { readonly video: boolean; readonly audio: boolean }): void;
  /** @param config body of `avcC` or `hvcC` */
  videoConfig(codec: TsVideoCodec, config: Uint8Array): void;
  /** @param config an AudioSpecificConfig for `mp4a`; else body of `dac3`, `dec3` or `dOps` */
  audioConfig(codec: TsAudioCodec, config: Uint8Array): void;
  sample(sample: TsSample): void;
  event(event: TsEvent): void;
  /**
   * The program has a stream that is not carried, of a codec of a closed list; once for each such codec. When no program
   * has any that is, it is said of those of all programs.
   */
  unsupported(kind: 'video' | 'audio', codec: string): void;
}
