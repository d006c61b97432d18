import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import type { HttpHandler } from '../http/types.ts';
import type { Title } from '../stream/title.ts';
import { exchange, type FakeRequestInit, type FakeResponse } from '../../test/support/fake-exchange.ts';
import { FakeKeys } from '../../test/support/fake-keys.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { MadeTitles } from '../../test/support/made-titles.ts';
import { until } from '../../test/support/until.ts';
import { ORIGIN_DEFAULTS } from './origin-options.ts';
import { Origin } from './origin.ts';

let folder: string;
let made: MadeTitles;
let origin: Origin;
let handler: HttpHandler;
/** What is thrown when a blob is read. */
let failure: AppError | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-titles-'));
  await writeFile(join(folder, 'film.mov'), 'x');
  made = new MadeTitles(folder);
  made.encryption = () => ({ keys: new FakeKeys(300_000), clearAudio: false });
  await made.service.open();
  for (const id of ['film', 'secret', 'growing']) {
    const { id: flow } = await made.service.add({
      id,
      name: undefined,
      master: { path: join(folder, 'film.mov') },
      sidecars: [],
      isProtected: id === 'secret',
      ladder: undefined,
    });
    if (id === 'growing') {
      await made.doPiece(flow, 0);
      await made.doSound(flow, 0);
    } else {
      await made.doAll(flow);
    }
    const state = id === 'growing' ? 'growing' : 'complete';
    await until(async () => (await made.catalogue.find(id))?.state === state, `${id} is ${state}`);
  }
  origin = new Origin(ORIGIN_DEFAULTS, {
    directory: { window: () => undefined },
    liveStreams: () => [],
    clock: made.clock,
    log: createMemoryLog(),
    metrics: new Metrics(),
    pages: new Map(),
    titles: {
      titles: made.catalogue,
      read: (key) => (failure ? Promise.reject(failure) : made.store.get(key)),
      readOnce: (key) => made.store.get(key),
    },
    pathTokens: (token) =>
      token === 'sd' ? { prefix: '/vod/secret/', tiers: new Set(['AUDIO', 'SD'] as const) } : undefined,
  });
  handler = origin.handler;
});

afterAll(async () => {
  origin?.close();
  await made?.service.close();
  await rm(folder, { recursive: true });
});

async function get(url: string, init: FakeRequestInit = {}): Promise<FakeResponse> {
  const response = exchange(handler, url, init);
  return until(() => (response.finished ? response : undefined), `an answer to ${url}`);
}

async function periodOf(id: string): Promise<string> {
  const title = (await made.catalogue.find(id)) as Title;
  return title.periods[0]?.id ?? '';
}

describe('a title', () => {
  it('has every URL that its manifests name', async () => {
    const multivariant = await get('/vod/film/index.m3u8');
    expect(multivariant.status).toBe(200);
    expect(multivariant.header('content-type')).toBe('application/vnd.apple.mpegurl');
    const named = [...multivariant.text().matchAll(/^(?!#)(\S+)$|URI="([^"]+)"/gm)].map(
      ([, line, uri]) => line ?? uri ?? '',
    );
    expect(named).toContain('720p.m3u8');
    expect(named.length).toBeGreaterThan(5);
    const media = new Set<string>();
    for (const name of named) {
      const playlist = await get(`/vod/film/${name}`);
      expect([name, playlist.status]).toEqual([name, 200]);
      if (!name.endsWith('.m3u8')) continue;
      for (const [, line, uri] of playlist.text().matchAll(/^(?!#)(\S+)$|URI="([^"]+)"/gm)) {
        media.add(line ?? uri ?? '');
      }
    }
    expect(media.size).toBeGreaterThan(15);
    for (const name of media) expect([name, (await get(`/vod/film/${name}`)).status]).toEqual([name, 200]);
    const mpd = (await get('/vod/film/index.mpd')).text();
    expect(mpd).toContain('type="static"');
  });

  it('gives ranges and says when nothing has changed', async () => {
    const url = `/vod/film/720p/${await periodOf('film')}/1.m4s`;
    const whole = await get(url);
    expect(whole.header('cache-control')).toContain('immutable');
    const range = await get(url, { headers: { range: 'bytes=10-19' } });
    expect([range.status, range.header('content-range')]).toEqual([
      206,
      `bytes 10-19/${whole.bytes().length}`,
    ]);
    expect(range.bytes()).toEqual(whole.bytes().subarray(10, 20));
    const again = await get(url, { headers: { 'if-none-match': whole.header('etag') ?? '' } });
    expect(again.status).toBe(304);
    const manifest = await get('/vod/film/index.mpd');
    expect(
      (await get('/vod/film/index.mpd', { headers: { 'if-none-match': manifest.header('etag') ?? '' } }))
        .status,
    ).toBe(304);
  });

  it('may be kept by caches, one that grows only for a moment', async () => {
    expect((await get('/vod/film/720p.m3u8')).header('cache-control')).toBe('public, max-age=30');
    expect((await get('/vod/growing/720p.m3u8')).header('cache-control')).toBe('public, max-age=1');
    expect((await get('/vod/growing/720p.m3u8')).text()).not.toContain('ENDLIST');
    expect((await get('/vod/growing/index.mpd')).text()).toContain('type="dynamic"');
  });

  it('is not there under a name, period, number or path that it does not have', async () => {
    const period = await periodOf('film');
    for (const path of [
      'none/index.m3u8',
      'film/none.m3u8',
      `film/720p/${period}/5.m4s`,
      `film/720p/${period}/99999.m4s`,
      'film/720p/p0/0.m4s',
      `film/none/${period}/0.m4s`,
      `film/720p/${period}/0.0.m4s`,
      `film/text-de/${period}/text.vtt`,
      `film/thumbnails/${period}/1.jpg`,
      'film/..%2fsecret/index.m3u8',
      'film/title.json',
      `growing/720p/${await periodOf('growing')}/1.m4s`,
    ]) {
      expect([path, (await get(`/vod/${path}`)).status]).toEqual([path, 404]);
    }
  });

  it('names to a session only what it may have, and shares the media', async () => {
    const all = (await get('/vod/secret/index.m3u8')).text();
    const scoped = await get('/t/sd/vod/secret/index.m3u8');
    expect(all).toContain('#EXT-X-SESSION-KEY');
    expect(scoped.status).toBe(200);
    expect(scoped.header('cache-control')).toContain('private');
    const period = await periodOf('secret');
    const shared = await get(`/t/sd/vod/secret/audio-en/${period}/0.m4s`);
    expect(shared.header('cache-control')).toContain('public');
    expect(shared.bytes()).toEqual((await get(`/vod/secret/audio-en/${period}/0.m4s`)).bytes());
    expect((await get('/t/sd/vod/film/index.m3u8')).status).toBe(403);
  });

  it('says that its store is away, and to come again', async () => {
    failure = new AppError('STORAGE_UNAVAILABLE');
    const answer = await get(`/vod/film/720p/${await periodOf('film')}/2.m4s`);
    failure = undefined;
    expect([answer.status, answer.header('retry-after')]).toEqual([503, '1']);
  });

  it('is listed with the others, the newest first', async () => {
    const { titles } = JSON.parse((await get('/vod/titles.json')).text()) as { titles: { id: string }[] };
    expect(titles.map(({ id }) => id).toSorted()).toEqual(['film', 'growing', 'secret']);
    const redirect = await get('/vod/film?player=hls');
    expect([redirect.status, redirect.header('location')]).toEqual([308, 'film/?player=hls']);
  });
});
