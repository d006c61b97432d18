import { describe, expect, it } from 'vitest';
import { FedFrames } from './fed-frames.ts';

const ORIGIN = 159_000_000_000_000;

function fed(...pts: number[]): FedFrames {
  const frames = new FedFrames(ORIGIN, 2);
  for (const [index, each] of pts.entries()) {
    frames.add({ pts: ORIGIN + each, duration: 3000, fedAtMs: index }, 0);
  }
  return frames;
}

describe('the frames an encoder was fed', () => {
  it('are found again by their rounded millisecond, once a rung', () => {
    const frames = fed(0, 3003, 6006);
    expect(frames.msOf(ORIGIN + 3003)).toBe(33);
    expect(frames.take(33, 0)?.pts).toBe(ORIGIN + 3003);
    expect(frames.take(33, 0)).toBeUndefined();
    expect(frames.take(33, 1)?.pts).toBe(ORIGIN + 3003);
    expect(frames.take(34, 0)).toBeUndefined();
  });

  it('are never two on one millisecond', () => {
    const frames = fed(0);
    expect(frames.add({ pts: ORIGIN + 40, duration: 40, fedAtMs: 1 }, 0)).toBe(false);
    expect(frames.take(0, 0)?.pts).toBe(ORIGIN);
  });

  it('are forgotten when all rungs have passed them, and those some rung never gave are counted', () => {
    const frames = fed(0, 3000, 6000);
    for (const rung of [0, 1]) frames.take(0, rung);
    frames.take(33, 0);
    frames.take(67, 0);
    frames.take(67, 1);
    frames.forgetUpTo(ORIGIN + 6000);
    expect([frames.size, frames.missing]).toEqual([0, 1]);
  });

  it('are forgotten in presentation order though they were fed in another', () => {
    const frames = fed(0, 9000, 3000, 6000);
    frames.forgetUpTo(ORIGIN + 3000);
    expect(frames.size).toBe(2);
    expect(frames.first?.pts).toBe(ORIGIN + 9000);
  });

  it('know the next one shown, if it is near', () => {
    const frames = fed(0, 9000, 3000, 6000);
    expect(frames.nextAfter(ORIGIN, 4500)?.pts).toBe(ORIGIN + 3000);
    expect(frames.nextAfter(ORIGIN + 3001, 4500)?.pts).toBe(ORIGIN + 6000);
    expect(frames.nextAfter(ORIGIN + 9000, 4500)).toBeUndefined();
  });

  it('know how long a rung has owed one, but for those a decoder may hold', () => {
    const frames = fed(0, 3000, 6000);
    expect(frames.oldestWaiting(0, 0)).toBe(0);
    frames.take(0, 0);
    expect(frames.oldestWaiting(0, 0)).toBe(1);
    expect(frames.oldestWaiting(1, 0)).toBe(0);
    expect(frames.oldestWaiting(0, 1)).toBe(1);
    expect(frames.oldestWaiting(0, 2)).toBeUndefined();
  });

  it('do not owe a rung what was encoded for it before', () => {
    const frames = new FedFrames(ORIGIN, 2);
    frames.add({ pts: ORIGIN, duration: 3000, fedAtMs: 5 }, 0b01);
    expect(frames.oldestWaiting(0, 0)).toBeUndefined();
    expect(frames.oldestWaiting(1, 0)).toBe(5);
    expect(frames.take(0, 0)).toBeUndefined();
  });

  it('are bounded', () => {
    const frames = fed(...Array.from({ length: 1023 }, (_, index) => index * 3000));
    expect(frames.full).toBe(false);
    frames.add({ pts: ORIGIN + 9e6, duration: 3000, fedAtMs: 0 }, 0);
    expect(frames.full).toBe(true);
  });
});
