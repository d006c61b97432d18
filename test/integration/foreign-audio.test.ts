import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MESSAGE } from '../../src/ingest/rtmp/protocol.ts';
import { FlvReader } from '../../src/media/flv-reader.ts';
import { fakeProgram } from '../support/encoder-fixture.ts';
import { ffmpeg, frameHashes, run } from '../support/ffmpeg.ts';
import { get, getText } from '../support/live-client.ts';
import { RtmpTestClient } from '../support/rtmp-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';

/** Publishers whose audio is not AAC, on the whole server with real encoders. */

const MP3 = ['-c:a', 'libmp3lame', '-b:a', '128k', '-ar', '44100', '-ac', '2'];
const G711 = ['-c:a', 'pcm_mulaw', '-ar', '8000', '-ac', '1'];
const SPEEX = ['-c:a', 'libspeex', '-ar', '16000', '-ac', '1'];
/** Its tags are 186 ms long. */
const ADPCM = ['-c:a', 'adpcm_swf', '-ar', '22050', '-ac', '1'];
const AAC = ['-c:a', 'aac', '-b:a', '96k', '-ar', '44100'];
const SECONDS = 6;
/** Samples a second in which beeps are looked for. */
const BEEP_RATE = 48_000;
/** Timestamps of RTMP are whole milliseconds; a seam that is off by a frame would be 21 ms. */
const IN_SYNC_S = 0.005;
/** What an encoder still has when the publisher goes is not waited for: two of the longest tags. */
const TAIL_S = 0.4;

let folder: string;
const open: { close(): Promise<unknown> }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-foreign-'));
});

afterAll(async () => {
  for (const each of open.toReversed()) await each.close();
  await rm(folder, { recursive: true, force: true });
});

async function server(...set: string[]): Promise<TestServer> {
  const started = await startServer({ set: ['live.graceMs=60000', ...set] });
  open.push(started);
  return started;
}

/** A file with a beep at every full second of its clock. */
async function source(name: string, audio: readonly string[], video = true): Promise<string> {
  const file = join(folder, `${name}.flv`);
  const tone = "aevalsrc='0.6*sin(2*PI*1000*t)*lt(mod(t,1),0.2)*gt(t,0.5)':s=48000";
  const pictures = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=30'];
  const x264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '30', '-pix_fmt', 'yuv420p'];
  await ffmpeg([
    ...(video ? pictures : []),
    ...['-f', 'lavfi', '-i', tone, ...(video ? x264 : []), ...audio],
    ...['-t', `${SECONDS}`, '-f', 'flv', file],
  ]);
  return file;
}

async function push(to: TestServer, stream: string, file: string): Promise<void> {
  const url = await to.publishUrl(stream);
  await ffmpeg(['-re', '-copyts', '-i', file, '-c', 'copy', '-f', 'flv', url]);
}

interface Tag {
  readonly type: number;
  readonly timestampMs: number;
  readonly body: Uint8Array;
}

const TYPES: Readonly<Record<string, number>> = { audio: MESSAGE.audio, video: MESSAGE.video };

async function tagsOf(file: string): Promise<Tag[]> {
  const tags = new FlvReader().push(await readFile(file));
  return tags.flatMap(({ type, timestampMs, body }) => {
    const code = TYPES[type];
    return code === undefined ? [] : [{ type: code, timestampMs, body }];
  });
}

/** Sends tags when their time has come, with what `clock` makes of their timestamps, and hangs up. */
async function pushTags(
  to: TestServer,
  stream: string,
  tags: readonly Tag[],
  clock: (timestampMs: number) => number = (timestampMs) => timestampMs,
): Promise<void> {
  const url = new URL(await to.publishUrl(stream));
  const client = await RtmpTestClient.publishing(Number(url.port), url.pathname.split('/').at(-1) ?? '');
  try {
    const startMs = performance.now();
    for (const { type, timestampMs, body } of tags) {
      const earlyMs = timestampMs - (performance.now() - startMs);
      if (earlyMs > 1) await delay(earlyMs);
      client.send({ type, timestamp: clock(timestampMs), payload: Buffer.from(body) });
    }
    expect(client.statuses.slice(1)).toEqual([]);
  } finally {
    client.end();
  }
}

/** Our children that encode audio. */
async function encoders(): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const isDead = stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
      const command = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
      return parent === process.pid && !isDead && command.includes('atrim=') ? [pid] : [];
    }),
  );
  return found.flat();
}

/** Everything a rendition lists: a CMAF byte stream, init first, for each init segment. */
async function downloadAll(from: TestServer, stream: string, rendition: string): Promise<Buffer[][]> {
  const base = `${from.mediaUrl}/live/${stream}/`;
  const text = await getText(`${base}${rendition}.m3u8`);
  const groups: Buffer[][] = [];
  let isGap = false;
  for (const line of text.split('\n')) {
    const map = /^#EXT-X-MAP:URI="([^"]+)"/.exec(line)?.[1];
    if (map !== undefined) groups.push([await get(base + map)]);
    if (line === '#EXT-X-GAP') isGap = true;
    if (line === '' || line.startsWith('#')) continue;
    if (!isGap) groups.at(-1)?.push(await get(base + line));
    isGap = false;
  }
  return groups;
}

/** The same of a rendition that needed one init segment only: nothing about it changed. */
async function download(from: TestServer, stream: string, rendition: string): Promise<Buffer[]> {
  const [pieces = [], ...more] = await downloadAll(from, stream, rendition);
  expect(more, 'further init segments').toEqual([]);
  return pieces;
}

type Input = string | readonly Uint8Array[];

async function packetTimes(input: Input, stream: 'v' | 'a'): Promise<number[]> {
  const probe = await run(
    'ffprobe',
    [
      ...['-v', 'error', '-select_streams', stream, '-show_entries', 'packet=pts_time', '-of', 'csv=p=0'],
      typeof input === 'string' ? input : 'pipe:0',
    ],
    typeof input === 'string' ? {} : { stdin: input },
  );
  const times = probe.stdout.toString('utf8').split(/[\s,]+/);
  return times.filter((text) => text !== '').map(Number);
}

/** When the beeps begin, seconds on the input's own clock. */
async function beeps(input: Input): Promise<number[]> {
  const decoded = await ffmpeg(
    [
      ...['-i', typeof input === 'string' ? input : 'pipe:0', '-map', '0:a'],
      ...['-af', `aresample=${BEEP_RATE}:async=1`, '-ac', '1', '-f', 'f32le', 'pipe:1'],
    ],
    typeof input === 'string' ? {} : { stdin: input },
  );
  const [start = Number.NaN] = await packetTimes(input, 'a');
  const found: number[] = [];
  let loudAt = Number.NEGATIVE_INFINITY;
  const { stdout } = decoded;
  for (let at = 0; at < stdout.length / 4; at++) {
    if (Math.abs(stdout.readFloatLE(at * 4)) < 0.2) continue;
    if (at - loudAt > BEEP_RATE / 2) found.push(start + at / BEEP_RATE);
    loudAt = at;
  }
  return found;
}

/** Where each beep is in the output, against the source: seconds, by the picture's clock. */
async function beepErrors(file: string, video: Input, audio: Input): Promise<number[]> {
  const [sentVideo = Number.NaN] = (await packetTimes(file, 'v')).toSorted((a, b) => a - b);
  const [gotVideo = Number.NaN] = (await packetTimes(video, 'v')).toSorted((a, b) => a - b);
  const sent = (await beeps(file)).map((at) => at - sentVideo);
  const got = (await beeps(audio)).map((at) => at - gotVideo);
  expect(got.length).toBeGreaterThanOrEqual(SECONDS - 2);
  return got.map((at) => {
    const errors = sent.map((each) => at - each);
    return errors.reduce((best, each) => (Math.abs(each) < Math.abs(best) ? each : best));
  });
}

/** Steps between packets that are not one AAC frame. */
function oddSteps(times: readonly number[], frameSeconds: number): number[] {
  return times.slice(1).flatMap((at, i) => {
    const step = at - (times[i] ?? Number.NaN);
    return Math.abs(step - frameSeconds) > 0.0005 ? [step] : [];
  });
}

async function metric(of: TestServer, name: string): Promise<number> {
  const lines = (await getText(`${of.metricsUrl}/metrics`)).split('\n');
  const values = lines.filter((line) => line.startsWith(`headwater_transcode_audio_${name}`));
  return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Nothing is missing, doubled, broken or out of step with the picture. */
async function expectWhole(on: TestServer, stream: string, file: string, sampleRate: number): Promise<void> {
  const video = await download(on, stream, 'video');
  const audio = await download(on, stream, 'audio');
  const times = await packetTimes(audio, 'a');
  expect(oddSteps(times, 1024 / sampleRate), 'steps between frames').toEqual([]);
  const decoded = await frameHashes(audio, '0:a');
  expect([decoded.stderr, decoded.hashes.length]).toEqual(['', times.length]);
  expect(times.length * (1024 / sampleRate)).toBeGreaterThan(SECONDS - TAIL_S);
  const errors = await beepErrors(file, video, audio);
  expect(Math.max(...errors.map(Math.abs)), errors.join()).toBeLessThan(IN_SYNC_S);
  await expectPictures(on, stream, file);
}

async function expectPictures(on: TestServer, stream: string, file: string): Promise<void> {
  const pictures = await frameHashes(await download(on, stream, 'video'), '0:v');
  expect(pictures.hashes).toEqual((await frameHashes(file, '0:v')).hashes);
}

function codes(on: TestServer): unknown[] {
  return on.log.flatMap(({ level, fields }) =>
    level === 'warn' && 'code' in fields ? [fields['code']] : [],
  );
}

describe('audio that is not AAC', () => {
  it('comes out as AAC, whole and in sync, whatever it is, also of several publishers at once', async () => {
    const on = await server();
    await Promise.all([
      expectEncoded(on, 'mp3', MP3, 44_100, 2),
      expectEncoded(on, 'g711', G711, 48_000, 1),
      expectEncoded(on, 'speex', SPEEX, 48_000, 1),
      expectEncoded(on, 'adpcm', ADPCM, 48_000, 1),
    ]);
    await until(async () => (await metric(on, 'processes')) === 0, 'the encoders to be gone');
    expect(await encoders()).toEqual([]);
    expect(await metric(on, 'restarts_total')).toBe(0);
    expect(await metric(on, 'frames_dropped_total')).toBe(0);
  });

  async function expectEncoded(
    on: TestServer,
    stream: string,
    codec: readonly string[],
    sampleRate: number,
    channels: number,
  ): Promise<void> {
    const file = await source(stream, codec);
    await push(on, stream, file);
    await expectWhole(on, stream, file, sampleRate);
    const probe = await run(
      'ffprobe',
      [
        ...['-v', 'error', '-show_entries', 'stream=codec_name,profile,sample_rate,channels', '-of', 'json'],
        'pipe:0',
      ],
      { stdin: await download(on, stream, 'audio') },
    );
    expect(JSON.parse(probe.stdout.toString('utf8'))).toMatchObject({
      streams: [{ codec_name: 'aac', profile: 'LC', sample_rate: `${sampleRate}`, channels }],
    });
    expect(await getText(`${on.mediaUrl}/live/${stream}/index.m3u8`)).toContain('mp4a.40.2');
  }

  it('needs no picture', async () => {
    const file = await source('alone', MP3, false);
    const on = await server();
    await push(on, 'alone', file);
    const audio = await download(on, 'alone', 'audio');
    const times = await packetTimes(audio, 'a');
    expect(oddSteps(times, 1024 / 44_100)).toEqual([]);
    expect((times.length * 1024) / 44_100).toBeGreaterThan(SECONDS - TAIL_S);
    expect((await frameHashes(audio, '0:a')).stderr).toBe('');
  });

  it("goes on over the end of the source's clock", async () => {
    const file = await source('wrap', MP3);
    const tags = await tagsOf(file);
    const on = await server();
    // Senders that mask the sign bit away begin again at 2^31.
    const wrap = async (bits: number): Promise<void> => {
      const modulus = 2 ** bits;
      await pushTags(on, `wrap-${bits}`, tags, (timestampMs) => (timestampMs + modulus - 3000) % modulus);
      await expectWhole(on, `wrap-${bits}`, file, 44_100);
    };
    await Promise.all([wrap(31), wrap(32)]);
    expect(await metric(on, 'restarts_total')).toBe(0);
  });

  it('may change into AAC and back', async () => {
    const mp3 = await source('change-mp3', MP3);
    const aac = await source('change-aac', AAC);
    const [tags, others] = [await tagsOf(mp3), await tagsOf(aac)];
    const between = (at: number) => at >= 2500 && at < 4500;
    const config = others.find(({ type }) => type === MESSAGE.audio);
    const mixed = [
      ...tags.filter(({ type, timestampMs }) => type === MESSAGE.video || !between(timestampMs)),
      ...(config ? [{ ...config, timestampMs: 2500 }] : []),
      ...others.filter(({ type, timestampMs }) => type === MESSAGE.audio && between(timestampMs)),
    ].toSorted((a, b) => a.timestampMs - b.timestampMs);
    const on = await server();
    await pushTags(on, 'change', mixed);
    const video = await downloadAll(on, 'change', 'video');
    const pictures = await Promise.all(video.map((pieces) => frameHashes(pieces, '0:v')));
    expect(pictures.flatMap(({ hashes }) => hashes)).toEqual((await frameHashes(mp3, '0:v')).hashes);
    const audio = await downloadAll(on, 'change', 'audio');
    const starts: number[] = [];
    for (const pieces of audio) {
      const times = await packetTimes(pieces, 'a');
      expect(oddSteps(times, 1024 / 44_100)).toEqual([]);
      const decoded = await frameHashes(pieces, '0:a');
      expect([decoded.stderr, decoded.hashes.length]).toEqual(['', times.length]);
      const [first = Number.NaN] = times;
      starts.push(first);
      expect(times.at(-1)).toBeGreaterThan(first + 0.7);
    }
    // MP3 of two channels, AAC of one and MP3 again, each from the first key frame on that has it.
    const [origin = Number.NaN] = starts;
    expect(starts.map((at) => Math.floor(at - origin + 0.1))).toEqual([0, 3, 5]);
    const timelines = on.log.filter(({ message }) => message === 'timeline begun');
    expect(timelines.map(({ fields }) => fields)).toMatchObject([
      { reason: 'start', audio: { channels: 2 } },
      { reason: 'tracks', audio: { channels: 1 } },
      { reason: 'tracks', audio: { channels: 2 } },
    ]);
    expect(await metric(on, 'processes')).toBe(0);
    expect(codes(on)).toEqual([]);
  });
});

describe('an audio encoder', () => {
  it.each([
    ['killed', 'SIGKILL', 'TRANSCODE_ENCODER_EXITED'],
    ['hung', 'SIGSTOP', 'TRANSCODE_ENCODER_HUNG'],
  ] as const)('is replaced without a seam when it is %s', async (stream, signal, code) => {
    const file = await source(stream, MP3);
    const on = await server();
    const pushed = push(on, stream, file);
    const [pid] = await until(async () => {
      const pids = await encoders();
      return pids.length > 0 && (await metric(on, 'frames_out_total')) > 80 ? pids : undefined;
    }, 'the encoder to run');
    process.kill(pid ?? Number.NaN, signal);
    await pushed;
    await expectWhole(on, stream, file, 44_100);
    expect(await metric(on, 'restarts_total')).toBe(1);
    expect(codes(on)).toEqual([code]);
  });
});

describe.concurrent('an audio encoder', () => {
  it.each([
    ['missing', undefined, 'TRANSCODE_FFMPEG_MISSING'],
    ['ending-again-and-again', '#!/bin/sh\nexit 1\n', 'TRANSCODE_ENCODER_EXITED'],
    ['deaf', '#!/bin/sh\nexec sleep 60\n', 'TRANSCODE_ENCODER_HUNG'],
  ])('that is %s costs the picture nothing', async (stream, text, code) => {
    const program = text === undefined ? undefined : await fakeProgram(text);
    if (program) open.push(program);
    const file = await source(stream, MP3);
    const on = await server(
      `ladder.ffmpeg=${program?.path ?? join(folder, 'nothing')}`,
      'ladder.startTimeoutMs=1000',
    );
    const pushed = push(on, stream, file);
    await until(() => on.log.some(({ message }) => message === 'publisher accepted'), 'the publisher');
    const acceptedMs = performance.now();
    await until(() => on.log.some(({ message }) => message === 'timeline begun'), 'the timeline');
    expect(performance.now() - acceptedMs).toBeLessThan(3500);
    await pushed;
    await expectPictures(on, stream, file);
    expect(new Set(codes(on))).toEqual(new Set([code]));
    expect(codes(on).length).toBeLessThanOrEqual(3);
    expect(await metric(on, 'restarts_total')).toBeLessThan(8);
    expect(await metric(on, 'frames_dropped_total')).toBeGreaterThan(0);
    expect(await metric(on, 'processes')).toBeLessThanOrEqual(1);
  });
});
