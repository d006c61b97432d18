import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { frameTicksOf, measureCadence } from './cadence.ts';

type Rounding = (value: number) => number;

function frames(fps: number, seconds: number, gop: number, round: Rounding = Math.floor, startMs = 0) {
  return Array.from({ length: Math.floor(seconds * fps) + 1 }, (_, index) => ({
    dtsMs: round(startMs + (index * 1000) / fps + 1e-7),
    key: index % gop === 0,
  }));
}

const RATES = [
  ['23.976', 24000 / 1001, 3753.75],
  ['24', 24, 3750],
  ['25', 25, 3600],
  ['29.97', 30000 / 1001, 3003],
  ['30', 30, 3000],
  ['48', 48, 1875],
  ['50', 50, 1800],
  ['59.94', 60000 / 1001, 1501.5],
  ['60', 60, 1500],
  ['15', 15, 6000],
  ['12.5', 12.5, 7200],
  ['10', 10, 9000],
] as const;

describe.each([
  ['floored', Math.floor],
  ['rounded', Math.round],
] as const)('millisecond timestamps that are %s', (_name, round) => {
  test.each(RATES)('at %s fps are told exactly after 2 s, with the GOP', (_rate, fps, ticks) => {
    const gop = Math.round(fps * 2);
    for (const startMs of [0, 0.3, 0.5, 0.99, 123_456.7]) {
      const found = measureCadence(frames(fps, 2.05, gop, round, startMs), 1, undefined);
      expect(found.frameRate && frameTicksOf(found.frameRate)).toBe(ticks);
      expect(found.gopFrames).toBe(gop);
    }
  });
});

test('the bitstream’s hint settles what one second leaves open, but cannot overrule the timestamps', () => {
  const ntsc = { numerator: 30000, denominator: 1001 };
  const short = frames(30000 / 1001, 0.5, 1000);
  expect(measureCadence(short, 1, ntsc).frameRate).toEqual(ntsc);
  expect(measureCadence(frames(30, 2, 60), 1, ntsc).frameRate).toEqual({ numerator: 30, denominator: 1 });
  expect(measureCadence(frames(25, 2, 50), 1, { numerator: 50, denominator: 1 }).frameRate).toEqual({
    numerator: 25,
    denominator: 1,
  });
});

test('missing frames do not hide a constant rate', () => {
  const some = frames(30, 2.05, 60).filter((_, index) => index % 7 !== 3);
  expect(measureCadence(some, 1, undefined)).toEqual({
    frameRate: { numerator: 30, denominator: 1 },
    gopFrames: 60,
  });
});

test('a constant rate that is in no table is measured', () => {
  const found = measureCadence(frames(27.5, 2, 55), 1, undefined);
  expect(found.frameRate && frameTicksOf(found.frameRate)).toBeCloseTo(90_000 / 27.5, -0.5);
  expect(found.gopFrames).toBe(55);
});

test('uneven frames are variable, and nothing is said of too few', () => {
  const uneven = [0, 33, 81, 90, 140, 171, 230, 241, 300, 333].map((dtsMs) => ({ dtsMs, key: dtsMs === 0 }));
  expect(measureCadence(uneven, 1, undefined)).toEqual({ frameRate: undefined, gopFrames: undefined });
  expect(measureCadence(frames(30, 0.1, 60), 1, undefined).frameRate).toBeUndefined();
  const still = [0, 0, 0, 0, 0, 0, 0].map((dtsMs) => ({ dtsMs, key: true }));
  expect(measureCadence(still, 1, undefined).frameRate).toBeUndefined();
});

test('key frames that are not evenly spaced give no GOP', () => {
  const scenes = frames(30, 3, 1000).map((frame, index) => ({ ...frame, key: [0, 20, 60].includes(index) }));
  expect(measureCadence(scenes, 1, undefined).gopFrames).toBeUndefined();
});

test('no timestamps make it throw or find a senseless rate', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ dtsMs: fc.integer(), key: fc.boolean() })), (any) => {
      const rate = measureCadence(any, 1, undefined).frameRate;
      if (rate) expect(rate.numerator / rate.denominator).toBeGreaterThan(0);
    }),
  );
});
