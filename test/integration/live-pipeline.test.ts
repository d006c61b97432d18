import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ffmpeg, frameHashes, run, sourceArgs, type SourceFile } from '../support/ffmpeg.ts';
import { get, getText, listMedia } from '../support/live-client.ts';
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
  return Promise.all([...listed.maps, ...listed.segments].map((uri) => get(base + uri)));
}

/** First presentation time of a stream in a file or CMAF byte stream, seconds. */
async function firstPts(input: string | Buffer[], stream: 'v' | 'a'): Promise<number> {
  const probe = await run(
    'ffprobe',
    [
      '-v',
      'error',
      '-select_streams',
      stream,
      '-show_entries',
      'packet=pts_time',
      '-of',
      'csv=p=0',
      typeof input === 'string' ? input : 'pipe:0',
    ],
    typeof input === 'string' ? {} : { stdin: input },
  );
  const times = probe.stdout
    .toString('utf8')
    .split(/\s+/)
    .map((line) => Number.parseFloat(line));
  return Math.min(...times.filter((time) => !Number.isNaN(time)));
}

const SOURCES: readonly (readonly [name: string, source: SourceFile])[] = [
  ['plain', { seconds: 9 }],
  ['b-frames', { seconds: 9, bFrames: 3 }],
  ['ntsc-44k', { seconds: 9, rate: '30000/1001', sampleRate: 44_100 }],
  ['variable-rate', { seconds: 9, variable: true }],
  ['late-audio', { seconds: 12, audioAfter: 5 }],
  ['video-only', { seconds: 9, audio: false }],
  ['audio-only', { seconds: 9, video: false }],
];

/** Frames of a rendition that came out, next to those that were sent. */
async function compare(file: string, pieces: Buffer[], kind: '0:v' | '0:a') {
  const sent = await frameHashes(file, kind);
  const received = await frameHashes(pieces, kind);
  expect(received.stderr).toBe('');
  return { sent: sent.hashes, received: received.hashes };
}

describe('a file pushed over RTMP', () => {
  it.concurrent.each(SOURCES)('comes out frame for frame: %s', async (stream, source) => {
    const file = await push(stream, source);
    const hasVideo = source.video !== false;
    const hasAudio = source.audio !== false;
    const video = hasVideo ? await download(stream, 'video') : [];
    const audio = hasAudio ? await download(stream, 'audio') : [];

    if (hasVideo) {
      const pictures = await compare(file, video, '0:v');
      expect(pictures.received).toEqual(pictures.sent);
    }
    if (hasAudio) {
      const sound = await compare(file, audio, '0:a');
      // The first AAC frames may lie before the first picture, where nothing is kept.
      expect(sound.received.length).toBeGreaterThanOrEqual(sound.sent.length - 2);
    }
    if (hasVideo && hasAudio) {
      const sentOffset = (await firstPts(file, 'a')) - (await firstPts(file, 'v'));
      const offset = (await firstPts(audio, 'a')) - (await firstPts(video, 'v'));
      expect(Math.abs(offset - sentOffset)).toBeLessThan(0.025);
    }
  });
});
