import { describe, expect, it } from 'vitest';
import type { TrackRunFacts } from '../contracts.ts';
import { TrackChain } from './track-chain.ts';

function run(startTicks: number, durationTicks = 180_000): TrackRunFacts {
  return {
    trackId: 1,
    startTicks,
    durationTicks,
    earliestPresentationTicks: startTicks,
    endPresentationTicks: startTicks + durationTicks,
    sampleCount: 60,
    syncSampleCount: 1,
    firstSampleIsSync: true,
  };
}

function rulesOf(...runs: (TrackRunFacts | 'break')[]): string[] {
  const rules: string[] = [];
  const chain = new TrackChain();
  for (const each of runs) {
    if (each === 'break') chain.break();
    else
      chain.next(
        [each],
        () => 90_000,
        ({ rule }) => rules.push(rule),
      );
  }
  return rules;
}

describe('segment after segment', () => {
  it('is without a finding when each begins where the last ended, to the rounding of a millisecond', () => {
    expect(rulesOf(run(0), run(180_000), run(360_000))).toEqual([]);
    expect(rulesOf(run(0), run(180_089), run(360_000))).toEqual([]);
  });

  it.each([
    ['a picture missing', 183_000, 'media-gap'],
    ['a picture twice', 177_000, 'media-overlap'],
    ['a part of a picture missing', 181_000, 'media-decode-time-drift'],
    ['the same time again', 0, 'media-tfdt-order'],
  ])('is found out with %s', (_, startTicks, rule) => {
    expect(rulesOf(run(0), run(startTicks))).toEqual([rule]);
  });

  it('need not follow after a break', () => {
    expect(rulesOf(run(900_000), 'break', run(0), run(180_000))).toEqual([]);
  });
});
