import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type FragmentSample,
  readFragments,
  readInitSegment,
} from '../../src/media/isobmff/fragment-reader.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import { getText } from '../support/live-client.ts';
import { publishEnhanced } from '../support/newer-ffmpeg.ts';
import { downloadRendition, missingAtEnds, payloadHashes } from '../support/passed-through.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** FFmpeg's own Enhanced RTMP against the whole server: HEVC and the others, and several pictures on one connection. */

const SECONDS = 7;
const FRAMES = SECONDS * 30;
const FRAME_TICKS = 3000;
const PICTURE = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30'];
const SOUND = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];

let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-newer-ffmpeg-'));
  server = await startServer({ set: ['live.graceMs=60000'] });
});

afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Encodes a file and publishes it; gives its path. */
async function publish(stream: string, encoding: readonly string[]): Promise<string> {
  const path = join(folder, `${stream}.mp4`);
  const common = ['-t', `${SECONDS}`, '-pix_fmt', 'yuv420p', '-strict', '-2', '-ac', '2'];
  await ffmpeg([...PICTURE, ...SOUND, ...encoding, ...common, path], { env: { SVT_LOG: '1' } });
  const { code, stderr } = await publishEnhanced(path, await server.publishUrl(stream));
  expect(code, stderr).toBe(0);
  return path;
}

const X265 = 'log-level=none:keyint=60:min-keyint=60:scenecut=0:bframes=2';
const CASES = [
  {
    name: 'HEVC with B-frames and Opus',
    encoding: ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', X265, '-c:a', 'libopus'],
    codecs: ['hvc1.1.6.L60.90', 'Opus'],
  },
  {
    name: 'AV1 and FLAC',
    encoding: ['-c:v', 'libsvtav1', '-preset', '12', '-g', '60', '-c:a', 'flac'],
    codecs: ['av01.0.00M.08', 'fLaC'],
  },
  {
    name: 'VP9 and AC-3',
    encoding: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-g', '60', '-c:a', 'ac3'],
    codecs: ['vp09.00.11.08', 'ac-3'],
  },
  {
    name: 'H.264 and E-AC-3',
    encoding: ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '60', '-bf', '2', '-c:a', 'eac3'],
    codecs: ['avc1.64000d', 'ec-3'],
  },
] as const;

describe.concurrent('Enhanced RTMP', () => {
  it.each(CASES)('brings $name, every byte of both tracks', async ({ name, encoding, codecs }) => {
    const stream = name.replaceAll(/\W/g, '');
    const path = await publish(stream, encoding);
    const main = await getText(`${server.mediaUrl}/live/${stream}/index.m3u8`);
    expect(main).toContain(`CODECS="${codecs.join(',')}"`);
    const [video = [], audio = []] = await Promise.all(
      ['video', 'audio'].map((rendition) => downloadRendition(server.mediaUrl, stream, rendition)),
    );
    const pictures = await payloadHashes(path, 'v:0');
    expect(pictures).toHaveLength(FRAMES);
    expect(await payloadHashes(video, 'v:0')).toEqual(pictures);
    const ends = missingAtEnds(await payloadHashes(audio, 'a:0'), await payloadHashes(path, 'a:0'));
    // Sound that lies before the first picture, as an encoder's first frame may, is not kept.
    expect(ends.head).toBeLessThanOrEqual(1);
    expect(ends.tail).toBe(0);
  });

  it('brings several pictures on one connection, which become the ladder as they are', async () => {
    const sizes = [
      { id: 'video', size: '640x360' },
      { id: '240p', size: '426x240' },
      { id: '120p', size: '214x120' },
    ];
    const scaled = sizes.map(({ size }, i) => `[s${i}]scale=${size}[v${i}]`).join(';');
    const maps = [...sizes.flatMap((_, i) => ['-map', `[v${i}]`]), '-map', '1:a'];
    const gop = ['-g', '60', '-keyint_min', '60', '-sc_threshold', '0'];
    const path = await publish('ladder', [
      ...['-filter_complex', `[0:v]split=3[s0][s1][s2];${scaled}`, ...maps],
      ...['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '2', ...gop, '-c:a', 'aac'],
    ]);
    const main = await getText(`${server.mediaUrl}/live/ladder/index.m3u8`);
    expect(main.match(/RESOLUTION=\d+x\d+/g)).toEqual(sizes.map(({ size }) => `RESOLUTION=${size}`));
    const renditions = await Promise.all(
      sizes.map(({ id }) => downloadRendition(server.mediaUrl, 'ladder', id)),
    );
    const received = await Promise.all(renditions.map((pieces) => payloadHashes(pieces, 'v:0')));
    const sent = await Promise.all(
      (['v:0', 'v:1', 'v:2'] as const).map((track) => payloadHashes(path, track)),
    );
    expect(sent.map((hashes) => hashes.length)).toEqual([FRAMES, FRAMES, FRAMES]);
    expect(received).toEqual(sent);
    const frames = renditions.map(framesOf);
    const decoded = frames.map((each) => each.map(({ dts }) => dts));
    expect(decoded).toEqual([decoded[0], decoded[0], decoded[0]]);
    // Encoders choose their B-frames each by itself; what is shown, and when, must be the same all the same.
    for (const each of frames) expect(shownSlots(each)).toEqual(Array.from({ length: FRAMES }, (_, i) => i));
  });
});

/** The frames of a rendition, by our own reader: ffprobe moves presentation times once it meets a negative offset. */
function framesOf(pieces: readonly Uint8Array[]): readonly FragmentSample[] {
  const bytes = new Uint8Array(Buffer.concat(pieces));
  const inits = readInitSegment(bytes) ?? [];
  return (readFragments(bytes, inits) ?? []).flatMap(({ tracks }) =>
    tracks.flatMap(({ samples }) => samples),
  );
}

/** Which place in the frame grid each picture is shown at, in order; times from RTMP are good to a millisecond. */
function shownSlots(frames: readonly FragmentSample[]): number[] {
  const [first] = frames;
  return frames.map(({ pts }) => Math.round((pts - (first?.pts ?? 0)) / FRAME_TICKS)).sort((a, b) => a - b);
}
