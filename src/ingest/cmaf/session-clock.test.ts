import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TIMESCALE, SessionClock, WRAP_BITS } from './session-clock.ts';

const EPOCH_SECONDS = 1_795_000_000n;
const MODULUS = 1n << BigInt(WRAP_BITS);

/** What it must give, in exact arithmetic: the nearest tick, halves up. */
function exact(ticks: bigint, from: number, to: number): bigint {
  const doubled = 2n * ticks * BigInt(to) + BigInt(from);
  const divisor = 2n * BigInt(from);
  let quotient = doubled / divisor;
  if (doubled < 0n && doubled % divisor !== 0n) quotient -= 1n;
  return BigInt.asUintN(WRAP_BITS, quotient);
}

describe('SessionClock', () => {
  it('gives the nearest tick to the exact time, whatever the two timescales', () => {
    const scale = fc.integer({ min: 1, max: MAX_TIMESCALE });
    fc.assert(
      fc.property(
        scale,
        scale,
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        fc.integer({ min: -(2 ** 33), max: 2 ** 40 }),
        (to, from, baseTicks, offsetTicks) => {
          const given = new SessionClock(to).at({ baseTicks, offsetTicks }, from);
          expect(BigInt(given)).toBe(exact(baseTicks + BigInt(offsetTicks), from, to));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('passes times in its own timescale unchanged', () => {
    const clock = new SessionClock(12_800);
    const baseTicks = EPOCH_SECONDS * 12_800n + 77n;
    expect(BigInt(clock.at({ baseTicks, offsetTicks: 512 }, 12_800))).toBe(baseTicks + 512n);
    expect(clock.between(baseTicks, 512, 1024, 12_800)).toBe(512);
  });

  it.each([
    [48_000, 1024, 90_000],
    [44_100, 1024, 90_000],
    [48_000, 1024, 30_000],
    [44_100, 1024, 12_800],
    [10_000_000, 213_333, 90_000],
  ])('does not drift: %i ticks a second in frames of %i on a clock of %i, for a day', (from, frame, to) => {
    const clock = new SessionClock(to);
    const start = EPOCH_SECONDS * BigInt(from);
    const frames = Math.floor((86_400 * from) / frame);
    for (const n of [1, 2, 3, 1000, 99_999, frames]) {
      const baseTicks = start + BigInt(n) * BigInt(frame);
      const given = clock.at({ baseTicks, offsetTicks: 0 }, from);
      const errorTicks = Number(BigInt(given) * BigInt(from) - baseTicks * BigInt(to)) / from;
      expect(Math.abs(errorTicks)).toBeLessThanOrEqual(0.5);
    }
  });

  it('wraps below what a number holds exactly', () => {
    const clock = new SessionClock(10_000_000);
    const baseTicks = MODULUS - 5n;
    expect(clock.at({ baseTicks, offsetTicks: 0 }, 10_000_000)).toBe(Number(MODULUS) - 5);
    expect(clock.at({ baseTicks, offsetTicks: 7 }, 10_000_000)).toBe(2);
    expect(clock.at({ baseTicks: 0n, offsetTicks: -3 }, 10_000_000)).toBe(Number(MODULUS) - 3);
  });
});
