import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CKC, playReadyChallenge, playReadyFault, SPC } from '../../../test/support/drm-services.ts';
import { readCkc, readSpc } from './fairplay-message.ts';
import { isPlayReadyLicense, readPlayReadyChallenge, readPlayReadyFault } from './playready-message.ts';

const SEEDS = [
  Buffer.from(playReadyChallenge('aaa.bbb.ccc')),
  Buffer.from(playReadyChallenge('x'), 'utf16le'),
  Buffer.from(playReadyFault('8004C600').body),
  SPC,
  CKC,
  Buffer.from(`spc=${SPC.toString('base64')}`),
  Buffer.from(JSON.stringify({ spc: SPC.toString('base64') })),
  Buffer.from(`<ckc>${CKC.toString('base64')}</ckc>`),
];

/** Any bytes, and good messages with a stretch replaced. */
const bodies = fc.oneof(
  fc.uint8Array({ maxLength: 600 }),
  fc
    .tuple(fc.constantFrom(...SEEDS), fc.nat(), fc.nat(20), fc.uint8Array({ maxLength: 20 }))
    .map(([seed, at, length, instead]) => {
      const from = at % seed.length;
      return Buffer.concat([seed.subarray(0, from), instead, seed.subarray(from + length)]);
    }),
);

describe('messages of players and services', () => {
  it('are read without throwing, whatever they are', { timeout: 60_000 }, () => {
    const types = fc.constantFrom('', 'application/json', 'application/x-www-form-urlencoded', 'text/xml');
    fc.assert(
      fc.property(bodies, types, (body, type) => {
        const text = Buffer.from(body).toString('utf8');
        for (const read of [readPlayReadyChallenge(body), readSpc(body, type)])
          expect(read === undefined || read.bytes.length > 0).toBe(true);
        readCkc(body);
        readPlayReadyFault(text);
        isPlayReadyLicense(text);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['0x8004c604', '8004C604'],
    ['8004C604', '8004C604'],
    ['canary secret', ''],
    ['0x8004C604 and more', ''],
  ])('take the code %j of a fault for %j', (given, code) => {
    const { body } = playReadyFault('');
    expect(readPlayReadyFault(String(body).replace('0x', given))).toEqual({ code });
  });

  it('see a token in custom data only where it looks like one', () => {
    const tokenOf = (custom: string): string | undefined =>
      readPlayReadyChallenge(Buffer.from(playReadyChallenge(custom)))?.token;
    expect(tokenOf('aaa.bbb.ccc')).toBe('aaa.bbb.ccc');
    for (const custom of ['', 'aaa.bbb', 'aaa.bbb.ccc\r\nX: y', `${'a'.repeat(5000)}.b.c`])
      expect(tokenOf(custom)).toBeUndefined();
  });
});
