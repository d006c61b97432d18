import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFile, MP4BoxBuffer } from 'mp4box';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Metrics } from '../../src/base/metrics.ts';
import { readInitSegment } from '../../src/media/isobmff/fragment-reader.ts';
import { renderMpd } from '../../src/packager/dash/mpd.ts';
import { renderMultivariant } from '../../src/packager/hls/multivariant.ts';
import { PackagerDirectory } from '../../src/packager/packager-directory.ts';
import { PackagerMetrics } from '../../src/packager/packager-metrics.ts';
import { DEFAULT_PACKAGER_OPTIONS } from '../../src/packager/stream-packager.ts';
import { StreamHub } from '../../src/stream/hub.ts';
import { DEFAULT_HUB_OPTIONS } from '../../src/stream/hub-options.ts';
import type { LiveWindow } from '../../src/stream/live-window.ts';
import type { PublisherInfo } from '../../src/stream/publisher.ts';
import {
  AUDIO_FILES,
  type CodecFile,
  type CodecFileName,
  makeCodecFile,
  publishFiles,
  VIDEO_FILES,
} from '../support/codec-files.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ffmpeg, frameHashes, run } from '../support/ffmpeg.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { setUp } from '../support/hub-bench.ts';
import { MemoryJournal, PackagerBench } from '../support/packager-bench.ts';
import { windowFaults } from '../support/window-check.ts';

const START_MS = 1_795_348_800_000;
const SECONDS = 4;
const INFO: PublisherInfo = {
  protocol: 'srt',
  role: 'primary',
  session: 'session-1',
  remoteAddress: '127.0.0.1:50000',
  timescale: 90_000,
  wrapBits: 33,
};

let folder: string;
const made = new Map<CodecFileName, Promise<CodecFile>>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'codecs-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function file(name: CodecFileName): Promise<CodecFile> {
  const known = made.get(name) ?? makeCodecFile(folder, name, SECONDS);
  made.set(name, known);
  return known;
}

interface Published {
  readonly window: LiveWindow;
  readonly log: ReturnType<typeof createMemoryLog>;
  dropped(): Promise<Record<string, number>>;
  close(): void;
}

/** From the publisher to the window through the real hub and packager. */
function publish(video: CodecFile | undefined, audio: CodecFile | undefined): Published {
  const clock = new FakeClock(START_MS);
  const log = createMemoryLog();
  const metrics = new Metrics();
  const packagers = new PackagerDirectory(DEFAULT_PACKAGER_OPTIONS, {
    clock,
    log,
    metrics: new PackagerMetrics(metrics),
    journal: new MemoryJournal(),
  });
  const hub = new StreamHub(DEFAULT_HUB_OPTIONS, {
    clock,
    log,
    metrics,
    createSink: (stream) => packagers.createSink(stream),
  });
  const publisher = hub.publish('cam', INFO, (code) => {
    throw new Error(`closed for ${code}`);
  });
  publishFiles(clock, publisher, video, audio);
  publisher.close('unpublished');
  clock.advance(DEFAULT_HUB_OPTIONS.graceMs + 1);
  const window = packagers.window('cam');
  if (!window) throw new Error('no window');
  return {
    window,
    log,
    async dropped() {
      const found = await metrics.registry.getSingleMetric('headwater_stream_samples_dropped_total')?.get();
      const values = (found?.values ?? []).filter(({ value }) => value > 0);
      return Object.fromEntries(
        values.map(({ labels, value }) => [`${labels['kind']} ${labels['cause']}`, value]),
      );
    },
    close() {
      hub.close();
      packagers.close();
    },
  };
}

/** All of a rendition that is there, as one CMAF file. */
function bytesOf(window: LiveWindow, id: 'video' | 'audio'): Uint8Array[] {
  const init = window.periods[0]?.inits.get(id);
  const rendition = window.renditions.find((one) => one.id === id);
  if (!init || !rendition) throw new Error(`no ${id}`);
  return [init, ...rendition.segments.flatMap(({ chunks }) => chunks.map(({ bytes }) => bytes))];
}

/** What ffprobe reads off the track: an outside reader of our sample entry and boxes. */
async function probe(pieces: readonly Uint8Array[]): Promise<Record<string, unknown>> {
  const wanted =
    'stream=codec_name,codec_tag_string,profile,width,height,pix_fmt,sample_rate,channels,color_transfer';
  const result = await run('ffprobe', ['-v', 'error', '-show_entries', wanted, '-of', 'json', 'pipe:0'], {
    stdin: pieces,
  });
  expect(result.stderr).toBe('');
  return JSON.parse(result.stdout.toString('utf8')).streams[0];
}

describe('video from a publisher to CMAF', () => {
  it.each(VIDEO_FILES)('comes out frame for frame: %s', async (name) => {
    const source = await file(name);
    const published = publish(source, undefined);
    try {
      const { window } = published;
      expect(windowFaults(window)).toEqual([]);
      expect(window.periods).toHaveLength(1);
      const pieces = bytesOf(window, 'video');
      const sent = await frameHashes(source.path, '0:v');
      const received = await frameHashes(pieces, '0:v');
      expect(received.stderr).toBe('');
      expect(received.hashes).toHaveLength(SECONDS * 30);
      expect(received.hashes).toEqual(sent.hashes);
      expect(await published.dropped()).toEqual({});
    } finally {
      published.close();
    }
  });
});

describe('audio from a publisher to CMAF', () => {
  it.each(AUDIO_FILES)('comes out frame for frame beside video: %s', async (name) => {
    const source = await file(name);
    const published = publish(await file('vp9'), source);
    try {
      const { window } = published;
      expect(windowFaults(window)).toEqual([]);
      const init = window.periods[0]?.inits.get('audio') ?? new Uint8Array();
      expect(readInitSegment(init)?.[0]?.config).toEqual(source.config);
      const pieces = bytesOf(window, 'audio');
      const received = await packetHashes(pieces);
      const sent = await packetHashes(source.path);
      expect(received).toEqual(sent);
      const sound = await decodedSound(pieces);
      expect(sound.stderr).toBe('');
      expect(sound.samples).toBe((await decodedSound(source.path)).samples);
    } finally {
      published.close();
    }
  });
});

describe('Opus whose packets are not all of one length', () => {
  const TOC = new Map([
    [2.5, 'e4'],
    [10, 'f0'],
    [20, 'fc'],
    [60, 'ff83'],
    [120, 'ff06'],
  ]);

  it.each([[[20, 10, 60]], [[10, 20, 20, 20]], [[2.5]], [[120]]])(
    'makes whole parts and segments of packets of %j ms',
    (lengths) => {
      const { clock, hub, sink } = setUp();
      const publisher = hub.publish('show', INFO, () => {});
      publisher.audioConfig('Opus', Uint8Array.from(Buffer.from('000201380000bb80000000', 'hex')));
      let ms = 0;
      for (let number = 0; ms < 8000; number++) {
        const lastsMs = lengths[number % lengths.length] ?? 20;
        const toc = Buffer.from(TOC.get(lastsMs) ?? '', 'hex');
        const data = Uint8Array.of(...toc, number & 0xff, number >> 8);
        publisher.write({ kind: 'audio', dts: ms * 90, compositionOffset: 0, key: true, data });
        clock.advance(lastsMs);
        ms += lastsMs;
      }
      const [begun] = sink().timelines;
      if (!begun) throw new Error('no timeline');
      const bench = new PackagerBench();
      bench.packager.begin(begun);
      bench.feed(sink().samples('audio'), { audioRate: 48_000 });
      bench.packager.end();
      expect(windowFaults(bench.window)).toEqual([]);
      expect(bench.rendition('audio').segments.length).toBeGreaterThan(3);
    },
  );
});

describe('what players are told of it', () => {
  const pairs: [CodecFileName, string, CodecFileName, string, string][] = [
    ['hevc', 'hvc1.1.6.L60.90', 'ac-3', 'ac-3', 'F801'],
    ['hevc of open GOPs', 'hvc1.2.4.L60.90', 'e-ac-3', 'ec-3', 'F801'],
    ['av1', 'av01.0.00M.08', 'opus', 'Opus', '2'],
    ['vp9', 'vp09.00.11.08', 'flac', 'fLaC', '2'],
  ];

  it.each(pairs)('%s is %s, %s is %s', async (video, videoCodec, audio, audioCodec, channels) => {
    const published = publish(await file(video), await file(audio));
    try {
      const { window } = published;
      expect(renderMultivariant(window)).toContain(`CODECS="${videoCodec},${audioCodec}"`);
      const mpd = renderMpd(window, { clockUrl: 'clock' });
      expect(mpd).toContain(`codecs="${videoCodec}"`);
      expect(mpd).toContain(`codecs="${audioCodec}"`);
      expect(/<AudioChannelConfiguration[^>]*value="([^"]*)"/.exec(mpd)?.[1]).toBe(channels);
      expect(outsideCodec(window, 'video')).toBe(videoCodec);
      expect(outsideCodec(window, 'audio')).toBe(audioCodec);
    } finally {
      published.close();
    }
  });

  it('stands in the sample entries as an outside reader reads them', async () => {
    const published = publish(await file('av1 of 10 bits'), await file('opus 5.1'));
    try {
      expect(await probe(bytesOf(published.window, 'video'))).toMatchObject({
        codec_name: 'av1',
        codec_tag_string: 'av01',
        width: 320,
        height: 180,
        pix_fmt: 'yuv420p10le',
      });
      expect(await probe(bytesOf(published.window, 'audio'))).toMatchObject({
        codec_name: 'opus',
        codec_tag_string: 'Opus',
        sample_rate: '48000',
        channels: 6,
      });
    } finally {
      published.close();
    }
  });
});

describe('a stream that is joined at a key frame of an open GOP', () => {
  it('begins there, without the pictures that need what came before', async () => {
    const whole = await file('hevc of open GOPs');
    const joined = whole.samples.findIndex(({ key }, index) => key && index > 0);
    const published = publish({ ...whole, samples: whole.samples.slice(joined) }, undefined);
    try {
      const sent = await frameHashes(whole.path, '0:v');
      const received = await frameHashes(bytesOf(published.window, 'video'), '0:v');
      expect(received.stderr).toBe('');
      expect(received.hashes).toEqual(sent.hashes.slice(30));
      const leading = 30 - joined;
      expect(leading).toBeGreaterThan(0);
      expect(await published.dropped()).toEqual({ 'video before_key': leading });
    } finally {
      published.close();
    }
  });
});

/** The codec of a rendition's initialization segment, as mp4box spells it. */
function outsideCodec(window: LiveWindow, id: string): string | undefined {
  const reader = createFile();
  const init = window.periods[0]?.inits.get(id) ?? new Uint8Array();
  reader.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(init).buffer, 0));
  return reader.getInfo().tracks[0]?.codec;
}

/** Size and hash of every packet of a file, in order. */
async function packetHashes(input: string | readonly Uint8Array[]): Promise<string[]> {
  const path = typeof input === 'string' ? input : 'pipe:0';
  const result = await ffmpeg(
    ['-i', path, '-c', 'copy', '-f', 'framemd5', 'pipe:1'],
    typeof input === 'string' ? {} : { stdin: input },
  );
  const lines = result.stdout.toString('utf8').split('\n');
  const packets = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return packets.map((line) => line.split(',').slice(4).join(' '));
}

async function decodedSound(
  input: string | readonly Uint8Array[],
): Promise<{ samples: number; stderr: string }> {
  const path = typeof input === 'string' ? input : 'pipe:0';
  const result = await ffmpeg(
    ['-i', path, '-ac', '1', '-f', 's16le', 'pipe:1'],
    typeof input === 'string' ? {} : { stdin: input },
  );
  return { samples: result.stdout.length / 2, stderr: result.stderr };
}
