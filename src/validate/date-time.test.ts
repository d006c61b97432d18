import { describe, expect, it } from 'vitest';
import { parseDateTime, parseHttpDate } from './date-time.ts';

describe('a date and time', () => {
  it.each([
    ['1970-01-01T00:00:00Z', 0],
    ['2026-11-22T12:00:00.123Z', 1_795_348_800_123],
    ['2026-11-22T12:00:00.123456Z', 1_795_348_800_123.456],
    ['2026-11-22T14:30:00+02:30', 1_795_348_800_000],
    ['2026-11-22T14:30:00+0230', 1_795_348_800_000],
    ['2026-11-22T09:00-03:00', 1_795_348_800_000],
    ['2000-02-29T00:00:00', 951_782_400_000],
    ['2100-03-01T00:00:00Z', 4_107_542_400_000],
  ])('is read: %s', (text, ms) => {
    expect(parseDateTime(text)).toBeCloseTo(ms, 2);
  });

  it.each(['', '2026-11-22', '2026-11-22 12:00:00Z', '20261122T120000Z', 'x2026-11-22T12:00:00Z'])(
    'is not read: %j',
    (text) => {
      expect(parseDateTime(text)).toBeUndefined();
    },
  );

  it('is read from an HTTP header', () => {
    expect(parseHttpDate('Sun, 22 Nov 2026 12:00:00 GMT')).toBe(1_795_348_800_000);
    expect(parseHttpDate('Sunday, 22-Nov-26 12:00:00 GMT')).toBeUndefined();
    expect(parseHttpDate('Sun, 22 Xyz 2026 12:00:00 GMT')).toBeUndefined();
  });
});
