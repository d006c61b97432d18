import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exchange, type FakeResponse } from '../../test/support/fake-exchange.ts';
import { FakeRecordingSource } from '../../test/support/fake-recording-source.ts';
import { MadeTitles } from '../../test/support/made-titles.ts';
import { RecordedBroadcast } from '../../test/support/recorded-broadcast.ts';
import { EPOCH_MS } from '../../test/support/sample-source.ts';
import { until } from '../../test/support/until.ts';
import { recordingKeeper } from '../app/recording-keeper.ts';
import { titleKeeper } from '../app/title-keeper.ts';
import { AppError } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import type { HttpHandler } from '../http/types.ts';
import { Recorder } from '../vod/recorder.ts';
import { RecorderMetrics } from '../vod/recorder-metrics.ts';
import { createAdminAccess } from './admin-access.ts';
import { AdminToken } from './admin-token.ts';
import { createControlApi } from './control-api.ts';
import type { RecordingKeeper } from './recording-status.ts';

const TOKEN = 'rightrightrightrightrightrightrightrightright';
const CALL = '/v1/streams/cam/recordings';

let folder: string;
let made: MadeTitles;
let recorder: Recorder;
let handler: HttpHandler;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-recordings-'));
  await writeFile(join(folder, 'film.mov'), 'a master');
  made = new MadeTitles(folder);
  made.clock.advance(EPOCH_MS + 60_000 - made.clock.wallMs());
  await made.service.open();
  const source = new FakeRecordingSource(made.store);
  await source.keep(new RecordedBroadcast().run(0, 8).end().window);
  recorder = new Recorder(
    { keptMs: 0 },
    {
      source,
      store: made.store,
      catalogue: made.catalogue,
      keys: undefined,
      titles: made.service,
      clock: made.clock,
      log: made.log,
      metrics: new RecorderMetrics(new Metrics()),
    },
  );
  handler = apiOf(recordingKeeper(recorder));
});
afterEach(async () => {
  await recorder.close();
  await made.service.close();
  await rm(folder, { recursive: true });
});

function apiOf(recordings: RecordingKeeper | undefined): HttpHandler {
  const { clock } = made;
  const metrics = new Metrics();
  return createControlApi({
    services: {
      streams: { streams: () => [], kick: () => undefined },
      keys: {
        rotate: () => Promise.resolve(''),
        revoke: () => Promise.resolve(),
        srtPassphrase: () => Promise.resolve(undefined),
      },
      titles: titleKeeper(made.service),
      recordings,
      problems: () => [],
    },
    access: createAdminAccess({ token: new AdminToken(TOKEN, 'admin.token'), clock, metrics }),
    version: '1',
    next: (_request, response) => response.send({ status: 404, headers: { entries: [] } }),
  });
}

async function call(method: string, path: string, body?: unknown, token = TOKEN): Promise<FakeResponse> {
  const response = exchange(handler, path, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: Buffer.from(JSON.stringify(body)) }),
  });
  return until(() => (response.finished ? response : undefined), `an answer to ${method} ${path}`);
}

const json = (response: FakeResponse): Record<string, unknown> =>
  JSON.parse(response.text()) as Record<string, unknown>;

describe('recordings in the control API', () => {
  it('are titles like any other, with where they play', async () => {
    const answer = await call('POST', CALL, {});
    expect(answer.status).toBe(201);
    const title = json(answer);
    expect(title).toMatchObject({
      id: 'cam-20261122T120000Z',
      name: 'cam, 2026-11-22 12:00 UTC',
      state: 'complete',
      durationMs: 8000,
      protected: false,
      urls: { page: '/vod/cam-20261122T120000Z/' },
    });
    expect(json(await call('GET', `/v1/assets/${String(title['id'])}`))).toEqual(title);
    expect(json(await call('GET', '/v1/assets'))['titles']).toEqual([title]);
  });

  it.each([
    ['RFC 3339', '2026-11-22T12:00:02Z', '2026-11-22T13:00:04.000+01:00'],
    ['milliseconds', EPOCH_MS + 2000, EPOCH_MS + 4000],
  ])('are of a time range, said in %s', async (_how, from, to) => {
    const answer = await call('POST', CALL, { id: 'goal', name: 'The goal', from, to });
    expect(json(answer)).toMatchObject({ id: 'goal', name: 'The goal', durationMs: 2000 });
  });

  it.each([
    [{ from: '2026-11-22' }, 400, 'HTTP_BAD_REQUEST'],
    [{ from: '2026-13-22T12:00:00Z' }, 400, 'HTTP_BAD_REQUEST'],
    [{ from: '2026-11-22T12:00:00' }, 400, 'HTTP_BAD_REQUEST'],
    [{ to: -1 }, 400, 'HTTP_BAD_REQUEST'],
    [{ to: 1.5 }, 400, 'HTTP_BAD_REQUEST'],
    [{ id: 7 }, 400, 'HTTP_BAD_REQUEST'],
    [{ start: 7 }, 400, 'HTTP_BAD_REQUEST'],
    [[], 400, 'HTTP_BAD_REQUEST'],
    [{ id: 'a b' }, 400, 'VOD_TITLE_INVALID'],
    [{ from: EPOCH_MS + 4000, to: EPOCH_MS + 4000 }, 400, 'VOD_RECORDING_RANGE_INVALID'],
    [{ to: EPOCH_MS + 3_600_000 }, 400, 'VOD_RECORDING_RANGE_INVALID'],
    [{ to: EPOCH_MS - 1 }, 404, 'VOD_RECORDING_EMPTY'],
  ])('are refused with a problem: %j', async (body, status, code) => {
    const answer = await call('POST', CALL, body);
    expect([answer.status, json(answer)['code']]).toEqual([status, code]);
    expect(await made.catalogue.list()).toEqual([]);
  });

  it('are refused where the stream is none, has nothing kept, or the name is taken', async () => {
    const codeOf = async (path: string, body: object): Promise<unknown> =>
      json(await call('POST', path, body))['code'];
    expect(await codeOf('/v1/streams/a%20b/recordings', {})).toBe('STREAM_NAME_INVALID');
    expect(await codeOf('/v1/streams/other/recordings', {})).toBe('VOD_RECORDING_EMPTY');
    expect((await call('POST', CALL, { id: 'show' })).status).toBe(201);
    expect(await codeOf(CALL, { id: 'show' })).toBe('VOD_TITLE_EXISTS');
  });

  it('are for who has the admin token alone, and only where live streams are kept', async () => {
    expect((await call('POST', CALL, {}, 'wrong')).status).toBe(401);
    expect((await call('GET', CALL)).status).toBe(405);
    handler = apiOf(undefined);
    expect((await call('POST', CALL, {})).status).toBe(404);
  });

  it('are in the API document, with everything it refers to', async () => {
    const text = (await call('GET', '/v1/openapi.json')).text();
    const document = JSON.parse(text) as {
      paths: Record<string, Record<string, { operationId: string; responses: object }>>;
      components: { schemas: Record<string, object> };
    };
    const operation = document.paths['/v1/streams/{id}/recordings']?.['post'];
    expect(operation?.operationId).toBe('recordStream');
    expect(Object.keys(operation?.responses ?? {})).toEqual([
      '201',
      '400',
      '401',
      '404',
      '409',
      '422',
      '429',
      '503',
    ]);
    for (const [, name = ''] of text.matchAll(/#\/components\/schemas\/(\w+)/g)) {
      expect(document.components.schemas).toHaveProperty(name);
    }
  });

  it('go with all that they have', async () => {
    await call('POST', CALL, { id: 'show' });
    expect((await call('DELETE', '/v1/assets/show')).status).toBe(204);
    expect([...made.store.blobs.keys()].filter((key) => key.startsWith('titles/'))).toEqual([]);
    expect(made.released).toEqual(['show']);
  });

  it('that lose their keys but not their record stay listed, to be removed again', async () => {
    await call('POST', CALL, { id: 'show' });
    made.store.failure = new AppError('STORAGE_UNAVAILABLE');
    expect((await call('DELETE', '/v1/assets/show')).status).toBe(503);
    made.store.failure = undefined;
    expect((await call('GET', '/v1/assets/show')).status).toBe(200);
    expect((await call('DELETE', '/v1/assets/show')).status).toBe(204);
  });

  it('cannot be removed before they are there, nor their names taken by a master', async () => {
    made.recorded.add('film');
    await made.store.put('titles/film/video/p1/1.m4s', Buffer.from('media'));
    expect((await call('DELETE', '/v1/assets/film')).status).toBe(404);
    expect(made.store.blobs.has('titles/film/video/p1/1.m4s')).toBe(true);
    expect(made.released).toEqual([]);
    const film = { title: 'film', path: join(folder, 'film.mov') };
    expect(json(await call('POST', '/v1/assets', film))['code']).toBe('VOD_TITLE_EXISTS');
  });
});
