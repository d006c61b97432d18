import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gapDurations } from './gap-slots.ts';

describe('gapDurations', () => {
  it.each([
    [-5, []],
    [0, []],
    [0.4, []],
    [0.5, [0.5]],
    [2, [2]],
    [2.3, [2.3]],
    [2.5, [2, 0.5]],
    [6, [2, 2, 2]],
  ])('fills a hole of %f s with %j', (hole, expected) => {
    const durations = gapDurations(hole, 2);
    expect(durations).toHaveLength(expected.length);
    durations.forEach((duration, n) => expect(duration).toBeCloseTo(expected[n] ?? 0, 9));
  });

  it('adds up to the hole, in segments between 0.2 and 1.2 of the nominal one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 36_001, max: 90_000 * 1000 }), (hole) => {
        const durations = gapDurations(hole, 180_000);
        const sum = durations.reduce((total, duration) => total + duration, 0);
        return sum === hole && durations.every((duration) => duration >= 35_999 && duration <= 216_001);
      }),
    );
  });
});
