import { describe, expect, it } from 'vitest';
import { acceptsGzip } from './asked.ts';

describe('acceptsGzip', () => {
  it.each([
    ['', false],
    ['gzip', true],
    ['gzip, deflate, br, zstd', true],
    ['br;q=1.0, GZIP;q=0.2', true],
    ['br, gzip;q=0', false],
    ['gzip;q=0.000, *', false],
    ['*', true],
    ['*;q=0', false],
    ['identity', false],
    ['deflate, br', false],
    ['x-gzip', true],
    ['gzip;q=banana', false],
    [';;;,,,', false],
  ])('"%s": %s', (header, accepted) => {
    expect(acceptsGzip(header)).toBe(accepted);
  });
});
