import type { HdrRange } from '../media/colour.ts';
import { decodeCost, rungCost, toneMapCost } from './encoding-cost.ts';
import type { LadderOptions } from './ladder-options.ts';
import { decoderThreads, encoderThreads } from './threads.ts';
import { largestPicture } from './tone-map.ts';

/** One encoded rendition. */
export interface Rung {
  /** Also its rendition's id: `480p`. */
  readonly id: string;
  /** Pixels, both even. */
  readonly width: number;
  readonly height: number;
  readonly bitrateBps: number;
}

/** What the ladder is chosen for. */
export interface LadderSource {
  readonly width: number;
  readonly height: number;
  /** Frames a second; undefined when they vary. */
  readonly frameRate: number | undefined;
  /** What is brought down to SDR for the rungs; undefined: it is SDR. */
  readonly hdr?: HdrRange | undefined;
}

/** What is to be encoded, best first, and what it is reckoned to take. */
export interface LadderPlan {
  readonly rungs: readonly Rung[];
  readonly costCores: number;
  /** Why there are no rungs. */
  readonly reason?: 'configured' | 'source_too_small' | 'no_cores' | 'channel_limit';
}

export type LadderChoice = Pick<LadderOptions, 'rungs' | 'encoder' | 'preset'>;

export interface Machine {
  readonly cores: number;
  /** Cores that nobody has set aside yet, may be fractional. */
  readonly availableCores: number;
}

/** Shorter sides of the pictures of the default ladder, with their bit rates at up to 30 frames a second. */
const DEFAULT_RUNGS = [
  { height: 1080, bitrateBps: 4_500_000 },
  { height: 720, bitrateBps: 2_500_000 },
  { height: 480, bitrateBps: 1_100_000 },
  { height: 360, bitrateBps: 700_000 },
  { height: 240, bitrateBps: 350_000 },
] as const;
const MAX_DEFAULT_RUNGS = 3;
/** A default rung nearer to the source than this would not be worth its cost. */
const MAX_SHARE_OF_SOURCE = 0.8;
/** What a rate of 60 frames a second needs more than 30: not twice as much, since the pictures are more alike. */
const HIGH_RATE_FACTOR = 1.5;
const NOMINAL_RATE = 30;
/**
 * ffmpeg decodes, scales and encodes one rung after the other: the time they take for a frame adds up, and it must be
 * well below the time between frames, however many cores there are.
 */
const MAX_BUSY_SHARE = 0.8;
/** What a second encoder thread brings of what it could. */
const THREAD_YIELD = 0.85;
/** Filters bring a picture down to SDR in slices; what a second core brings of what it could, and cores that count. */
const SLICE_YIELD = 0.5;
const MAX_SLICE_CORES = 4;
/** H.264 levels and small screens: nothing is made smaller than this. */
const MIN_SIDE = 16;

/**
 * Chooses the rungs for a source. Never larger than the source, same shape, even sides. A default ladder is at most
 * three rungs and keeps to the available cores and to real time by leaving out the most expensive ones; a configured
 * one is taken as it is, but for rungs above the source.
 */
export function chooseLadder(source: LadderSource, choice: LadderChoice, machine: Machine): LadderPlan {
  if (choice.rungs === 'none') return { rungs: [], costCores: 0, reason: 'configured' };
  const wanted = choice.rungs === 'auto' ? defaultRungs(source) : configuredRungs(source, choice.rungs);
  if (wanted.length === 0) return { rungs: [], costCores: 0, reason: 'source_too_small' };
  if (choice.rungs !== 'auto') return { rungs: wanted, costCores: ladderCost(source, wanted, choice) };
  for (let rungs = wanted; rungs.length > 0; rungs = rungs.slice(1)) {
    const costCores = ladderCost(source, rungs, choice);
    const fits = costCores <= machine.availableCores;
    if (fits && busyShare(source, rungs, choice, machine.cores) <= MAX_BUSY_SHARE)
      return { rungs, costCores };
  }
  return { rungs: [], costCores: 0, reason: 'no_cores' };
}

/** Cores that one decode, bringing HDR down once, and all the rungs take. */
export function ladderCost(source: LadderSource, rungs: readonly Rung[], choice: LadderChoice): number {
  const frameRate = source.frameRate ?? NOMINAL_RATE;
  const input = { encoder: choice.encoder, preset: choice.preset, frameRate };
  const encoding = rungs.reduce((sum, { width, height }) => sum + rungCost(width * height, input), 0);
  return decodeCost(source.width * source.height, frameRate) + toneMapping(source, rungs) + encoding;
}

/** At least one rung. */
function toneMapping(source: LadderSource, rungs: readonly Rung[]): number {
  if (source.hdr === undefined) return 0;
  const { width, height } = largestPicture(rungs);
  return toneMapCost(width * height, source.frameRate ?? NOMINAL_RATE);
}

/** Share of the time between frames in which the process is at work. */
function busyShare(
  source: LadderSource,
  rungs: readonly Rung[],
  choice: LadderChoice,
  cores: number,
): number {
  const frameRate = source.frameRate ?? NOMINAL_RATE;
  const pixels = source.width * source.height;
  const input = { encoder: choice.encoder, preset: choice.preset, frameRate };
  const decoding = decodeCost(pixels, frameRate) / decoderThreads(pixels, frameRate, cores);
  const toning = toneMapping(source, rungs) / (1 + (Math.min(cores, MAX_SLICE_CORES) - 1) * SLICE_YIELD);
  return rungs.reduce((sum, { width, height }) => {
    const threads = choice.encoder === 'libx264' ? encoderThreads(width, height, cores) : 1;
    return sum + rungCost(width * height, input) / (1 + (threads - 1) * THREAD_YIELD);
  }, decoding + toning);
}

function defaultRungs(source: LadderSource): Rung[] {
  const shorter = Math.min(source.width, source.height);
  const factor = (source.frameRate ?? NOMINAL_RATE) > NOMINAL_RATE * 1.2 ? HIGH_RATE_FACTOR : 1;
  return DEFAULT_RUNGS.filter(({ height }) => height <= shorter * MAX_SHARE_OF_SOURCE)
    .slice(0, MAX_DEFAULT_RUNGS)
    .map(({ height, bitrateBps }) => rungOf(source, height, Math.round(bitrateBps * factor)));
}

/** A rung of the source's own size is allowed here: it is the same picture at another bit rate. */
function configuredRungs(
  source: LadderSource,
  wishes: readonly { height: number; bitrateBps: number }[],
): Rung[] {
  return wishes
    .filter(({ height }) => height <= Math.min(source.width, source.height))
    .toSorted((a, b) => b.height - a.height)
    .map(({ height, bitrateBps }) => rungOf(source, height, bitrateBps));
}

function rungOf(source: LadderSource, height: number, bitrateBps: number): Rung {
  const shorter = Math.min(source.width, source.height);
  const longerSide = even((Math.max(source.width, source.height) * height) / shorter);
  const upright = source.height > source.width;
  return {
    id: `${height}p`,
    width: upright ? even(height) : longerSide,
    height: upright ? longerSide : even(height),
    bitrateBps,
  };
}

function even(side: number): number {
  return Math.max(MIN_SIDE, 2 * Math.round(side / 2));
}

/** For metrics: few enough to be labels. */
export type RungClass = 'uhd' | 'fhd' | 'hd' | 'sd';

/** The class of a rung's picture by its shorter side. */
export function rungClass(rung: Rung): RungClass {
  const shorter = Math.min(rung.width, rung.height);
  return shorter > 1080 ? 'uhd' : shorter > 720 ? 'fhd' : shorter > 480 ? 'hd' : 'sd';
}
