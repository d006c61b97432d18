import { describe, expect, it } from 'vitest';
import { flushIntervalMs, MAX_SENDS_PER_SECOND, UNTHROTTLED_READERS } from './flush-policy.ts';

describe('flushIntervalMs', () => {
  it('flushes every chunk while readers are few', () => {
    for (const readers of [0, 1, UNTHROTTLED_READERS]) expect(flushIntervalMs(readers)).toBe(0);
  });

  it('never allows more sends a second than the budget, however many read', () => {
    for (const readers of [UNTHROTTLED_READERS + 1, 200, 1_000, 10_000, 100_000]) {
      const sendsPerSecond = readers * (1000 / flushIntervalMs(readers));
      expect(sendsPerSecond).toBeLessThanOrEqual(MAX_SENDS_PER_SECOND + 1e-6);
    }
  });

  it('waits no longer than needed: below a video frame at 500 readers', () => {
    expect(flushIntervalMs(500)).toBeLessThan(40);
  });

  it('grows with the readers', () => {
    let before = 0;
    for (let readers = 0; readers < 5_000; readers += 50) {
      expect(flushIntervalMs(readers)).toBeGreaterThanOrEqual(before);
      before = flushIntervalMs(readers);
    }
  });
});
