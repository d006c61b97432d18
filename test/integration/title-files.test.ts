import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFile, MP4BoxBuffer } from 'mp4box';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { ORIGIN_DEFAULTS } from '../../src/origin/origin-options.ts';
import { Origin } from '../../src/origin/origin.ts';
import { initPath, renditionFilePath, segmentPath } from '../../src/packager/media-path.ts';
import type { Title } from '../../src/stream/title.ts';
import { HttpClient } from '../../src/validate/http-client.ts';
import { validatePresentation } from '../../src/validate/validator.ts';
import { FakeKeys } from '../support/fake-keys.ts';
import { ffmpeg, run } from '../support/ffmpeg.ts';
import { DRIVERS, TestListeners } from '../support/http-listener.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import {
  type BuiltTitle,
  buildTitle,
  DURATION_MS,
  encodeTitle,
  FRAME_RATE,
  FRAMES,
  type SourceTrack,
  splitTitle,
} from '../support/title-fixture.ts';
import { until } from '../support/until.ts';

/** On a busy machine; alone it takes seconds. */
const PATIENT_MS = 120_000;

let folder = '';
let sources: SourceTrack[] = [];
const truth = new Map<string, readonly string[]>();
const titles = new Map<string, BuiltTitle>();
const listeners = new TestListeners();
/** Keys of the blobs that were read. */
let reads: string[] = [];
/** A read of one of these fails. */
const lost = new Set<string>();
let origin: Origin;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-title-files-'));
  sources = await encodeTitle(folder);
  for (const { id, file } of sources) truth.set(id, await hashesOf(['-ignore_editlist', '1', '-i', file]));
  const clear = buildTitle(sources);
  const encryption = { keys: new FakeKeys(300_000), clearAudio: false };
  titles.set('film', named(clear, 'film', true));
  titles.set('closed', named(clear, 'closed', false));
  titles.set('secret', named(buildTitle(sources, { encryption }), 'secret', true));
  titles.set('growing', named(buildTitle(sources, { segments: 2 }), 'growing', true));
  titles.set('epoch', named(sinceEpoch(clear), 'epoch', true));
  titles.set('show', named(splitTitle(clear, 2, { rendition: 'audio-de', number: 1 }), 'show', true));
  const read = async (key: string): Promise<Uint8Array | undefined> => {
    reads.push(key);
    if (lost.has(key)) throw new AppError('STORAGE_UNAVAILABLE');
    const [, title = '', path = ''] = /^(\w+)\/(.+)$/.exec(key) ?? [];
    return titles.get(title)?.blobs.get(path);
  };
  origin = new Origin(ORIGIN_DEFAULTS, {
    directory: { window: () => undefined },
    liveStreams: () => [],
    clock: systemClock,
    log: createMemoryLog(),
    metrics: new Metrics(),
    pages: new Map(),
    titles: {
      titles: {
        find: async (id) => titles.get(id)?.title,
        list: async () => [],
        blobKey: (title, path) => `${title.id}/${path}`,
      },
      read,
      readOnce: read,
    },
    pathTokens: (token) =>
      token === 'film' ? { prefix: '/vod/film/', tiers: new Set(['AUDIO', 'SD'] as const) } : undefined,
  });
}, PATIENT_MS);

afterAll(async () => {
  origin.close();
  await rm(folder, { recursive: true, force: true });
});
const clients: RawClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await listeners.closeAll();
  lost.clear();
});

function named(built: BuiltTitle, id: string, isDownloadable: boolean): BuiltTitle {
  return { ...built, title: { ...built.title, id, isDownloadable } };
}

/** When it was live, seconds since the Unix epoch. */
const LIVE_SECONDS = 1_790_000_000;

/** The same title with the times of media that was live: counted from 1970. */
function sinceEpoch({ title, blobs }: BuiltTitle): BuiltTitle {
  const moved = new Map(blobs);
  const periods = title.periods.map((period) => {
    const tracks = [...period.tracks].map(([id, own]) => {
      const ticks = LIVE_SECONDS * own.track.timescale;
      const segments = own.segments.map((segment) => {
        const path = segmentPath(id, period.id, segment.number);
        moved.set(path, withTimes(moved.get(path), ticks));
        return { ...segment, startTicks: segment.startTicks + ticks };
      });
      return [id, { ...own, offsetTicks: own.offsetTicks + ticks, segments }] as const;
    });
    return { ...period, tracks: new Map(tracks) };
  });
  return { title: { ...title, periods }, blobs: moved };
}

/** Adds ticks to the decode time of every fragment of a segment. */
function withTimes(bytes: Uint8Array | undefined, ticks: number): Uint8Array {
  const copy = Buffer.from(bytes ?? []);
  for (let at = copy.indexOf('tfdt'); at >= 0; at = copy.indexOf('tfdt', at + 1)) {
    copy.writeBigUInt64BE(copy.readBigUInt64BE(at + 8) + BigInt(ticks), at + 8);
  }
  return copy;
}

/** Hashes of every decoded frame of a stream of an input. */
async function hashesOf(input: readonly string[], map = '0:0'): Promise<string[]> {
  const output = ['-map', map, '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'];
  const { stdout } = await ffmpeg([...input, ...output], { signal: AbortSignal.timeout(PATIENT_MS / 2) });
  return stdout
    .toString('utf8')
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(',').at(-1)?.trim() ?? '');
}

async function serve(driver: 'uws' | 'node' = 'node') {
  const listener = await listeners.start(driver, origin.handler);
  return { ...listener, url: `${listener.origin}/vod/` };
}

function titleOf(id: string): Title {
  const built = titles.get(id);
  if (!built) throw new Error(`no title ${id}`);
  return built.title;
}

/** Initialization segment and segments of a rendition, without the index that is between them in its file. */
function mediaOf(id: string, rendition: string): { init: Buffer; segments: Buffer } {
  const { title, blobs } = titles.get(id) as BuiltTitle;
  const [period] = title.periods;
  const bytes = (path: string): Buffer => Buffer.from(blobs.get(path) ?? []);
  const all = period?.tracks.get(rendition)?.segments ?? [];
  return {
    init: bytes(initPath(rendition, period?.id ?? '')),
    segments: Buffer.concat(all.map(({ number }) => bytes(segmentPath(rendition, period?.id ?? '', number)))),
  };
}

async function bytesOf(url: string, headers: Record<string, string> = {}): Promise<Buffer> {
  return Buffer.from(await (await fetch(url, { headers })).arrayBuffer());
}

describe('a title as one file for each rendition', () => {
  it.each(['single.m3u8', 'single.mpd'])(
    'plays to the very frames from %s',
    { timeout: PATIENT_MS },
    async (name) => {
      const { url } = await serve();
      const input = ['-i', `${url}film/${name}`];
      const isDash = name.endsWith('mpd');
      expect(await hashesOf(input, '0:v:0')).toEqual(truth.get('180p'));
      expect(await hashesOf(isDash ? input : ['-i', `${url}film/audio-en.single.m3u8`], '0:a:0')).toEqual(
        truth.get('audio-en'),
      );
      expect(reads.some((key) => key.startsWith('film/180p'))).toBe(true);
    },
  );

  it('has no fault that the validator knows', { timeout: PATIENT_MS }, async () => {
    const { url } = await serve();
    const fetcher = new HttpClient(systemClock);
    const deps = { fetcher, clock: systemClock, signal: new AbortController().signal };
    const report = await validatePresentation({ url: `${url}film/single.m3u8`, seconds: 1 }, deps);
    fetcher.close();
    expect(report.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  it('names nothing but byte ranges, which are those of the segments', async () => {
    const { url } = await serve();
    const playlist = (await bytesOf(`${url}film/180p.single.m3u8`)).toString();
    const file = await bytesOf(`${url}film/${renditionFilePath('180p', 'g1')}`);
    const { init, segments } = mediaOf('film', '180p');
    expect(file.subarray(0, init.length).equals(init)).toBe(true);
    expect(file.subarray(-segments.length).equals(segments)).toBe(true);
    const index = file.subarray(init.length, -segments.length);
    expect(index.toString('latin1', 4, 8)).toBe('sidx');
    const sizes = titleOf('film')
      .periods[0]?.tracks.get('180p')
      ?.segments.map(({ sizeBytes }) => sizeBytes);
    // References of 12 bytes behind 40 of the rest, their sizes first.
    const indexed = Array.from({ length: (index.length - 40) / 12 }, (_, at) =>
      index.readUInt32BE(40 + at * 12),
    );
    expect(indexed).toEqual(sizes);
    expect(playlist).toContain(`#EXT-X-MAP:URI="180p/g1/media.mp4",BYTERANGE="${init.length}@0"`);
    const ranges = [...playlist.matchAll(/^#EXT-X-BYTERANGE:(\d+)@(\d+)\n180p\/g1\/media\.mp4$/gm)];
    const listed = ranges.map(([, size, at]) => file.subarray(Number(at), Number(at) + Number(size)));
    expect(Buffer.concat(listed).equals(segments)).toBe(true);
    expect(playlist).not.toContain('.m4s');
    const keyFrames = (await bytesOf(`${url}film/180p.single.iframes.m3u8`)).toString();
    const first = /^#EXT-X-BYTERANGE:(\d+)@(\d+)$/m.exec(keyFrames);
    expect(Number(first?.[2])).toBe(file.length - segments.length);
  });

  it('is there when the title is whole, in HLS also with gaps, of which an index cannot tell', async () => {
    const { url } = await serve();
    const status = async (path: string): Promise<number> => (await fetch(url + path)).status;
    for (const path of ['single.m3u8', 'single.mpd', '180p.single.m3u8', renditionFilePath('180p', 'g1')]) {
      expect([path, await status(`growing/${path}`)]).toEqual([path, 404]);
    }
    expect(await status('show/single.m3u8')).toBe(200);
    expect(await status('show/single.mpd')).toBe(404);
    const gap = (await bytesOf(`${url}show/audio-de.single.m3u8`)).toString();
    expect(gap.split('#EXT-X-GAP')).toHaveLength(2);
    expect(await hashesOf(['-i', `${url}show/180p.single.m3u8`], '0:v')).toEqual(truth.get('180p'));
  });
});

describe('the download of a rendition', () => {
  it('is one file of exactly its frames, with the default sound, that plays and seeks', {
    timeout: PATIENT_MS,
  }, async () => {
    const { url } = await serve();
    const answer = await fetch(`${url}film/download/180p.mp4`);
    const file = Buffer.from(await answer.arrayBuffer());
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="film-180p.mp4"');
    expect(answer.headers.get('content-type')).toBe('video/mp4');
    expect(Number(answer.headers.get('content-length'))).toBe(file.length);
    const path = join(folder, 'download.mp4');
    await writeFile(path, file);
    const probed = await run('ffprobe', [
      ...['-v', 'warning', '-count_frames', '-of', 'json', '-show_streams', '-show_format', path],
    ]);
    expect(probed.stderr).toBe('');
    const { streams, format } = JSON.parse(probed.stdout.toString()) as {
      streams: Record<string, string>[];
      format: Record<string, string>;
    };
    expect(streams.map(({ codec_type }) => codec_type)).toEqual(['video', 'audio']);
    expect(Number(streams[0]?.['nb_read_frames'])).toBe(FRAMES);
    expect(Number(streams[0]?.['start_time'])).toBe(0);
    const seconds = (FRAMES * FRAME_RATE.denominator) / FRAME_RATE.numerator;
    expect(Number(streams[0]?.['duration'])).toBeCloseTo(seconds, 3);
    expect(Math.abs(Number(format['duration']) * 1000 - DURATION_MS)).toBeLessThan(50);
    expect(await hashesOf(['-i', path], '0:v:0')).toEqual(truth.get('180p'));
    expect(await hashesOf(['-i', path], '0:a:0')).toEqual(truth.get('audio-en'));
    const late = await hashesOf(['-ss', '4.1', '-i', path], '0:v:0');
    expect(late).toEqual(truth.get('180p')?.slice(-late.length));
    // The frame that is shown at that moment, or the next one.
    expect([69, 70]).toContain(late.length);
  });

  it('is read by another reader: tracks, samples and times', async () => {
    const { url } = await serve();
    const file = await bytesOf(`${url}film/download/180p.mp4`);
    const parsed = createFile();
    const info = new Promise<{ tracks: { id: number; nb_samples: number }[]; isFragmented: boolean }>(
      (resolve, reject) => {
        parsed.onReady = (ready) => resolve(ready);
        parsed.onError = (_module, message) => reject(new Error(message));
      },
    );
    parsed.appendBuffer(MP4BoxBuffer.fromArrayBuffer(new Uint8Array(file).buffer, 0));
    parsed.flush();
    expect((await info).isFragmented).toBe(true);
    const samples = (track: number) => parsed.getTrackSamplesInfo(track);
    expect([samples(1).length, samples(2).length]).toEqual([
      FRAMES,
      sources.find(({ id }) => id === 'audio-en')?.samples.length,
    ]);
    expect(samples(1)[0]?.cts).toBe(0);
  });

  it('puts what was live into one file, whatever its periods were', { timeout: PATIENT_MS }, async () => {
    const { url } = await serve();
    const path = join(folder, 'show.mp4');
    await writeFile(path, await bytesOf(`${url}show/download/180p.mp4`));
    expect(await hashesOf(['-i', path], '0:v:0')).toEqual(truth.get('180p'));
  });

  it('of what was live begins at 0', { timeout: PATIENT_MS }, async () => {
    const { url } = await serve();
    const [live, film] = [
      await bytesOf(`${url}epoch/download/180p.mp4`),
      await bytesOf(`${url}film/download/180p.mp4`),
    ];
    expect(live.equals(film)).toBe(true);
    const path = join(folder, 'epoch.mp4');
    await writeFile(path, live);
    expect(await hashesOf(['-i', path], '0:v:0')).toEqual(truth.get('180p'));
  });

  it('of sound is its file alone', { timeout: PATIENT_MS }, async () => {
    const { url } = await serve();
    const path = join(folder, 'sound.mp4');
    await writeFile(path, await bytesOf(`${url}film/download/audio-de.mp4`));
    expect(await hashesOf(['-i', path], '0:a:0')).toEqual(truth.get('audio-de'));
  });

  it('is not there unless the title allows it, is whole and in the clear', async () => {
    const { url } = await serve();
    for (const id of ['closed', 'secret', 'growing', 'none']) {
      const answer = await fetch(`${url}${id}/download/180p.mp4`);
      expect([id, answer.status]).toEqual([id, 404]);
    }
    expect((await fetch(`${url}film/download/720p.mp4`)).status).toBe(404);
    expect(titleOf('secret').isDownloadable).toBe(true);
  });

  it('is behind path tokens as the media is', async () => {
    const { origin: base } = await serve();
    const status = async (path: string): Promise<number> => (await fetch(base + path)).status;
    expect(await status('/t/film/vod/film/download/180p.mp4')).toBe(200);
    expect(await status('/t/film/vod/show/download/180p.mp4')).toBe(403);
    expect(await status('/t/other/vod/film/download/180p.mp4')).toBe(403);
  });
});

describe.each(DRIVERS)('a file that is made while it is sent (%s)', (driver) => {
  it('goes on anywhere, and says when nothing has changed', async () => {
    const { url } = await serve(driver);
    const path = `${url}film/download/180p.mp4`;
    const whole = await bytesOf(path);
    const head = await fetch(path, { method: 'HEAD' });
    expect(Number(head.headers.get('content-length'))).toBe(whole.length);
    for (const [start, end] of [
      [0, 9],
      [whole.length - 1, whole.length - 1],
      [1000, whole.length - 1000],
    ] as const) {
      const answer = await fetch(path, { headers: { range: `bytes=${start}-${end}` } });
      expect([answer.status, answer.headers.get('content-range')]).toEqual([
        206,
        `bytes ${start}-${end}/${whole.length}`,
      ]);
      expect(Buffer.from(await answer.arrayBuffer()).equals(whole.subarray(start, end + 1))).toBe(true);
    }
    expect((await fetch(path, { headers: { range: `bytes=${whole.length}-` } })).status).toBe(416);
    const etag = head.headers.get('etag') ?? '';
    expect((await fetch(path, { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await fetch(path, { headers: { range: 'bytes=0-1', 'if-range': '"x"' } })).status).toBe(200);
  });

  it('reads for a range what is in it, and for HEAD nothing', async () => {
    const { url } = await serve(driver);
    reads = [];
    await fetch(`${url}film/download/180p.mp4`, { method: 'HEAD' });
    expect(reads).toEqual([]);
    const size = Number((await fetch(`${url}film/download/180p.mp4`)).headers.get('content-length'));
    reads = [];
    await bytesOf(`${url}film/download/180p.mp4`, { range: `bytes=${size - 10}-` });
    expect(reads).toHaveLength(1);
  });

  it('is cut where the store fails, so that half of it is not taken for all', async () => {
    const { port } = await serve(driver);
    lost.add(`film/${segmentPath('180p', 'g1', 2)}`);
    const client = new RawClient(port);
    clients.push(client);
    client.request('GET', '/vod/film/download/180p.mp4');
    await client.untilClosed();
    expect(client.reader.answers).toHaveLength(0);
    expect(client.receivedBytes).toBeGreaterThan(1000);
  });
});

describe.each(DRIVERS)('a body in pieces (%s)', (driver) => {
  const PIECE_BYTES = 512 * 1024;
  const PIECES = 64;

  function pieces() {
    const state = { made: 0, returned: false };
    async function* make(): AsyncGenerator<Uint8Array> {
      try {
        for (let n = 0; n < PIECES; n++) {
          state.made += 1;
          yield new Uint8Array(PIECE_BYTES).fill(n);
        }
      } finally {
        state.returned = true;
      }
    }
    return { state, make };
  }

  async function start(made: AsyncIterable<Uint8Array>): Promise<number> {
    const headers = { entries: [['Content-Type', 'video/mp4']] as const };
    const { port } = await listeners.start(driver, (_request, response) =>
      response.sendPieces({ status: 200, headers, sizeBytes: PIECE_BYTES * PIECES, pieces: made }),
    );
    return port;
  }

  it('is made no faster than it is taken, and whole in the end', { timeout: PATIENT_MS }, async () => {
    const { state, make } = pieces();
    const client = new RawClient(await start(make()), { paused: true });
    clients.push(client);
    client.request('GET', '/');
    let [before, still] = [0, 0];
    await until(() => {
      still = state.made === before ? still + 1 : 0;
      before = state.made;
      return state.made > 0 && still >= 20;
    }, 'it has come to a stop');
    // What the kernel holds of both ends, and one piece.
    expect(state.made).toBeLessThan(PIECES / 2);
    client.startReading();
    const { bodyBytes, sha256 } = await client.answer();
    const hash = createHash('sha256');
    for await (const piece of pieces().make()) hash.update(piece);
    expect([bodyBytes, sha256]).toEqual([PIECE_BYTES * PIECES, hash.digest('hex')]);
    expect(state.returned).toBe(true);
    // The connection is as good as before.
    expect(client.closed).toBe(false);
  });

  it('is given up when the reader goes', async () => {
    const { state, make } = pieces();
    const client = new RawClient(await start(make()), { paused: true });
    client.request('GET', '/');
    await until(() => state.made > 0, 'it has begun');
    client.destroy();
    await until(() => state.returned, 'nothing more is made');
    expect(state.made).toBeLessThan(PIECES);
  });
});
