import { describe, expect, it } from 'vitest';
import { ANSWER_KINDS, type AnswerKind, cacheControl } from './cache-policy.ts';

const plan = { targetDurationSeconds: 4 };

function maxAge(kind: AnswerKind): number {
  const value = cacheControl(kind, plan);
  return value === 'no-store' || value === 'no-cache' ? 0 : Number(/max-age=(\d+)/.exec(value)?.[1]);
}

describe('cacheControl', () => {
  it.each([
    ['multivariant', 'public, max-age=2'],
    ['playlist', 'public, max-age=0, s-maxage=1'],
    ['playlist-blocking', 'public, max-age=24'],
    ['mpd', 'public, max-age=1'],
    ['patch', 'public, max-age=1'],
    ['init', 'public, max-age=3600, immutable'],
    ['segment', 'public, max-age=3600, immutable'],
    ['segment-growing', 'public, max-age=3600, immutable'],
    ['part', 'public, max-age=3600, immutable'],
    ['time', 'no-store'],
    ['page', 'no-cache'],
    ['asset', 'public, max-age=31536000, immutable'],
    ['ahead', 'no-store'],
    ['missing', 'public, max-age=1'],
    ['offline', 'public, max-age=1'],
    ['refused', 'no-store'],
    ['overload', 'public, max-age=1'],
  ] as const)('gives %s the header "%s"', (kind, value) => {
    expect(cacheControl(kind, plan)).toBe(value);
  });

  it('never lets a cache keep an error, or "not yet", for longer than a second', () => {
    for (const kind of ['ahead', 'missing', 'offline', 'refused', 'overload'] as const) {
      expect(maxAge(kind), kind).toBeLessThanOrEqual(1);
    }
  });

  it('has a header for every kind of answer, also at the shortest target duration', () => {
    for (const kind of ANSWER_KINDS) {
      expect(cacheControl(kind, { targetDurationSeconds: 1 }), kind).toMatch(
        /^(no-store|no-cache|(?:public|private), max-age=\d+(, s-maxage=1|, immutable)?)$/,
      );
    }
    expect(cacheControl('multivariant', { targetDurationSeconds: 1 })).toBe('public, max-age=1');
  });
});
