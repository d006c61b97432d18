import { describe, expect, it } from 'vitest';
import { peakBps } from './bandwidth.ts';

const rate = (msn: number, seconds: number, bytes: number) => ({ msn, seconds, bytes });

describe('the peak segment bit rate', () => {
  it('is that of the highest segment', () => {
    expect(peakBps([rate(1, 2, 1000), rate(2, 2, 3000), rate(3, 2, 2000)], 2)).toBe(12_000);
  });

  it('is taken over segments together that are shorter than half a target duration', () => {
    expect(peakBps([rate(1, 0.5, 1000), rate(2, 0.5, 9000), rate(3, 5, 1000)], 2)).toBe(80_000);
  });

  it('is not taken across segments that were not read', () => {
    expect(peakBps([rate(1, 0.5, 9000), rate(3, 0.5, 9000), rate(4, 2, 1000)], 2)).toBe(32_000);
  });

  it('of nothing is 0', () => {
    expect(peakBps([], 2)).toBe(0);
  });
});
