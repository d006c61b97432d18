import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentRange, parseRange, unsatisfiedContentRange } from './range.ts';

describe('parseRange', () => {
  it.each([
    ['', 100, undefined],
    ['bytes=0-0', 100, { start: 0, end: 0 }],
    ['bytes=0-', 100, { start: 0, end: 99 }],
    ['bytes=10-19', 100, { start: 10, end: 19 }],
    ['bytes=10-1000', 100, { start: 10, end: 99 }],
    ['bytes=-10', 100, { start: 90, end: 99 }],
    ['bytes=-1000', 100, { start: 0, end: 99 }],
    ['Bytes=5-6', 100, { start: 5, end: 6 }],
    ['bytes= 5-6 ', 100, { start: 5, end: 6 }],
    ['bytes=99-', 100, { start: 99, end: 99 }],
    ['bytes=100-', 100, 'unsatisfiable'],
    ['bytes=-0', 100, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-5', 0, 'unsatisfiable'],
    [`bytes=${'9'.repeat(400)}-`, 100, 'unsatisfiable'],
    [`bytes=0-${'9'.repeat(400)}`, 100, { start: 0, end: 99 }],
    ['bytes=20-10', 100, undefined],
    ['bytes=-', 100, undefined],
    ['bytes=a-b', 100, undefined],
    ['bytes=1-2,4-5', 100, undefined],
    ['items=0-5', 100, undefined],
    ['bytes 0-5', 100, undefined],
    ['bytes=0x1-5', 100, undefined],
    ['bytes=--5', 100, undefined],
    ['bytes=1.5-5', 100, undefined],
  ] as const)('%s of %d bytes', (header, size, expected) => {
    expect(parseRange(header, size)).toEqual(expected);
  });

  it('never throws and never leaves the representation', () => {
    const anything = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.tuple(fc.bigInt(), fc.bigInt()).map(([a, b]) => `bytes=${a}-${b}`),
    );
    fc.assert(
      fc.property(anything, fc.nat(1000), (header, size) => {
        const range = parseRange(header, size);
        if (typeof range !== 'object') return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.end).toBeGreaterThanOrEqual(range.start);
        expect(range.end).toBeLessThan(size);
      }),
    );
  });
});

it('renders Content-Range for 206 and 416', () => {
  expect(contentRange({ start: 1, end: 9 }, 100)).toBe('bytes 1-9/100');
  expect(unsatisfiedContentRange(100)).toBe('bytes */100');
});
