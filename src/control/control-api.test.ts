import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { fakeRequest, RecordedResponse } from '../../test/support/http-exchange.ts';
import { AppError } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import type { HttpAnswer } from '../http/types.ts';
import { createAdminAccess } from './admin-access.ts';
import { AdminToken } from './admin-token.ts';
import { createControlApi } from './control-api.ts';
import { OPENAPI_PATH } from './openapi.ts';
import { CONTROL_ROUTES } from './routes.ts';
import type { PublisherStatus, StreamStatus } from './stream-status.ts';

const TOKEN = 'rightrightrightrightrightrightrightrightright';
const WRONG = 'wrongwrongwrongwrongwrongwrongwrongwrongwrong';

const ENCODER = {
  state: 'running',
  rungs: [{ id: '480p', width: 854, height: 480, bitrateBps: 1_000_000 }],
  shed: ['720p'],
  restarts: 1,
  lagMs: 20,
  lastCode: undefined,
} as const;
const PUBLISHER = {
  protocol: 'rtmp',
  role: 'primary',
  onAir: true,
  session: 's1',
  remoteAddress: '10.0.0.9:5000',
  sinceMs: 1000,
} as const;
const SRT_LINK = {
  latencyMs: 120,
  rttMs: 12.345,
  bitrateBps: 4_000_000.4,
  returnBitrateBps: 20_000,
  packets: 1000,
  bytes: 1_316_000,
  lost: 9,
  retransmitted: 8,
  duplicate: 7,
  belated: 6,
  dropped: 5,
  undecrypted: 4,
  naksSent: 3,
  bufferedBytes: 2,
} as const;
const STREAMS: readonly StreamStatus[] = [
  { id: 'concert', state: 'live', publishers: [PUBLISHER], window: undefined, encoder: ENCODER },
  { id: 'quiet', state: 'idle', publishers: [], window: undefined, encoder: undefined },
];

function setUp(problems: string[] = [], publishers: readonly PublisherStatus[] = [PUBLISHER]) {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const kicked: string[] = [];
  const revoked: string[] = [];
  const handler = createControlApi({
    services: {
      streams: {
        streams: () =>
          STREAMS.map((stream) => (stream.publishers.length > 0 ? { ...stream, publishers } : stream)),
        kick(id) {
          if (id !== 'concert') throw new AppError('STREAM_NOT_FOUND');
          kicked.push(id);
        },
      },
      keys: {
        async rotate(stream) {
          if (stream === 'nokey') throw new AppError('STREAM_NOT_FOUND');
          return 'new-key';
        },
        async revoke(stream) {
          if (stream === 'nokey') throw new AppError('STREAM_NOT_FOUND');
          revoked.push(stream);
        },
        srtPassphrase: async (stream) => `passphrase of ${stream}`,
      },
      problems: () => problems,
    },
    access: createAdminAccess({ token: new AdminToken(TOKEN, '/secrets/admin.token'), clock, metrics }),
    version: '9.9.9',
    next: (_request, response) => response.send({ status: 299, headers: { entries: [] } }),
  });
  const call = async (
    method: string,
    path: string,
    authorization = `Bearer ${TOKEN}`,
    remoteAddress = '192.0.2.1',
  ) => {
    const response = new RecordedResponse();
    await handler(fakeRequest({ method, path, remoteAddress, headers: { authorization } }), response);
    expect(response.answers).toHaveLength(1);
    return readAnswer(response.answers[0] as HttpAnswer);
  };
  return { call, kicked, revoked, clock, metrics };
}

function readAnswer({ status, headers, extra = [], body }: HttpAnswer) {
  const all = Object.fromEntries(
    [...headers.entries, ...extra].map(([name, value]) => [name.toLowerCase(), value]),
  );
  const text = body === undefined ? '' : Buffer.from(body as Uint8Array).toString();
  return {
    status,
    headers: all,
    json: text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>),
  };
}

const CALLS = CONTROL_ROUTES.map((route) => ({
  ...route,
  example: route.path.replace('{id}', 'concert'),
}));

describe('access', () => {
  it.each(CALLS)('$method $path asks for the admin token exactly when the table says so', async (route) => {
    const { call, kicked } = setUp();
    const refused = [
      await call(route.method, route.example, ''),
      await call(route.method, route.example, `Bearer ${WRONG}`),
      await call(route.method, route.example, `Basic ${TOKEN}`),
      await call(route.method, route.example, TOKEN),
      await call(route.method, route.example, `Bearer ${TOKEN}x`),
    ].map(({ status }) => status);
    const expected = route.auth === 'admin' ? 401 : 200;
    expect(refused).toEqual(Array.from({ length: 5 }, () => expected));
    expect(kicked).toEqual([]);
    expect((await call(route.method, route.example)).status).toBeLessThan(300);
  });

  it('refuses missing and wrong tokens with the same answer, which says how to log in', async () => {
    const { call } = setUp();
    const missing = await call('GET', '/v1/streams', '');
    const wrong = await call('GET', '/v1/streams', `Bearer ${WRONG}`);
    expect(wrong).toEqual(missing);
    expect(missing.headers['www-authenticate']).toBe('Bearer');
    expect(missing.json).toMatchObject({ status: 401, code: 'HTTP_UNAUTHORIZED' });
  });

  it('stops listening to an address after ten wrong tokens, even to the right one, for the rest of a minute', async () => {
    const { call, clock, metrics } = setUp();
    for (let i = 0; i < 10; i++)
      expect((await call('GET', '/v1/streams', `Bearer ${WRONG}`)).status).toBe(401);
    const blocked = await call('GET', '/v1/streams');
    expect(blocked.status).toBe(429);
    expect(blocked.headers['retry-after']).toBe('60');
    expect((await call('GET', '/v1/streams', `Bearer ${TOKEN}`, '192.0.2.2')).status).toBe(200);
    expect((await call('GET', '/healthz')).status).toBe(200);
    clock.advance(59_999);
    expect((await call('GET', '/v1/streams')).status).toBe(429);
    clock.advance(1);
    expect((await call('GET', '/v1/streams')).status).toBe(200);
    const text = await metrics.registry.metrics();
    expect(text).toContain('headwater_control_auth_checks_total{outcome="wrong"} 10');
    expect(text).toContain('headwater_control_auth_checks_total{outcome="limited"} 2');
  });

  it('gives pages in browsers no access: there are no CORS headers', async () => {
    const { call } = setUp();
    for (const { method, example } of CALLS) {
      const { headers } = await call(method, example);
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      expect(headers['cache-control']).toBe('no-store');
    }
    const preflight = await call('OPTIONS', '/v1/streams');
    expect(preflight.status).toBe(405);
    expect(Object.keys(preflight.headers)).not.toContain('access-control-allow-origin');
  });
});

describe('calls', () => {
  it('lists streams with who publishes and where to watch', async () => {
    const { json } = await setUp().call('GET', '/v1/streams');
    expect(json).toEqual({
      streams: [
        {
          id: 'concert',
          state: 'live',
          playable: false,
          publisher: PUBLISHER,
          publishers: [PUBLISHER],
          tracks: [],
          renditions: [],
          encoder: { ...ENCODER, lastCode: null },
          urls: { page: '/live/concert/', hls: '/live/concert/index.m3u8', dash: '/live/concert/index.mpd' },
        },
        expect.objectContaining({ id: 'quiet', state: 'idle', publisher: null, encoder: null }),
      ],
    });
  });

  it('tells of a publisher over SRT how its connection does, as the document has it', async () => {
    const { call } = setUp([], [{ ...PUBLISHER, protocol: 'srt', srt: SRT_LINK }]);
    const { json } = await call('GET', '/v1/streams/concert');
    const { srt: shown } = (json as { publisher: { srt: object } }).publisher;
    expect(shown).toEqual({
      latencyMs: 120,
      rttMs: 12.3,
      receiveBps: 4_000_000,
      sendBps: 20_000,
      receivedPackets: 1000,
      receivedBytes: 1_316_000,
      lostPackets: 9,
      retransmittedPackets: 8,
      duplicatePackets: 7,
      belatedPackets: 6,
      droppedPackets: 5,
      undecryptedPackets: 4,
      lossReportsSent: 3,
      bufferedBytes: 2,
    });
    const document = (await call('GET', OPENAPI_PATH)).json as unknown as {
      components: {
        schemas: { Stream: { properties: { publishers: { items: { properties: { srt: object } } } } } };
      };
    };
    const { srt } = document.components.schemas.Stream.properties.publishers.items.properties;
    expect(srt).toMatchObject({ required: Object.keys(shown) });
  });

  it('answers one stream, 404 for an unknown one, 400 for what is no name', async () => {
    const { call } = setUp();
    expect((await call('GET', '/v1/streams/quiet')).json).toMatchObject({ id: 'quiet' });
    expect((await call('GET', '/v1/streams/nobody')).json).toMatchObject({
      status: 404,
      code: 'STREAM_NOT_FOUND',
    });
    for (const name of ['..', '%2e%2e', 'a%00', 'a'.repeat(65), '__proto__.x', 'ü', 'a b']) {
      expect((await call('GET', `/v1/streams/${name}`)).json, name).toMatchObject({
        code: 'STREAM_NAME_INVALID',
      });
    }
    expect((await call('GET', '/v1/streams/__proto__')).json).toMatchObject({ code: 'STREAM_NOT_FOUND' });
  });

  it('kicks a publisher, and says when there is none', async () => {
    const { call, kicked } = setUp();
    expect((await call('DELETE', '/v1/streams/concert/publisher')).status).toBe(204);
    expect((await call('DELETE', '/v1/streams/quiet/publisher')).json).toMatchObject({
      code: 'STREAM_OFFLINE',
    });
    expect((await call('DELETE', '/v1/streams/nobody/publisher')).json).toMatchObject({
      code: 'STREAM_NOT_FOUND',
    });
    expect(kicked).toEqual(['concert']);
  });

  it('rotates a key and shows it once, with the passphrase that belongs to it', async () => {
    const { call, kicked } = setUp();
    const { status, json } = await call('POST', '/v1/streams/concert/key');
    expect([status, json]).toEqual([
      200,
      { stream: 'concert', key: 'new-key', srtPassphrase: 'passphrase of concert' },
    ]);
    expect((await call('POST', '/v1/streams/nokey/key')).json).toMatchObject({ code: 'STREAM_NOT_FOUND' });
    expect((await call('POST', '/v1/streams/a%20b/key')).json).toMatchObject({ code: 'STREAM_NAME_INVALID' });
    // Who came in by another means than the old key goes on.
    expect(kicked).toEqual([]);
  });

  it('takes a key back', async () => {
    const { call, revoked } = setUp();
    const { status, json } = await call('DELETE', '/v1/streams/concert/key');
    expect([status, json, revoked]).toEqual([204, undefined, ['concert']]);
    expect((await call('DELETE', '/v1/streams/nokey/key')).json).toMatchObject({ code: 'STREAM_NOT_FOUND' });
    expect((await call('DELETE', '/v1/streams/a.b/key')).json).toMatchObject({ code: 'STREAM_NAME_INVALID' });
    expect(revoked).toEqual(['concert']);
  });

  it('is ready when nothing is wrong, and says what is', async () => {
    expect(await setUp().call('GET', '/readyz', '')).toMatchObject({
      status: 200,
      json: { ready: true, problems: [] },
    });
    expect(await setUp(['the sky fell']).call('GET', '/readyz', '')).toMatchObject({
      status: 503,
      json: { ready: false, problems: ['the sky fell'] },
    });
  });

  it('answers 405 with Allow, 404 elsewhere under /v1, and hands every other path on', async () => {
    const { call } = setUp();
    const wrongMethod = await call('PUT', '/v1/streams/concert/key');
    expect([wrongMethod.status, wrongMethod.headers['allow']]).toEqual([405, 'POST, DELETE']);
    expect((await call('DELETE', '/healthz')).headers['allow']).toBe('GET, HEAD');
    for (const path of ['/v1', '/v1/', '/v1/streams/', '/v1/streams/a/b/c', `/v1/${'a'.repeat(2000)}`]) {
      expect((await call('GET', path)).json, path).toMatchObject({
        code: expect.stringMatching(/^(HTTP_NOT_FOUND|STREAM_)/),
      });
    }
    expect((await call('GET', '/live/concert/index.m3u8')).status).toBe(299);
    expect((await call('GET', '/v1x')).status).toBe(299);
  });
});

describe('the OpenAPI document', () => {
  it('has every route of the table, with its access rule, and needs no token itself', async () => {
    const { json, status } = await setUp().call('GET', OPENAPI_PATH, '');
    expect(status).toBe(200);
    const document = json as {
      openapi: string;
      info: { version: string };
      paths: Record<
        string,
        Record<string, { security: unknown[]; responses: object; parameters?: unknown[] }>
      >;
      components: { schemas: object };
    };
    expect([document.openapi, document.info.version]).toEqual(['3.1.0', '9.9.9']);
    for (const route of CONTROL_ROUTES) {
      const operation = document.paths[route.path]?.[route.method.toLowerCase()];
      expect(operation?.security).toEqual(route.auth === 'admin' ? [{ adminToken: [] }] : []);
      expect(Object.keys(operation?.responses ?? {}).includes('401')).toBe(route.auth === 'admin');
      expect(operation?.parameters?.length ?? 0).toBe(route.path.includes('{id}') ? 1 : 0);
    }
    const documented = Object.values(document.paths).flatMap((operations) => Object.keys(operations));
    expect(documented).toHaveLength(CONTROL_ROUTES.length + 1);
    const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
      (m) => m[1],
    );
    for (const name of references) expect(document.components.schemas).toHaveProperty(name as string);
  });

  it('declares every status that the calls answer with', async () => {
    const { call } = setUp();
    for (const { method, path, responses } of CONTROL_ROUTES) {
      for (const id of ['concert', 'quiet', 'nobody', 'nokey', 'no.name']) {
        const { status } = await call(method, path.replace('{id}', id));
        expect(Object.keys(responses), `${method} ${path} ${id}`).toContain(String(status));
      }
    }
  });
});
