import type { PlannedRung } from './title-plan.ts';

/** Codecs of pictures that titles are made in. */
export const VOD_CODECS = ['h264', 'hevc', 'av1'] as const;
export type VodCodec = (typeof VOD_CODECS)[number];

/** How much time encoding may take for the same quality in fewer bits. */
export const VOD_EFFORTS = ['low', 'medium', 'high'] as const;
export type VodEffort = (typeof VOD_EFFORTS)[number];

/** Ladders by name: shorter sides of the pictures, largest first. The master's own size comes on top. */
export const LADDER_PRESETS = {
  standard: [2160, 1440, 1080, 720, 480, 360],
  full: [2160, 1440, 1080, 720, 540, 480, 360, 240],
  small: [720, 360],
} as const satisfies Record<string, readonly number[]>;
export type LadderPresetName = keyof typeof LADDER_PRESETS;
export const LADDER_PRESET_NAMES = Object.keys(LADDER_PRESETS) as readonly LadderPresetName[];

/** A rung that an operator asked for. */
export interface VodRungWish {
  /** The picture's shorter side, pixels, even. */
  readonly height: number;
  /** Undefined: by the size of the picture. */
  readonly maxBitrateBps: number | undefined;
  /** Undefined: in every codec. */
  readonly codec: VodCodec | undefined;
}

/** What is made of surround sound besides stereo: carried as it is where it can be, always (encoded anew where not), nothing. */
export const SURROUND_CHOICES = ['copy', 'encode', 'none'] as const;
export type SurroundChoice = (typeof SURROUND_CHOICES)[number];

/** What an operator can say of how titles are made. */
export interface VodLadderOptions {
  /** A ladder by name, or its rungs. */
  readonly ladder: LadderPresetName | readonly VodRungWish[];
  /** At least one. */
  readonly codecs: readonly VodCodec[];
  readonly effort: VodEffort;
  readonly segmentMs: number;
  /** About so long is a piece: a job of one worker. */
  readonly pieceSeconds: number;
  readonly surround: SurroundChoice;
  readonly thumbnails: boolean;
  /** Whether the bit rates of a ladder by name are fitted to the pictures before they are encoded. */
  readonly contentAware: boolean;
}

export const DEFAULT_VOD_LADDER: VodLadderOptions = {
  ladder: 'standard',
  codecs: ['h264'],
  effort: 'medium',
  segmentMs: 4000,
  pieceSeconds: 12,
  surround: 'copy',
  thumbnails: true,
  contentAware: false,
};

/** A full HD picture in H.264 at up to 30 frames a second needs no more; others in the measure of the following powers. */
const FULL_HD_BPS = 6_000_000;
const FULL_HD_PIXELS = 1920 * 1080;
/** Twice the pixels are less than twice the detail, twice the frames far less than twice the change. */
const PIXELS_POWER = 0.75;
const RATE_POWER = 0.55;
const NOMINAL_RATE = 30;
/** Share of what H.264 needs for the same quality. */
const CODEC_SHARE: Readonly<Record<VodCodec, number>> = { h264: 1, hevc: 0.65, av1: 0.55 };
const BITRATE_STEP = 10_000;
const MIN_BITRATE_BPS = 60_000;

/** The bit rate that a rung may take in the mean over a second or two. */
export function maxBitrate(width: number, height: number, framesPerSecond: number, codec: VodCodec): number {
  const size = ((width * height) / FULL_HD_PIXELS) ** PIXELS_POWER;
  const rate = Math.max(1, framesPerSecond / NOMINAL_RATE) ** RATE_POWER;
  const bitrate = FULL_HD_BPS * size * rate * CODEC_SHARE[codec];
  return Math.max(MIN_BITRATE_BPS, Math.round(bitrate / BITRATE_STEP) * BITRATE_STEP);
}

/** Qualities of a picture of 720 lines or more; the scales of the encoders are not the same. */
const CRF: Readonly<Record<VodCodec, number>> = { h264: 21, hevc: 24, av1: 31 };
/** A picture this large hides more, one this small is blown up on the screen and hides less. */
const LARGE_SIDE = 1440;
const SMALL_SIDE = 480;

/** The quality that a rung need not exceed. */
export function qualityOf(shorterSide: number, codec: VodCodec): number {
  const step = codec === 'av1' ? 2 : 1;
  if (shorterSide >= LARGE_SIDE) return CRF[codec] + step;
  return shorterSide <= SMALL_SIDE ? CRF[codec] - step : CRF[codec];
}

/** By codec and effort, in the words of libx264, libx265 and SVT-AV1. */
export const ENCODER_PRESETS: Readonly<Record<VodCodec, Readonly<Record<VodEffort, PlannedRung['preset']>>>> =
  {
    h264: { low: 'veryfast', medium: 'fast', high: 'slow' },
    hevc: { low: 'superfast', medium: 'fast', high: 'medium' },
    av1: { low: '10', medium: '8', high: '6' },
  };
