import { expect, test } from 'vitest';
import { RunningTimeline } from './timeline.ts';

const OFFSET = 1_795_348_800_000;

function timeline(): RunningTimeline {
  return new RunningTimeline({ video: OFFSET, audio: OFFSET });
}

/** Plays both tracks at 40 ms a step, from and to source times, arriving when due. */
function play(clock: RunningTimeline, fromMs: number, toMs: number, lateMs = 0): void {
  for (let ms = fromMs; ms < toMs; ms += 40) {
    clock.place('video', ms, OFFSET + ms + lateMs);
    clock.place('audio', ms, OFFSET + ms + lateMs);
  }
}

test('source time plus the offset is epoch time', () => {
  expect(timeline().place('video', 1234, OFFSET + 1234)).toEqual({ atMs: OFFSET + 1234, jumped: false });
});

test('a jump runs on one step after the last sample, and the other track takes the same offset', () => {
  const clock = timeline();
  play(clock, 0, 2000);
  expect(clock.place('video', 602_000, OFFSET + 2000)).toEqual({ atMs: OFFSET + 2000, jumped: true });
  expect(clock.place('audio', 602_003, OFFSET + 2000)).toEqual({ atMs: OFFSET + 2003, jumped: false });
  expect(clock.place('video', 602_040, OFFSET + 2040)).toEqual({ atMs: OFFSET + 2040, jumped: false });
});

test('samples of the old clock that come after the first of the new one keep their place', () => {
  const clock = timeline();
  play(clock, 0, 2000);
  clock.place('video', 0, OFFSET + 2000);
  expect(clock.place('audio', 2000, OFFSET + 2000)).toEqual({ atMs: OFFSET + 2000, jumped: false });
  expect(clock.place('audio', 40, OFFSET + 2040)).toEqual({ atMs: OFFSET + 2040, jumped: false });
});

test('a jump after a real pause counts the pause', () => {
  const clock = timeline();
  play(clock, 0, 2000);
  expect(clock.place('video', 0, OFFSET + 4960).atMs).toBe(OFFSET + 4960);
});

test('a media gap that the wall clock explains is none, however late its samples come', () => {
  const clock = timeline();
  play(clock, 0, 2000);
  expect(clock.place('video', 7000, OFFSET + 7000).jumped).toBe(false);
  expect(clock.place('video', 12_000, OFFSET + 12_900).jumped).toBe(false);
});

test('steps back of up to half a second are disorder, larger ones a new clock', () => {
  const clock = timeline();
  play(clock, 0, 2000);
  expect(clock.place('video', 1460, OFFSET + 2000)).toEqual({ atMs: OFFSET + 1460, jumped: false });
  expect(clock.place('video', 1400, OFFSET + 2000).jumped).toBe(true);
});

test('a delay counts as drift only when it lasted 30 s; running ahead counts at once', () => {
  const late = timeline();
  play(late, 0, 5000);
  play(late, 5000, 30_000, 1500);
  expect(late.driftMs).toBe(0);
  expect(late.excessDriftMs).toBeUndefined();
  play(late, 30_000, 40_000, 1500);
  expect(late.driftMs).toBe(1500);
  expect(late.excessDriftMs).toBe(1500);
  const early = timeline();
  play(early, 0, 1000);
  play(early, 1000, 1080, -1200);
  expect(early.excessDriftMs).toBe(-1200);
});

test('a shift moves what follows and begins to measure drift anew; owed lead is no drift', () => {
  const clock = timeline();
  play(clock, 0, 5000);
  play(clock, 5000, 45_000, 1500);
  clock.shift(1500 + 200, 200);
  expect(clock.driftMs).toBe(0);
  expect(clock.place('video', 45_000, OFFSET + 46_500)).toEqual({ atMs: OFFSET + 46_700, jumped: false });
  play(clock, 45_040, 80_000, 1500);
  expect(clock.driftMs).toBe(0);
  expect(clock.toEpochMs('audio', 80_000)).toBe(OFFSET + 81_700);
});
