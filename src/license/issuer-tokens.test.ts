import { createHmac, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  encodeJson,
  LicenseFixture,
  STUDIO,
  TestDevice,
  tiersIn,
} from '../../test/support/license-fixture.ts';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import { LOCAL_AUDIENCES } from './issuer-tokens.ts';

const ISSUER = 'https://id.example.org';
const AUDIENCE = 'headwater';
const CLEARKEY = '/license/clearkey';

let folder = '';
let fixture: LicenseFixture;
let privateKey: KeyObject;
let publicPem = '';
const secret = randomBytes(32).toString('hex');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-issuer-'));
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  privateKey = pair.privateKey;
  publicPem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const [keyPath, secretPath] = [join(folder, 'issuer.pem'), join(folder, 'issuer.secret')];
  await writeFile(keyPath, publicPem);
  await writeFile(secretPath, secret, { mode: 0o600 });
  const common = { audience: AUDIENCE, jwksUrl: undefined };
  fixture = await LicenseFixture.open({
    issuers: [
      { ...common, issuer: ISSUER, algorithms: ['ES256'], uses: ['login', 'playback'], keyPath },
      { ...common, issuer: 'https://login-only.example', algorithms: ['ES256'], uses: ['login'], keyPath },
      {
        ...common,
        issuer: 'https://shared.example',
        algorithms: ['HS256'],
        uses: ['login', 'playback'],
        keyPath: secretPath,
      },
    ],
  });
});

afterEach(async () => {
  await fixture.close();
  await rm(folder, { recursive: true, force: true });
});

const seconds = (offset = 0): number => Math.floor(fixture.clock.wallMs() / 1000) + offset;

function claims(overrides: object = {}): Record<string, unknown> {
  return {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'alice',
    iat: seconds(),
    exp: seconds(600),
    cid: 'live/studio',
    ...overrides,
  };
}

async function signed(overrides: object = {}, header: object = {}): Promise<string> {
  const token = new SignJWT(claims(overrides)).setProtectedHeader({ alg: 'ES256', ...header });
  return token.sign(privateKey);
}

function forged(header: object, payload: object, signature = ''): string {
  return `${encodeJson(header)}.${encodeJson(payload)}.${signature}`;
}

function license(token: string, device?: TestDevice): Promise<FakeResponse> {
  return fixture.as(token, CLEARKEY, { body: fixture.licenseBody([fixture.kid('SD')]) }, device);
}

function start(token: string): Promise<FakeResponse> {
  return fixture.as(token, '/v1/sessions', { body: { url: '/live/studio/' } });
}

function codeOf(response: FakeResponse): string {
  return (JSON.parse(response.text()) as { code: string }).code;
}

async function expectRefused(token: string, code = 'TOKEN_INVALID'): Promise<void> {
  for (const response of [await license(token), await start(token)]) {
    expect([response.status, codeOf(response)]).toEqual([401, code]);
  }
  expect(fixture.keys.unwrapped).toEqual([]);
}

describe('a token of a configured issuer', () => {
  it('begins a session, or gets licences at once when its back end says what it may play', async () => {
    expect((await start(await signed())).status).toBe(201);
    const response = await license(await signed());
    expect(response.status).toBe(200);
    expect(tiersIn(fixture, response.text(), STUDIO)).toEqual(['AUDIO', 'SD']);
    expect(response.header('x-license-expires')).toBe('2026-11-22T12:10:00.000Z');
    const other = await new SignJWT(claims({ iss: 'https://shared.example' }))
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from(secret));
    expect((await license(other)).status).toBe(200);
  });

  it('is not checked anew each time, but at least every half a minute', async () => {
    const token = await signed();
    expect((await license(token)).status).toBe(200);
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await writeFile(join(folder, 'issuer.pem'), publicKey.export({ format: 'pem', type: 'spki' }));
    expect((await license(token)).status).toBe(200);
    expect(codeOf(await license(await signed({ sub: 'bob' })))).toBe('TOKEN_INVALID');
    fixture.clock.advance(30_000);
    expect(codeOf(await license(token))).toBe('TOKEN_INVALID');
  });

  it('runs out in time, however short ago it was checked', async () => {
    // What is left of the leeway for clocks that differ.
    const token = await signed({ exp: seconds(-55) });
    expect((await start(token)).status).not.toBe(401);
    fixture.clock.advance(4_000);
    expect((await start(token)).status).not.toBe(401);
    fixture.clock.advance(1_000);
    expect(codeOf(await start(token))).toBe('TOKEN_EXPIRED');
  });

  it('that was right a moment ago is right for its own use alone', async () => {
    const token = await signed({ iss: 'https://login-only.example' });
    expect((await start(token)).status).toBe(201);
    expect(codeOf(await license(token))).toBe('TOKEN_INVALID');
  });

  it('with another end than one that was right a moment ago is refused', async () => {
    const token = await signed();
    expect((await license(token)).status).toBe(200);
    const [header = '', , signature = ''] = token.split('.');
    expect(
      codeOf(await license(`${header}.${encodeJson(claims({ exp: seconds(6000) }))}.${signature}`)),
    ).toBe('TOKEN_INVALID');
  });

  it.each([
    ['another issuer', { iss: 'https://evil.example' }],
    ['an issuer that begins alike', { iss: `${ISSUER}.evil.example` }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'shop' }],
    ['no audience', { aud: undefined }],
    ['no user', { sub: undefined }],
    ['an empty user', { sub: '' }],
    ['a user that is no text', { sub: 7 }],
    ['no end', { exp: undefined }],
    ['an end that is text', { exp: '9999999999' }],
    ['a confirmation that nobody can check', { cnf: { 'x5t#S256': 'abc' } }],
    ['a confirmation that is text', { cnf: 'abc' }],
    ['a thumbprint that is none', { cnf: { jkt: 'abc' } }],
  ])('is refused with %s', async (_name, overrides) => {
    await expectRefused(await signed(overrides));
  });

  it.each([
    ['an end 61 s ago', { exp: -61 }],
    ['a beginning in 61 s', { nbf: 61, exp: 600 }],
  ])('is over with %s, and counts a second before', async (_name, times: Record<string, number>) => {
    const at = (by: number): object =>
      Object.fromEntries(Object.entries(times).map(([name, offset]) => [name, seconds(offset + by)]));
    await expectRefused(await signed(at(0)), 'TOKEN_EXPIRED');
    const [name = ''] = Object.keys(times);
    expect((await start(await signed(at(name === 'exp' ? 2 : -2)))).status).toBe(201);
  });

  it.each([
    ['alg none', (c: object) => forged({ alg: 'none' }, c)],
    ['alg none with a signature', (c: object) => forged({ alg: 'none' }, c, 'AAAA')],
    ['alg NoNe', (c: object) => forged({ alg: 'NoNe' }, c, 'AAAA')],
    ['no alg', (c: object) => forged({}, c, 'AAAA')],
    [
      'HS256 with the public key as its secret',
      (c: object) => {
        const body = `${encodeJson({ alg: 'HS256' })}.${encodeJson(c)}`;
        return `${body}.${createHmac('sha256', publicPem).update(body).digest('base64url')}`;
      },
    ],
    ['no signature', (c: object) => `${encodeJson({ alg: 'ES256' })}.${encodeJson(c)}`],
    ['an array for claims', () => forged({ alg: 'ES256' }, [], 'AAAA')],
    ['nonsense', () => 'not.a.token'],
    ['five parts', () => 'a.b.c.d.e'],
  ])('is refused with %s', async (_name, make) => {
    await expectRefused(make(claims()));
  });

  it('is refused with the signature of another key, or of another token', async () => {
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const byStranger = await new SignJWT(claims()).setProtectedHeader({ alg: 'ES256' }).sign(stranger);
    await expectRefused(byStranger);
    const [header, , signature] = (await signed()).split('.');
    await expectRefused(`${header}.${encodeJson(claims({ sub: 'bob' }))}.${signature}`);
    // A key that the token brings along is nobody's.
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const own = await new SignJWT(claims())
      .setProtectedHeader({ alg: 'ES256', jwk: jwk.publicKey.export({ format: 'jwk' }) })
      .sign(jwk.privateKey);
    await expectRefused(own);
    await expectRefused(await signed({}, { crit: ['exp'], exp: 1 }).catch(() => 'x.y.z'));
  });

  it('is refused with another algorithm than its issuer uses, though the key would do', async () => {
    const make = (alg: string): Promise<string> =>
      new SignJWT(claims({ iss: 'https://shared.example' }))
        .setProtectedHeader({ alg })
        .sign(Buffer.from(secret));
    await expectRefused(await make('HS512'));
    expect((await license(await make('HS256'))).status).toBe(200);
  });

  it('is refused when it is longer than 5000 characters', async () => {
    const long = await signed({ padding: 'x'.repeat(3800) });
    expect(long.length).toBeGreaterThan(5000);
    await expectRefused(long);
    const short = await signed({ padding: 'x'.repeat(3000) });
    expect(short.length).toBeLessThan(5000);
    expect((await license(short)).status).toBe(200);
  });

  it('counts only for what its issuer may be used for', async () => {
    const token = await signed({ iss: 'https://login-only.example' });
    expect((await start(token)).status).toBe(201);
    expect(codeOf(await license(token))).toBe('TOKEN_INVALID');
  });

  it.each([
    { cid: undefined },
    { cid: 'studio' },
    { cid: 'live/../x' },
    { cid: 7 },
    { tiers: 'HD' },
    { tiers: ['8K'] },
    { rb: 'L0' },
    { ent: 'never' },
    { maxTtl: -1 },
    { geo: 'DE' },
    { sid: '' },
    { sid: 7 },
    { once: 'yes' },
    { once: true },
  ])('gets no licence with the wrong claim %j', async (overrides) => {
    expect(codeOf(await license(await signed(overrides)))).toBe('TOKEN_INVALID');
  });

  it('is bound to the device that it names', async () => {
    const device = new TestDevice();
    const token = await signed({ cnf: { jkt: device.thumbprint } });
    expect((await license(token, device)).status).toBe(200);
    expect(codeOf(await license(token))).toBe('TOKEN_PROOF_MISSING');
    expect(codeOf(await license(token, new TestDevice()))).toBe('TOKEN_PROOF_INVALID');
  });

  it('counts for one licence when it says so', async () => {
    const token = await signed({ once: true, jti: 'one-time' });
    const answers = await Promise.all(Array.from({ length: 10 }, () => license(token)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status !== 200).map(codeOf)).toEqual(
      Array.from({ length: 9 }, () => 'TOKEN_USED'),
    );
  });

  it('begins a session of its own, which counts and can be taken away', async () => {
    for (const sid of ['a', 'b', 'c']) expect((await license(await signed({ sid }))).status).toBe(200);
    const fourth = await license(await signed({ sid: 'd' }));
    expect([fourth.status, codeOf(fourth)]).toEqual([409, 'LICENSE_TOO_MANY_STREAMS']);
    expect((await license(await signed({ sid: 'a' }))).status).toBe(200);
    expect((await license(await signed({ sid: 'd', sub: 'bob' }))).status).toBe(200);
    const nowMs = fixture.clock.wallMs();
    const [first] = await fixture.store.list({}, 1, nowMs);
    await fixture.store.revoke({ kind: 'session', id: first?.id ?? '' }, nowMs + 3_600_000);
    const answers: number[] = [];
    for (const sid of ['a', 'b', 'c']) answers.push((await license(await signed({ sid }))).status);
    for (const sub of ['bob']) answers.push((await license(await signed({ sid: 'd', sub }))).status);
    expect(answers.filter((status) => status === 403)).toHaveLength(1);
  });

  it('cannot stand for a session that we have begun', async () => {
    const { sessionId } = await fixture.begin();
    const before = await fixture.store.find(sessionId);
    expect((await license(await signed({ sid: sessionId, sub: 'mallory' }))).status).toBe(200);
    expect(await fixture.store.find(sessionId)).toEqual(before);
    const beat = await fixture.as(await signed({ sid: sessionId }), `/v1/sessions/${sessionId}/heartbeat`);
    expect(codeOf(beat)).toBe('TOKEN_INVALID');
  });
});

describe('a token of our own', () => {
  it('is for one thing: a login gets no licence, a playback token begins no session', async () => {
    expect(codeOf(await license(fixture.login()))).toBe('TOKEN_INVALID');
    const { token } = await fixture.begin();
    expect(codeOf(await start(token))).toBe('TOKEN_INVALID');
  });

  it('cannot be made by an issuer that takes our name', async () => {
    await expectRefused(await signed({ iss: 'headwater', aud: LOCAL_AUDIENCES.playback }));
    const { token } = await fixture.begin();
    const [header, payload] = token.split('.');
    const { kid } = JSON.parse(Buffer.from(header ?? '', 'base64url').toString()) as { kid: string };
    await expectRefused(
      forged({ alg: 'none', kid }, JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()), 'AAAA'),
    );
    await expectRefused(forged({ alg: 'ES256', kid }, claims(), Buffer.alloc(64, 1).toString('base64url')));
  });

  it('is not the proof of a device', async () => {
    const device = new TestDevice();
    const nowMs = fixture.clock.wallMs();
    const proof = device.proof({ method: 'POST', url: 'http://x', token: 'x', nowMs }, { claims: claims() });
    await expectRefused(proof);
  });

  it('is refused with any one character changed', async () => {
    const { token } = await fixture.begin();
    for (let i = 0; i < token.length; i += 7) {
      const changed = token.slice(0, i) + (token[i] === 'A' ? 'B' : 'A') + token.slice(i + 1);
      expect((await license(changed)).status, `character ${i}`).toBe(401);
    }
  });

  it.each(['', 'Bearer', 'Bearer ', 'Basic YTpi', 'Bearer a b', 'Bearer ü'])(
    'is missing in %j',
    async (authorization) => {
      const response = await fixture.call(CLEARKEY, {
        headers: { authorization },
        body: fixture.licenseBody([fixture.kid('SD')]),
      });
      expect([response.status, codeOf(response)]).toEqual([401, 'TOKEN_MISSING']);
      expect(response.header('www-authenticate')).toContain('DPoP');
    },
  );

  it.each(['HS256', 'ES256', 'EdDSA'] as const)('may be signed with %s', async (tokenAlgorithm) => {
    const other = await LicenseFixture.open({ tokenAlgorithm });
    try {
      const { token } = await other.begin();
      const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as object;
      expect(header).toMatchObject({ alg: tokenAlgorithm });
      const response = await other.as(token, CLEARKEY, { body: other.licenseBody([other.kid('SD')]) });
      expect(response.status).toBe(200);
    } finally {
      await other.close();
    }
  });

  it('is signed with a new key after 30 days, and the old key counts for two more', async () => {
    const old = fixture.login({ seconds: 40 * 24 * 3600 });
    fixture.clock.stepWall(30 * 24 * 3_600_000);
    await fixture.service.close();
    await fixture.store.close();
    await fixture.start();
    expect(fixture.ring.size).toBe(2);
    expect((await start(old)).status).toBe(201);
    fixture.clock.stepWall(30 * 24 * 3_600_000);
    await fixture.service.close();
    await fixture.store.close();
    await fixture.start();
    expect(fixture.ring.size).toBe(2);
    expect(codeOf(await start(old))).toBe('TOKEN_INVALID');
  });

  it('keeps its keys in files that only their owner may read', async () => {
    const { stat } = await import('node:fs/promises');
    for (const name of ['playback-token-keys.json', 'license.key']) {
      const path = join(fixture.dataDir, 'secrets', name);
      expect((await stat(path)).mode & 0o077, name).toBe(0);
    }
    const ring = await readFile(join(fixture.dataDir, 'secrets', 'playback-token-keys.json'), 'utf8');
    const { keys } = JSON.parse(ring) as { keys: { secret: string }[] };
    const told = JSON.stringify(fixture.lines) + (await fixture.metrics.registry.metrics());
    for (const { secret: value } of keys) expect(told.includes(value)).toBe(false);
  });
});
