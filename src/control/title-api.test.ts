import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exchange, FakeRequest, FakeResponse } from '../../test/support/fake-exchange.ts';
import { FakeKeys } from '../../test/support/fake-keys.ts';
import { MadeTitles } from '../../test/support/made-titles.ts';
import { until } from '../../test/support/until.ts';
import { titleKeeper } from '../app/title-keeper.ts';
import { Metrics } from '../base/metrics.ts';
import type { HttpHandler } from '../http/types.ts';
import { createAdminAccess } from './admin-access.ts';
import { AdminToken } from './admin-token.ts';
import { createControlApi } from './control-api.ts';
import { JOB_EVENTS_PATH, JobEvents, MAX_READERS } from './job-events.ts';
import { createUploadApi } from './upload-api.ts';

const TOKEN = 'rightrightrightrightrightrightrightrightright';

let folder: string;
let made: MadeTitles;
let handler: HttpHandler;
let uploads: HttpHandler;
let events: JobEvents;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-api-'));
  await writeFile(join(folder, 'film.mov'), 'a master');
  made = new MadeTitles(folder);
  await made.uploads.open();
  await made.service.open();
  const { clock } = made;
  const metrics = new Metrics();
  const titles = titleKeeper(made.service);
  const access = createAdminAccess({ token: new AdminToken(TOKEN, 'admin.token'), clock, metrics });
  events = new JobEvents({ titles, clock, metrics });
  handler = createControlApi({
    services: {
      streams: { streams: () => [], kick: () => undefined },
      keys: {
        rotate: () => Promise.resolve(''),
        revoke: () => Promise.resolve(),
        srtPassphrase: () => Promise.resolve(undefined),
      },
      titles,
      problems: () => [],
    },
    access,
    version: '1',
    jobEvents: events,
    next: (_request, response) => response.send({ status: 404, headers: { entries: [] } }),
  });
  uploads = createUploadApi({ uploads: made.uploads, access, clock });
});

afterEach(async () => {
  events.close();
  made.uploads.close();
  await made.service.close();
  await rm(folder, { recursive: true });
});

async function call(method: string, path: string, body?: unknown, token = TOKEN): Promise<FakeResponse> {
  const response = exchange(handler, path, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: Buffer.from(JSON.stringify(body)) }),
  });
  return until(() => (response.finished ? response : undefined), `an answer to ${method} ${path}`);
}

const json = (response: FakeResponse) => JSON.parse(response.text()) as Record<string, never>;
const film = () => ({ title: 'film', name: 'A film', path: join(folder, 'film.mov') });

describe('titles in the control API', () => {
  it('tell what a person should know of them, also how a ladder was fitted to the pictures', async () => {
    made.plan = { ...made.plan, contentAware: true, notes: ['Stream 9 is left out.'] };
    expect((await call('POST', '/v1/assets', { ...film(), contentAware: 1 })).status).toBe(400);
    const added = await call('POST', '/v1/assets', { ...film(), contentAware: true });
    const { id } = json(added) as unknown as { id: string };
    expect(json(await call('GET', `/v1/jobs/${id}`))['notes']).toEqual(['Stream 9 is left out.']);
    const notes = ['The pictures are easy, by SSIM: 720p 2.0 -> 1.0 Mb/s: 50 % less.'];
    made.queue.finish(id, 'complexity', { metric: 'ssim', rungs: [], notes });
    expect(json(await call('GET', `/v1/jobs/${id}`))['notes']).toEqual(['Stream 9 is left out.', ...notes]);
  });

  it('are made, seen to grow, listed and taken away', async () => {
    const added = await call('POST', '/v1/assets', film());
    expect(added.status).toBe(202);
    const job = json(added) as unknown as { id: string };
    expect(job).toMatchObject({ title: 'film', name: 'A film', state: 'running', progress: 0, error: null });
    expect((await call('GET', '/v1/assets/film')).status).toBe(404);
    await made.doAll(job.id);
    await until(async () => (await call('GET', '/v1/assets/film')).status === 200, 'it can be played');
    const title = await until(async () => {
      const shown = json(await call('GET', '/v1/assets/film'));
      return shown['state'] === 'complete' ? shown : undefined;
    }, 'it is whole');
    expect(title).toMatchObject({
      durationMs: 10_000,
      protected: false,
      urls: { hls: '/vod/film/index.m3u8' },
    });
    expect(title['renditions']).toHaveLength(3);
    expect(json(await call('GET', `/v1/jobs/${job.id}`))).toMatchObject({ state: 'done', progress: 1 });
    expect(json(await call('GET', '/v1/jobs'))['jobs']).toHaveLength(1);
    expect(json(await call('GET', '/v1/assets'))['titles']).toHaveLength(1);
    expect((await call('DELETE', '/v1/assets/film')).status).toBe(204);
    expect((await call('DELETE', '/v1/assets/film')).status).toBe(404);
    expect((await call('GET', `/v1/jobs/${job.id}`)).status).toBe(404);
  });

  it('are stopped, and gone on with', async () => {
    const { id } = json(await call('POST', '/v1/assets', film())) as unknown as { id: string };
    expect((await call('DELETE', `/v1/jobs/${id}`)).status).toBe(204);
    expect(json(await call('GET', `/v1/jobs/${id}`))['state']).toBe('cancelled');
    expect((await call('DELETE', `/v1/jobs/${id}`)).status).toBe(404);
    expect((await call('POST', `/v1/jobs/${id}/retry`)).status).toBe(204);
    expect(json(await call('GET', `/v1/jobs/${id}`))['state']).toBe('running');
  });

  it.each([
    ['no object', []],
    ['an unknown field', { title: 'film', path: '/x', colour: 'red' }],
    ['neither a path nor an upload', { title: 'film' }],
    ['both', { title: 'film', path: '/x', upload: 'y' }],
    ['a name that is no text', { title: 'film', path: '/x', name: 7 }],
    ['a path with a zero byte', { title: 'film', path: '/x\0y' }],
    ['sidecars that are no list', { title: 'film', path: '/x', sidecars: 'no' }],
    ['a bad title', { title: '../film', path: '/x' }],
    ['a wish for downloads that is neither', { title: 'film', path: '/x', allowDownload: 'yes' }],
  ])('are refused with %s', async (_what, body) => {
    expect((await call('POST', '/v1/assets', body)).status).toBe(400);
  });

  it('are for download when that is wished, and not encrypted', async () => {
    made.encryption = () => ({ keys: new FakeKeys(300_000), clearAudio: false });
    const refused = await call('POST', '/v1/assets', { ...film(), allowDownload: true, protect: true });
    expect([refused.status, json(refused)['code']]).toEqual([400, 'VOD_TITLE_INVALID']);
    const added = await call('POST', '/v1/assets', { ...film(), allowDownload: true });
    const { id } = json(added) as unknown as { id: string };
    await made.doAll(id);
    await until(async () => (await made.catalogue.find('film'))?.state === 'complete', 'it is whole');
    expect((await made.catalogue.find('film'))?.isDownloadable).toBe(true);
  });

  it('are nobody’s business without the admin token', async () => {
    for (const [method, path] of [
      ['GET', '/v1/assets'],
      ['POST', '/v1/assets'],
      ['DELETE', '/v1/assets/film'],
      ['GET', '/v1/jobs'],
      ['GET', JOB_EVENTS_PATH],
    ] as const) {
      expect([path, (await call(method, path, {}, 'wrong')).status]).toEqual([path, 401]);
    }
  });
});

describe('the progress of jobs', () => {
  it('is told as it goes on', async () => {
    const response = exchange(handler, JOB_EVENTS_PATH, { headers: { authorization: `Bearer ${TOKEN}` } });
    await until(() => response.begun, 'the stream has begun');
    const { id } = json(await call('POST', '/v1/assets', film())) as unknown as { id: string };
    made.queue.set(id, 'piece-0-0', { state: 'active', attempt: 1, progress: 0.5 });
    const told = await until(() => {
      made.clock.advance(500);
      const lines = response.text().match(/data: .*/g);
      return lines && lines.length > 0 ? lines : undefined;
    }, 'an event');
    expect(JSON.parse(told.at(-1)?.slice(6) ?? '')).toMatchObject({ title: 'film', state: 'running' });
    expect(response.text()).toContain('event: job');
  });

  it('has a limit of listeners, and room again when one leaves', async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const all = Array.from({ length: MAX_READERS }, () => exchange(handler, JOB_EVENTS_PATH, { headers }));
    await until(() => all.every(({ begun }) => begun), 'all listen');
    const late = exchange(handler, JOB_EVENTS_PATH, { headers });
    await until(() => late.finished, 'an answer');
    expect(late.status).toBe(503);
    all[0]?.abort();
    const next = exchange(handler, JOB_EVENTS_PATH, { headers });
    await until(() => next.begun, 'room again');
    expect(next.status).toBe(200);
  });
});

describe('an upload', () => {
  const headers = { authorization: `Bearer ${TOKEN}` };

  async function upload(method: string, path: string, extra: Record<string, string>, body?: Buffer) {
    const request = new FakeRequest(path, {
      method,
      headers: { ...headers, ...extra },
      ...(body && { body }),
    });
    const response = new FakeResponse();
    await uploads(request, response);
    return response;
  }

  const patch = (path: string, offset: number, body: string) =>
    upload(
      'PATCH',
      path,
      { 'content-type': 'application/offset+octet-stream', 'upload-offset': String(offset) },
      Buffer.from(body),
    );

  it('goes on where it broke off, and becomes a title', async () => {
    const created = await upload('POST', '/v1/uploads', { 'upload-length': '10' });
    expect(created.status).toBe(201);
    const location = created.header('location') ?? '';
    expect((await patch(location, 0, 'hello')).status).toBe(204);
    const asked = await upload('HEAD', location, {});
    expect([asked.header('upload-offset'), asked.header('upload-length')]).toEqual(['5', '10']);
    expect((await patch(location, 3, 'again')).status).toBe(409);
    const id = location.split('/').at(-1);
    expect((await call('POST', '/v1/assets', { title: 'sent', upload: id })).status).toBe(409);
    expect((await patch(location, 5, 'world')).header('upload-offset')).toBe('10');
    const added = await call('POST', '/v1/assets', { title: 'sent', upload: id });
    expect(added.status).toBe(202);
    const work = await made.workOf((json(added) as unknown as { id: string }).id);
    expect(await readFile(work.masterPath, 'utf8')).toBe('helloworld');
    await made.service.remove('sent');
    await expect(readFile(work.masterPath)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('takes no more than was said, nor nonsense', async () => {
    const location = (await upload('POST', '/v1/uploads', { 'upload-length': '4' })).header('location') ?? '';
    expect((await patch(location, 0, 'hello')).status).toBe(413);
    expect((await upload('HEAD', location, {})).header('upload-offset')).toBe('0');
    expect((await upload('POST', '/v1/uploads', { 'upload-length': 'many' })).status).toBe(400);
    expect((await upload('POST', '/v1/uploads', { 'upload-length': '9999999999999' })).status).toBe(422);
    expect((await upload('PATCH', location, { 'upload-offset': '0' })).status).toBe(400);
    expect((await upload('HEAD', '/v1/uploads/..%2f..%2fx', {})).status).toBe(404);
    expect((await upload('DELETE', location, {})).status).toBe(204);
    expect((await upload('HEAD', location, {})).status).toBe(404);
  });
});
