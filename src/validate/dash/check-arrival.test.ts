import { describe, expect, it } from 'vitest';
import { type Arrival, checkArrival, checkCompletion } from './check-arrival.ts';

/** A segment of two seconds in chunks of 40 ms. */
const TIMES = { beginMs: 10_000, endMs: 12_000, availableMs: 10_040 };
const BYTES = 1000;

function arrival(askedMs: number, firstByteMs: number, lastByteMs: number): Arrival {
  return { askedMs, headersMs: firstByteMs, firstByteMs, lastByteMs, bytes: BYTES };
}

const rulesOf = (...times: Parameters<typeof arrival>) =>
  checkArrival(arrival(...times), TIMES).map(({ rule }) => rule);

describe('a segment asked for while it is being made', () => {
  it.each([
    ['from its first chunk to its end', 10_100, 10_110, 12_020, []],
    ['in its midst', 11_000, 11_010, 12_020, []],
    ['too near its end to tell', 11_700, 11_950, 12_000, []],
    ['all at once when complete', 10_100, 11_990, 12_010, ['dash-edge-not-progressive']],
    ['all at once too early', 10_100, 10_110, 10_130, ['dash-edge-not-progressive']],
    ['after a long wait', 10_100, 10_600, 12_020, ['dash-edge-first-byte']],
  ])('and that came %s gives its rules', (_, askedMs, firstByteMs, lastByteMs, rules) => {
    expect(rulesOf(askedMs, firstByteMs, lastByteMs)).toEqual(rules);
  });
});

describe('the end of a segment', () => {
  it('may come up to a second after its time', () => {
    expect(checkCompletion(arrival(10_100, 10_110, 12_900), TIMES)).toBeUndefined();
    expect(checkCompletion(arrival(10_100, 10_110, 13_100), TIMES)?.rule).toBe('dash-segment-slow');
  });

  it('is not held against a server that was asked late', () => {
    expect(checkCompletion(arrival(13_000, 13_010, 14_000), TIMES)).toBeUndefined();
  });
});
