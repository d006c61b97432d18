import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { encodeJson, TestDevice } from '../../test/support/license-fixture.ts';
import { accessTokenHash, DeviceProofs } from './device-proof.ts';
import { jwkThumbprint, parseDeviceJwk } from './jwk-thumbprint.ts';

/** The key of RFC 9449's examples. */
const RFC_JWK = {
  kty: 'EC',
  crv: 'P-256',
  x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
  y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
};
/** RFC 9449 7.1, figure 12 and its access token. */
const RFC_PROOF = [
  'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19',
  'eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9',
  '2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA',
].join('.');
const RFC_TOKEN = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU';
const RFC_IAT_MS = 1_562_262_618_000;

describe('a thumbprint (RFC 7638)', () => {
  it('is that of the RFC for its key', () => {
    const jwk = parseDeviceJwk(RFC_JWK);
    expect(jwk && jwkThumbprint(jwk)).toBe('0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I');
  });

  it('does not depend on the order or on further members', () => {
    const jwk = parseDeviceJwk({ use: 'sig', y: RFC_JWK.y, x: RFC_JWK.x, kid: 'a', crv: 'P-256', kty: 'EC' });
    expect(jwk && jwkThumbprint(jwk)).toBe('0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I');
  });

  it.each([
    ['a private part', { ...RFC_JWK, d: 'AAAA' }],
    ['a shared secret', { kty: 'oct', k: 'AAAA' }],
    ['RSA', { kty: 'RSA', n: 'AAAA', e: 'AQAB' }],
    ['another curve', { ...RFC_JWK, crv: 'P-384' }],
    ['a short coordinate', { ...RFC_JWK, x: 'AAAA' }],
    ['a coordinate spelt in another way', { ...RFC_JWK, x: `${RFC_JWK.x.slice(0, -1)}t` }],
    ['no object', 'key'],
    ['nothing', null],
  ])('is not made of %s', (_name, value) => {
    expect(parseDeviceJwk(value)).toBeUndefined();
  });
});

class OneTimeClaims {
  readonly #seen = new Set<string>();

  async claim(id: string): Promise<boolean> {
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    return true;
  }
}

function proofs(clock: FakeClock): DeviceProofs {
  return new DeviceProofs({ clock, replay: new OneTimeClaims(), nonces: undefined });
}

/** 22 Nov 2026, 12:00 UTC. */
const NOW_MS = 1_795_348_800_000;
const REQUEST = { method: 'POST', url: 'https://play.example.org/license/clearkey', token: 'token' };

describe('a proof of a device (RFC 9449)', () => {
  it("is accepted as in the RFC's own example", () => {
    const context = {
      proof: RFC_PROOF,
      method: 'GET',
      url: 'https://resource.example.org/protectedresource',
      token: RFC_TOKEN,
    };
    expect(accessTokenHash(RFC_TOKEN)).toBe('fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo');
    expect(proofs(new FakeClock(RFC_IAT_MS)).judge(context)).toEqual({
      kind: 'proven',
      thumbprint: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
      jti: 'e1j3V_bKic8-LAEB',
    });
    expect(proofs(new FakeClock(RFC_IAT_MS + 61_000)).judge(context).kind).toBe('refused');
  });

  it.each([
    'https://play.example.org/license/clearkey?kid=1#top',
    'HTTPS://PLAY.example.org:443/license/clearkey',
    'https://play.example.org/license/./clearkey',
  ])('names the same URL in another spelling: %s', (htu) => {
    const clock = new FakeClock();
    const proof = new TestDevice().proof({ ...REQUEST, nowMs: clock.wallMs() }, { claims: { htu } });
    expect(proofs(clock).judge({ ...REQUEST, proof }).kind).toBe('proven');
  });

  const device = new TestDevice();
  const other = new TestDevice();
  it.each([
    ['the type of another token', { header: { typ: 'JWT' } }],
    ['no type', { header: { typ: undefined } }],
    ['alg none', { header: { alg: 'none' } }],
    ['alg none without a signature', { header: { alg: 'none' }, sign: () => Buffer.alloc(0) }],
    [
      'HS256 with the public key as its secret',
      {
        header: { alg: 'HS256' },
        sign: (data: string) => createHmac('sha256', JSON.stringify(device.jwk)).update(data).digest(),
      },
    ],
    ['another algorithm in name', { header: { alg: 'ES384' } }],
    ['no key', { header: { jwk: undefined } }],
    ['a private key', { header: { jwk: device.privateJwk } }],
    ['the key of another', { header: { jwk: other.jwk } }],
    ['a critical header', { header: { crit: ['exp'] } }],
    ['a point that is not on the curve', { header: { jwk: { ...device.jwk, y: device.jwk.x } } }],
    ['another method', { claims: { htm: 'GET' } }],
    ['a method in lower case', { claims: { htm: 'post' } }],
    ['no method', { claims: { htm: undefined } }],
    ['another path', { claims: { htu: 'https://play.example.org/license/widevine' } }],
    ['another host', { claims: { htu: 'https://evil.example/license/clearkey' } }],
    ['another scheme', { claims: { htu: 'http://play.example.org/license/clearkey' } }],
    ['a URL that is none', { claims: { htu: 'clearkey' } }],
    ['no URL', { claims: { htu: undefined } }],
    ['a time of 61 s ago', { claims: { iat: NOW_MS / 1000 - 61 } }],
    ['a time in 61 s', { claims: { iat: NOW_MS / 1000 + 61 } }],
    ['a time as text', { claims: { iat: '1795348800' } }],
    ['no time', { claims: { iat: undefined } }],
    ['the hash of another token', { claims: { ath: accessTokenHash('other') } }],
    ['no hash of the token', { claims: { ath: undefined } }],
    ['a short jti', { claims: { jti: 'abc' } }],
    ['a jti as number', { claims: { jti: 7 } }],
    ['no jti', { claims: { jti: undefined } }],
    ['a signature of 63 bytes', { sign: () => Buffer.alloc(63, 1) }],
    ['a signature of zeros', { sign: () => Buffer.alloc(64) }],
  ])('is refused with %s', (_name, overrides) => {
    const clock = new FakeClock(NOW_MS);
    const proof = device.proof({ ...REQUEST, nowMs: clock.wallMs() }, overrides);
    expect(proofs(clock).judge({ ...REQUEST, proof })).toEqual({ kind: 'refused', refusal: 'invalid' });
  });

  it('is refused when there are two, and when it is no JWS', () => {
    const clock = new FakeClock();
    const proof = device.proof({ ...REQUEST, nowMs: clock.wallMs() });
    expect(proofs(clock).judge({ ...REQUEST, proof }).kind).toBe('proven');
    const wrong = [
      `${proof}, ${proof}`,
      `${proof}.x`,
      '',
      'a.b.c',
      `${encodeJson({})}.${encodeJson([])}.AAAA`,
    ];
    for (const text of [...wrong, proof.padEnd(5000, 'A')]) {
      expect(proofs(clock).judge({ ...REQUEST, proof: text }).kind).toBe('refused');
    }
  });

  it('is refused when any one character was changed', () => {
    const clock = new FakeClock();
    const proof = device.proof({ ...REQUEST, nowMs: clock.wallMs() });
    const judge = proofs(clock);
    for (let i = 0; i < proof.length; i++) {
      const changed = proof.slice(0, i) + (proof[i] === 'A' ? 'B' : 'A') + proof.slice(i + 1);
      expect(judge.judge({ ...REQUEST, proof: changed }).kind, `character ${i}`).toBe('refused');
    }
  });

  it('counts once for each device', async () => {
    const judge = proofs(new FakeClock());
    expect(await judge.use('one', 'jti')).toBe(true);
    expect(await judge.use('one', 'jti')).toBe(false);
    expect(await judge.use('two', 'jti')).toBe(true);
  });
});
