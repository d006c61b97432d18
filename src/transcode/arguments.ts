import type { HdrRange } from '../media/colour.ts';
import { ENCODER_RECIPES, OUTPUT_TIMES } from './encoders.ts';
import type { Rung } from './ladder-choice.ts';
import type { LadderOptions } from './ladder-options.ts';
import { decoderThreads, encoderThreads } from './threads.ts';
import { largestPicture, SAID_TO_BE_HD, toneMapFilters, type ToneMapper } from './tone-map.ts';

/** One rung as one run of the encoder makes it. */
export interface RungOutput extends Rung {
  /** Frames before this time of the fed file are not encoded: they were already. Milliseconds. */
  readonly fromMs?: number;
}

export interface ArgumentsInput {
  readonly options: Pick<LadderOptions, 'encoder' | 'preset' | 'vaapiDevice' | 'segmentMs'>;
  /** Of what is fed on standard input. */
  readonly format: 'flv' | 'matroska';
  readonly source: {
    readonly width: number;
    readonly height: number;
    /** What the rungs are brought down from; undefined: it is SDR. */
    readonly hdr?: HdrRange | undefined;
  };
  readonly toneMapper: ToneMapper;
  /** Ticks of 90 kHz a frame, may be fractional; undefined when the rate varies. */
  readonly frameTicks: number | undefined;
  /** Ticks from key frame to key frame of the source; undefined when it is irregular, or too long to be known. */
  readonly gopTicks: number | undefined;
  /** At least one. */
  readonly rungs: readonly RungOutput[];
  readonly cores: number;
}

/** The first output's file descriptor; the next ones follow. */
export const FIRST_OUTPUT_FD = 3;

const TIMESCALE = 90_000;
const NOMINAL_RATE = 30;
/** Largest picture that is decoded, whatever the stream says of itself later on: 8192 by 4320. */
const MAX_PIXELS = 8192 * 4320;

/**
 * ffmpeg's arguments: one file on stdin, one decode, every rung as FLV on a pipe of its own, frames out with the very
 * milliseconds they came in with.
 *
 * - One decoder thread where one is enough: each more holds a frame.
 * - `fpsprobesize 0` and `analyzeduration 1` stop the probing after the first frame. Never `nobuffer`: it throws away
 *   what was read while probing, and with it the first key frame.
 */
export function buildArguments(input: ArgumentsInput): string[] {
  const recipe = ENCODER_RECIPES[input.options.encoder];
  const { source } = input;
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'warning'],
    ...recipe.globalArguments(input.options),
    ...['-threads', `${decoderThreads(source.width * source.height, rateOf(input.frameTicks), input.cores)}`],
    ...['-max_pixels', `${MAX_PIXELS}`],
    ...[
      '-fpsprobesize',
      '0',
      '-analyzeduration',
      '1',
      '-protocol_whitelist',
      'pipe',
      '-f',
      input.format,
      '-i',
      'pipe:0',
    ],
    ...['-copyts', '-filter_complex', filterGraph(input, recipe.lastFilters)],
    ...input.rungs.flatMap((rung, index) => [
      ...['-map', `[o${index}]`, ...OUTPUT_TIMES],
      ...recipe.arguments({
        bitrateBps: rung.bitrateBps,
        frameRate: fractionOf(input.frameTicks),
        threads: encoderThreads(rung.width, rung.height, input.cores),
        longestGopFrames: longestGopFrames(input),
        preset: input.options.preset,
      }),
      ...['-f', 'flv', '-flvflags', 'no_duration_filesize', '-flush_packets', '1'],
      `pipe:${FIRST_OUTPUT_FD + index}`,
    ]),
  ];
}

function filterGraph(input: ArgumentsInput, lastFilters: string): string {
  const { rungs } = input;
  const shared = sharedFilters(input);
  const scaled = rungs.map(({ width, height, fromMs }) =>
    [...skipTo(fromMs), `scale=${width}:${height}:flags=bicubic`, lastFilters].join(','),
  );
  if (scaled.length === 1) return `[0:v]${[...shared, ...scaled].join(',')}[o0]`;
  const split = [...shared, `split=${rungs.length}`].join(',');
  const chains = scaled.map((chain, index) => `[s${index}]${chain}[o${index}]`);
  return [`[0:v]${split}${rungs.map((_, index) => `[s${index}]`).join('')}`, ...chains].join(';');
}

/** HDR comes down to SDR once, at the size of the largest rung, and not in frames that no rung is to encode. */
function sharedFilters({ source, rungs, toneMapper }: ArgumentsInput): string[] {
  if (source.hdr === undefined) return [];
  const firstMs = Math.min(...rungs.map(({ fromMs }) => fromMs ?? Number.NEGATIVE_INFINITY));
  return [
    ...skipTo(Number.isFinite(firstMs) ? firstMs : undefined),
    ...toneMapFilters(source.hdr, toneMapper, largestPicture(rungs)),
    SAID_TO_BE_HD,
  ];
}

/** Leaves out the frames before a millisecond of the fed file. */
function skipTo(fromMs: number | undefined): string[] {
  return fromMs === undefined ? [] : [`trim=start_pts=${fromMs}`];
}

/**
 * Segments of a source whose key frames are regular begin with them. Those of any other are cut every so many frames
 * when none comes: there the rungs have key frames of their own, counted from the last that the source had. Frames
 * that are lost, or an encoder that is replaced, put that count out until the source's next key frame; the segments are
 * then whole but not independent, as the source's are.
 */
function longestGopFrames({ options, frameTicks, gopTicks }: ArgumentsInput): number | undefined {
  if (gopTicks !== undefined || options.segmentMs === undefined) return undefined;
  return Math.max(1, Math.round((options.segmentMs * rateOf(frameTicks)) / 1000));
}

function fractionOf(
  frameTicks: number | undefined,
): { readonly numerator: number; readonly denominator: number } | undefined {
  if (frameTicks === undefined) return undefined;
  const factor = Number.isInteger(frameTicks) ? 1 : 2;
  return { numerator: TIMESCALE * factor, denominator: Math.round(frameTicks * factor) };
}

/** Frames a second, as it is or as it is reckoned with. */
export function rateOf(frameTicks: number | undefined): number {
  return frameTicks === undefined ? NOMINAL_RATE : TIMESCALE / frameTicks;
}
