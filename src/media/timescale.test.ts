import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { msToTicks, rescale, ticksToMs } from './timescale.ts';

const scale = fc.integer({ min: 1, max: 192_000 });

test('rescaling equals the exact rational result, also where the plain product leaves 2^53', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 52n), max: 2n ** 52n }), scale, scale, (ticks, from, to) => {
      const exactTwice = 2n * ticks * BigInt(to) + BigInt(from);
      const divisor = 2n * BigInt(from);
      const floored = exactTwice / divisor - (exactTwice % divisor < 0n ? 1n : 0n);
      fc.pre(floored < 2n ** 53n && floored > -(2n ** 53n));
      expect(BigInt(rescale(Number(ticks), from, to))).toBe(floored);
    }),
    { numRuns: 2000 },
  );
});

test('milliseconds since 1970 survive the way to 90 kHz and to 44.1 kHz and back', () => {
  const nowMs = 1_795_348_800_123;
  expect(msToTicks(nowMs, 90_000)).toBe(nowMs * 90);
  expect(ticksToMs(msToTicks(nowMs, 90_000), 90_000)).toBe(nowMs);
  expect(Math.abs(ticksToMs(msToTicks(nowMs, 44_100), 44_100) - nowMs)).toBeLessThan(0.012);
});
