import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { LicenseFixture, ORIGIN, TestDevice } from '../../../test/support/license-fixture.ts';
import { ViewerFixture, type ViewerFixtureInit } from '../../../test/support/viewer-fixture.ts';

const opened: ViewerFixture[] = [];

async function open(init: ViewerFixtureInit = {}): Promise<ViewerFixture> {
  const fixture = await ViewerFixture.open(init);
  opened.push(fixture);
  return fixture;
}

afterEach(async () => {
  for (const fixture of opened.splice(0)) await fixture.close();
});

const MIDDLE = { positionMs: 754_000 };

describe('where a viewer is', () => {
  it('is found as it was reported, on every device of the user', async () => {
    const fixture = await open();
    const epoch = await fixture.claim('anna', 'film');
    const stored = await fixture.report('anna', 'film', { epoch, seq: 1, ...MIDDLE });
    expect(stored.status).toBe(200);
    const found = await fixture.call('anna', 'GET', '/v1/resume/film');
    expect(found.json['record']).toEqual(stored.json['record']);
    expect(found.json['record']).toMatchObject({
      ...{ title: 'film', positionMs: 754_000, durationMs: 3_600_000, state: 'playing', epoch, seq: 1 },
      eventMs: fixture.clock.wallMs(),
    });
    expect(found.json['serverTimeMs']).toBe(fixture.clock.wallMs());
  });

  it('is what the newest gesture says, whatever comes late, again or from a device that wakes up', async () => {
    const fixture = await open();
    const first = await fixture.claim('anna', 'film');
    await fixture.report('anna', 'film', { epoch: first, seq: 1, ...MIDDLE });
    const second = await fixture.claim('anna', 'film');
    expect(second).toBeGreaterThan(first);
    const newest = await fixture.report('anna', 'film', { epoch: second, seq: 1, positionMs: 100_000 });
    expect(newest.status).toBe(200);
    for (const stale of [
      { epoch: first, seq: 99, positionMs: 999_000 },
      { epoch: second, seq: 1, positionMs: 999_000 },
    ]) {
      const { status, json } = await fixture.report('anna', 'film', stale);
      expect([status, json['code']]).toEqual([409, 'RESUME_CONFLICT']);
      expect(json['record']).toEqual(newest.json['record']);
    }
    const back = await fixture.report('anna', 'film', { epoch: second, seq: 2, positionMs: 20_000 });
    expect(back.status).toBe(200);
  });

  it('is refused for an epoch that was never given out', async () => {
    const fixture = await open();
    const { status, json } = await fixture.report('anna', 'film', { epoch: 7, seq: 1, ...MIDDLE });
    expect([status, json['record']]).toEqual([409, null]);
  });

  it('stays when a title is opened and closed again, unless that is what the user wants', async () => {
    const fixture = await open();
    const first = await fixture.claim('anna', 'film');
    await fixture.report('anna', 'film', { epoch: first, seq: 1, ...MIDDLE });
    const second = await fixture.claim('anna', 'film');
    const held = await fixture.report('anna', 'film', {
      ...{ epoch: second, seq: 1, positionMs: 3000, state: 'stopped' },
    });
    expect([held.status, held.json['held']]).toEqual([200, true]);
    expect(held.json['record']).toMatchObject(MIDDLE);
    const forced = await fixture.report('anna', 'film', {
      ...{ epoch: second, seq: 2, positionMs: 3000, force: true },
    });
    expect(forced.json['record']).toMatchObject({ positionMs: 3000 });
    expect(forced.json['held']).toBeUndefined();
  });

  it('is completed at the credits that the catalogue knows of', async () => {
    const fixture = await open({ credits: { film: 3_000_000 } });
    const epoch = await fixture.claim('anna', 'film');
    const done = await fixture.report('anna', 'film', { epoch, seq: 1, positionMs: 3_000_000 });
    expect(done.json['record']).toMatchObject({ state: 'completed', positionMs: 0 });
    const { json } = await fixture.call('anna', 'GET', '/v1/resume/continue');
    expect(json['records']).toEqual([]);
  });

  it('is kept apart for each profile', async () => {
    const fixture = await open();
    const epoch = await fixture.claim('anna', 'film', 'kids');
    await fixture.report('anna', 'film', { epoch, seq: 1, ...MIDDLE, profile: 'kids' });
    expect((await fixture.call('anna', 'GET', '/v1/resume/film')).json['record']).toBeNull();
    expect((await fixture.call('anna', 'GET', '/v1/resume/film?profile=kids')).json['record']).toMatchObject(
      MIDDLE,
    );
  });

  it('can be taken off the list, and every device is told by the next version', async () => {
    const fixture = await open();
    const epoch = await fixture.claim('anna', 'film');
    const stored = await fixture.report('anna', 'film', { epoch, seq: 1, ...MIDDLE });
    const { version } = stored.json['record'] as { version: number };
    expect((await fixture.call('anna', 'DELETE', '/v1/resume/film')).status).toBe(204);
    expect((await fixture.call('anna', 'DELETE', '/v1/resume/film')).status).toBe(204);
    expect((await fixture.call('anna', 'GET', '/v1/resume/film')).json['record']).toBeNull();
    const { json } = await fixture.call('anna', 'GET', `/v1/resume?after=${version}`);
    expect(json['records']).toMatchObject([{ title: 'film', isDeleted: true }]);
  });

  it('is copied and erased whole, also by the operator', async () => {
    const fixture = await open();
    for (const [title, profile] of [
      ['film', 'main'],
      ['cartoon', 'kids'],
    ] as const) {
      const epoch = await fixture.claim('anna', title, profile);
      await fixture.report('anna', title, { epoch, seq: 1, ...MIDDLE, profile });
    }
    const copy = await fixture.call('anna', 'GET', '/v1/resume/export');
    expect(JSON.stringify(copy.json)).toMatch(/film/);
    expect(JSON.stringify(copy.json)).toMatch(/cartoon/);
    const admin = await fixture.license.call('/v1/viewers/export', {
      headers: { authorization: 'Bearer admin-canary-7d1f0a' },
      body: { user: 'anna' },
    });
    expect(admin.status).toBe(200);
    expect(JSON.parse(admin.text())).toMatchObject({ profiles: copy.json['profiles'] });
    const erased = await fixture.call('anna', 'DELETE', '/v1/resume');
    expect(erased.json['erased']).toBe(2);
    const after = await fixture.call('anna', 'GET', '/v1/resume/export');
    expect(after.json['profiles']).toEqual([]);
    expect((await fixture.call('anna', 'GET', '/v1/resume?profile=kids')).json['records']).toEqual([]);
  });

  it('says that it cannot be had, and keeps playing possible', async () => {
    const fixture = await open();
    fixture.store.failing = true;
    const refused = await fixture.call('anna', 'POST', '/v1/resume/film', { device: 'd' });
    expect([refused.status, refused.json['code']]).toEqual([503, 'RESUME_UNAVAILABLE']);
    const content = { kind: 'vod', id: 'film' };
    const session = await fixture.call('anna', 'POST', '/v1/sessions', { content });
    expect([session.status, session.json['resume']]).toEqual([201, null]);
  });

  it('is stored though nobody can be told', async () => {
    const fixture = await open();
    fixture.pubSub.failing = true;
    const epoch = await fixture.claim('anna', 'film');
    expect((await fixture.report('anna', 'film', { epoch, seq: 1, ...MIDDLE })).status).toBe(200);
    expect(await fixture.license.metric('resume_notices_total', { outcome: 'failed' })).toBe(1);
  });
});

describe('a batch of an offline device', () => {
  const at = (title: string, epoch: number, seq: number, positionMs: number, atMs: number): object => ({
    ...{ title, epoch, seq, positionMs, atMs },
    ...{ durationMs: 3_600_000, state: 'playing' },
  });

  it('is stored with the time of our clock, only the last report of each title', async () => {
    const fixture = await open();
    const nowMs = fixture.clock.wallMs();
    const film = await fixture.claim('anna', 'film');
    const clip = await fixture.claim('anna', 'clip');
    // A clock that is two hours behind.
    const clientNowMs = nowMs - 7_200_000;
    const { status, json } = await fixture.call('anna', 'POST', '/v1/resume/batch', {
      ...{ device: 'phone', clientNowMs },
      reports: [
        at('film', film, 1, 20_000, clientNowMs - 60_000),
        at('film', film, 2, 30_000, clientNowMs - 50_000),
        at('clip', clip, 1, 40_000, clientNowMs + 99_000),
      ],
    });
    expect(status).toBe(200);
    expect(json['results']).toMatchObject([
      { title: 'film', outcome: 'superseded', record: null },
      { title: 'film', outcome: 'stored', record: { positionMs: 30_000, eventMs: nowMs - 50_000 } },
      { title: 'clip', outcome: 'stored', record: { positionMs: 40_000, eventMs: nowMs } },
    ]);
  });

  it('changes nothing where somebody else has begun to play, though nothing was reported yet', async () => {
    const fixture = await open();
    const before = await fixture.claim('anna', 'film');
    await fixture.report('anna', 'film', { epoch: before, seq: 1, ...MIDDLE });
    await fixture.claim('anna', 'film');
    fixture.clock.advance(1000);
    const nowMs = fixture.clock.wallMs();
    const { json } = await fixture.call('anna', 'POST', '/v1/resume/batch', {
      ...{ device: 'phone', clientNowMs: nowMs },
      reports: [at('film', before, 9, 20_000, nowMs)],
    });
    expect(json['results']).toMatchObject([{ outcome: 'conflict', record: MIDDLE }]);
  });

  it('changes nothing by what was watched before what is known', async () => {
    const fixture = await open();
    const epoch = await fixture.claim('anna', 'film');
    await fixture.report('anna', 'film', { epoch, seq: 1, ...MIDDLE });
    const nowMs = fixture.clock.wallMs();
    const { json } = await fixture.call('anna', 'POST', '/v1/resume/batch', {
      ...{ device: 'phone', clientNowMs: nowMs },
      reports: [at('film', epoch, 2, 20_000, nowMs - 5000)],
    });
    expect(json['results']).toMatchObject([{ outcome: 'conflict', record: MIDDLE }]);
  });

  it('changes nothing where a later gesture has begun', async () => {
    const fixture = await open();
    const before = await fixture.claim('anna', 'film');
    const later = await fixture.claim('anna', 'film');
    await fixture.report('anna', 'film', { epoch: later, seq: 1, ...MIDDLE });
    const nowMs = fixture.clock.wallMs();
    const { json } = await fixture.call('anna', 'POST', '/v1/resume/batch', {
      ...{ device: 'phone', clientNowMs: nowMs },
      reports: [at('film', before, 9, 20_000, nowMs)],
    });
    expect(json['results']).toMatchObject([{ outcome: 'conflict', record: MIDDLE }]);
  });

  it('says which reports are to be sent again', async () => {
    const fixture = await open();
    fixture.store.failing = true;
    const { json } = await fixture.call('anna', 'POST', '/v1/resume/batch', {
      ...{ device: 'phone', clientNowMs: 0 },
      reports: [at('film', 1, 1, 20_000, 0)],
    });
    expect(json['results']).toMatchObject([{ title: 'film', outcome: 'unavailable' }]);
  });
});

describe('calls about resume', () => {
  it.each([
    ['POST', '/v1/resume/film', '{'],
    ['POST', '/v1/resume/film', {}],
    ['POST', '/v1/resume/film', { device: 'a b' }],
    ['POST', '/v1/resume/film', { device: 'd', profile: '../x' }],
    ['POST', `/v1/resume/${'x'.repeat(65)}`, { device: 'd' }],
    ['POST', '/v1/resume/a.b', { device: 'd' }],
    [
      'PUT',
      '/v1/resume/film',
      { device: 'd', epoch: 0, seq: 0, positionMs: 0, durationMs: 0, state: 'paused' },
    ],
    [
      'PUT',
      '/v1/resume/film',
      { device: 'd', epoch: 1, seq: -1, positionMs: 0, durationMs: 0, state: 'paused' },
    ],
    [
      'PUT',
      '/v1/resume/film',
      { device: 'd', epoch: 1, seq: 1.5, positionMs: 0, durationMs: 0, state: 'paused' },
    ],
    [
      'PUT',
      '/v1/resume/film',
      { device: 'd', epoch: 1, seq: 1, positionMs: 1e12, durationMs: 0, state: 'paused' },
    ],
    [
      'PUT',
      '/v1/resume/film',
      { device: 'd', epoch: 1, seq: 1, positionMs: '1', durationMs: 0, state: 'paused' },
    ],
    [
      'PUT',
      '/v1/resume/film',
      { device: 'd', epoch: 1, seq: 1, positionMs: 0, durationMs: 0, state: 'idle' },
    ],
    ['POST', '/v1/resume/batch', { device: 'd', clientNowMs: 1, reports: [] }],
    ['POST', '/v1/resume/batch', { device: 'd', clientNowMs: 1, reports: [null] }],
    [
      'POST',
      '/v1/resume/batch',
      { device: 'd', clientNowMs: 1, reports: Array.from({ length: 201 }, () => ({})) },
    ],
    ['GET', '/v1/resume?after=-1', undefined],
    ['GET', '/v1/resume?profile=a%20b', undefined],
    ['GET', '/v1/resume/continue?limit=0', undefined],
  ])('are refused with a sentence when something is wrong: %s %s %j', async (method, path, body) => {
    const fixture = await open();
    const { status, json } = await fixture.call('anna', method, path, body);
    expect([status, json['code']]).toEqual([400, 'RESUME_REQUEST_MALFORMED']);
  });

  it('never fail with a fault of ours, whatever JSON comes', async () => {
    const fixture = await open();
    const paths = ['/v1/resume/film', '/v1/resume/film/report', '/v1/resume/batch'];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.jsonValue(), async (path, body) => {
        const { status } = await fixture.call('anna', 'POST', path, body);
        expect([200, 201, 400, 401, 409]).toContain(status);
      }),
      { numRuns: 200 },
    );
  });

  it('are limited by address and by user', async () => {
    const fixture = await open({ resume: { maxCallsPerViewerPerSecond: 1 } });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await fixture.call('anna', 'GET', '/v1/resume')).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    expect((await fixture.call('bert', 'GET', '/v1/resume')).status).toBe(200);
    fixture.clock.advance(1000);
    expect((await fixture.call('anna', 'GET', '/v1/resume')).status).toBe(200);
    const other = await open({ resume: { maxCallsPerAddressPerSecond: 1 } });
    for (const user of ['anna', 'bert', 'cora']) await other.call(user, 'GET', '/v1/resume');
    const { status, json } = await other.call('dora', 'GET', '/v1/resume');
    expect([status, json['code']]).toEqual([429, 'RESUME_RATE_LIMITED']);
  });

  it('may come from pages anywhere, and from caches never', async () => {
    const fixture = await open();
    const preflight = await fixture.license.call('/v1/resume/film', { method: 'OPTIONS' });
    expect(preflight.header('access-control-allow-methods')).toContain('PUT');
    expect(preflight.header('access-control-allow-headers')).toContain('Last-Event-ID');
    const answer = await fixture.license.as(fixture.license.login(), '/v1/resume', { method: 'GET' });
    expect(answer.header('access-control-allow-origin')).toBe('*');
    expect(answer.header('cache-control')).toBe('no-store');
  });
});

describe('a beacon', () => {
  it('carries its token, and its proof, in the body', async () => {
    const fixture = await open();
    const { license } = fixture;
    const device = new TestDevice();
    const content = { kind: 'vod', id: 'film' };
    const session = await license.begin({ content, device: device.jwk }, license.login({ user: 'anna' }));
    const { epoch } = (session as unknown as { resume: { epoch: number } }).resume;
    const report = { device: 'd', epoch, seq: 1, ...MIDDLE, durationMs: 3_600_000, state: 'stopped' };
    const send = (more: object): ReturnType<LicenseFixture['call']> =>
      license.call('/v1/resume/film/report', {
        headers: { 'content-type': 'text/plain;charset=UTF-8' },
        body: { ...report, ...more },
      });
    expect((await send({})).status).toBe(401);
    expect((await send({ token: session.token })).status).toBe(401);
    const url = `${ORIGIN}/v1/resume/film/report`;
    const nowMs = license.clock.wallMs();
    const proof = device.proof({ method: 'POST', url, token: session.token, nowMs });
    expect((await send({ token: session.token, proof })).status).toBe(200);
    expect((await send({ token: session.token, proof, seq: 2 })).status).toBe(401);
  });

  it('of a session that has ended counts, of one that was taken away does not', async () => {
    const fixture = await open();
    const { license } = fixture;
    const begin = async (): Promise<{ token: string; sessionId: string; epoch: number }> => {
      const begun = await license.begin(
        { content: { kind: 'vod', id: 'film' } },
        license.login({ user: 'anna' }),
      );
      return { ...begun, epoch: (begun as unknown as { resume: { epoch: number } }).resume.epoch };
    };
    const report = { device: 'd', seq: 1, ...MIDDLE, durationMs: 3_600_000, state: 'stopped' };
    const ended = await begin();
    await license.as(ended.token, `/v1/sessions/${ended.sessionId}`, { method: 'DELETE' });
    const last = await license.call('/v1/resume/film/report', {
      body: { ...report, epoch: ended.epoch, token: ended.token },
    });
    expect(last.status).toBe(200);
    const revoked = await begin();
    await license.store.revoke({ kind: 'session', id: revoked.sessionId }, license.clock.wallMs() + 1e6);
    const refused = await license.call('/v1/resume/film/report', {
      body: { ...report, epoch: revoked.epoch, token: revoked.token },
    });
    expect([refused.status, JSON.parse(refused.text())]).toMatchObject([
      403,
      { code: 'LICENSE_SESSION_REVOKED' },
    ]);
  });
});

describe('a session on a title', () => {
  it('begins where the viewer was, and its heartbeats say where it is', async () => {
    const fixture = await open();
    const { license } = fixture;
    const content = { kind: 'vod', id: 'film' };
    const login = license.login({ user: 'anna' });
    const first = (await license.begin({ content }, login)) as unknown as {
      token: string;
      sessionId: string;
      resume: { epoch: number; record: unknown };
    };
    expect(first.resume.record).toBeNull();
    const beat = async (resume: unknown): Promise<Record<string, unknown>> => {
      const path = `/v1/sessions/${first.sessionId}/heartbeat`;
      const response = await license.as(first.token, path, { body: { resume } });
      return JSON.parse(response.text()) as Record<string, unknown>;
    };
    const place = { device: 'd', ...MIDDLE, durationMs: 3_600_000, state: 'playing' };
    const kept = await beat({ ...place, epoch: first.resume.epoch, seq: 1 });
    expect(kept['resume']).toMatchObject({ record: { title: 'film', ...MIDDLE } });
    expect(kept['token']).toEqual(expect.any(String));
    const second = (await license.begin({ content }, login)) as unknown as {
      resume: { epoch: number; record: object };
    };
    expect(second.resume.record).toMatchObject(MIDDLE);
    await fixture.report('anna', 'film', { epoch: second.resume.epoch, seq: 1, positionMs: 900_000 });
    const late = await beat({ ...place, epoch: first.resume.epoch, seq: 2 });
    expect(late['resume']).toMatchObject({
      conflict: { code: 'RESUME_CONFLICT', record: { positionMs: 900_000 } },
    });
    fixture.store.failing = true;
    const without = await beat({ ...place, epoch: first.resume.epoch, seq: 3 });
    expect(without['resume']).toMatchObject({ error: 'RESUME_UNAVAILABLE' });
    expect(without['token']).toEqual(expect.any(String));
  });

  it('of a live stream has no place', async () => {
    const fixture = await open();
    const { json } = await fixture.call('anna', 'POST', '/v1/sessions', {
      content: { kind: 'live', id: 'studio' },
    });
    expect('resume' in json).toBe(false);
  });
});

describe('a server', () => {
  it('without licences has sessions and resume, and one without resume has sessions and licences', async () => {
    const roots = ['/license/clearkey', '/v1/sessions', '/v1/resume/film', '/v1/resumes'];
    const without = await open({ deps: { keys: undefined } });
    expect(roots.map((path) => without.license.service.owns(path))).toEqual([false, true, true, false]);
    const { status } = await without.call('anna', 'POST', '/v1/sessions', {
      content: { kind: 'vod', id: 'film' },
    });
    expect(status).toBe(201);
    expect((await without.license.call('/license/clearkey')).status).toBe(404);
    const licenses = await LicenseFixture.open();
    expect(roots.map((path) => licenses.service.owns(path))).toEqual([true, true, false, false]);
    expect((await licenses.as(licenses.login(), '/v1/resume', { method: 'GET' })).status).toBe(404);
    await licenses.close();
  });
});

describe('a viewer', () => {
  it('can neither read nor write what is of another one, whatever is in the request', async () => {
    const fixture = await open();
    const epoch = await fixture.claim('bert', 'secret');
    await fixture.report('bert', 'secret', { epoch, seq: 1, positionMs: 31_337_000, durationMs: 90_000_000 });
    const { json } = await fixture.call('bert', 'GET', '/v1/resume/export');
    const sentinel = '31337000';
    const before = JSON.stringify(json['profiles']);
    expect(before).toContain(sentinel);
    const word = fc.constantFrom('bert', 'main', 'secret', 'kids', 'viewer:bert', '__proto__');
    const call = fc.record({
      method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      path: fc.constantFrom(
        ...[
          '/v1/resume',
          '/v1/resume/secret',
          '/v1/resume/continue',
          '/v1/resume/export',
          '/v1/resume/batch',
        ],
        ...['/v1/resume/secret/report', '/v1/resume/events/ticket'],
      ),
      query: fc.dictionary(fc.constantFrom('profile', 'viewer', 'user', 'sub', 'after'), word),
      body: fc.record(
        {
          ...{ device: word, profile: word, viewer: word, user: word, sub: word, title: word },
          ...{ epoch: fc.constant(epoch), seq: fc.nat(99), positionMs: fc.constant(1), durationMs: fc.nat() },
          state: fc.constantFrom('playing', 'completed', 'stopped'),
        },
        { requiredKeys: ['device', 'epoch', 'seq', 'positionMs', 'durationMs', 'state'] },
      ),
    });
    await fc.assert(
      fc.asyncProperty(call, async ({ method, path, query, body }) => {
        const asked = `${path}?${new URLSearchParams(query).toString()}`;
        const answer = await fixture.call('anna', method, asked, method === 'GET' ? undefined : body);
        expect(JSON.stringify(answer.json)).not.toContain(sentinel);
      }),
      { numRuns: 300 },
    );
    const after = await fixture.call('bert', 'GET', '/v1/resume/export');
    expect(JSON.stringify(after.json['profiles'])).toBe(before);
  });
});
