import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ffmpeg, frameHashes, run, sourceArgs, type SourceFile } from '../support/ffmpeg.ts';
import { get, getText, listMedia, sha256 } from '../support/live-client.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-source-'));
  server = await startServer({ set: ['live.graceMs=60000'] });
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Pushes a file in real time over RTMP, untouched; resolves when ffmpeg has sent it all. */
async function push(stream: string, source: SourceFile): Promise<string> {
  const file = join(folder, `${stream}.mp4`);
  await ffmpeg([...sourceArgs(source), file]);
  const url = await server.publishUrl(stream);
  await ffmpeg(['-re', '-i', file, '-c', 'copy', '-f', 'flv', url]);
  return file;
}

/** Everything a rendition lists, init first, as one CMAF byte stream. */
async function download(stream: string, rendition: string): Promise<Buffer[]> {
  const base = `${server.mediaUrl}/live/${stream}/`;
  const listed = listMedia(await getText(`${base}${rendition}.m3u8`));
  expect(listed.maps).toHaveLength(1);
  return Promise.all([...listed.maps, ...listed.segments].map((uri) => get(base + uri)));
}

/** First presentation time of a stream in a file or CMAF byte stream, seconds. */
async function firstPts(input: string | Buffer[], stream: 'v' | 'a'): Promise<number> {
  const probe = await run(
    'ffprobe',
    ['-v', 'error', '-select_streams', stream, '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', typeof input === 'string' ? input : 'pipe:0'],
    typeof input === 'string' ? {} : { stdin: input },
  );
  const times = probe.stdout.toString('utf8').split(/\s+/).map((line) => Number.parseFloat(line));
  return Math.min(...times.filter((time) => !Number.isNaN(time)));
}

const SOURCES: readonly (readonly [name: string, source: SourceFile])[] = [
  ['plain', { seconds: 9 }],
  ['b-frames', { seconds: 9, bFrames: 3 }],
  ['ntsc-44k', { seconds: 9, rate: '30000/1001', sampleRate: 44_100 }],
];

describe('a file pushed over RTMP', () => {
  it.concurrent.each(SOURCES)('comes out frame for frame: %s', async (stream, source) => {
    const file = await push(stream, source);
    const video = await download(stream, 'video');
    const audio = await download(stream, 'audio');

    const sent = await frameHashes(file, '0:v');
    const received = await frameHashes(video, '0:v');
    expect(received.stderr).toBe('');
    expect(received.hashes).toEqual(sent.hashes);

    const heard = await frameHashes(audio, '0:a');
    expect(heard.stderr).toBe('');
    expect(heard.hashes.length).toBeGreaterThanOrEqual((await frameHashes(file, '0:a')).hashes.length - 2);

    // Audio that precedes the first picture is dropped, so offsets are compared through the wall clock of both.
    const sentOffset = (await firstPts(file, 'a')) - (await firstPts(file, 'v'));
    const offset = (await firstPts(audio, 'a')) - (await firstPts(video, 'v'));
    expect(Math.abs(offset - sentOffset)).toBeLessThan(0.025);
  });

  it('serves parts, whole segment and DASH body with the same bytes', async () => {
    const base = `${server.mediaUrl}/live/plain/`;
    const listed = listMedia(await getText(`${base}video.m3u8`));
    const last = listed.mediaSequence + listed.segments.length - 1;
    const parts = listed.parts.get(last) ?? [];
    expect(parts.length).toBeGreaterThan(2);
    const bodies = await Promise.all(parts.map((uri) => get(base + uri)));
    const uri = listed.segments.at(-1) ?? '';
    expect(sha256(...bodies)).toBe(sha256(await get(base + uri)));
    expect(sha256(...bodies)).toBe(sha256(await get(`${server.controlUrl}/live/plain/${uri}`)));
  });
});
