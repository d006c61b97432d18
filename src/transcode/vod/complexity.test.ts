import { describe, expect, it } from 'vitest';
import { type ComplexitySample, fitLadder, MAX_STEP, savedPercent } from './complexity.ts';
import { readLikeness, stretchRanges, trialsOf } from './complexity-arguments.ts';
import { DEFAULT_VOD_LADDER } from './ladder-presets.ts';
import { planTitle } from './plan-title.ts';
import type { Master, PlannedVideo } from './title-plan.ts';

const MASTER: Master = {
  ...{ demuxer: 'mov', sizeBytes: 1, durationMs: 60_000, audios: [], texts: [], chapters: [] },
  video: {
    ...{ index: 0, codec: 'h264', width: 1920, height: 1080, frameRate: { numerator: 25, denominator: 1 } },
    ...{ isVariableRate: false, isInterlaced: false, range: 'sdr', startMs: 0, durationMs: 60_000 },
  },
};
const LARGE = 1920 * 1080;
const SMALL = 640 * 360;

function videoOf(codecs: typeof DEFAULT_VOD_LADDER.codecs = ['h264', 'hevc']): PlannedVideo {
  const { video } = planTitle(MASTER, { ...DEFAULT_VOD_LADDER, codecs });
  if (!video) throw new Error('no pictures');
  return video;
}

interface Tried {
  readonly pixels: number;
  readonly bps: number;
  /** As planned and coarser. */
  readonly likeness: readonly [number, number];
  /** Undefined: half. */
  readonly coarseBps?: number;
}

/** A stretch each. */
function samplesOf(tried: readonly Tried[]): ComplexitySample[] {
  return tried.flatMap(({ pixels, bps, likeness, coarseBps = bps / 2 }, stretch) => [
    { stretch, pixels, step: 0, bitrateBps: bps, likeness: likeness[0] },
    { stretch, pixels, step: MAX_STEP, bitrateBps: coarseBps, likeness: likeness[1] },
  ]);
}

const HARD = [0.9, 0.85] as const;
const EASY = [0.999, 0.995] as const;
const before = videoOf().rungs.map(({ maxBitrateBps }) => maxBitrateBps);

function ratesAfter(...tried: readonly Tried[]): number[] {
  return fitLadder(videoOf(), samplesOf(tried), 'ssim').rungs.map(({ maxBitrateBps }) => maxBitrateBps);
}

describe('fitLadder', () => {
  it('lowers the bit rates of easy pictures, by what the hardest stretch needs with some room', () => {
    const tried = [500_000, 2_400_000].map((bps) => ({ pixels: LARGE, bps, likeness: HARD }));
    const small = [300_000, 480_000].map((bps) => ({ pixels: SMALL, bps, likeness: HARD }));
    const after = ratesAfter(...tried, ...small);
    expect(after[0]).toBe(3_000_000);
    expect(after.every((rate, at) => rate < (before[at] ?? 0))).toBe(true);
    const fitted = fitLadder(videoOf(['h264']), samplesOf(tried), 'ssim');
    expect(fitted.notes).toEqual([
      'The pictures are easy, by SSIM: 1080p 6.0 -> 3.0 Mb/s, 720p 3.3 -> 1.6 Mb/s, 480p 1.8 -> 0.89 Mb/s, 360p 1.1 -> 0.58 Mb/s: 50 % less.',
    ]);
    expect(savedPercent(fitted.rungs)).toBe(50);
  });

  it('gives hard pictures more, but not without end, and the easiest not nothing', () => {
    expect(ratesAfter({ pixels: LARGE, bps: 90_000_000, likeness: HARD })[0]).toBe(7_800_000);
    expect(ratesAfter({ pixels: LARGE, bps: 100, likeness: EASY })[0]).toBe(1_800_000);
    const samples = samplesOf([{ pixels: LARGE, bps: 90_000_000, likeness: HARD }]);
    expect(fitLadder(videoOf(), samples, 'ssim').notes[0]).toMatch(/hard, by SSIM: .*: 30 % more/);
  });

  it('encodes coarser what still looks like the master then, as far as its hardest stretch allows', () => {
    const [plannedCrf = 0] = videoOf().rungs.map(({ crf }) => crf);
    const crfOf = (...likenesses: readonly (readonly [number, number])[]): number => {
      const tried = likenesses.map((likeness) => ({ pixels: LARGE, bps: 2_000_000, likeness }));
      return (fitLadder(videoOf(), samplesOf(tried), 'ssim').rungs[0]?.crf ?? 0) - plannedCrf;
    };
    expect(crfOf(EASY)).toBe(MAX_STEP);
    expect(crfOf(EASY, HARD)).toBe(0);
    // 0.985 is enough: it is passed at three fifths of the way.
    expect(crfOf([0.991, 0.981])).toBe(3);
    const [atFine = 0] = ratesAfter({ pixels: LARGE, bps: 2_400_000, likeness: HARD });
    const [atCoarse = 0] = ratesAfter({ pixels: LARGE, bps: 4_800_000, likeness: EASY });
    expect(atCoarse).toBe(atFine);
  });

  it('goes by how people see pictures where ffmpeg can tell', () => {
    const samples = samplesOf([{ pixels: LARGE, bps: 2_000_000, likeness: [97, 93] }]);
    const [rung] = fitLadder(videoOf(), samples, 'vmaf').rungs;
    expect((rung?.crf ?? 0) - (videoOf().rungs[0]?.crf ?? 0)).toBe(2);
  });

  it('takes what lies between two sizes from both', () => {
    const [large = 0, , middle = 0] = ratesAfter(
      { pixels: LARGE, bps: 2_400_000, likeness: HARD },
      { pixels: SMALL, bps: 267_000, likeness: HARD },
    );
    // Bits as pixels: 1280x720 has 4/9 of them.
    expect(middle / large).toBeCloseTo(4 / 9, 1);
  });

  it('leaves a ladder alone of which nothing was tried, and says so', () => {
    const { rungs, notes } = fitLadder(videoOf(), [], 'ssim');
    expect(rungs.map(({ maxBitrateBps }) => maxBitrateBps)).toEqual(before);
    expect(rungs.map(({ crf }) => crf)).toEqual(videoOf().rungs.map(({ crf }) => crf));
    expect(notes).toEqual([
      'How hard the pictures are could not be measured: the bit rates are the usual ones.',
    ]);
  });
});

describe('what is tried of a title', () => {
  it('is its largest size that is worth it and its smallest, as planned and coarser', () => {
    const tried = trialsOf(videoOf().rungs).map(({ rung, step }) => [rung.height, step]);
    expect(tried).toEqual([
      [1080, 0],
      [1080, MAX_STEP],
      [360, 0],
      [360, MAX_STEP],
    ]);
    expect(trialsOf(videoOf().rungs.slice(0, 1))).toHaveLength(2);
  });

  it('is a key frame interval here and there, all within it', () => {
    expect(stretchRanges({ frames: 1500, gopFrames: 50 })).toEqual([
      { start: 150, end: 200 },
      { start: 550, end: 600 },
      { start: 900, end: 950 },
      { start: 1300, end: 1350 },
    ]);
    expect(stretchRanges({ frames: 30, gopFrames: 50 })).toEqual([{ start: 0, end: 30 }]);
  });

  it('is read from the reports of both filters', () => {
    const ssim = 'n:1 Y:0.998 U:0.99 V:0.99 All:0.99 (28.1)\nn:2 Y:1.000000 U:1 V:1 All:1 (inf)\n';
    expect(readLikeness(ssim, 'ssim')).toEqual([0.998, 1]);
    const vmaf = '{"frames":[{"frameNum":0,"metrics":{"vmaf": 95.5}},{"frameNum":1,"metrics":{"vmaf":90}}]}';
    expect(readLikeness(vmaf, 'vmaf')).toEqual([95.5, 90]);
  });
});

describe('a plan that is to be fitted', () => {
  it('is one with a ladder by name; of others a note says that they stay as configured', () => {
    const named = planTitle(MASTER, { ...DEFAULT_VOD_LADDER, contentAware: true });
    expect(named.contentAware).toBe(true);
    const ladder = [{ height: 720, maxBitrateBps: undefined, codec: undefined }];
    const listed = planTitle(MASTER, { ...DEFAULT_VOD_LADDER, ladder, contentAware: true });
    expect(listed.contentAware).toBeUndefined();
    expect(listed.notes).toEqual([
      'The bit rates are as configured: only those of ladders by name are fitted to the pictures.',
    ]);
    expect(planTitle(MASTER, DEFAULT_VOD_LADDER).contentAware).toBeUndefined();
  });
});
