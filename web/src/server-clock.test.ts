import { describe, expect, it } from 'vitest';
import { clockOffsetMs } from './server-clock.ts';

describe('the offset of the server clock', () => {
  it('is taken from the quickest round, at its middle', () => {
    const slow = { askedMs: 0, serverMs: 1300, answeredMs: 800 };
    const quick = { askedMs: 1000, serverMs: 1510, answeredMs: 1020 };
    expect(clockOffsetMs([slow, quick, slow])).toBe(500);
  });

  it('is negative when the local clock is ahead', () => {
    expect(clockOffsetMs([{ askedMs: 1000, serverMs: 205, answeredMs: 1010 }])).toBe(-800);
  });

  it('is none when it could as well be the way there and back', () => {
    expect(clockOffsetMs([{ askedMs: 1000, serverMs: 1000, answeredMs: 1040 }])).toBe(0);
    expect(clockOffsetMs([{ askedMs: 1000, serverMs: 995, answeredMs: 1002 }])).toBe(-6);
  });

  it('is not known without a round', () => {
    expect(clockOffsetMs([])).toBeUndefined();
  });
});
