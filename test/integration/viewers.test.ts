import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type AuthBackend, say, startAuthBackend } from '../support/auth-backend.ts';
import { TestDevice } from '../support/license-fixture.ts';
import { startServer } from '../support/server.ts';
import { loginAt } from '../support/test-login.ts';
import { until } from '../support/until.ts';
import { type Answered, ViewerDevice } from '../support/viewer-device.ts';
import { startViewerServer, type ViewerServer } from '../support/viewer-server.ts';

const ISSUER = 'https://id.example.org';
const AUDIENCE = 'headwater-test';

/** The members of a session's answer that these tests look at. */
interface Begun {
  readonly sessionId: string;
  readonly token: string;
  readonly resume: { readonly epoch: number; readonly record: Record<string, unknown> | null };
}

/** Where viewers are, and their sessions, over real connections to the whole of that room. */
describe('viewers', () => {
  let folder: string;
  let server: ViewerServer;
  let backend: AuthBackend;
  let issuerKey: KeyObject;
  let strangerKey: KeyObject;
  const devices: ViewerDevice[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-issuer-'));
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    issuerKey = privateKey;
    strangerKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    await writeFile(join(folder, 'issuer.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    await writeFile(join(folder, 'secret'), 's'.repeat(40), { mode: 0o600 });
    await writeFile(
      join(folder, 'catalogue.yaml'),
      [
        'rules:',
        '  - content: vod/premium-*',
        '    claims: {plan: [gold]}',
        '  - content: vod/soon',
        '    from: 2999-01-01T00:00:00Z',
        '  - content: [vod/film, vod/other, vod/secret, vod/many, live/*]',
        '    maxSessions: 2',
        '  - content: vod/credits',
        '    creditsMs: 1000000',
      ].join('\n'),
    );
    backend = await startAuthBackend();
    backend.answer = say(200, '{"allow": true}');
    server = await startViewerServer({
      set: [
        'drm.enabled=false',
        ...['viewers.maxCallsPerViewerPerSecond=0', 'viewers.maxCallsPerAddressPerSecond=0'],
        ...['license.maxSessionCallsPerAddressPerSecond=0', 'viewers.maxStreamBacklogBytes=16384'],
        `auth.issuers=iss=${ISSUER},aud=${AUDIENCE},key=${join(folder, 'issuer.pem')},alg=ES256,use=login`,
        `viewers.cataloguePath=${join(folder, 'catalogue.yaml')}`,
        `viewers.entitlement.url=${backend.url}/entitle`,
        `viewers.entitlement.secretPath=${join(folder, 'secret')}`,
        'viewers.entitlement.cacheSeconds=0',
      ],
    });
  });
  afterAll(async () => {
    await server.close();
    await backend.close();
    await rm(folder, { recursive: true });
  });
  afterEach(() => {
    for (const each of devices.splice(0)) each.close();
  });

  async function device(user: string, name: string, key?: TestDevice): Promise<ViewerDevice> {
    const made = new ViewerDevice(server.controlUrl, await loginAt(server, user), name, key);
    devices.push(made);
    return made;
  }

  function issued(claims: object, key: KeyObject = issuerKey, alg = 'ES256'): Promise<string> {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const all = {
      iss: ISSUER,
      aud: AUDIENCE,
      sub: 'anna',
      exp: nowSeconds + 600,
      iat: nowSeconds,
      ...claims,
    };
    return new SignJWT(all).setProtectedHeader({ alg }).sign(key);
  }

  async function begin(on: ViewerDevice, title: string, more: object = {}): Promise<Begun> {
    const { status, json } = await start(on, title, more);
    if (status !== 201) throw new Error(`no session: ${status} ${JSON.stringify(json)}`);
    return json as unknown as Begun;
  }

  function start(on: ViewerDevice, title: string, more: object = {}): Promise<Answered> {
    return on.call('POST', '/v1/sessions', { content: { kind: 'vod', id: title }, ...more });
  }

  function admin(method: string, path: string, body?: object): Promise<Response> {
    return fetch(server.controlUrl + path, {
      method,
      headers: { authorization: `Bearer ${server.adminToken}` },
      ...(body && { body: JSON.stringify(body) }),
    });
  }

  it('find their place on another device within two seconds', async () => {
    const [tv, phone] = [await device('anna', 'tv'), await device('anna', 'phone')];
    expect(await phone.listen()).toBe(200);
    await until(() => phone.of('sessions').length > 0, 'the stream begins');
    const epoch = await tv.claim('film');
    const sentMs = performance.now();
    await tv.reported('film', epoch, 1, 754_000);
    await until(() => phone.of('record').length > 0, 'the phone hears of it');
    const [event] = phone.of('record');
    expect(event?.data).toMatchObject({ title: 'film', positionMs: 754_000, device: 'tv' });
    expect((event?.atMs ?? Number.POSITIVE_INFINITY) - sentMs).toBeLessThan(2000);

    // The phone takes over, and the television is told that its reports hold no more.
    const later = await phone.claim('film');
    await phone.reported('film', later, 1, 760_000);
    const refused = await tv.report('film', epoch, 2, 755_000);
    expect([refused.status, refused.json['code']]).toEqual([409, 'RESUME_CONFLICT']);
    expect(refused.json['record']).toMatchObject({ device: 'phone', positionMs: 760_000 });
  });

  it('have sessions on clear titles, without any encryption, with proofs of their devices', async () => {
    const tv = await device('clara', 'tv', new TestDevice());
    const { sessionId, token, resume } = await begin(tv, 'film');
    expect(resume).toMatchObject({ epoch: expect.any(Number), record: null });
    const place = { device: 'tv', epoch: resume.epoch, seq: 1, positionMs: 90_000, durationMs: 3_600_000 };
    const beat = await tv.call(
      'POST',
      `/v1/sessions/${sessionId}/heartbeat`,
      { resume: { ...place, state: 'playing' } },
      token,
    );
    expect([beat.status, beat.json['resume']]).toMatchObject([200, { record: { positionMs: 90_000 } }]);
    expect((await begin(tv, 'film')).resume.record).toMatchObject({ positionMs: 90_000 });
  });

  it('play on as many devices as they may, and on another one in the place of one of these', async () => {
    const three = await Promise.all(['tv', 'phone', 'tablet'].map((name) => device('dora', name)));
    const [tv, phone, tablet] = three as [ViewerDevice, ViewerDevice, ViewerDevice];
    await tv.listen();
    const first = await begin(tv, 'film');
    await begin(phone, 'film');
    const refused = await start(tablet, 'film');
    expect([refused.status, refused.json['code']]).toEqual([409, 'SESSION_LIMIT']);
    expect(refused.json['sessions']).toHaveLength(2);
    await begin(tablet, 'film', { replaces: first.sessionId });
    await until(() => tv.of('session').length > 0, 'the television hears of it');
    expect(tv.of('session')[0]?.data).toEqual({ sessionId: first.sessionId, state: 'ended' });
    const beat = await tv.call('POST', `/v1/sessions/${first.sessionId}/heartbeat`, undefined, first.token);
    expect(beat.status).toBe(410);
  });

  it('win as many sessions as they may of a hundred begun at once', async () => {
    const tv = await device('emil', 'tv');
    const all = await Promise.all(Array.from({ length: 100 }, () => start(tv, 'film')));
    const statuses = all.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(2);
    expect(statuses.filter((status) => status === 409)).toHaveLength(98);
  });

  it.each(['DELETE', 'POST'])(
    'are told within two seconds that a session was taken away: %s',
    async (how) => {
      const tv = await device('fred', 'tv');
      await tv.listen();
      await until(() => tv.of('sessions').length > 0, 'the stream begins');
      const { sessionId, token, resume } = await begin(tv, 'film');
      const path = `/v1/sessions/${sessionId}`;
      const sentMs = performance.now();
      expect((await admin(how, how === 'DELETE' ? path : `${path}/revoke`)).status).toBe(204);
      await until(() => tv.of('session').length > 0, 'the event');
      const [event] = tv.of('session');
      expect(event?.data).toEqual({ sessionId, state: 'revoked' });
      expect((event?.atMs ?? Number.POSITIVE_INFINITY) - sentMs).toBeLessThan(2000);
      const license = await tv.call(
        'POST',
        '/license/clearkey',
        { kids: ['A'.repeat(22)], type: 'temporary' },
        token,
      );
      expect([license.status, license.json['code']]).toEqual([403, 'LICENSE_SESSION_REVOKED']);
      const body = {
        device: 'tv',
        epoch: resume.epoch,
        seq: 1,
        positionMs: 1e6,
        durationMs: 0,
        state: 'paused',
      };
      const report = await tv.call('PUT', '/v1/resume/film', body, token);
      expect([report.status, report.json['code']]).toEqual([403, 'LICENSE_SESSION_REVOKED']);
    },
  );

  it('are forgotten whole when they ask for it', async () => {
    const tv = await device('gina', 'tv');
    await tv.listen();
    for (const profile of ['main', 'kids']) {
      const epoch = await tv.claim('film', profile);
      await tv.reported('film', epoch, 1, 60_000, { profile });
    }
    await until(() => tv.of('record').length > 0, 'the record');
    expect((await tv.call('DELETE', '/v1/resume')).json['erased']).toBe(2);
    await until(() => tv.of('reset').length > 0, 'the device forgets');
    const copy = await tv.call('GET', '/v1/resume/export');
    expect(copy.json).toMatchObject({ profiles: [] });
    expect(server.log.some(({ fields }) => JSON.stringify(fields).includes('gina'))).toBe(false);
  });

  it('may play what the catalogue and the back end say, and nothing where nobody says', async () => {
    const [gold, silver] = [
      new ViewerDevice(server.controlUrl, await issued({ plan: 'gold' }), 'tv'),
      new ViewerDevice(server.controlUrl, await issued({ plan: 'silver', sub: 'bert' }), 'tv'),
    ];
    const codes = async (on: ViewerDevice, title: string): Promise<unknown> => {
      const { status, json } = await start(on, title);
      return status === 201 ? 201 : json['code'];
    };
    expect(await codes(gold, 'premium-one')).toBe(201);
    expect(await codes(silver, 'premium-one')).toBe('LICENSE_NOT_ENTITLED');
    expect(await codes(gold, 'soon')).toBe('LICENSE_NOT_ENTITLED');
    expect(await codes(gold, 'unlisted')).toBe('LICENSE_NOT_ENTITLED');
    const asked = backend.calls.at(-1);
    expect(asked?.headers['x-headwater-signature']).toMatch(/^sha256=[0-9a-f]{64}$/);
    backend.answer = say(200, '{"allow": false}');
    expect(await codes(gold, 'premium-one')).toBe('LICENSE_NOT_ENTITLED');
    backend.answer = say(500);
    expect(await codes(gold, 'premium-one')).toBe('SESSION_ENTITLEMENT_UNAVAILABLE');
    backend.answer = say(200, '{"allow": true}');
    expect(await codes(gold, 'premium-one')).toBe(201);
  });

  it('complete a title at the credits of the catalogue', async () => {
    const tv = await device('hugo', 'tv');
    const epoch = await tv.claim('credits');
    const record = await tv.reported('credits', epoch, 1, 1_000_001);
    expect(record).toMatchObject({ state: 'completed', positionMs: 0 });
  });

  describe('with a token that is not theirs for it', () => {
    const CALLS = [
      ['GET', '/v1/resume'],
      ['GET', '/v1/resume/secret'],
      ['GET', '/v1/resume/export'],
      ['GET', '/v1/resume/events'],
      ['POST', '/v1/resume/secret'],
      ['PUT', '/v1/resume/secret'],
      ['POST', '/v1/resume/secret/report'],
      ['POST', '/v1/resume/batch'],
      ['POST', '/v1/resume/events/ticket'],
      ['DELETE', '/v1/resume/secret'],
      ['DELETE', '/v1/resume'],
      ['POST', '/v1/sessions'],
    ] as const;
    const nowSeconds = (): number => Math.floor(Date.now() / 1000);

    it.each<[name: string, token: () => Promise<string>]>([
      ['none', async () => ''],
      ['of a stranger', () => issued({}, strangerKey)],
      ['of another audience', () => issued({ aud: 'another' })],
      ['of another issuer', () => issued({ iss: 'https://evil.example.org' })],
      ['of our own issuer, signed by another', () => issued({ iss: 'headwater', aud: 'headwater:login' })],
      ['run out', () => issued({ exp: nowSeconds() - 120 })],
      ['without an end', () => issued({ exp: undefined })],
      ['not valid yet', () => issued({ nbf: nowSeconds() + 600 })],
      ['without a user', () => issued({ sub: undefined })],
      ['bound to another device', () => issued({ cnf: { jkt: new TestDevice().thumbprint } })],
      ['unsigned', async () => unsigned()],
      ['signed with the public key as a secret', async () => confused()],
      [
        'a playback token of a session of another title',
        async () => (await begin(await device('mallory', 'x'), 'other')).token,
      ],
      [
        'a ticket',
        async () => {
          const { json } = await (await device('mallory', 'x')).call('POST', '/v1/resume/events/ticket');
          return String(json['ticket']);
        },
      ],
      ['the admin token', async () => server.adminToken],
    ])('are refused everywhere: %s', async (_name, token) => {
      const given = await token();
      const place = { epoch: 1, seq: 1, positionMs: 5, durationMs: 9, state: 'playing' };
      const body = JSON.stringify({
        ...{ device: 'x', ...place, clientNowMs: 1, reports: [{ title: 'secret', atMs: 1, ...place }] },
      });
      const content = JSON.stringify({ content: { kind: 'vod', id: 'secret' } });
      for (const [method, path] of CALLS) {
        const response = await fetch(server.controlUrl + path, {
          method,
          headers: given === '' ? {} : { authorization: `Bearer ${given}` },
          ...(method !== 'GET' && { body: path === '/v1/sessions' ? content : body }),
        });
        await response.body?.cancel();
        expect([method, path, response.status]).toEqual([method, path, 401]);
      }
    });

    it('of another user, see and change only their own', async () => {
      const owner = await device('owner', 'tv');
      const epoch = await owner.claim('secret');
      await owner.reported('secret', epoch, 1, 1_234_567);
      const mallory = await device('mallory', 'x');
      await mallory.listen();
      expect((await mallory.call('GET', '/v1/resume/secret')).json['record']).toBeNull();
      expect((await mallory.report('secret', epoch, 99, 5)).status).toBe(409);
      await mallory.call('DELETE', '/v1/resume/secret');
      await mallory.call('DELETE', '/v1/resume');
      await owner.reported('secret', epoch, 2, 1_234_999);
      await mallory.claim('many').then((own) => mallory.reported('many', own, 1, 60_000));
      await until(() => mallory.of('record').length > 0, "the stranger's own record");
      expect(JSON.stringify(mallory.events)).not.toContain('1234');
      expect((await owner.call('GET', '/v1/resume/secret')).json['record']).toMatchObject({
        positionMs: 1_234_999,
      });
    });

    it('of another session of the same title, cannot keep or end that one', async () => {
      const [owner, other] = [await device('ida', 'tv'), await device('ida', 'phone')];
      const [first, second] = [await begin(owner, 'film'), await begin(other, 'film')];
      const path = `/v1/sessions/${first.sessionId}`;
      expect((await other.call('POST', `${path}/heartbeat`, {}, second.token)).status).toBe(401);
      expect((await other.call('DELETE', path, undefined, second.token)).status).toBe(401);
      expect((await owner.call('POST', `${path}/heartbeat`, {}, first.token)).status).toBe(200);
    });

    function unsigned(): string {
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      return `${part({ alg: 'none' })}.${part({
        ...{ iss: ISSUER, aud: AUDIENCE, sub: 'anna', exp: nowSeconds() + 600 },
      })}.`;
    }

    async function confused(): Promise<string> {
      const secret = await readFile(join(folder, 'issuer.pem'));
      return new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'anna', exp: nowSeconds() + 600 })
        .setProtectedHeader({ alg: 'HS256' })
        .sign(secret);
    }
  });

  it('that do not read their events are cut, and others go on', async () => {
    const [writer, reader] = [await device('slow', 'tv'), await device('slow', 'phone')];
    const titles = Array.from({ length: 200 }, (_, i) => `title-${i}`);
    const epochs = await Promise.all(titles.map((title) => writer.claim(title)));
    const socket = await rawStream(await loginAt(server, 'slow'));
    await reader.listen();
    let seq = 0;
    // All titles at once: the state of one that changes often is sent only as it is in the end.
    const reportAll = (): Promise<Answered> => {
      seq += 1;
      const place = { seq, positionMs: 60_000 + seq, durationMs: 3_600_000, state: 'playing' };
      const atMs = Date.now();
      const reports = titles.map((title, i) => ({ title, epoch: epochs[i], atMs, ...place }));
      return writer.call('POST', '/v1/resume/batch', { device: 'tv', clientNowMs: atMs, reports });
    };
    await until(
      async () => {
        await reportAll();
        return (await server.metric('resume_stream_cuts_total', { reason: 'backlog' })) > 0;
      },
      'the cut',
      100_000,
    );
    socket.destroy();
    await until(
      () => reader.of('record').some(({ data }) => (data as { seq: number }).seq === seq),
      'the last report, elsewhere',
    );
  }, 120_000);

  /** An event stream whose reader has gone to sleep. */
  async function rawStream(token: string): Promise<Socket> {
    const { port } = new URL(server.controlUrl);
    const socket = connect(Number(port), '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(`GET /v1/resume/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.on('error', () => undefined).pause();
    return socket;
  }

  it('are let go at once by a whole server that stops, and find it as it was', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'headwater-viewers-'));
    const first = await startServer({ dataDir });
    const tv = new ViewerDevice(first.controlUrl, await loginAt(first, 'kim'), 'tv');
    await tv.listen();
    const epoch = await tv.claim('film');
    await tv.reported('film', epoch, 1, 60_000);
    await until(() => tv.of('record').length > 0, 'the event');
    const document = await (await fetch(`${first.controlUrl}/v1/openapi.json`)).text();
    expect(document).toContain('"/v1/resume/{title}"');
    const closingMs = performance.now();
    await first.close();
    // An open stream would have held it up for as long as answers may take to end (shutdown.drainMs).
    expect(performance.now() - closingMs).toBeLessThan(20_000);
    await until(() => tv.streamEnded, 'the stream ends');
    const second = await startServer({ dataDir });
    const again = new ViewerDevice(second.controlUrl, await loginAt(second, 'kim'), 'phone');
    expect((await again.call('GET', '/v1/resume/film')).json['record']).toMatchObject({ epoch, seq: 1 });
    await second.close();
    await rm(dataDir, { recursive: true });
  });

  it('lose nothing when the server is started again', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'headwater-viewers-'));
    const first = await startViewerServer({ dataDir });
    const tv = new ViewerDevice(first.controlUrl, await loginAt(first, 'jane'), 'tv');
    await tv.listen();
    const epoch = await tv.claim('film');
    await tv.reported('film', epoch, 1, 60_000);
    await first.close();
    await until(() => tv.streamEnded, 'the stream ends with the server');
    const second = await startViewerServer({ dataDir });
    const again = new ViewerDevice(
      second.controlUrl,
      await loginAt(second, 'jane'),
      randomBytes(4).toString('hex'),
    );
    expect((await again.call('GET', '/v1/resume/film')).json['record']).toMatchObject({ positionMs: 60_000 });
    const stale = await again.report('film', epoch, 1, 5);
    expect(stale.status).toBe(409);
    await second.close();
    await rm(dataDir, { recursive: true });
  });
});
