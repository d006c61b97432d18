import type { PlannedRung, PlannedVideo, Ratio } from './title-plan.ts';

export interface PieceEncoderInput {
  readonly rung: PlannedRung;
  readonly gopFrames: number;
  readonly threads: number;
  /** Somebody waits for it: it is to be there soon. */
  readonly isAwaited: boolean;
}

/** Of the highest rate: over a longer time than this the mean is not above it. */
const BUFFER_SECONDS = 1.5;

/** Quality up to a bit rate. */
function capped({ rung }: PieceEncoderInput): string[] {
  const { maxBitrateBps, crf } = rung;
  const bufferBits = Math.round(maxBitrateBps * BUFFER_SECONDS);
  return ['-crf', `${crf}`, '-maxrate', `${maxBitrateBps}`, '-bufsize', `${bufferBits}`];
}

/**
 * What libx264 is to leave of its search for the last bits where somebody waits: 0.6 of the time that `fast` takes, for about
 * the same picture. The parameter sets of all pieces of a rung must be the same: below subme 6 there is no psychovisual
 * decision, for which libx264 lowers the chroma QP offset by 2, so that is said here.
 */
const HASTE = ':subme=2:trellis=0:rc-lookahead=10:mixed-refs=0:chroma-qp-offset=-2';
/** Presets that search no more than that by themselves, and have no such offset. */
const HASTY_PRESETS: ReadonlySet<string> = new Set(['ultrafast', 'superfast', 'veryfast']);

function haste({ rung, isAwaited }: PieceEncoderInput): string {
  return isAwaited && !HASTY_PRESETS.has(rung.preset) ? HASTE : '';
}

/** Key frames at every multiple and nowhere else; no frame refers past one. */
const RECIPES: Readonly<Record<PlannedRung['codec'], (input: PieceEncoderInput) => string[]>> = {
  h264: (input) => [
    ...['-c:v', 'libx264', '-preset', input.rung.preset, '-profile:v', 'high', ...capped(input)],
    ...['-g', `${input.gopFrames}`, '-keyint_min', `${input.gopFrames}`, '-sc_threshold', '0'],
    ...['-x264-params', `open-gop=0${haste(input)}`, '-threads', `${input.threads}`],
  ],
  hevc: (input) => [
    ...['-c:v', 'libx265', '-preset', input.rung.preset, ...capped(input), '-tag:v', 'hvc1'],
    '-x265-params',
    [
      `keyint=${input.gopFrames}:min-keyint=${input.gopFrames}:scenecut=0:open-gop=0`,
      `pools=${input.threads}:log-level=warning:info=0`,
    ].join(':'),
  ],
  av1: (input) => [
    ...['-c:v', 'libsvtav1', '-preset', input.rung.preset, ...capped(input)],
    ...['-g', `${input.gopFrames}`, '-flags', '+cgop', '-svtav1-params', `lp=${input.threads}:scd=0`],
  ],
};

/** Time stamps of the file a rung is written to: whole ticks a frame, and enough of them a second for any reader. */
export function pieceTimescale({ numerator, denominator }: Ratio): {
  readonly timescale: number;
  readonly frameTicks: number;
} {
  const factor = Math.max(1, Math.ceil(MIN_TIMESCALE / numerator));
  return { timescale: numerator * factor, frameTicks: denominator * factor };
}

const MIN_TIMESCALE = 10_000;

/**
 * The options of one output. Fragmented, decode times from 0, and the presentation time of the first frame the same: with
 * frag_discont the muxer keeps the times it is given, so that a missing beginning can be seen.
 */
export function pieceOutput(
  input: PieceEncoderInput,
  video: Pick<PlannedVideo, 'frameRate'>,
  path: string,
): string[] {
  return [
    ...['-fps_mode', 'passthrough', ...RECIPES[input.rung.codec](input), '-pix_fmt', 'yuv420p'],
    ...['-color_primaries', 'bt709', '-color_trc', 'bt709', '-colorspace', 'bt709', '-color_range', 'tv'],
    ...['-map_metadata', '-1', '-map_chapters', '-1'],
    ...['-video_track_timescale', `${pieceTimescale(video.frameRate).timescale}`],
    ...['-movflags', '+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets+frag_discont'],
    ...['-use_editlist', '0', '-avoid_negative_ts', 'disabled', '-f', 'mp4', '-y', `file:${path}`],
  ];
}
