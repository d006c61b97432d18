/* oxlint-disable no-restricted-globals -- the platform's Date is the judge here, not a clock */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isoTime } from './iso-time.ts';

describe('isoTime', () => {
  it('writes every instant from 1970 to 9999 as the platform does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(9999, 11, 31, 23, 59, 59, 999) }), (ms) => {
        expect(isoTime(ms)).toBe(new Date(ms).toISOString());
      }),
      { numRuns: 5000 },
    );
  });

  it('gets every day of a 400-year cycle right', () => {
    const wrong: string[] = [];
    for (let ms = 43_200_000; ms < Date.UTC(2401, 0, 1); ms += 86_400_000) {
      if (isoTime(ms) !== new Date(ms).toISOString()) wrong.push(isoTime(ms));
    }
    expect(wrong).toEqual([]);
  });

  it('never rounds a fraction of a millisecond up', () => {
    expect(isoTime(Date.UTC(2026, 10, 22, 12) + 999.999)).toBe('2026-11-22T12:00:00.999Z');
  });
});
