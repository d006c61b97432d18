import { expect, test } from 'vitest';
import { RateMeter } from './rate-meter.ts';

test('the rate is the mean over the whole seconds of the window', () => {
  const meter = new RateMeter(5);
  for (let ms = 0; ms < 10_000; ms += 100) meter.add(1000, 50_000 + ms);
  expect(meter.bitsPerSecond(59_950)).toBe(80_000);
});

test('it falls to nothing when nothing comes, and is nothing before the first second', () => {
  const meter = new RateMeter(5);
  meter.add(1000, 1000);
  expect(meter.bitsPerSecond(1500)).toBe(0);
  expect(meter.bitsPerSecond(2000)).toBe(8000);
  expect(meter.bitsPerSecond(4000)).toBeCloseTo(8000 / 3, 0);
  expect(meter.bitsPerSecond(60_000)).toBe(0);
});
