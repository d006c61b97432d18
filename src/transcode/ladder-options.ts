/** Encoders that can make the rungs, by ffmpeg's names. */
export const ENCODERS = ['libx264', 'h264_nvenc', 'h264_qsv', 'h264_vaapi', 'h264_videotoolbox'] as const;
export type EncoderName = (typeof ENCODERS)[number];

/** Presets of libx264, from the cheapest on. */
export const PRESETS = ['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium'] as const;
export type Preset = (typeof PRESETS)[number];

/** A rung an operator asked for. */
export interface RungWish {
  /** The picture's shorter side, pixels, even. */
  readonly height: number;
  readonly bitrateBps: number;
}

/** What an operator can say of the ladder; the `ladder` section of the configuration. */
export interface LadderOptions {
  /** `auto` chooses by the source's size and the machine's cores, `none` encodes nothing. */
  readonly rungs: 'auto' | 'none' | readonly RungWish[];
  readonly encoder: EncoderName;
  /** Of libx264; the other encoders do not ask. */
  readonly preset: Preset;
  /** The device h264_vaapi encodes on. */
  readonly vaapiDevice: string;
  /** The program: a name looked up in PATH, or a path. */
  readonly ffmpeg: string;
  /** Streams encoded at once; 0 for one a core. */
  readonly maxChannels: number;
  /** Share of the machine's cores that `auto` may plan with, percent. */
  readonly cpuShare: number;
  /** Time without output, while frames wait, after which a running encoder is taken as hung. */
  readonly watchdogMs: number;
  /** The same for an encoder that has not given its first frame yet. */
  readonly startTimeoutMs: number;
  /** Lag behind the source above which an encoder is too slow. */
  readonly maxLagMs: number;
  /**
   * How long segments are to be: the rungs of a source that has no key frames for longer get some of their own.
   * Undefined: key frames only where the source has them.
   */
  readonly segmentMs?: number | undefined;
}
