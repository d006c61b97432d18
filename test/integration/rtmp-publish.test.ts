import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RawSample } from '../../src/stream/publisher.ts';
import { ffmpeg, run, sourceArgs } from '../support/ffmpeg.ts';
import { videoFrame } from '../support/rtmp-client.ts';
import { type RtmpFixture, startRtmp } from '../support/rtmp-fixture.ts';
import type { RecordedPublisher } from '../support/rtmp-hub.ts';
import { until } from '../support/until.ts';

/** Publishers written by others, against our server with a hub that remembers. */

/** One packet as text, so that a difference reads well: kind, dts, pts, key, hash of the data. */
type PacketLine = string;

let dir: string;
let source: string;
let expected: Record<'video' | 'audio', PacketLine[]>;
let rtmp: RtmpFixture;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headwater-rtmp-'));
  source = join(dir, 'source.flv');
  await ffmpeg([...sourceArgs({ seconds: 4, bFrames: 2, gop: 30 }), '-f', 'flv', source]);
  expected = await packetsOfFile(source);
});

afterAll(() => rm(dir, { recursive: true }));

beforeEach(async () => {
  rtmp = await startRtmp();
});

afterEach(() => rtmp.server.close());

interface ProbedPacket {
  readonly codec_type: 'video' | 'audio';
  readonly pts: number;
  readonly dts: number;
  readonly flags: string;
  readonly data_hash: string;
}

/** What ffmpeg's own demuxer finds in the file. */
async function packetsOfFile(path: string): Promise<Record<'video' | 'audio', PacketLine[]>> {
  const probe = await run('ffprobe', [
    '-v',
    'error',
    '-show_packets',
    '-show_data_hash',
    'SHA256',
    '-of',
    'json',
    path,
  ]);
  const { packets } = JSON.parse(probe.stdout.toString()) as { packets: ProbedPacket[] };
  const line = (p: ProbedPacket) =>
    `${p.dts} ${p.pts} ${p.flags.startsWith('K') ? 'key' : '-'} ${p.data_hash.replace('SHA256:', '')}`;
  const of = (kind: 'video' | 'audio') => packets.filter((p) => p.codec_type === kind).map(line);
  return { video: of('video'), audio: of('audio') };
}

function packetsOfHub(publisher: RecordedPublisher): Record<'video' | 'audio', PacketLine[]> {
  const line = ({ dts, compositionOffset, key, data }: RawSample) =>
    `${dts} ${dts + compositionOffset} ${key ? 'key' : '-'} ${createHash('sha256').update(data).digest('hex')}`;
  const of = (kind: 'video' | 'audio') =>
    publisher.samples.filter((sample) => sample.kind === kind).map(line);
  return { video: of('video'), audio: of('audio') };
}

async function onlyPublisher(): Promise<RecordedPublisher> {
  const publisher = await until(() => rtmp.hub.publishers[0], 'a publisher');
  await until(() => publisher.closes.length > 0, 'the publisher to close');
  expect(rtmp.hub.publishers.length).toBe(1);
  return publisher;
}

function pushArgs(key: string): string[] {
  const quiet = ['-hide_banner', '-nostats', '-loglevel', 'error'];
  return [
    ...quiet,
    '-copyts',
    '-i',
    source,
    '-c',
    'copy',
    '-f',
    'flv',
    `rtmp://127.0.0.1:${rtmp.port}/live/${key}`,
  ];
}

describe('ffmpeg', () => {
  it('delivers every frame unchanged, with its times, and says goodbye', async () => {
    const pushed = await run('ffmpeg', pushArgs('good'));
    expect([pushed.code, pushed.stderr]).toEqual([0, '']);
    const publisher = await onlyPublisher();
    expect(expected.video.length).toBe(120);
    expect(expected.audio.length).toBeGreaterThan(180);
    // The file must have B-frames, or the composition times would prove nothing.
    expect(publisher.samples.some(({ compositionOffset }) => compositionOffset > 0)).toBe(true);
    expect(packetsOfHub(publisher)).toEqual(expected);
    expect(publisher.stream).toBe('studio');
    expect(publisher.info).toMatchObject({ protocol: 'rtmp', timescale: 1000, wrapBits: 32 });
    expect(publisher.closes).toEqual(['unpublished']);
    expect(publisher.announcements).toEqual([{ video: true, audio: true }]);
    expect(publisher.videoConfigs.map((config) => config[0])).toEqual([1]);
    expect(publisher.audioConfigs.length).toBeGreaterThan(0);
    expect(await rtmp.closed()).toEqual({ unpublished: 1 });
    expect(await rtmp.metric('ingest_rtmp_publishers')).toBe(0);
  });

  it('is turned away quickly with a wrong key, which appears in no log line', async () => {
    const startMs = performance.now();
    const pushed = await run('ffmpeg', pushArgs('wrong-key-123'));
    expect(pushed.code).not.toBe(0);
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(pushed.stderr).toContain('Publishing is not allowed.');
    await until(() => rtmp.server.sessionCount === 0, 'the socket to be gone');
    expect(await rtmp.closed()).toEqual({ auth_refused: 1 });
    expect(rtmp.hub.publishers).toEqual([]);
    expect(JSON.stringify(rtmp.log)).not.toContain('wrong-key-123');
  });

  it('gets the stream by the key alone when a query follows it', async () => {
    const pushed = await run('ffmpeg', pushArgs('good?bitrate=1'));
    expect(pushed.code).toBe(0);
    expect(packetsOfHub(await onlyPublisher())).toEqual(expected);
  });

  it('is told in words that Sorenson H.263 is not taken', async () => {
    // In real time: otherwise ffmpeg has sent everything before it reads what the server says.
    const args = [
      '-hide_banner',
      '-re',
      '-f',
      'lavfi',
      '-i',
      'testsrc2=size=64x64:rate=25',
      '-t',
      '4',
      '-c:v',
      'flv1',
    ];
    const pushed = await run('ffmpeg', [...args, '-f', 'flv', `rtmp://127.0.0.1:${rtmp.port}/live/good`]);
    expect(pushed.stderr).toContain('The codec Sorenson H.263 is not supported: send H.264, HEVC');
    const publisher = await onlyPublisher();
    expect(publisher.samples).toEqual([]);
    expect(await rtmp.closed()).toEqual({ codec_unsupported: 1 });
    expect(rtmp.log.find(({ fields }) => fields['reason'] === 'codec_unsupported')?.fields).toMatchObject({
      codec: 'Sorenson H.263',
      stream: 'studio',
    });
  });
});

/** The parts of fluent-ffmpeg and node-media-server used here; neither ships types for this version. */
interface FluentCommand {
  inputOptions(options: string[]): FluentCommand;
  outputOptions(options: string[]): FluentCommand;
  format(name: string): FluentCommand;
  output(url: string): FluentCommand;
  on(event: 'end' | 'error', listener: (error?: Error) => void): FluentCommand;
  run(): void;
}
interface NmsClient {
  connect(url: string): Promise<void>;
  sendConnect(): Promise<unknown>;
  sendCreateStream(): Promise<number>;
  sendPublish(name: string): Promise<unknown>;
  onOutputCallback(message: Buffer): void;
  disconnect(): void;
}
interface NmsRtmp {
  createMessage(packet: { codec_type: number; size: number; dts: number; data: Buffer }): Buffer;
}

const load = createRequire(import.meta.url);

describe('fluent-ffmpeg', () => {
  it('delivers every frame unchanged', async () => {
    const fluent = load('fluent-ffmpeg') as (input: string) => FluentCommand;
    await new Promise<void>((resolve, reject) => {
      fluent(source)
        .inputOptions(['-copyts'])
        .outputOptions(['-c copy'])
        .format('flv')
        .output(`rtmp://127.0.0.1:${rtmp.port}/live/good`)
        .on('end', () => resolve())
        .on('error', (error) => reject(error ?? new Error('fluent-ffmpeg failed')))
        .run();
    });
    const publisher = await onlyPublisher();
    expect(packetsOfHub(publisher)).toEqual(expected);
    expect(publisher.closes).toEqual(['unpublished']);
  });
});

describe("node-media-server's relay client", () => {
  it('publishes large frames with timestamps past 2^24 ms', async () => {
    const Client = load('node-media-server/src/protocol/rtmp_client.js') as new () => NmsClient;
    const Rtmp = load('node-media-server/src/protocol/rtmp.js') as NmsRtmp;
    const client = new Client();
    try {
      await client.connect(`rtmp://127.0.0.1:${rtmp.port}/live/good`);
      await client.sendConnect();
      expect(await client.sendCreateStream()).toBe(1);
      await client.sendPublish('good');
      const sent: string[] = [];
      const frames = [0xfffffe, 0xffffff, 0x1000000, 0xfffffff0].map((dts, i) => ({
        dts,
        size: [9, 70_000, 140_000, 300_000][i] ?? 0,
      }));
      for (const { dts, size } of frames) {
        const data = Buffer.concat([videoFrame(''), randomBytes(size - 5)]);
        sent.push(`${dts} ${createHash('sha256').update(data.subarray(5)).digest('hex')}`);
        client.onOutputCallback(Rtmp.createMessage({ codec_type: 9, size, dts, data }));
      }
      const publisher = await until(() => rtmp.hub.publishers[0], 'a publisher');
      await until(() => publisher.samples.length === 4, 'all frames');
      expect(
        publisher.samples.map(({ dts, data }) => `${dts} ${createHash('sha256').update(data).digest('hex')}`),
      ).toEqual(sent);
    } finally {
      client.disconnect();
    }
  });

  it('is refused with a wrong key', async () => {
    const Client = load('node-media-server/src/protocol/rtmp_client.js') as new () => NmsClient;
    const client = new Client();
    try {
      await client.connect(`rtmp://127.0.0.1:${rtmp.port}/live/bad`);
      await client.sendConnect();
      await client.sendCreateStream();
      await expect(client.sendPublish('bad')).rejects.toThrow('Publishing is not allowed.');
    } finally {
      client.disconnect();
    }
  });
});
