import { perSecond } from './master-frame-rate.ts';
import { maxBitrate } from './ladder-presets.ts';
import type { ComplexityResult, FittedRung, PlannedRung, PlannedVideo, QualityMetric } from './title-plan.ts';

/** What one short stretch of a master came to at one size, encoded at one quality without a limit. */
export interface ComplexitySample {
  readonly stretch: number;
  readonly pixels: number;
  /** Further along the encoder's scale of quality than planned: 0 or {@link MAX_STEP}. */
  readonly step: number;
  readonly bitrateBps: number;
  /** Likeness to the master's own pictures at that size, in the mean. */
  readonly likeness: number;
}

/** So much coarser than planned easy pictures may be encoded, on the scale of x264. */
export const MAX_STEP = 5;
/** Pictures this like the master's are taken for the same by nearly everybody. */
const ENOUGH: Readonly<Record<QualityMetric, number>> = { vmaf: 95, ssim: 0.985 };
/** How far the scales of other encoders go for a step of x264's. */
const STEP_OF: Readonly<Record<PlannedRung['codec'], number>> = { h264: 1, hevc: 1, av1: 1.6 };
/** The hardest stretch decides, with some room: there are harder ones between those that were tried. */
const ROOM = 1.25;
/** Of the bit rate that pictures of such a size usually have. */
const LEAST_SHARE = 0.3;
const MOST_SHARE = 1.3;
/** How much faster bits grow than pixels, when two sizes do not tell: no size needs more for each of its pixels than a smaller one. */
const USUAL_POWER = 0.75;
const LEAST_POWER = 0.4;
const MOST_POWER = 1;
const BITRATE_STEP_BPS = 10_000;

/**
 * The ladder for these very pictures: easy ones (drawn, slow, dark) get by with a part of the usual bit rates, and with a
 * coarser quality where nobody sees it; hard ones (water, grain, sport) get more. Without samples it stays as it was.
 */
export function fitLadder(
  video: Pick<PlannedVideo, 'rungs' | 'frameRate'>,
  samples: readonly ComplexitySample[],
  metric: QualityMetric,
): ComplexityResult {
  const step = stepOf(samples, metric);
  const needed = needOf(samples, step);
  const rungs = video.rungs.map((rung) => fitRung(rung, perSecond(video.frameRate), step, needed));
  return { metric, rungs, notes: notesOn(rungs, metric, samples.length > 0) };
}

function fitRung(
  { id, width, height, codec, crf, maxBitrateBps }: PlannedRung,
  framesPerSecond: number,
  step: number,
  needed: ((pixels: number) => number) | undefined,
): FittedRung {
  if (!needed) return { id, crf, maxBitrateBps, plannedBps: maxBitrateBps };
  const share = (needed(width * height) * ROOM) / maxBitrate(width, height, framesPerSecond, 'h264');
  const kept = Math.min(MOST_SHARE, Math.max(LEAST_SHARE, share));
  const fitted = Math.round((maxBitrateBps * kept) / BITRATE_STEP_BPS) * BITRATE_STEP_BPS;
  return {
    ...{ id, crf: crf + Math.round(step * STEP_OF[codec]), plannedBps: maxBitrateBps },
    maxBitrateBps: Math.max(BITRATE_STEP_BPS, fitted),
  };
}

/** How much coarser all that was tried may be and still be like the master. */
function stepOf(samples: readonly ComplexitySample[], metric: QualityMetric): number {
  const steps = pairsOf(samples).map(([fine, coarse]) => {
    if (fine.likeness < ENOUGH[metric]) return 0;
    if (coarse.likeness >= ENOUGH[metric]) return MAX_STEP;
    const share = (fine.likeness - ENOUGH[metric]) / (fine.likeness - coarse.likeness);
    return Math.floor(share * MAX_STEP);
  });
  return steps.length === 0 ? 0 : Math.min(...steps);
}

/** Both qualities of a stretch at a size. */
function pairsOf(
  samples: readonly ComplexitySample[],
): (readonly [fine: ComplexitySample, coarse: ComplexitySample])[] {
  return samples.flatMap((fine) => {
    const coarse = samples.find(
      ({ stretch, pixels, step }) => stretch === fine.stretch && pixels === fine.pixels && step > fine.step,
    );
    return coarse ? [[fine, coarse] as const] : [];
  });
}

/** Bits a second at any size, by those that were tried; undefined: none was. */
function needOf(
  samples: readonly ComplexitySample[],
  step: number,
): ((pixels: number) => number) | undefined {
  const hardest = new Map<number, number>();
  for (const [fine, coarse] of pairsOf(samples)) {
    const ratio = Math.max(1, coarse.bitrateBps) / Math.max(1, fine.bitrateBps);
    const bitrateBps = fine.bitrateBps * ratio ** (step / MAX_STEP);
    hardest.set(fine.pixels, Math.max(hardest.get(fine.pixels) ?? 0, bitrateBps));
  }
  const [large, small] = [...hardest].toSorted(([a], [b]) => b - a);
  if (!large) return undefined;
  const [pixels, bitrateBps] = large;
  const power = small ? Math.log(bitrateBps / small[1]) / Math.log(pixels / small[0]) : USUAL_POWER;
  const bounded = Math.min(MOST_POWER, Math.max(LEAST_POWER, Number.isFinite(power) ? power : USUAL_POWER));
  return (wanted) => bitrateBps * (wanted / pixels) ** bounded;
}

function notesOn(rungs: readonly FittedRung[], metric: QualityMetric, measured: boolean): string[] {
  if (!measured)
    return ['How hard the pictures are could not be measured: the bit rates are the usual ones.'];
  const percent = savedPercent(rungs);
  const inMegabits = (bps: number): string => (bps / 1_000_000).toFixed(bps < 1_000_000 ? 2 : 1);
  const changes = rungs.map(
    ({ id, plannedBps, maxBitrateBps }) =>
      `${id} ${inMegabits(plannedBps)} -> ${inMegabits(maxBitrateBps)} Mb/s`,
  );
  const measuredBy = `by ${metric.toUpperCase()}`;
  if (percent === 0) return [`The pictures are as hard as usual, ${measuredBy}: ${changes.join(', ')}.`];
  return percent > 0
    ? [`The pictures are easy, ${measuredBy}: ${changes.join(', ')}: ${percent} % less.`]
    : [`The pictures are hard, ${measuredBy}: ${changes.join(', ')}: ${-percent} % more.`];
}

/** How much less the whole ladder may take than planned; below 0: more. */
export function savedPercent(rungs: readonly FittedRung[]): number {
  const planned = rungs.reduce((total, { plannedBps }) => total + plannedBps, 0);
  const fitted = rungs.reduce((total, { maxBitrateBps }) => total + maxBitrateBps, 0);
  return planned > 0 ? Math.round(100 * (1 - fitted / planned)) : 0;
}
