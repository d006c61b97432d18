import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TimestampUnwrapper } from './unwrap.ts';

function unwrapAll(wrapBits: number, timescale: number, raw: number[]): number[] {
  const unwrapper = new TimestampUnwrapper(wrapBits, timescale);
  return raw.map((value) => unwrapper.next(value));
}

test('a clock that wraps at its modulus goes on', () => {
  expect(unwrapAll(32, 1000, [2 ** 32 - 20, 2 ** 32 - 1, 10, 43])).toEqual([
    2 ** 32 - 20,
    2 ** 32 - 1,
    2 ** 32 + 10,
    2 ** 32 + 43,
  ]);
  expect(unwrapAll(33, 90_000, [2 ** 33 - 3000, 0, 3000])).toEqual([2 ** 33 - 3000, 2 ** 33, 2 ** 33 + 3000]);
});

test('an FLV clock that wraps one bit early, at 2^31 ms, goes on, twice', () => {
  const half = 2 ** 31;
  expect(unwrapAll(32, 1000, [half - 20, 13, 46])).toEqual([half - 20, half + 13, half + 46]);
  expect(unwrapAll(32, 1000, [half - 20, 13, half / 2, half - 5, 28]).at(-1)).toBe(2 * half + 28);
});

test('audio of before the wrap that comes after video of behind it stays before it', () => {
  expect(unwrapAll(32, 1000, [2 ** 32 - 10, 23, 2 ** 32 - 5, 30])).toEqual([
    2 ** 32 - 10,
    2 ** 32 + 23,
    2 ** 32 - 5,
    2 ** 32 + 30,
  ]);
});

test('2^31 is no wrap for a sender that counts on through it', () => {
  const half = 2 ** 31;
  expect(unwrapAll(32, 1000, [half - 20, half + 13])).toEqual([half - 20, half + 13]);
});

test('steps back and jumps stay what they are', () => {
  expect(unwrapAll(32, 1000, [50_000, 47_000, 650_000, 0])).toEqual([50_000, 47_000, 650_000, 0]);
});

test('any clock with steps below a quarter of the modulus comes out as it was', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 31), fc.array(fc.integer({ min: -400, max: 100_000_000 })), (start, steps) => {
      let truth = start + 2 ** 20;
      const unwrapper = new TimestampUnwrapper(32, 1000);
      const offset = unwrapper.next(truth % 2 ** 32) - truth;
      for (const step of steps) {
        truth += step;
        expect(unwrapper.next(truth % 2 ** 32) - truth).toBe(offset);
      }
    }),
  );
});

test('a time beside the clock does not move it on', () => {
  const unwrapper = new TimestampUnwrapper(33, 90_000);
  expect(unwrapper.near(5)).toBe(5);
  unwrapper.next(2 ** 33 - 10);
  expect(unwrapper.near(80)).toBe(2 ** 33 + 80);
  expect(unwrapper.next(20)).toBe(2 ** 33 + 20);
});
