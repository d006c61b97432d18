import { describe, expect, it } from 'vitest';
import { bufferAheadMs } from './video-readings.ts';

const video = (currentTime: number, ...ranges: [number, number][]) => ({
  currentTime,
  buffered: {
    length: ranges.length,
    start: (i: number) => ranges[i]?.[0] ?? Number.NaN,
    end: (i: number) => ranges[i]?.[1] ?? Number.NaN,
  },
});

describe('the buffer ahead', () => {
  it('reaches to the end of the range that is played', () => {
    expect(bufferAheadMs(video(10, [2, 4], [8, 10.5], [20, 30]))).toBe(500);
  });

  it('goes over a hole that players go over', () => {
    expect(bufferAheadMs(video(10, [8, 10.5], [10.55, 12]))).toBe(2000);
    expect(bufferAheadMs(video(10, [8, 10.5], [10.7, 12]))).toBe(500);
  });

  it('is none outside of what is buffered', () => {
    expect(bufferAheadMs(video(10))).toBe(0);
    expect(bufferAheadMs(video(10, [2, 9], [11, 12]))).toBe(0);
    expect(bufferAheadMs(video(10, [2, 10]))).toBe(0);
  });
});
