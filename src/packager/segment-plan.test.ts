import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { audioTrack, timeline, VIDEO_TIMESCALE, videoTrack } from '../../test/support/sample-source.ts';
import { partRule, type PlanOptions, planSegmentTicks, planStream } from './segment-plan.ts';

const OPTIONS: PlanOptions = { segmentMs: 2000, partMs: 200, chunkFrames: 1, windowSeconds: 60 };
const NTSC = 30_000 / 1001;

describe('planSegmentTicks', () => {
  it.each([
    { name: 'a GOP of one segment', fps: 30, gopFrames: 60, seconds: 2 },
    { name: 'a GOP of half a segment', fps: 30, gopFrames: 30, seconds: 2 },
    { name: '29.97 fps, within the tolerance', fps: NTSC, gopFrames: 60, seconds: 2.002 },
    {
      name: '59 frames at 29.97 fps, within 1 %',
      fps: NTSC,
      gopFrames: 60 - 1,
      seconds: (2 * 59 * 1001) / 30_000,
    },
    { name: 'a GOP 0.5 % too short, taken as it is', fps: 30.15, gopFrames: 60, seconds: 60 / 30.15 },
    { name: 'a GOP of two segments', fps: 25, gopFrames: 100, seconds: 4 },
    { name: 'an odd GOP', fps: 30, gopFrames: 99, seconds: 3.3 },
    { name: 'a GOP too long to stretch to', fps: 30, gopFrames: 330, seconds: 2 },
    { name: 'an irregular GOP', fps: 30, gopFrames: 0, seconds: 2 },
  ])('fits $name', ({ fps, gopFrames, seconds }) => {
    const ticks = planSegmentTicks(2000, videoTrack({ fps, gopFrames }));
    expect(ticks).toBe(Math.round(seconds * VIDEO_TIMESCALE));
  });

  it('keeps to segmentMs when a longer GOP would break the TARGETDURATION promised before', () => {
    const plan = planStream(OPTIONS, timeline({ video: videoTrack() }));
    expect(planSegmentTicks(2000, videoTrack({ gopFrames: 120 }), plan)).toBe(2 * VIDEO_TIMESCALE);
    expect(planSegmentTicks(2000, videoTrack({ gopFrames: 61 }), plan)).toBe(61 * 3000);
  });
});

describe('planStream', () => {
  it.each([
    { fps: 25, partMs: 200, target: 0.2 },
    { fps: 30, partMs: 200, target: 0.201 },
    { fps: NTSC, partMs: 200, target: 0.202 },
    { fps: 60, partMs: 200, target: 0.201 },
    { fps: 50, partMs: 330, target: 0.32 },
  ])('advertises $target s for parts of $partMs ms at $fps fps', ({ fps, partMs, target }) => {
    const gopFrames = Math.round(fps * 1.6);
    const plan = planStream({ ...OPTIONS, partMs }, timeline({ video: videoTrack({ fps, gopFrames }) }));
    expect(plan.partTargetSeconds).toBe(target);
    expect(plan.partHoldBackSeconds).toBeGreaterThanOrEqual(3 * plan.partTargetSeconds);
  });

  it('lets parts divide the GOP when that is near the wish', () => {
    // 48 frames: 5 frames (208 ms) do not divide, but 170 to 230 ms leave no other; at 300 ms 8 frames do.
    const track = videoTrack({ fps: 24, gopFrames: 48 });
    const plan = planStream({ ...OPTIONS, partMs: 300 }, timeline({ video: track }));
    expect(partRule(plan, track, track, 180_000).closeTicks).toBe(7.5 * 3750);
  });

  it('promises a whole TARGETDURATION that holds when both boundaries move', () => {
    const target = (gopFrames: number): number =>
      planStream(OPTIONS, timeline({ video: videoTrack({ gopFrames }) })).targetDurationSeconds;
    expect(target(60)).toBe(2);
    expect(target(120)).toBe(5);
    expect(target(0)).toBe(2);
    expect(
      planStream({ ...OPTIONS, segmentMs: 500 }, timeline({ audio: audioTrack() })).targetDurationSeconds,
    ).toBe(1);
  });

  it('derives the rest from these', () => {
    const plan = planStream({ ...OPTIONS, chunkFrames: 2 }, timeline({ video: videoTrack() }));
    expect(plan).toEqual({
      partTargetSeconds: 0.201,
      targetDurationSeconds: 2,
      chunkFrames: 2,
      chunkSeconds: 2 / 30,
      partHoldBackSeconds: 0.604,
      canSkipUntilSeconds: 12,
      windowSeconds: 60,
    });
  });

  it('plans parts that satisfy both tracks for any frame rate and part wish', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 120 }),
        fc.integer({ min: 100, max: 1000 }),
        fc.constantFrom(32_000, 44_100, 48_000),
        (fps, partMs, rate) => {
          const video = videoTrack({ fps, gopFrames: fps * 2 });
          const audio = audioTrack(rate);
          const plan = planStream({ ...OPTIONS, partMs }, timeline({ video, audio }));
          for (const [track, frame] of [
            [video, VIDEO_TIMESCALE / fps],
            [audio, 1024],
          ] as const) {
            const rule = partRule(plan, track, video, 2 * VIDEO_TIMESCALE);
            const seconds = (Math.ceil(rule.closeTicks / frame) * frame) / track.timescale;
            if (seconds > plan.partTargetSeconds + 1e-9 || seconds < 0.85 * plan.partTargetSeconds)
              return false;
          }
          return true;
        },
      ),
    );
  });
});

describe('partRule', () => {
  it('puts two AAC frames in a chunk beside 30 fps and one beside 60 fps', () => {
    const rule = (fps: number): number => {
      const video = videoTrack({ fps, gopFrames: 2 * fps });
      const plan = planStream(OPTIONS, timeline({ video, audio: audioTrack() }));
      return partRule(plan, audioTrack(), video, 180_000).chunkFrames;
    };
    expect(rule(25)).toBe(2);
    expect(rule(30)).toBe(2);
    expect(rule(60)).toBe(1);
  });

  it('closes by duration where the cadence is variable', () => {
    const video = videoTrack({ variable: true, gopFrames: 0 });
    const plan = planStream(OPTIONS, timeline({ video }));
    expect(plan.partTargetSeconds).toBe(0.236);
    expect(partRule(plan, video, video, 180_000)).toEqual({
      chunkFrames: 1,
      maxTicks: 21_240,
      minTicks: 18_054,
      closeTicks: 18_054,
    });
  });
});
