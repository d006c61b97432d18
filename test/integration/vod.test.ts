import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation } from '../../src/validate/validator.ts';
import { ffmpeg, frameHashes, run } from '../support/ffmpeg.ts';
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

describe('what is wanted of a title', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await start();
  }, 30_000);
  afterAll(() => server?.close());

  it('is refused at once where a sidecar cannot be read, in one sentence', async () => {
    const control = await controlOf(server);
    const [broken, empty] = [join(folder, 'broken.ttml'), join(folder, 'empty.srt')];
    await Promise.all([writeFile(broken, '<tt><body><div><p begin="1s"'), writeFile(empty, '')]);
    for (const path of [broken, empty]) {
      const wish = { title: 'texts', path: master, sidecars: [{ path, language: 'de' }] };
      const { status, json } = await control('POST', '/v1/assets', wish);
      expect([status, json['code']]).toEqual([422, 'VOD_TEXT_UNREADABLE']);
      expect(String(json['detail'])).not.toContain(folder);
    }
    expect((await control('GET', '/v1/jobs')).json['jobs']).toEqual([]);
  });

  it('may be a ladder that is fitted to its pictures, where that is one by name', {
    timeout: 120_000,
  }, async () => {
    const control = await controlOf(server);
    const path = join(folder, 'short.mp4');
    await ffmpeg(['-i', master, '-t', '4', '-c', 'copy', path]);
    const wish = { title: 'fitted', path, contentAware: true };
    const listed = await control('POST', '/v1/assets', wish);
    expect([listed.status, listed.json['code']]).toEqual([400, 'VOD_TITLE_INVALID']);
    const job = await addTitle(control, { ...wish, ladder: 'small' });
    await whenWhole(control, job.id, 'fitted');
    const shown = (await control('GET', `/v1/jobs/${job.id}`)).json;
    expect(shown['notes']).toEqual([expect.stringMatching(/by SSIM: 240p [\d.]+ -> [\d.]+ Mb\/s/)]);
    expect(await findingsOf(`${server.mediaUrl}/vod/fitted/index.m3u8`)).toEqual([]);
  });
});

describe('a title in other codecs than H.264', () => {
  it('has every frame in each of them, and players are told what they are', {
    timeout: 180_000,
  }, async () => {
    const server = await start([
      'vod.ladder=120p-h264:150k,120p-hevc:100k,120p-av1:100k',
      'vod.codecs=h264,hevc,av1',
    ]);
    try {
      const control = await controlOf(server);
      const path = join(folder, 'codecs.mp4');
      await ffmpeg(['-i', master, '-t', '5', '-c:v', 'libx264', '-preset', 'ultrafast', path]);
      const job = await addTitle(control, { title: 'codecs', path });
      await whenWhole(control, job.id, 'codecs');
      const base = `${server.mediaUrl}/vod/codecs/`;
      for (const [rung, codec] of [
        ['120p', 'h264'],
        ['120p-hevc', 'hevc'],
        ['120p-av1', 'av1'],
      ] as const) {
        const { stdout } = await run('ffprobe', [
          ...['-v', 'error', '-select_streams', 'v:0', '-count_frames', '-of', 'csv=p=0'],
          ...['-show_entries', 'stream=codec_name,width,height,pix_fmt,color_space,nb_read_frames'],
          `${base}${rung}.m3u8`,
        ]);
        expect(stdout.toString().trim().split('\n')[0]).toBe(`${codec},214,120,yuv420p,bt709,${5 * FPS}`);
      }
      const main = await (await fetch(`${base}index.m3u8`)).text();
      expect([...main.matchAll(/CODECS="(avc1|hvc1|av01)\./g)].map(([, codec]) => codec).sort()).toEqual(
        expect.arrayContaining(['av01', 'avc1', 'hvc1']),
      );
      expect(await findingsOf(`${base}index.m3u8`)).toEqual([]);
      expect(await findingsOf(`${base}index.mpd`)).toEqual([]);
    } finally {
      await server.close();
    }
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
