import { expect, test } from 'vitest';
import { AudioClock } from './audio-clock.ts';
import type { Sample } from './track.ts';

const TRACK = { timescale: 44_100, frameTicks: 1024 };
const START = 1_795_348_800 * 44_100;
const DATA = new Uint8Array(1);

function fixture(startTicks = 0, floorTicks = 0, track = TRACK) {
  const out: Sample[] = [];
  const clock = new AudioClock(track, startTicks, floorTicks, (sample) => out.push(sample));
  return { clock, out, atMs: (ms: number) => clock.push(START + (ms * track.timescale) / 1000, DATA) };
}

test('frames are counted, not timed: 24 h of floored millisecond timestamps leave no hole and no drift', () => {
  let count = 0;
  let worst = 0;
  const clock = new AudioClock(TRACK, 0, 0, (sample) => {
    worst = Math.max(worst, Math.abs(sample.dts - START - count * 1024));
  });
  const frames = Math.floor((86_400 * 44_100) / 1024);
  for (; count < frames; count++) {
    const ms = Math.floor((count * 1_024_000) / 44_100);
    clock.push(START + Math.round((ms * 44_100) / 1000), DATA);
  }
  expect(worst).toBeLessThanOrEqual(0.002 * 44_100);
  expect(clock.counts).toEqual({ holes: 0, dropped: 0 });
});

test('jitter of a frame either way does not move anything', () => {
  const { out, atMs } = fixture();
  [0, 40, 30, 90, 70, 116].forEach((ms) => atMs(ms));
  expect(out.map((sample) => (sample.dts - START) / 1024)).toEqual([0, 1, 2, 3, 4, 5]);
});

test('a source that is more than 1.5 frames ahead leaves a hole', () => {
  const { clock, out, atMs } = fixture();
  [0, 23, 46, 146, 169].forEach((ms) => atMs(ms));
  expect(out.map((sample) => sample.dts - START)).toEqual([0, 1024, 2048, 6439, 6439 + 1024]);
  expect(clock.counts.holes).toBe(1);
});

test('a source that is more than 1.5 frames behind loses frames until it is not', () => {
  const { clock, out, atMs } = fixture();
  const accepted = [0, 23, 46, 69, 0, 23, 46, 69, 92].map((ms) => atMs(ms));
  expect(accepted).toEqual([true, true, true, true, false, false, false, true, true]);
  expect(out).toHaveLength(6);
  expect(clock.counts.dropped).toBe(3);
  expect(clock.endTicks).toBe(START + 6 * 1024);
});

test('frames of before the start are dropped; one rounded down by a millisecond is not', () => {
  const early = fixture(START + 441);
  expect(early.atMs(0)).toBe(false);
  expect(early.atMs(9.5)).toBe(true);
  expect(early.out[0]?.dts).toBe(START + 441);
  expect(early.clock.counts.dropped).toBe(0);
});

test('the track never begins before it ended, and joins on when it nearly fits', () => {
  const joined = fixture(0, START + 400);
  expect(joined.atMs(0)).toBe(true);
  expect(joined.out[0]?.dts).toBe(START + 400);
  const behind = fixture(0, START + 1000);
  expect(behind.atMs(0)).toBe(false);
  expect(behind.atMs(23.2)).toBe(true);
});

test('a frame of HE-AAC counts 2048 ticks of the output rate', () => {
  const { out, atMs } = fixture(0, 0, { timescale: 48_000, frameTicks: 2048 });
  [0, 42, 85].forEach((ms) => atMs(ms));
  expect(out.map((sample) => sample.dts - (START / 44_100) * 48_000).length).toBe(3);
  expect(out.map((sample) => sample.duration)).toEqual([2048, 2048, 2048]);
});

test('frames that say how long they last are counted as that, and resynchronised by a frame of their own', () => {
  const out: Sample[] = [];
  const track = { timescale: 48_000, frameTicks: 960 };
  const clock = new AudioClock(track, 0, 0, (sample) => out.push(sample));
  const start = 1_795_348_800 * 48_000;
  for (const [ms, ticks] of [
    [0, 960],
    [20, 2880],
    [80, 480],
    [190, 960],
  ] as const) {
    clock.push(start + ms * 48, DATA, ticks);
  }
  expect(out.map(({ dts, duration }) => [dts - start, duration])).toEqual([
    [0, 960],
    [960, 2880],
    [3840, 480],
    [9120, 960],
  ]);
  expect(clock.counts).toEqual({ holes: 1, dropped: 0 });
  expect(clock.endTicks).toBe(start + 10_080);
});
