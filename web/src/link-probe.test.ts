import { describe, expect, it } from 'vitest';
import { rateOf } from './link-probe.ts';

describe('the rate of a probe', () => {
  it('is that of its second half: the first is slow to start', () => {
    const progress = [
      { atMs: 0, bytes: 0 },
      { atMs: 300, bytes: 20_000 },
      { atMs: 400, bytes: 50_000 },
      { atMs: 500, bytes: 100_000 },
    ];
    expect(rateOf(progress)).toBe((50_000 * 8000) / 100);
  });

  it('is finite when all comes at once', () => {
    const rate = rateOf([
      { atMs: 7, bytes: 0 },
      { atMs: 7, bytes: 100_000 },
    ]);
    expect(rate).toBe(800_000_000);
  });

  it('is not known of a few bytes', () => {
    expect(rateOf([])).toBeUndefined();
    expect(
      rateOf([
        { atMs: 0, bytes: 0 },
        { atMs: 900, bytes: 5000 },
      ]),
    ).toBeUndefined();
  });
});
