import { describe, expect, it } from 'vitest';
import { findOverflow } from './check-bandwidth.ts';

/** Segments of two seconds with so many kilobits each. */
const segments = (...kilobits: number[]) =>
  kilobits.map((kilobit, index) => ({ index, seconds: 2, bytes: (kilobit * 1000) / 8 }));

describe('the channel of bandwidth and minBufferTime', () => {
  it('carries segments of its rate, and a larger one as far as minBufferTime allows', () => {
    expect(findOverflow(segments(2000, 2000, 2000), 1_000_000, 0)).toBeUndefined();
    expect(findOverflow(segments(2000, 3000, 2000), 1_000_000, 1)).toBeUndefined();
  });

  it('does not carry two larger ones one after the other', () => {
    expect(findOverflow(segments(2000, 3000, 3000, 2000), 1_000_000, 1)).toEqual({
      segments: 2,
      bits: 6_000_000,
      allowedBits: 5_000_000,
      seconds: 4,
    });
  });

  it('has time to recover where segments were left out', () => {
    const [first, second] = segments(3000, 3000);
    if (!first || !second) throw new Error('no segments');
    expect(findOverflow([first, { ...second, index: 7 }], 1_000_000, 1)).toBeUndefined();
  });
});
