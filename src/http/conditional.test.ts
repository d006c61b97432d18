import { describe, expect, it } from 'vitest';
import { ifRangeAllows, isNotModified } from './conditional.ts';

describe('isNotModified', () => {
  it.each([
    ['', false],
    ['"v7"', true],
    ['"v6"', false],
    ['*', true],
    ['W/"v7"', true],
    ['"v1", "v7"', true],
    ['"v1",W/"v7" , "v9"', true],
    ['"v1", "v2"', false],
    ['v7', false],
    ['"v7', false],
    ['"a v7"', false],
    [',,,"v7"', true],
    ['"'.repeat(8000), false],
  ])('If-None-Match %s against "v7" gives %s', (header, expected) => {
    expect(isNotModified(header, '"v7"')).toBe(expected);
  });
});

describe('ifRangeAllows', () => {
  it.each([
    ['', true],
    ['"v7"', true],
    ['W/"v7"', false],
    ['"v6"', false],
    ['Sun, 22 Nov 2026 12:00:00 GMT', false],
  ])('If-Range %s against "v7" gives %s', (header, expected) => {
    expect(ifRangeAllows(header, '"v7"')).toBe(expected);
  });
});
