import { describe, expect, test } from 'vitest';
import type { FrameRate } from './cadence.ts';
import { FrameGrid } from './frame-grid.ts';
import type { Sample } from './track.ts';

const NO_DATA = new Uint8Array(1);
const DAY_START_TICKS = 1_795_348_800_000 * 90;
const NTSC: FrameRate = { numerator: 30000, denominator: 1001 };
const PAL: FrameRate = { numerator: 25, denominator: 1 };
const THIRTY: FrameRate = { numerator: 30, denominator: 1 };

interface Fixture {
  readonly grid: FrameGrid;
  readonly out: Sample[];
  /** Pushes a frame at so many ms after the start. */
  readonly at: (ms: number, compositionMs?: number) => void;
}

function fixture(rate: FrameRate | undefined, floorTicks = 0): Fixture {
  const out: Sample[] = [];
  const grid = new FrameGrid(rate, floorTicks, (sample) => out.push(sample));
  return {
    grid,
    out,
    at(ms, compositionMs = 0) {
      grid.push({
        dtsTicks: DAY_START_TICKS + ms * 90,
        compositionTicks: compositionMs * 90,
        key: out.length === 0,
        data: NO_DATA,
      });
    },
  };
}

/** Times since the start in ticks. */
function dtsOf(out: readonly Sample[]): number[] {
  return out.map((sample) => sample.dts - DAY_START_TICKS);
}

function expectNoOverlap(out: readonly Sample[]): void {
  for (let index = 1; index < out.length; index++) {
    const before = out[index - 1];
    const sample = out[index];
    if (!before || !sample) continue;
    expect(before.duration).toBeGreaterThan(0);
    expect(sample.dts).toBeGreaterThanOrEqual(before.dts + before.duration);
  }
}

describe('a constant rate', () => {
  test('gives exact times and durations at once, from millisecond timestamps', () => {
    const { out, at } = fixture(NTSC);
    for (let frame = 0; frame < 7; frame++) at(Math.floor((frame * 1001) / 30));
    expect(dtsOf(out)).toEqual([0, 3003, 6006, 9009, 12012, 15015, 18018]);
    expect(out.every((sample) => sample.duration === 3003 && sample.pts === sample.dts)).toBe(true);
  });

  test('with a fraction of a tick a frame alternates durations and never accumulates', () => {
    const { out, at } = fixture({ numerator: 60000, denominator: 1001 });
    for (let frame = 0; frame < 2000; frame++) at(Math.round((frame * 1001) / 60));
    expect(new Set(out.map((sample) => sample.duration))).toEqual(new Set([1501, 1502]));
    expect(dtsOf(out).at(-2)).toBe(1998 * 1501.5);
  });

  test.each([
    ['floored', Math.floor],
    ['rounded', Math.round],
  ] as const)('stays within 2 ms of the truth over 24 h of %s 29.97 fps timestamps', (_name, round) => {
    let last: Sample | undefined;
    let worstTicks = 0;
    let frame = 0;
    const grid = new FrameGrid(NTSC, 0, (sample) => {
      const truth = DAY_START_TICKS + (frame * 90_090) / 30;
      worstTicks = Math.max(worstTicks, Math.abs(sample.dts - truth));
      if (last && sample.dts !== last.dts + last.duration) worstTicks = Number.POSITIVE_INFINITY;
      last = sample;
    });
    for (; frame < (86_400 * 30) / 1.001; frame++) {
      const dtsTicks = DAY_START_TICKS + round((frame * 1001) / 30) * 90;
      grid.push({ dtsTicks, compositionTicks: 0, key: false, data: NO_DATA });
    }
    expect(worstTicks).toBeLessThanOrEqual(180);
    expect(grid.counts).toEqual({ missing: 0, shifts: 0, rateChanges: 0 });
  });

  test('leaves the places of missing frames empty', () => {
    const { grid, out, at } = fixture(PAL);
    for (const frame of [0, 1, 2, 5, 6, 30]) at(frame * 40);
    expect(dtsOf(out)).toEqual([0, 1, 2, 5, 6, 30].map((frame) => frame * 3600));
    expect(out.every((sample) => sample.duration === 3600)).toBe(true);
    expect(grid.counts.missing).toBe(2 + 23);
  });

  test('keeps presentation times on the grid with B-frames, and dts = pts at the key frame', () => {
    // Decode order I P B B P B B, one frame of delay for every reordered picture.
    const { out, at } = fixture(NTSC);
    const offsets = [1, 3, 0, 0, 3, 0, 0];
    offsets.forEach((frames, index) => {
      const dts = Math.floor((index * 1001) / 30);
      at(dts, Math.floor(((index + frames) * 1001) / 30) - dts);
    });
    expect(out[0]?.pts).toBe(out[0]?.dts);
    expect(out.map((sample) => (sample.pts - sample.dts) / 3003)).toEqual([0, 2, -1, -1, 2, -1, -1]);
    expect(dtsOf(out)[0]).toBe(33 * 90);
  });

  test('follows a source clock that is slightly fast or slow, with no hole and no step back', () => {
    for (const parts of [1 + 200e-6, 1 - 200e-6]) {
      const { grid, out, at } = fixture(THIRTY);
      const frames = 30 * 600;
      for (let frame = 0; frame < frames; frame++) at(Math.floor(((frame * 1000) / 30) * parts));
      expectNoOverlap(out);
      const truth = (((frames - 1) * 1000) / 30) * parts * 90;
      expect(Math.abs((dtsOf(out).at(-1) ?? 0) - truth)).toBeLessThan(3 * 90);
      expect(
        out
          .slice(1)
          .every((sample, index) => sample.dts === (out[index]?.dts ?? 0) + (out[index]?.duration ?? 0)),
      ).toBe(true);
      expect(grid.counts.shifts).toBeGreaterThan(10);
      expect(grid.counts.rateChanges).toBe(0);
    }
  });

  test('follows a small step of the clock, in either direction, and loses no frame', () => {
    for (const stepMs of [7, -7, -200]) {
      const { grid, out, at } = fixture(THIRTY);
      for (let frame = 0; frame < 120; frame++) at((frame * 1000) / 30 + (frame >= 40 ? stepMs : 0));
      expect(out).toHaveLength(120);
      expectNoOverlap(out);
      expect(Math.abs((dtsOf(out).at(-1) ?? 0) - (119 * 3000 + stepMs * 90))).toBeLessThanOrEqual(2);
      expect(grid.mode).toBe('constant');
    }
  });

  test('gets over a frame with the time of the one before, and one slightly before it', () => {
    for (const odd of [40 * 1000, 39 * 1000]) {
      const { out, at } = fixture({ numerator: 1, denominator: 1 });
      for (let frame = 0; frame <= 40; frame++) at(frame * 1000);
      at(odd);
      for (let frame = 41; frame < 80; frame++) at(frame * 1000);
      expect(out).toHaveLength(81);
      expectNoOverlap(out);
      expect(Math.abs((dtsOf(out).at(-1) ?? 0) - 79 * 90_000)).toBeLessThan(2);
    }
  });

  test('takes up a new phase at once after a pause', () => {
    const { out, at } = fixture(PAL);
    for (let frame = 0; frame < 10; frame++) at(frame * 40);
    for (let frame = 0; frame < 3; frame++) at(5017 + frame * 40);
    expect(dtsOf(out).slice(10)).toEqual([5017 * 90, 5057 * 90, 5097 * 90]);
  });

  test('begins where the track ended before, when it comes within rounding of it', () => {
    const floor = DAY_START_TICKS + 1000;
    const { out, at } = fixture(PAL, floor);
    at(11);
    at(51);
    expect(dtsOf(out)).toEqual([1000, 4600]);
  });

  test('never begins before the track ended', () => {
    const floor = DAY_START_TICKS + 9000;
    const { out, at } = fixture(PAL, floor);
    for (let frame = 0; frame < 30; frame++) at(frame * 40);
    expect(out[0]?.dts).toBe(floor);
    expectNoOverlap(out);
  });
});

describe('a variable rate', () => {
  test('holds one frame to tell its true duration', () => {
    const { grid, out, at } = fixture(undefined);
    for (const ms of [0, 20, 75, 80]) at(ms);
    expect(dtsOf(out)).toEqual([0, 1800, 6750]);
    expect(out.map((sample) => sample.duration)).toEqual([1800, 4950, 450 + 300]);
    grid.flush();
    expect(out).toHaveLength(4);
    expect(out[3]?.dts).toBe(DAY_START_TICKS + 6750 + 750);
    grid.flush();
    expect(out).toHaveLength(4);
  });

  test('is fallen back to when frames stop fitting, and left again when they fit', () => {
    const { grid, out, at } = fixture(THIRTY);
    let ms = 0;
    for (let frame = 0; frame < 40; frame++) at((ms = (frame * 1000) / 30));
    const uneven = [21, 47, 25, 52, 18, 44, 29, 38, 20, 60];
    for (let frame = 0; frame < 40; frame++) at((ms += uneven[frame % uneven.length] ?? 0));
    expect(grid.mode).toBe('variable');
    for (let frame = 0; frame < 70; frame++) at((ms += 1000 / 30));
    expect(grid.mode).toBe('constant');
    expect(out).toHaveLength(150);
    expectNoOverlap(out);
    expect(Math.abs((dtsOf(out).at(-1) ?? 0) - ms * 90)).toBeLessThan(3);
    expect(grid.counts.rateChanges).toBe(2);
  });

  test('gives every frame its place also when timestamps repeat or go back', () => {
    const { grid, out, at } = fixture(undefined);
    for (const ms of [0, 33, 33, 20, 70, 100]) at(ms);
    grid.flush();
    expect(out).toHaveLength(6);
    expectNoOverlap(out);
    expect((dtsOf(out).at(-1) ?? 0) / 90).toBeCloseTo(100, 1);
  });

  test('ends a held frame where the next timeline begins', () => {
    const { grid, out, at } = fixture(undefined);
    at(0);
    at(40);
    grid.flush(DAY_START_TICKS + 60 * 90);
    expect(out.at(-1)?.duration).toBe(20 * 90);
  });
});

test('a frame that was held tells whether the next one is a key frame, one at a constant rate does not', () => {
  for (const rate of [undefined, THIRTY]) {
    const out: Sample[] = [];
    const grid = new FrameGrid(rate, 0, (sample) => out.push(sample));
    [0, 33, 67, 100].forEach((ms, n) => {
      const dtsTicks = DAY_START_TICKS + ms * 90;
      grid.push({ dtsTicks, compositionTicks: 0, key: n % 2 === 0, data: NO_DATA });
    });
    const told = out.map(({ nextKey }) => nextKey);
    expect(told).toEqual(rate ? [undefined, undefined, undefined, undefined] : [false, true, false]);
  }
});
