import { describe, expect, it } from 'vitest';
import { FILM, modelTitle } from '../../../test/support/title-model.ts';
import type { TitleSegment } from '../../stream/title.ts';
import { completeTitle, growTitle } from './title-growth.ts';
import { measureRates } from './title-rates.ts';

const NOW = 5000;

function segment(number: number, seconds: number, bytes: number, isGap = false): TitleSegment {
  return {
    ...{ number, startTicks: number * 4000, durationTicks: seconds * 1000, sizeBytes: isGap ? 0 : bytes },
    ...{ keyFrameBytes: 0, isGap },
  };
}

function measure(segments: readonly TitleSegment[]) {
  return measureRates([{ segments, timescale: 1000 }], 4);
}

describe('rates', () => {
  it('are the mean, and the most of any segment', () => {
    const measured = measure([segment(0, 4, 1000), segment(1, 4, 3000), segment(2, 4, 2000)]);
    expect(measured).toEqual({ peakBps: 6000, averageBps: 4000 });
  });

  it('count a short last segment only with the one before it', () => {
    const measured = measure([segment(0, 4, 1000), segment(1, 1, 1000)]);
    expect(measured).toEqual({ peakBps: 3200, averageBps: 3200 });
  });

  it('never reach over a gap, which counts for nothing', () => {
    const measured = measure([segment(0, 4, 1000), segment(1, 4, 0, true), segment(2, 1, 1000)]);
    expect(measured).toEqual({ peakBps: 3200, averageBps: 3200 });
  });

  it('of one short segment are its own', () => {
    expect(measure([segment(0, 1, 1000)])).toEqual({ peakBps: 8000, averageBps: 8000 });
  });
});

describe('a title that grows', () => {
  const before = modelTitle(FILM, [{ id: 'g1', segments: 2 }], { state: 'growing', durationMs: 60_000 });
  const more: TitleSegment = {
    ...{ number: 2, startTicks: 495_000, durationTicks: 360_000, sizeBytes: 9_000_000 },
    ...{ keyFrameBytes: 5000, isGap: false },
  };

  it('is another one with the segments added, and its rates', () => {
    const after = growTitle(before, [{ period: 'g1', rendition: '1080p', segments: [more] }], NOW);
    expect(after.periods[0]?.tracks.get('1080p')?.segments.map(({ number }) => number)).toEqual([0, 1, 2]);
    expect(after.periods[0]?.tracks.get('360p')).toBe(before.periods[0]?.tracks.get('360p'));
    expect(before.periods[0]?.tracks.get('1080p')?.segments.length).toBe(2);
    expect(after.renditions[0]?.peakBps).toBe(18_000_000);
    expect(after).toMatchObject({ state: 'growing', durationMs: 60_000, updatedMs: NOW });
  });

  it('says no lower rate than was planned, until it is whole', () => {
    const planned = { ...before, renditions: before.renditions.map((each) => ({ ...each, peakBps: 1e9 })) };
    const grown = growTitle(planned, [], NOW);
    expect(grown.renditions.map(({ peakBps }) => peakBps)).toEqual(grown.renditions.map(() => 1e9));
    const whole = completeTitle(grown, NOW);
    expect(whole.renditions[0]?.peakBps).toBeLessThan(1e6);
    expect(whole).toMatchObject({ state: 'complete', durationMs: 5500, updatedMs: NOW });
  });

  it('is as long as its pictures when sound is longer, and as its sound when there are none', () => {
    const sound = modelTitle(FILM.slice(2), [{ id: 'g1', segments: 2 }], { state: 'growing' });
    expect(completeTitle(sound, NOW).durationMs).toBeCloseTo(5504, 0);
  });

  it.each([
    ['a number left out', { period: 'g1', rendition: '1080p', segments: [{ ...more, number: 3 }] }],
    ['a rendition that is not there', { period: 'g1', rendition: '720p', segments: [more] }],
    ['a period that is not there', { period: 'g2', rendition: '1080p', segments: [more] }],
  ])('does not take %s', (_, addition) => {
    expect(() => growTitle(before, [addition], NOW)).toThrow(RangeError);
  });
});
