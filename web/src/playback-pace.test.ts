import { describe, expect, it } from 'vitest';
import { FASTEST, PACE_READINGS, paceFor, SLOWEST } from './playback-pace.ts';

const row = (bufferMs: number, count = PACE_READINGS): number[] =>
  Array.from({ length: count }, () => bufferMs);

describe('the pace of playback', () => {
  it.each([235, 250, 275])('is normal around the target: %d ms of 250', (bufferMs) => {
    expect(paceFor(row(bufferMs), 250)).toEqual({ playbackRate: 1, skipMs: undefined });
  });

  it('is faster with the distance above the target, up to a fifth', () => {
    const slightly = paceFor(row(350), 250).playbackRate;
    expect(slightly).toBeGreaterThan(1.02);
    expect(slightly).toBeLessThan(1.1);
    expect(paceFor(row(1500), 250).playbackRate).toBe(FASTEST);
    expect(FASTEST).toBeLessThanOrEqual(1.2);
  });

  it('is slower with the distance below the target, down to a tenth', () => {
    expect(paceFor(row(200), 250).playbackRate).toBeCloseTo(0.95, 5);
    expect(paceFor(row(0), 250).playbackRate).toBe(SLOWEST);
    expect(SLOWEST).toBeGreaterThanOrEqual(0.9);
  });

  it('goes by the lowest reading, since the buffer comes in parts', () => {
    expect(paceFor([...row(600, 9), 250], 250).playbackRate).toBe(1);
    expect(paceFor(row(600), 250).playbackRate).toBeGreaterThan(1.1);
  });

  it('is not faster before there are ten readings, but slower at once', () => {
    expect(paceFor(row(900, 9), 250).playbackRate).toBe(1);
    expect(paceFor(row(100, 1), 250).playbackRate).toBe(SLOWEST);
  });

  it('jumps to the target when it is more than a second and a half behind', () => {
    expect(paceFor(row(2000), 250)).toEqual({ playbackRate: 1, skipMs: 1750 });
    expect(paceFor(row(1700), 250).skipMs).toBeUndefined();
  });
});
