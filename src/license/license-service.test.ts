import { afterEach, describe, expect, it } from 'vitest';
import {
  ADMIN_TOKEN,
  LicenseFixture,
  ORIGIN,
  STUDIO,
  TestDevice,
  tiersIn,
} from '../../test/support/license-fixture.ts';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import type { LicenseOptions } from './license-options.ts';

const opened: LicenseFixture[] = [];

async function open(options: Partial<LicenseOptions> = {}): Promise<LicenseFixture> {
  const fixture = await LicenseFixture.open(options);
  opened.push(fixture);
  return fixture;
}

afterEach(async () => {
  for (const fixture of opened.splice(0)) await fixture.close();
});

function codeOf(response: FakeResponse): string {
  expect(response.header('content-type')).toBe('application/problem+json');
  return (JSON.parse(response.text()) as { code: string }).code;
}

const CLEARKEY = '/license/clearkey';

describe('a ClearKey licence', () => {
  it('has every key of the asset that the session may have, whichever of them is asked for', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const asked = fixture.licenseBody([fixture.kid('SD')]);
    const response = await fixture.as(token, CLEARKEY, { body: asked });
    expect(response.status).toBe(200);
    expect(response.header('content-type')).toBe('application/json');
    expect(response.header('cache-control')).toBe('no-store');
    expect(response.header('access-control-allow-origin')).toBe('*');
    expect(response.header('access-control-allow-credentials')).toBeUndefined();
    expect(response.header('access-control-expose-headers')).toContain('X-License-Expires');
    expect(response.header('x-license-expires')).toBe('2026-11-23T12:00:00.000Z');
    expect(tiersIn(fixture, response.text())).toEqual(['AUDIO', 'SD']);
    const { keys, type } = JSON.parse(response.text()) as { keys: Record<string, string>[]; type: string };
    expect(type).toBe('temporary');
    expect(keys).toHaveLength(2);
    for (const key of keys) {
      expect(Object.keys(key)).toEqual(['kty', 'kid', 'k']);
      expect(key['kty']).toBe('oct');
      expect(key['kid']).toMatch(/^[A-Za-z0-9_-]{22}$/);
      expect(key['k']).toMatch(/^[A-Za-z0-9_-]{22}$/);
    }
  });

  it.each([
    ['hls.js: no Content-Type', {}],
    ['dash.js: application/json', { 'content-type': 'application/json' }],
    ['Shaka: no Content-Type, one kid', { accept: '*/*' }],
    ['a form that lies about its type', { 'content-type': 'text/plain;charset=UTF-8' }],
  ])('is given to each player by what the body says: %s', async (_name, headers) => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const body = `{"kids":["${fixture.kid('SD')}"],"type":"temporary"}`;
    expect((await fixture.as(token, CLEARKEY, { body, headers })).status).toBe(200);
  });

  it('answers the preflight of a page elsewhere', async () => {
    const fixture = await open();
    for (const path of [CLEARKEY, '/license/key/abc', '/v1/sessions', '/v1/sessions/abc/heartbeat']) {
      const headers = {
        origin: 'https://shop.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,dpop',
      };
      const response = await fixture.call(path, { method: 'OPTIONS', headers });
      expect(response.status).toBe(204);
      expect(response.header('access-control-allow-origin')).toBe('*');
      expect(response.header('access-control-allow-headers')?.toLowerCase()).toMatch(
        /content-type.*authorization.*dpop/,
      );
      expect(Number(response.header('access-control-max-age'))).toBeGreaterThan(0);
    }
  });

  it.each([
    ['all entitled', (f: LicenseFixture) => [f.kid('AUDIO'), f.kid('SD')], 200],
    ['partly entitled', (f: LicenseFixture) => [f.kid('SD'), f.kid('HD')], 200],
    ['only a tier above the session', (f: LicenseFixture) => [f.kid('HD')], 200],
    ['a kid of nobody', () => ['AAAAAAAAAAAAAAAAAAAAAA'], 200],
    [
      'a kid of another title',
      (f: LicenseFixture) => [f.kid('SD', f.periodIndex, { kind: 'vod', id: 'film' })],
      200,
    ],
    ['padded kids, twice', (f: LicenseFixture) => [`${f.kid('SD')}==`, f.kid('SD')], 200],
    ['no kid', () => [], 400],
    ['33 kids', () => Array.from({ length: 33 }, () => 'AAAAAAAAAAAAAAAAAAAAAA'), 400],
    ['a kid of 15 bytes', () => ['AAAAAAAAAAAAAAAAAAAA'], 400],
  ])('answers %s as the table says, with the same keys whatever was asked', async (_name, kids, status) => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const response = await fixture.as(token, CLEARKEY, { body: fixture.licenseBody(kids(fixture)) });
    expect(response.status).toBe(status);
    if (status === 200) {
      expect(tiersIn(fixture, response.text())).toEqual(['AUDIO', 'SD']);
      expect((JSON.parse(response.text()) as { keys: unknown[] }).keys).toHaveLength(2);
    } else expect(codeOf(response)).toBe('LICENSE_REQUEST_MALFORMED');
  });

  it.each(['', 'null', '[]', '{', '{"kids":"x"}', '{"kids":[1]}', '{"kids":[null],"type":"temporary"}'])(
    'is refused for a body that is no request: %j',
    async (body) => {
      const fixture = await open();
      const { token } = await fixture.begin();
      const response = await fixture.as(token, CLEARKEY, { body });
      expect(response.status).toBe(400);
      expect(codeOf(response)).toBe('LICENSE_REQUEST_MALFORMED');
    },
  );

  it('is never persistent', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const body = { kids: [fixture.kid('SD')], type: 'persistent-license' };
    expect((await fixture.as(token, CLEARKEY, { body })).status).toBe(400);
  });

  it('is refused where nothing is entitled, in the words of DASH-IF', async () => {
    const fixture = await open();
    const { token } = await fixture.begin({ content: { kind: 'live', id: 'unprotected' } });
    const response = await fixture.as(token, CLEARKEY, { body: fixture.licenseBody([fixture.kid('SD')]) });
    expect(response.status).toBe(403);
    expect(JSON.parse(response.text())).toMatchObject({
      type: 'https://dashif.org/drm-problems/insufficient-proof-of-authorization',
      code: 'LICENSE_NOT_ENTITLED',
      title: expect.stringMatching(/./),
    });
  });

  it('gives the next key in its lead time and not before, and an old one when it is asked for', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const kidsNow = async (asked: string): Promise<string[]> => {
      const response = await fixture.as(token, CLEARKEY, { body: fixture.licenseBody([asked]) });
      return (JSON.parse(response.text()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
    };
    const next = fixture.kid('SD', fixture.periodIndex + 1);
    const old = fixture.kid('SD', fixture.periodIndex - 1);
    expect(await kidsNow(next)).not.toContain(next);
    expect(await kidsNow(fixture.kid('SD'))).not.toContain(old);
    expect(await kidsNow(old)).toEqual([old, fixture.kid('AUDIO'), fixture.kid('SD')]);
    const toLeadMs = (fixture.periodIndex + 1) * 300_000 - 30_000 - fixture.clock.wallMs();
    for (let waited = 0; waited < toLeadMs; waited += 60_000) {
      fixture.clock.advance(Math.min(60_000, toLeadMs - waited));
      await fixture.as(token, `/v1/sessions/${sidOf(token)}/heartbeat`);
    }
    expect(await kidsNow(fixture.kid('SD'))).toContain(next);
  });

  it('says 503 and that one may ask again when a key cannot be unwrapped', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    fixture.keys.failing = true;
    const response = await fixture.as(token, CLEARKEY, { body: fixture.licenseBody([fixture.kid('SD')]) });
    expect([response.status, codeOf(response)]).toEqual([503, 'DRM_KEYS_UNAVAILABLE']);
    expect(response.header('retry-after')).toBe('2');
    expect(response.header('access-control-allow-origin')).toBe('*');
  });

  it('is refused with 503 when the store of sessions is gone', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    await fixture.store.close();
    const response = await fixture.as(token, CLEARKEY, { body: fixture.licenseBody([fixture.kid('SD')]) });
    expect([response.status, codeOf(response)]).toEqual([503, 'LICENSE_STATE_UNAVAILABLE']);
    expect(fixture.keys.unwrapped).toEqual([]);
  });
});

function sidOf(token: string): string {
  return (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sid: string }).sid;
}

describe('a single key', () => {
  it('is 16 bytes for whoever may have it, and the same refusal for a withheld and an unknown one', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const get = (kid: string): Promise<FakeResponse> =>
      fixture.as(token, `/license/key/${kid}`, { method: 'GET' });
    const entry = fixture.keys.entry(STUDIO, 'SD', fixture.periodIndex);
    const given = await get(Buffer.from(entry.kid).toString('hex'));
    expect(given.status).toBe(200);
    expect(given.header('content-type')).toBe('application/octet-stream');
    expect(given.header('cache-control')).toBe('no-store');
    expect(given.bytes()).toEqual(fixture.keys.keyOf(STUDIO, 'SD', fixture.periodIndex));
    const withheld = await get(fixture.kid('HD'));
    const unknown = await get('00000000000000000000000000000000');
    expect(withheld.status).toBe(403);
    expect(withheld.text()).toBe(unknown.text());
    expect((await get('nonsense')).status).toBe(400);
  });
});

describe('what a device may have', () => {
  it.each([
    [{ robustness: 'L1', drm: 'clearkey' }, ['AUDIO', 'SD']],
    [{ robustness: 'L3', drm: 'widevine' }, ['AUDIO', 'SD']],
    [{ robustness: 'L2', drm: 'widevine' }, ['AUDIO', 'SD', 'HD']],
    [{ robustness: 'L1', drm: 'widevine' }, ['AUDIO', 'SD', 'HD', 'UHD']],
  ])('is listed by its level: %j', async (body, tiers) => {
    const fixture = await open();
    const session = await fixture.begin(body);
    expect(session.tiers).toEqual(tiers);
    const [, , token = ''] = new URL(session.manifests.hls).pathname.split('/');
    expect(fixture.service.pathTokens.verify(token)).toMatchObject({
      sessionId: session.sessionId,
      prefix: '/live/studio/',
      tiers,
    });
    // Whatever a session claims, ClearKey is software.
    const answer = await fixture.as(session.token, CLEARKEY, {
      body: fixture.licenseBody([fixture.kid('HD')]),
    });
    expect(tiersIn(fixture, answer.text())).toEqual(['AUDIO', 'SD']);
  });

  it('is what the user is entitled to, at most', async () => {
    const fixture = await open();
    const session = await fixture.begin({}, fixture.login({ tiers: ['AUDIO'] }));
    expect(session.tiers).toEqual(['AUDIO']);
    const answer = await fixture.as(session.token, CLEARKEY, {
      body: fixture.licenseBody([fixture.kid('SD')]),
    });
    expect(tiersIn(fixture, answer.text())).toEqual(['AUDIO']);
  });

  it('goes to other systems through the same door, by what the vendor finds the device to be', async () => {
    const fixture = await open();
    const { token } = await fixture.begin({ robustness: 'L1', drm: 'widevine' });
    const ask = (robustness: 'L1' | 'L2' | 'L3' | undefined) =>
      fixture.gate.authorise(
        {
          method: 'POST',
          url: `${ORIGIN}/license/widevine`,
          authorization: `Bearer ${token}`,
          proof: '',
          address: '192.0.2.1',
          country: undefined,
        },
        { system: 'widevine', kids: [], robustness, renewal: false },
      );
    expect(await ask(undefined)).toMatchObject({ granted: true, tiers: ['AUDIO', 'SD', 'HD', 'UHD'] });
    expect(await ask('L2')).toMatchObject({ granted: true, tiers: ['AUDIO', 'SD', 'HD'], robustness: 'L2' });
    expect(await ask('L3')).toMatchObject({ granted: true, tiers: ['AUDIO', 'SD'], ttlMs: 24 * 3_600_000 });
  });
});

describe('a playback session', () => {
  it('is begun with a login token and answers what a player needs', async () => {
    const fixture = await open();
    const response = await fixture.as(fixture.login(), '/v1/sessions', {
      body: { content: { kind: 'live', id: 'studio' } },
    });
    expect(response.status).toBe(201);
    const body = JSON.parse(response.text()) as Record<string, unknown>;
    expect(body).toMatchObject({
      sessionId: expect.stringMatching(/^[A-Za-z0-9_-]{22}$/),
      tokenType: 'Bearer',
      manifests: {
        hls: expect.stringMatching(/^http:\/\/play\.example\.org\/t\/[\w-]+\/live\/studio\/index\.m3u8$/),
        dash: expect.stringMatching(/^http:\/\/play\.example\.org\/t\/[\w-]+\/live\/studio\/index\.mpd$/),
      },
      licenseUrl: 'http://play.example.org/license/clearkey',
      heartbeatSeconds: 30,
      expiresAt: '2026-11-23T12:00:00.000Z',
      tokenExpiresAt: '2026-11-22T12:10:00.000Z',
      tiers: ['AUDIO', 'SD'],
    });
    expect(response.header('location')).toBe(`/v1/sessions/${String(body['sessionId'])}`);
    expect(response.header('cache-control')).toBe('no-store');
  });

  it.each([
    'https://cdn.example/live/studio/index.m3u8?x=1',
    '/live/studio/index.mpd',
    '/t/abc/live/studio/',
    'live/studio',
  ])('is begun by the URL of what is played: %s', async (url) => {
    const fixture = await open();
    const response = await fixture.as(fixture.login(), '/v1/sessions', { body: { url } });
    expect(response.status).toBe(201);
  });

  it.each([
    {},
    { content: { kind: 'radio', id: 'studio' } },
    { content: { kind: 'live', id: '../x' } },
    { content: 'live/studio' },
    { url: '/elsewhere/studio/' },
    { url: 7 },
    { content: { kind: 'live', id: 'a' }, url: '/live/a/' },
    { content: { kind: 'live', id: 'a' }, robustness: 'L0' },
    { content: { kind: 'live', id: 'a' }, drm: 'adobe' },
    { content: { kind: 'live', id: 'a' }, device: { kty: 'EC' } },
    { content: { kind: 'live', id: 'a' }, replaces: 7 },
  ])('is not begun by %j', async (body) => {
    const fixture = await open();
    const response = await fixture.as(fixture.login(), '/v1/sessions', { body });
    expect([response.status, codeOf(response)]).toEqual([400, 'SESSION_REQUEST_MALFORMED']);
  });

  it('ends when its heartbeats stop, and lives on with them under new tokens', async () => {
    const fixture = await open();
    const session = await fixture.begin();
    let { token } = session;
    const license = async (): Promise<number> =>
      (await fixture.as(token, CLEARKEY, { body: fixture.licenseBody([fixture.kid('SD')]) })).status;
    for (let i = 0; i < 30; i++) {
      fixture.clock.advance(30_000);
      const beat = await fixture.as(token, `/v1/sessions/${session.sessionId}/heartbeat`, {
        body: { position: i },
      });
      expect(beat.status).toBe(200);
      token = (JSON.parse(beat.text()) as { token: string }).token;
    }
    // The token of the start is long over, that of the last report is not.
    expect(await license()).toBe(200);
    fixture.clock.advance(90_000);
    const late = await fixture.as(token, `/v1/sessions/${session.sessionId}/heartbeat`);
    expect([late.status, codeOf(late)]).toEqual([410, 'SESSION_ENDED']);
    expect(await license()).toBe(401);
  });

  it('is not to be had with a token that is over, though the session goes on', async () => {
    const fixture = await open();
    const first = await fixture.begin();
    let { token } = first;
    for (let i = 0; i < 20; i++) {
      fixture.clock.advance(30_000);
      const beat = await fixture.as(token, `/v1/sessions/${first.sessionId}/heartbeat`);
      token = (JSON.parse(beat.text()) as { token: string }).token;
    }
    const body = fixture.licenseBody([fixture.kid('SD')]);
    expect((await fixture.as(token, CLEARKEY, { body })).status).toBe(200);
    expect(codeOf(await fixture.as(first.token, CLEARKEY, { body }))).toBe('TOKEN_EXPIRED');
    const beat = await fixture.as(first.token, `/v1/sessions/${first.sessionId}/heartbeat`);
    expect([beat.status, codeOf(beat)]).toEqual([401, 'TOKEN_EXPIRED']);
    const login = fixture.login({ seconds: 10 });
    fixture.clock.advance(10_000);
    expect(codeOf(await fixture.as(login, '/v1/sessions', { body: { url: '/live/a/' } }))).toBe(
      'TOKEN_EXPIRED',
    );
  });

  it('ends at its latest when it must, whatever heartbeats say', async () => {
    const fixture = await open({ maxSessionMs: 120_000 });
    const { sessionId, token } = await fixture.begin();
    for (let i = 0; i < 3; i++) {
      fixture.clock.advance(30_000);
      expect((await fixture.as(token, `/v1/sessions/${sessionId}/heartbeat`)).status).toBe(200);
    }
    fixture.clock.advance(30_000);
    expect((await fixture.as(token, `/v1/sessions/${sessionId}/heartbeat`)).status).toBe(401);
  });

  it('cannot be kept or ended with the token of another session', async () => {
    const fixture = await open();
    const mine = await fixture.begin();
    const other = await fixture.begin({}, fixture.login({ user: 'mallory' }));
    for (const method of ['POST', 'DELETE']) {
      const path = `/v1/sessions/${mine.sessionId}${method === 'POST' ? '/heartbeat' : ''}`;
      const response = await fixture.as(other.token, path, { method });
      expect([response.status, codeOf(response)]).toEqual([401, 'TOKEN_INVALID']);
    }
    expect(await fixture.store.standing(mine.sessionId, fixture.clock.wallMs())).toBe('alive');
  });

  it('is over when its player says so', async () => {
    const fixture = await open({ maxSessions: 1 });
    const session = await fixture.begin();
    const end = (): Promise<FakeResponse> =>
      fixture.as(session.token, `/v1/sessions/${session.sessionId}`, { method: 'DELETE' });
    expect((await end()).status).toBe(204);
    expect((await end()).status).toBe(204);
    const license = await fixture.as(session.token, CLEARKEY, {
      body: fixture.licenseBody([fixture.kid('SD')]),
    });
    expect([license.status, codeOf(license)]).toEqual([401, 'LICENSE_SESSION_ENDED']);
    await fixture.begin();
  });

  it('is one of so many: of 100 started at once two win, and the refusal names them', async () => {
    const fixture = await open({ maxSessions: 2 });
    const login = fixture.login();
    const body = { content: { kind: 'live', id: 'studio' } };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => fixture.as(login, '/v1/sessions', { body })),
    );
    const won = answers.filter(({ status }) => status === 201);
    expect(won).toHaveLength(2);
    const ids = won.map((answer) => (JSON.parse(answer.text()) as { sessionId: string }).sessionId);
    for (const refused of answers.filter(({ status }) => status !== 201)) {
      expect([refused.status, codeOf(refused)]).toEqual([409, 'SESSION_LIMIT']);
      const { sessions } = JSON.parse(refused.text()) as { sessions: { sessionId: string }[] };
      for (const { sessionId } of sessions) expect(ids).toContain(sessionId);
    }
    await fixture.begin({ replaces: ids[0] }, login);
    expect(await fixture.store.standing(ids[0] ?? '', fixture.clock.wallMs())).toBe('ended');
    // Another user's place is not to be had.
    await fixture.begin({ replaces: ids[1] }, fixture.login({ user: 'mallory' }));
    expect(await fixture.store.standing(ids[1] ?? '', fixture.clock.wallMs())).toBe('alive');
  });

  it('is begun only for what the login token lets its user play', async () => {
    const fixture = await open();
    const login = fixture.login({ content: ['live/studio', 'vod/*'] });
    await fixture.begin({}, login);
    await fixture.begin({ content: { kind: 'vod', id: 'film' } }, login);
    const response = await fixture.as(login, '/v1/sessions', {
      body: { content: { kind: 'live', id: 'other' } },
    });
    expect([response.status, codeOf(response)]).toEqual([403, 'LICENSE_NOT_ENTITLED']);
  });

  it('plays only what it was begun for', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const film = { kind: 'vod', id: 'film' } as const;
    const response = await fixture.as(token, CLEARKEY, {
      body: fixture.licenseBody([fixture.kid('SD', fixture.periodIndex, film)]),
    });
    expect(tiersIn(fixture, response.text(), STUDIO)).toEqual(['AUDIO', 'SD']);
  });

  it('outlives a restart of the server, its token too', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    await fixture.service.close();
    await fixture.store.close();
    await fixture.start();
    const response = await fixture.as(token, CLEARKEY, { body: fixture.licenseBody([fixture.kid('SD')]) });
    expect(response.status).toBe(200);
  });
});

describe('a device that is bound to its key', () => {
  const body = (fixture: LicenseFixture): object => fixture.licenseBody([fixture.kid('SD')]);

  it('gets a licence with a proof, and none without', async () => {
    const fixture = await open();
    const device = new TestDevice();
    const session = await fixture.begin({ device: device.jwk });
    expect(session.tokenType).toBe('DPoP');
    expect((await fixture.as(session.token, CLEARKEY, { body: body(fixture) }, device)).status).toBe(200);
    for (const scheme of ['Bearer', 'DPoP']) {
      const headers = { authorization: `${scheme} ${session.token}` };
      const response = await fixture.call(CLEARKEY, { body: body(fixture), headers });
      expect([response.status, codeOf(response)]).toEqual([401, 'TOKEN_PROOF_MISSING']);
      expect(response.header('www-authenticate')).toContain('DPoP error="invalid_dpop_proof"');
    }
  });

  it('is bound by the proof that comes with the start', async () => {
    const fixture = await open();
    const device = new TestDevice();
    const session = await fixture.begin({}, fixture.login(), device);
    expect(session.tokenType).toBe('DPoP');
    expect((await fixture.as(session.token, CLEARKEY, { body: body(fixture) }, device)).status).toBe(200);
    const another = { content: { kind: 'live', id: 'studio' }, device: new TestDevice().jwk };
    const twoKeys = await fixture.as(fixture.login(), '/v1/sessions', { body: another }, device);
    expect(codeOf(twoKeys)).toBe('TOKEN_PROOF_INVALID');
  });

  it('lends its token to no other device', async () => {
    const fixture = await open();
    const session = await fixture.begin({ device: new TestDevice().jwk });
    const response = await fixture.as(session.token, CLEARKEY, { body: body(fixture) }, new TestDevice());
    expect([response.status, codeOf(response)]).toEqual([401, 'TOKEN_PROOF_INVALID']);
    expect(fixture.keys.unwrapped).toEqual([]);
  });

  it('uses a proof once, also after a restart', async () => {
    const fixture = await open();
    const device = new TestDevice();
    const { token } = await fixture.begin({ device: device.jwk });
    const url = ORIGIN + CLEARKEY;
    const dpop = device.proof({ method: 'POST', url, token, nowMs: fixture.clock.wallMs() });
    const send = (): Promise<FakeResponse> =>
      fixture.call(CLEARKEY, { body: body(fixture), headers: { authorization: `DPoP ${token}`, dpop } });
    const answers = await Promise.all(Array.from({ length: 20 }, send));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(19);
    await fixture.service.close();
    await fixture.store.close();
    await fixture.start();
    expect(codeOf(await send())).toBe('TOKEN_PROOF_USED');
  });

  it('must have a key where the policy asks for one', async () => {
    const fixture = await open({ deviceProof: 'required' });
    const start = await fixture.as(fixture.login(), '/v1/sessions', { body: { url: '/live/studio/' } });
    expect([start.status, codeOf(start)]).toEqual([401, 'TOKEN_PROOF_MISSING']);
    const device = new TestDevice();
    const session = await fixture.begin({ device: device.jwk });
    expect((await fixture.as(session.token, CLEARKEY, { body: body(fixture) }, device)).status).toBe(200);
  });

  it('is not bound where the policy is off, unless it has proven itself', async () => {
    const fixture = await open({ deviceProof: 'off' });
    const device = new TestDevice();
    expect((await fixture.begin({ device: device.jwk })).tokenType).toBe('Bearer');
    expect((await fixture.begin({}, fixture.login(), device)).tokenType).toBe('DPoP');
  });

  it('holds a login token to the key that it names', async () => {
    const fixture = await open();
    const device = new TestDevice();
    const login = fixture.login({ device: device.thumbprint });
    const started = { body: { url: '/live/studio/' } };
    expect(codeOf(await fixture.as(login, '/v1/sessions', started))).toBe('TOKEN_PROOF_MISSING');
    expect(codeOf(await fixture.as(login, '/v1/sessions', started, new TestDevice()))).toBe(
      'TOKEN_PROOF_INVALID',
    );
    expect((await fixture.as(login, '/v1/sessions', started, device)).status).toBe(201);
  });

  it('is given a nonce and must use it where that is configured', async () => {
    const fixture = await open({ proofNonce: true });
    const device = new TestDevice();
    const { token } = await fixture.begin({ device: device.jwk });
    const url = ORIGIN + CLEARKEY;
    const send = (claims: object): Promise<FakeResponse> => {
      const nowMs = fixture.clock.wallMs();
      const dpop = device.proof({ method: 'POST', url, token, nowMs }, { claims });
      return fixture.call(CLEARKEY, {
        body: body(fixture),
        headers: { authorization: `DPoP ${token}`, dpop },
      });
    };
    const first = await send({});
    expect([first.status, codeOf(first)]).toEqual([401, 'TOKEN_PROOF_NONCE']);
    expect(first.header('www-authenticate')).toContain('use_dpop_nonce');
    const nonce = first.header('dpop-nonce');
    expect(nonce).toMatch(/^[\w-]{43}$/);
    expect((await send({ nonce })).status).toBe(200);
    expect(codeOf(await send({ nonce: 'made-up' }))).toBe('TOKEN_PROOF_NONCE');
    fixture.clock.advance(60_000);
    expect((await send({ nonce })).status).toBe(200);
    fixture.clock.advance(20_000);
    await fixture.as(token, `/v1/sessions/${sidOf(token)}/heartbeat`, {}, device);
    fixture.clock.advance(40_000);
    expect(codeOf(await send({ nonce }))).toBe('TOKEN_PROOF_NONCE');
  });
});

describe('what an operator can take away', () => {
  const admin = { authorization: `Bearer ${ADMIN_TOKEN}` };

  it('is nothing without the admin token', async () => {
    const fixture = await open();
    const { sessionId, token } = await fixture.begin();
    const calls: readonly [string, string][] = [
      ['GET', '/v1/sessions'],
      ['GET', `/v1/sessions/${sessionId}`],
      ['POST', `/v1/sessions/${sessionId}/revoke`],
      ['POST', `/v1/devices/${'A'.repeat(43)}/revoke`],
      ['DELETE', `/v1/devices/${'A'.repeat(43)}/revoke`],
      ['POST', '/v1/viewers/revoke'],
      ['POST', '/v1/viewers/restore'],
      ['GET', '/v1/revocations'],
    ];
    for (const [method, path] of calls) {
      expect((await fixture.call(path, { method })).status).toBe(401);
      expect((await fixture.as(token, path, { method })).status).toBe(401);
    }
  });

  it('is a session: its licences are refused and its heartbeat tells', async () => {
    const fixture = await open();
    const { sessionId, token } = await fixture.begin();
    const list = await fixture.call('/v1/sessions', { method: 'GET', headers: admin });
    expect(JSON.parse(list.text())).toMatchObject({ sessions: [{ sessionId, content: 'live/studio' }] });
    expect(list.header('access-control-allow-origin')).toBeUndefined();
    expect(list.text()).not.toContain('viewer@example.org');
    const revoke = `/v1/sessions/${sessionId}/revoke`;
    expect((await fixture.call(revoke, { headers: admin })).status).toBe(204);
    const license = await fixture.as(token, CLEARKEY, { body: fixture.licenseBody([fixture.kid('SD')]) });
    expect([license.status, codeOf(license)]).toEqual([403, 'LICENSE_SESSION_REVOKED']);
    const beat = await fixture.as(token, `/v1/sessions/${sessionId}/heartbeat`);
    expect([beat.status, codeOf(beat)]).toEqual([410, 'SESSION_REVOKED']);
    const unknown = await fixture.call('/v1/sessions/nobody/revoke', { headers: admin });
    expect([unknown.status, codeOf(unknown)]).toEqual([404, 'SESSION_NOT_FOUND']);
  });

  it('is a device, whatever session it begins, until it is given back', async () => {
    const fixture = await open();
    const device = new TestDevice();
    const { token } = await fixture.begin({ device: device.jwk });
    const path = `/v1/devices/${device.thumbprint}/revoke`;
    expect((await fixture.call(path, { headers: admin })).status).toBe(204);
    const body = fixture.licenseBody([fixture.kid('SD')]);
    expect(codeOf(await fixture.as(token, CLEARKEY, { body }, device))).toBe('LICENSE_DEVICE_REVOKED');
    const start = { body: { url: '/live/studio/', device: device.jwk } };
    expect(codeOf(await fixture.as(fixture.login(), '/v1/sessions', start))).toBe('LICENSE_DEVICE_REVOKED');
    expect((await fixture.call(path, { method: 'DELETE', headers: admin })).status).toBe(204);
    expect((await fixture.as(token, CLEARKEY, { body }, device)).status).toBe(200);
    expect((await fixture.call('/v1/devices/short/revoke', { headers: admin })).status).toBe(400);
  });

  it('is a user, by name', async () => {
    const fixture = await open();
    const { token } = await fixture.begin();
    const user = { user: 'viewer@example.org' };
    expect((await fixture.call('/v1/viewers/revoke', { headers: admin, body: user })).status).toBe(204);
    const body = fixture.licenseBody([fixture.kid('SD')]);
    expect(codeOf(await fixture.as(token, CLEARKEY, { body }))).toBe('LICENSE_VIEWER_REVOKED');
    const start = await fixture.as(fixture.login(), '/v1/sessions', { body: { url: '/live/studio/' } });
    expect(codeOf(start)).toBe('LICENSE_VIEWER_REVOKED');
    await fixture.begin({}, fixture.login({ user: 'somebody else' }));
    expect((await fixture.call('/v1/viewers/restore', { headers: admin, body: user })).status).toBe(204);
    expect((await fixture.as(token, CLEARKEY, { body })).status).toBe(200);
  });
});

describe('limits', () => {
  it('answers 429 to an address that asks too often, and hears another', async () => {
    const fixture = await open({ maxPerAddressPerSecond: 2 });
    const { token } = await fixture.begin();
    const body = fixture.licenseBody([fixture.kid('SD')]);
    const ask = (remoteAddress: string): Promise<FakeResponse> =>
      fixture.as(token, CLEARKEY, { body, remoteAddress });
    for (let i = 0; i < 6; i++) expect((await ask('192.0.2.1')).status).toBe(200);
    const refused = await ask('192.0.2.1');
    expect([refused.status, codeOf(refused)]).toEqual([429, 'LICENSE_RATE_LIMITED']);
    expect(Number(refused.header('retry-after'))).toBeGreaterThanOrEqual(1);
    expect((await ask('192.0.2.2')).status).toBe(200);
    fixture.clock.advance(500);
    expect((await ask('192.0.2.1')).status).toBe(200);
    expect(await fixture.metric('license_limited_total', { scope: 'address' })).toBe(1);
  });

  it('answers 429 to a session that asks too often, whatever addresses it comes from', async () => {
    const fixture = await open({ maxPerSessionPerSecond: 1 });
    const { token } = await fixture.begin();
    const body = fixture.licenseBody([fixture.kid('SD')]);
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) {
      statuses.push((await fixture.as(token, CLEARKEY, { body, remoteAddress: `192.0.2.${i}` })).status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
  });

  it('answers 429 to an address that begins too many sessions', async () => {
    const fixture = await open({ maxSessionCallsPerAddressPerSecond: 1, maxSessions: 100 });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) {
      statuses.push(
        (await fixture.as(fixture.login(), '/v1/sessions', { body: { url: '/live/a/' } })).status,
      );
    }
    expect(statuses).toEqual([201, 201, 201, 429, 429]);
  });

  it('plays only from allowed addresses and countries, and believes only trusted proxies', async () => {
    const fixture = await open({
      trustedProxies: '10.0.0.0/8',
      countryHeader: 'CF-IPCountry',
      addresses: { allow: '', deny: '198.51.100.0/24' },
      countries: { allow: 'DE, AT', deny: '' },
    });
    const start = (remoteAddress: string, headers: Record<string, string>): Promise<FakeResponse> =>
      fixture.as(fixture.login({ user: remoteAddress }), '/v1/sessions', {
        body: { url: '/live/a/' },
        headers,
        remoteAddress,
      });
    const german = { 'cf-ipcountry': 'DE', 'x-forwarded-for': '203.0.113.9' };
    expect((await start('10.0.0.1', german)).status).toBe(201);
    expect(codeOf(await start('203.0.113.1', german))).toBe('LICENSE_REGION_REFUSED');
    expect(codeOf(await start('10.0.0.1', { ...german, 'cf-ipcountry': 'FR' }))).toBe(
      'LICENSE_REGION_REFUSED',
    );
    expect(codeOf(await start('10.0.0.1', { ...german, 'x-forwarded-for': '198.51.100.7' }))).toBe(
      'LICENSE_REGION_REFUSED',
    );
  });
});

describe('the audit', () => {
  it('has one line a decision, and no secret or name in any of them', async () => {
    const fixture = await open();
    const device = new TestDevice();
    const login = fixture.login({ user: 'canary-user-4711@example.org' });
    const { token, manifests } = await fixture.begin({ device: device.jwk }, login);
    const before = fixture.lines.length;
    const body = fixture.licenseBody([fixture.kid('SD')]);
    const granted = await fixture.as(token, CLEARKEY, { body }, device);
    const refused = await fixture.as(token, CLEARKEY, { body }, new TestDevice());
    const lines = fixture.lines.slice(before).filter(({ fields }) => fields['event'] === 'license');
    expect(lines.map(({ fields }) => fields['outcome'])).toEqual(['granted', 'TOKEN_PROOF_INVALID']);
    expect(lines[0]?.fields).toMatchObject({
      system: 'clearkey',
      content: 'live/studio',
      tiers: ['AUDIO', 'SD'],
      robustness: 'L3',
      grantedKeys: 2,
    });
    const pathToken = manifests.hls.split('/')[4] ?? '';
    const secrets = [
      ...[login, token, pathToken, 'canary-user-4711', ADMIN_TOKEN],
      ...fixture.keys.unwrapped,
      ...fixture.keys.unwrapped.map((hex) => Buffer.from(hex, 'hex').toString('base64url')),
    ];
    expect(fixture.keys.unwrapped).toHaveLength(2);
    const places = {
      log: JSON.stringify(fixture.lines),
      metrics: await fixture.metrics.registry.metrics(),
      error: refused.text(),
      headers: JSON.stringify([granted.answer?.extra, refused.answer?.extra]),
    };
    for (const [place, text] of Object.entries(places)) {
      for (const secret of secrets) expect(text.includes(secret), `${place} holds a secret`).toBe(false);
    }
    expect(await fixture.metric('license_decisions_total', { system: 'clearkey', outcome: 'granted' })).toBe(
      1,
    );
    expect(await fixture.metric('license_keys_total', { tier: 'SD' })).toBe(1);
  });
});
