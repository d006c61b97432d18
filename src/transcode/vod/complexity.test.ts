import { describe, expect, it } from 'vitest';
import { fitLadder } from './complexity.ts';
import { DEFAULT_VOD_LADDER } from './ladder-presets.ts';
import { planTitle } from './plan-title.ts';
import type { Master } from './title-plan.ts';

const MASTER: Master = {
  ...{ demuxer: 'mov', sizeBytes: 1, durationMs: 60_000, audios: [], texts: [], chapters: [] },
  video: {
    ...{ index: 0, codec: 'h264', width: 1920, height: 1080, frameRate: { numerator: 25, denominator: 1 } },
    ...{ isVariableRate: false, isInterlaced: false, range: 'sdr', startMs: 0, durationMs: 60_000 },
  },
};
const PLAN = planTitle(MASTER, { ...DEFAULT_VOD_LADDER, codecs: ['h264', 'hevc'] });
const LARGE = 1920 * 1080;
const SMALL = 640 * 360;

function ratesAfter(...samples: readonly (readonly [number, number])[]): number[] {
  const fitted = fitLadder(
    PLAN,
    samples.map(([pixels, bitrateBps]) => ({ pixels, bitrateBps })),
  );
  return (fitted.video?.rungs ?? []).map(({ maxBitrateBps }) => maxBitrateBps);
}

const before = (PLAN.video?.rungs ?? []).map(({ maxBitrateBps }) => maxBitrateBps);

describe('fitLadder', () => {
  it('lowers the bit rates of easy pictures, by what the hardest stretch needs with some room', () => {
    const after = ratesAfter([LARGE, 500_000], [LARGE, 2_400_000], [SMALL, 300_000], [SMALL, 480_000]);
    expect(after[0]).toBe(3_000_000);
    expect(after.every((rate, at) => rate < (before[at] ?? 0))).toBe(true);
    expect(fitLadder(PLAN, [{ pixels: LARGE, bitrateBps: 2_400_000 }]).notes).toEqual([
      'The pictures are easy: the ladder takes 50 % less than planned.',
    ]);
  });

  it('gives hard pictures more, but not without end, and the easiest not nothing', () => {
    expect(ratesAfter([LARGE, 90_000_000])[0]).toBe(7_800_000);
    expect(ratesAfter([LARGE, 100])[0]).toBe(1_800_000);
    expect(fitLadder(PLAN, [{ pixels: LARGE, bitrateBps: 90_000_000 }]).notes?.[0]).toMatch(
      /hard: .* 30 % more/,
    );
  });

  it('takes what lies between two sizes from both', () => {
    const [large = 0, , middle = 0] = ratesAfter([LARGE, 2_400_000], [SMALL, 267_000]);
    // Bits as pixels: 1280x720 has 4/9 of them.
    expect(middle / large).toBeCloseTo(4 / 9, 1);
  });

  it('leaves a plan alone of which nothing was tried', () => {
    expect(fitLadder(PLAN, [])).toBe(PLAN);
  });
});
