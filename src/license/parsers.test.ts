import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseClearKeyRequest, parseUrlKid } from './clearkey-message.ts';
import { parseCompactJws } from './compact-jws.ts';
import { parsePlaybackClaims } from './playback-claims.ts';
import { parseSessionRequest } from './session-request.ts';

/** What anybody may send: bytes, text and JSON of any shape. */
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.string().map((text) => Buffer.from(text)),
  fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
  fc
    .record({ kids: fc.jsonValue(), type: fc.jsonValue(), content: fc.jsonValue(), url: fc.jsonValue() })
    .map((value) => Buffer.from(JSON.stringify(value))),
);

describe('what is read off a request', () => {
  it('never throws, and is what it must be or nothing', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const request = parseClearKeyRequest(bytes);
        if (request) {
          expect(request.kids.length).toBeGreaterThan(0);
          expect(request.kids.length).toBeLessThanOrEqual(32);
          for (const kid of request.kids) expect(kid).toHaveLength(16);
        }
        const session = parseSessionRequest(bytes);
        if (!('problem' in session)) expect(session.owner.id).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      }),
      { numRuns: 3000 },
    );
  }, 30_000);

  it('never throws on tokens, claims and kids', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 80 }),
        fc.dictionary(fc.string(), fc.jsonValue()),
        (text, claims) => {
          parseCompactJws(text, 4096);
          parseCompactJws(`${text}.${text}.${text}`, 4096);
          const kid = parseUrlKid(text);
          if (kid) expect(kid).toHaveLength(16);
          const given = { cid: 'live/studio', ...claims };
          parsePlaybackClaims({ issuer: 'i', subject: 's', local: false, claims: given, expiresMs: 1 });
        },
      ),
      { numRuns: 3000 },
    );
  }, 30_000);

  it('takes kids in every spelling that players use', () => {
    const kid = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
    for (const text of [
      kid.toString('hex'),
      kid.toString('hex').toUpperCase(),
      '00112233-4455-6677-8899-aabbccddeeff',
      kid.toString('base64url'),
      kid.toString('base64'),
    ]) {
      expect(Buffer.from(parseUrlKid(text) ?? [])).toEqual(kid);
    }
  });
});
