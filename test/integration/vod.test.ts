import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation } from '../../src/validate/validator.ts';
import { ffmpeg, frameHashes } from '../support/ffmpeg.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { addTitle, controlOf, whenWhole } from '../support/vod-client.ts';

const FPS = 25;
const SECONDS = 15;
const RUNGS = ['240p', '120p'];
const SETTINGS = ['vod.ladder=240p:300k,120p:150k', 'vod.effort=low', 'vod.segmentMs=2000'];

let folder: string;
let master: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-vod-'));
  master = join(folder, 'film.mp4');
  await ffmpeg([
    ...['-f', 'lavfi', '-i', `testsrc2=s=426x240:r=${FPS}`, '-f', 'lavfi', '-i', 'sine=440:r=48000'],
    ...['-t', String(SECONDS), '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '70', '-bf', '2'],
    ...['-c:a', 'aac', '-ac', '2', master],
  ]);
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

function start(more: readonly string[] = [], dataDir?: string): Promise<TestServer> {
  const set = [...SETTINGS, `vod.roots=${folder}`, ...more];
  return startServer({ set, ...(dataDir !== undefined && { dataDir }) });
}

/** Frames that ffmpeg decodes of each rung, by its own playlist; it must have nothing to say. */
async function framesOf(base: string): Promise<number[]> {
  const counts: number[] = [];
  for (const rung of RUNGS) {
    const { hashes, stderr } = await frameHashes(`${base}${rung}.m3u8`, '0:v');
    expect(stderr).toBe('');
    counts.push(hashes.length);
  }
  return counts;
}

/** What our validator, which knows nothing of the packager, has against a presentation. */
async function findingsOf(url: string): Promise<string[]> {
  const fetcher = new HttpClient(systemClock);
  try {
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    const { findings, watched } = await validatePresentation({ url, seconds: 60 }, deps);
    expect(watched.renditions.length).toBeGreaterThanOrEqual(3);
    return findings
      .filter(({ severity }) => severity !== 'info')
      .map(({ rule, message }) => `${rule}: ${message}`);
  } finally {
    fetcher.close();
  }
}

describe('a title made of a master', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await start();
  }, 30_000);
  afterAll(() => server?.close());

  it('has every frame of it in each rung, for HLS and for DASH', { timeout: 120_000 }, async () => {
    const control = await controlOf(server);
    const job = await addTitle(control, { title: 'film', path: master });
    await whenWhole(control, job.id, 'film');
    const base = `${server.mediaUrl}/vod/film/`;
    const expected = [FPS * SECONDS, FPS * SECONDS];
    expect(await framesOf(base)).toEqual(expected);
    expect(await findingsOf(`${base}index.m3u8`)).toEqual([]);
    expect(await findingsOf(`${base}index.mpd`)).toEqual([]);
    const shown = (await control('GET', `/v1/jobs/${job.id}`)).json;
    expect(shown).toMatchObject({ state: 'done', progress: 1, error: null });
    expect((await control('DELETE', '/v1/assets/film')).status).toBe(204);
    expect((await fetch(`${base}index.m3u8`)).status).toBe(404);
  });

  it('is refused with one clear error when the master is none, before anything is encoded', async () => {
    const control = await controlOf(server);
    const { status, json } = await control('POST', '/v1/assets', { title: 'bad', path: '/etc/passwd' });
    expect([status, json['code']]).toEqual([422, 'VOD_MASTER_REFUSED']);
    expect((await control('GET', '/v1/jobs')).json['jobs']).not.toContainEqual(
      expect.objectContaining({ title: 'bad' }),
    );
  });
});

describe('a title in the making', () => {
  it('goes on after the server was stopped in the middle of it', { timeout: 180_000 }, async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'headwater-vod-data-'));
    try {
      const first = await start([], dataDir);
      const control = await controlOf(first);
      const job = await addTitle(control, { title: 'film', path: master });
      await until(
        async () => {
          const { state } = (await control('GET', '/v1/assets/film')).json;
          return state === 'growing' || state === 'complete';
        },
        'its beginning can be played',
        60_000,
      );
      const listed = await (await fetch(`${first.mediaUrl}/vod/film/240p.m3u8`)).text();
      await first.close();
      const second = await start([], dataDir);
      try {
        await whenWhole(await controlOf(second), job.id, 'film');
        const base = `${second.mediaUrl}/vod/film/`;
        expect(await framesOf(base)).toEqual([FPS * SECONDS, FPS * SECONDS]);
        const whole = await (await fetch(`${base}240p.m3u8`)).text();
        const segments = listed.split('\n').filter((line) => line.endsWith('.m4s'));
        expect(segments.length).toBeGreaterThan(0);
        for (const segment of segments) expect(whole).toContain(segment);
      } finally {
        await second.close();
      }
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});

describe('a title that is protected', () => {
  it.each(['cbcs', 'cenc'])(
    'cannot be decoded without its keys: %s',
    { timeout: 120_000 },
    async (scheme) => {
      const server = await start(['drm.enabled=true', `drm.scheme=${scheme}`]);
      try {
        const control = await controlOf(server);
        const job = await addTitle(control, { title: 'film', path: master });
        await whenWhole(control, job.id, 'film');
        expect((await control('GET', '/v1/assets/film')).json['protected']).toBe(true);
        const base = `${server.mediaUrl}/vod/film/`;
        const playlist = await (await fetch(`${base}240p.m3u8`)).text();
        expect(playlist).toContain('#EXT-X-KEY:METHOD=SAMPLE-AES');
        expect(await (await fetch(`${base}index.mpd`)).text()).toContain(`value="${scheme}"`);
        const init = /#EXT-X-MAP:URI="([^"]+)"/.exec(playlist)?.[1] ?? '';
        const bytes = Buffer.from(await (await fetch(base + init)).arrayBuffer());
        expect(bytes.includes('encv')).toBe(true);
        expect(bytes.includes(scheme)).toBe(true);
      } finally {
        await server.close();
      }
    },
  );
});
