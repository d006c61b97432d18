import { webcrypto } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Answer,
  FakeSdkClock,
  FakeServer,
  json,
  type SeenRequest,
  settle,
} from '../../test/support/sdk-fakes.ts';
import { SessionLimitError } from './api-error.ts';
import { HeadwaterClient } from './client.ts';
import { memoryStore } from './key-value-store.ts';
import type { Session } from './session.ts';

const CLAIM = { epoch: 5, record: null };

function grantOf(token: string, more: object = {}): object {
  return {
    sessionId: 's-1',
    token,
    tokenType: 'DPoP',
    manifests: {
      hls: `https://media.example/t/${token}/vod/film/index.m3u8`,
      dash: `https://media.example/t/${token}/vod/film/index.mpd`,
    },
    licenseUrl: 'https://media.example/license/clearkey',
    heartbeatSeconds: 30,
    expiresAt: '2026-11-24T00:00:00.000Z',
    tiers: ['AUDIO', 'SD'],
    ...more,
  };
}

let clock: FakeSdkClock;
let server: FakeServer;
let client: HeadwaterClient;
let beat: (request: SeenRequest) => Answer;
let start: () => Answer;
let events: ReadableStreamDefaultController<Uint8Array> | undefined;

function answer(request: SeenRequest): Answer | Promise<Answer> {
  if (request.path === '/v1/sessions') return start();
  if (request.path.endsWith('/heartbeat')) return beat(request);
  if (request.method === 'DELETE') return new Response(null, { status: 204 });
  if (request.path.startsWith('/v1/resume/events')) {
    return new Response(new ReadableStream({ start: (controller) => void (events = controller) }));
  }
  return json(200, { record: null });
}

function beats(): SeenRequest[] {
  return server.of('POST', '/v1/sessions/s-1/heartbeat');
}

function tell(text: string): Promise<void> {
  events?.enqueue(new TextEncoder().encode(text));
  return settle();
}

async function startFilm(): Promise<Session> {
  const session = await client.startSession({ kind: 'vod', id: 'film' });
  await settle();
  return session;
}

beforeEach(async () => {
  clock = new FakeSdkClock();
  start = () => json(201, grantOf('t0', { resume: CLAIM }));
  beat = () => json(200, grantOf(`t${beats().length}`));
  server = new FakeServer(answer);
  client = await HeadwaterClient.open({
    baseUrl: 'https://media.example',
    login: () => Promise.resolve('login'),
    environment: {
      fetch: server.fetch,
      clock,
      keys: memoryStore(),
      state: memoryStore(),
      beacon: () => true,
      userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36',
      onOnline: () => () => undefined,
    },
  });
});

afterEach(() => client.close());

describe('a session', () => {
  it('begins with the public part of a key whose private part nobody can read', async () => {
    await startFilm();
    const { body, headers } = server.of('POST', '/v1/sessions')[0] ?? {};
    expect(body?.['device']).toEqual({
      kty: 'EC',
      crv: 'P-256',
      x: expect.any(String) as string,
      y: expect.any(String) as string,
    });
    expect(headers?.['Authorization']).toBe('Bearer login');
    expect(client.device).toMatch(/^Chrome-Linux-[a-z0-9]{4}$/);
    const keys = memoryStore();
    const { openDeviceKey } = await import('./device-key.ts');
    const first = await openDeviceKey(keys);
    expect((await openDeviceKey(keys)).publicJwk).toEqual(first.publicJwk);
    const pair = (await keys.get('device')) as CryptoKeyPair;
    await expect(webcrypto.subtle.exportKey('jwk', pair.privateKey)).rejects.toThrow();
  });

  it('is renewed before it is due, by chance earlier, and players get the new tokens', async () => {
    const session = await startFilm();
    await clock.advance(26_999);
    expect(beats()).toHaveLength(0);
    await clock.advance(1);
    expect(beats()).toHaveLength(1);
    expect(session.licenses.freshUrl('https://media.example/t/t0/vod/film/video/1.m4s')).toBe(
      'https://media.example/t/t1/vod/film/video/1.m4s',
    );
    await clock.advance(27_000);
    expect(beats()[1]?.headers['Authorization']).toBe('DPoP t1');
  });

  it('outlives a server that does not answer for a while, and asks it sooner than usual', async () => {
    const session = await startFilm();
    beat = () => 'no network';
    await clock.advance(27_000);
    beat = () => json(200, grantOf('again'));
    await clock.advance(1000);
    expect(beats()).toHaveLength(2);
    expect(session.ended).toBeUndefined();
    expect(session.manifests.hls.pathname).toContain('/t/again/');
  });

  it.each([
    [410, 'SESSION_REVOKED', 'revoked'],
    [410, 'SESSION_ENDED', 'ended'],
    [404, 'SESSION_NOT_FOUND', 'ended'],
    [403, 'LICENSE_NOT_ENTITLED', 'refused'],
  ] as const)('that the server answers with %d %s is over: %s', async (status, code, reason) => {
    const session = await startFilm();
    const ends: string[] = [];
    session.onEnded = (why) => ends.push(why);
    beat = () => json(status, { code });
    await clock.advance(120_000);
    expect(ends).toEqual([reason]);
    expect(beats()).toHaveLength(1);
  });

  it('is over as soon as an event says so; another one stays', async () => {
    const session = await startFilm();
    const ends: string[] = [];
    session.onEnded = (why) => ends.push(why);
    await tell('event: session\ndata: {"sessionId":"s-2","state":"revoked"}\n\n');
    expect(ends).toEqual([]);
    await tell('event: session\ndata: {"sessionId":"s-1","state":"revoked"}\n\n');
    expect(ends).toEqual(['revoked']);
  });

  it('asks the server when it is not among those alive', async () => {
    const session = await startFilm();
    await tell('event: sessions\ndata: {"alive":["s-1"]}\n\n');
    expect(beats()).toHaveLength(0);
    beat = () => json(410, { code: 'SESSION_ENDED' });
    await tell('event: sessions\ndata: {"alive":[]}\n\n');
    expect(session.ended).toBe('ended');
  });

  it('ends with the page, with a proof that was made before', async () => {
    const session = await startFilm();
    session.close();
    session.close();
    await settle();
    const gone = server.of('DELETE', '/v1/sessions/s-1');
    expect(gone).toHaveLength(1);
    expect(gone[0]?.keepalive).toBe(true);
    expect(gone[0]?.headers['DPoP']?.split('.')).toHaveLength(3);
    await clock.advance(120_000);
    expect(beats()).toHaveLength(0);
  });

  it('over the limit tells what is in the way, and one of those can be taken the place of', async () => {
    const other = { sessionId: 's-9', content: 'vod/film', startedAt: '2026-11-23T04:00:00.000Z' };
    start = () => json(409, { code: 'SESSION_LIMIT', sessions: [other] });
    const refused = await startFilm().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(SessionLimitError);
    expect((refused as SessionLimitError).sessions).toEqual([other]);
    start = () => json(201, grantOf('t0'));
    await client.startSession({ kind: 'live', id: 'show' }, { replaces: 's-9' });
    expect(server.of('POST', '/v1/sessions').at(-1)?.body).toMatchObject({ replaces: 's-9' });
  });

  it('asks for licences with the nonce that the server wants, though players try but once', async () => {
    const session = await startFilm();
    beat = ({ headers }) => {
      const claims = Buffer.from(headers['DPoP']?.split('.')[1] ?? '', 'base64url').toString();
      return claims.includes('"nonce":"n-1"')
        ? json(200, grantOf('t1'))
        : json(401, { code: 'TOKEN_PROOF_NONCE' }, { 'DPoP-Nonce': 'n-1' });
    };
    const headers = await session.licenses.headers(new TextEncoder().encode('{"kids":["a","b"]}'));
    const claims = Buffer.from(headers['DPoP']?.split('.')[1] ?? '', 'base64url').toString();
    expect(JSON.parse(claims)).toMatchObject({ nonce: 'n-1', htu: 'https://media.example/license/clearkey' });
    expect(session.status).toMatchObject({ keys: 2, tiers: ['AUDIO', 'SD'] });
  });
});

describe('heartbeats of a title', () => {
  it('carry what was not reported yet, with a number of the same row', async () => {
    const session = await startFilm();
    const { resume } = session;
    resume?.update({ positionMs: 1000, durationMs: 60_000, state: 'playing' });
    await settle();
    await clock.advance(26_000);
    resume?.update({ positionMs: 27_000, durationMs: 60_000, state: 'playing' });
    await session.beat();
    expect(beats()[0]?.body).toEqual({
      resume: {
        profile: 'main',
        device: client.device,
        positionMs: 27_000,
        durationMs: 60_000,
        state: 'playing',
        epoch: 5,
        seq: 2,
      },
    });
  });

  it('tell that another device goes on', async () => {
    const { resume, beat: beatNow } = await startFilm().then((session) => ({
      resume: session.resume,
      beat: () => session.beat(),
    }));
    const told: unknown[] = [];
    if (resume) resume.onSuperseded = (record) => told.push(record?.device);
    resume?.update({ positionMs: 1000, durationMs: 60_000, state: 'playing' });
    await settle();
    resume?.update({ positionMs: 2000, durationMs: 60_000, state: 'playing' });
    const conflict = { record: { title: 'film', epoch: 6, seq: 1, device: 'phone' } };
    beat = () => json(200, grantOf('t1', { resume: { conflict } }));
    await beatNow();
    expect(told).toEqual(['phone']);
  });
});
