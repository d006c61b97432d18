import { join, relative } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BAD_KEYS } from '../../test/support/blob-store-contract.ts';
import { isBlobKey, splitPrefix } from './blob-key.ts';

/** Texts that attack paths, and any others. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom('..', '.', '/', '\\', '%2e', '\0', 'a', '~', '//', 'C:', '…'), { maxLength: 12 })
    .map((parts) => parts.join('')),
  fc.array(fc.stringMatching(/^[A-Za-z0-9._-]{0,4}$/), { maxLength: 6 }).map((parts) => parts.join('/')),
);

describe('a key', () => {
  it.each(['a', 'titles/film/720p/p1/17.m4s', '..a', 'a..', '...', '.h/-x_', 'x'.repeat(200)])(
    'may be %s',
    (key) => {
      expect(isBlobKey(key)).toBe(true);
    },
  );

  it.each(BAD_KEYS.map((key) => [key.slice(0, 20), key]))('may not be %j', (_, key) => {
    expect(isBlobKey(key)).toBe(false);
  });

  it('never leads out of its folder, whatever it is', () => {
    fc.assert(
      fc.property(hostile, (key) => {
        if (!isBlobKey(key)) return;
        const path = join('/srv/store', key);
        expect(path).toBe(`/srv/store/${key}`);
        expect(relative('/srv/store', path)).toBe(key);
      }),
      { numRuns: 5000 },
    );
  });

  it('begins with a prefix that is taken apart exactly when such a key can be', () => {
    fc.assert(
      fc.property(hostile, fc.nat(), (key, cut) => {
        const prefix = key.slice(0, cut % (key.length + 1));
        if (isBlobKey(key)) {
          const { folders, name } = splitPrefix(prefix);
          expect([...folders, name].join('/')).toBe(prefix);
        } else {
          try {
            splitPrefix(key);
          } catch {
            return;
          }
          // Some key begins so.
          expect(isBlobKey(`${key}x`) || isBlobKey(key) || key.length >= 512 || /[^/]{200}$/.test(key)).toBe(
            true,
          );
        }
      }),
      { numRuns: 5000 },
    );
  });
});
