import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFile, MP4BoxBuffer } from 'mp4box';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type FragmentSample,
  type InitTrack,
  readFragments,
  readInitSegment,
} from '../../src/media/isobmff/fragment-reader.ts';
import { rescaleTicks } from '../../src/packager/ticks.ts';
import type { Rendition, Segment } from '../../src/stream/live-window.ts';
import type { AudioTrack, Sample, VideoTrack } from '../../src/stream/track.ts';
import { ffmpeg, frameHashes, sourceArgs } from '../support/ffmpeg.ts';
import { PackagerBench } from '../support/packager-bench.ts';
import { EPOCH_MS, interleave, timeline, VIDEO_TIMESCALE } from '../support/sample-source.ts';
import { windowFaults } from '../support/window-check.ts';

const FRAGMENTED = ['-movflags', 'empty_moov+default_base_moof+frag_keyframe'];

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'packager-'));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** A file of one track, as our own reader sees it. */
interface SourceTrack {
  readonly path: string;
  readonly init: InitTrack;
  readonly samples: readonly FragmentSample[];
}

async function readSource(path: string): Promise<SourceTrack> {
  const bytes = await readFile(path);
  const init = readInitSegment(bytes)?.[0];
  const fragments = init && readFragments(bytes, [init]);
  if (!init?.config || !fragments) throw new Error(`cannot read ${path}`);
  return { path, init, samples: fragments.flatMap((fragment) => fragment.tracks[0]?.samples ?? []) };
}

interface SourceOptions {
  readonly seconds: number;
  readonly rate?: string;
  readonly gop?: number;
  readonly bFrames?: number;
  readonly sampleRate?: number;
}

async function makeSource(
  name: string,
  options: SourceOptions,
): Promise<{ video: SourceTrack; audio: SourceTrack }> {
  const video = join(dir, `${name}-v.mp4`);
  const audio = join(dir, `${name}-a.mp4`);
  const scale = ['-video_track_timescale', '90000'];
  await ffmpeg([...sourceArgs({ ...options, audio: false }), ...scale, ...FRAGMENTED, video]);
  await ffmpeg([...sourceArgs({ ...options, video: false }), ...FRAGMENTED, audio]);
  return { video: await readSource(video), audio: await readSource(audio) };
}

/** Samples on the epoch timeline, decode times shifted such that the first key frame is decoded when shown. */
function toSamples(source: SourceTrack, kind: 'video' | 'audio'): Sample[] {
  const { timescale } = source.init;
  const start = rescaleTicks(EPOCH_MS, 1000, timescale);
  const [first] = source.samples;
  const shift = start - (first?.pts ?? 0);
  const decodeShift = shift + ((first?.pts ?? 0) - (first?.dts ?? 0));
  return source.samples.map((sample) => ({
    kind,
    dts: sample.dts + decodeShift,
    pts: sample.pts + shift,
    duration: sample.duration,
    key: kind === 'audio' || sample.key,
    data: sample.data,
  }));
}

function toTracks(
  video: InitTrack,
  audio: InitTrack,
  cadence: VideoTrack['cadence'],
): { video: VideoTrack; audio: AudioTrack } {
  return {
    video: {
      kind: 'video',
      codec: 'avc1',
      codecString: 'avc1.4d400d',
      timescale: VIDEO_TIMESCALE,
      config: video.config ?? new Uint8Array(),
      width: video.width,
      height: video.height,
      cadence,
    },
    audio: {
      kind: 'audio',
      codec: 'mp4a',
      codecString: 'mp4a.40.2',
      timescale: audio.timescale,
      config: audio.config ?? new Uint8Array(),
      channels: audio.channels,
      frameTicks: 1024,
    },
  };
}

interface Packaged {
  readonly bench: PackagerBench;
  readonly video: SourceTrack;
  readonly audio: SourceTrack;
}

async function packageSource(name: string, options: SourceOptions, frameTicks: number): Promise<Packaged> {
  const source = await makeSource(name, options);
  const tracks = toTracks(source.video.init, source.audio.init, {
    frameTicks,
    gopTicks: (options.gop ?? 60) * frameTicks,
  });
  const bench = new PackagerBench();
  bench.packager.begin(timeline(tracks));
  const audioRate = tracks.audio.timescale;
  bench.feed(interleave(toSamples(source.video, 'video'), toSamples(source.audio, 'audio'), { audioRate }), {
    audioRate,
  });
  bench.packager.end();
  return { bench, ...source };
}

function file(
  bench: PackagerBench,
  rendition: Rendition,
  segments: readonly Segment[] = rendition.segments,
): Uint8Array[] {
  const init = bench.window.periods[0]?.inits.get(rendition.id);
  if (!init) throw new Error('no init');
  return [init, ...segments.flatMap((segment) => segment.chunks.map((chunk) => chunk.bytes))];
}

function sha256(pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

const CASES: readonly {
  readonly name: string;
  readonly options: SourceOptions;
  readonly frameTicks: number;
}[] = [
  { name: '30 fps and 48 kHz', options: { seconds: 9 }, frameTicks: 3000 },
  {
    name: '25 fps with B-frames and 44.1 kHz',
    options: { seconds: 9, rate: '25', gop: 50, bFrames: 3, sampleRate: 44_100 },
    frameTicks: 3600,
  },
  {
    name: '29.97 fps, GOP 1 s',
    options: { seconds: 9, rate: '30000/1001', gop: 30, bFrames: 2 },
    frameTicks: 3003,
  },
];

describe.each(CASES)('real H.264 and AAC through the packager: $name', ({ name, options, frameTicks }) => {
  let packaged: Packaged;

  beforeAll(async () => {
    packaged = await packageSource(name.replaceAll(/\W/g, ''), options, frameTicks);
  });

  it('keeps every rule of the window', () => {
    expect(windowFaults(packaged.bench.window)).toEqual([]);
    expect(packaged.bench.rendition('video').segments.length).toBeGreaterThanOrEqual(4);
    expect(packaged.bench.rendition('video').segments.every((segment) => segment.independent)).toBe(true);
  });

  it.each(['video', 'audio'] as const)(
    'decodes in ffmpeg to the very frames of the source: %s',
    async (kind) => {
      const { bench } = packaged;
      const stream = kind === 'video' ? '0:v' : '0:a';
      const source = await frameHashes(packaged[kind].path, stream);
      const output = await frameHashes(file(bench, bench.rendition(kind)), stream);
      expect(output.stderr).toBe('');
      expect(source.hashes.length).toBeGreaterThan(200);
      expect(output.hashes).toEqual(source.hashes);
    },
  );

  it('starts each segment where its first frame is shown, so that any segment plays alone', async () => {
    const { bench } = packaged;
    const video = bench.rendition('video');
    const [, second] = video.segments;
    if (!second) throw new Error('no second segment');
    const alone = await frameHashes(file(bench, video, [second]), '0:v');
    expect(alone.stderr).toBe('');
    const frames = second.chunks.length;
    expect(alone.hashes).toHaveLength(frames);
    for (const segment of video.segments) {
      const samples = segment.chunks.flatMap(
        (chunk) => readFragments(chunk.bytes)?.[0]?.tracks[0]?.samples ?? [],
      );
      expect(Math.min(...samples.map((sample) => sample.pts))).toBe(segment.startTicks);
    }
  });

  it.each(['video', 'audio'] as const)('is read by mp4box with the samples and times fed in: %s', (kind) => {
    const { bench } = packaged;
    const mp4 = createFile();
    let offset = 0;
    for (const piece of file(bench, bench.rendition(kind))) {
      mp4.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(piece).buffer, offset));
      offset += piece.length;
    }
    const fed = toSamples(packaged[kind], kind);
    const read = mp4.getTrackSamplesInfo(1);
    expect(mp4.getInfo()).toMatchObject({
      isFragmented: true,
      tracks: [{ timescale: packaged[kind].init.timescale }],
    });
    expect(read.map((s) => [s.dts, s.cts, s.is_sync, s.size])).toEqual(
      fed.map((s) => [s.dts, s.pts, s.key, s.data.length]),
    );
  });

  it('has segments that are exactly their parts', () => {
    for (const rendition of packaged.bench.window.renditions) {
      for (const segment of rendition.segments) {
        const parts = segment.parts.map((part) =>
          segment.chunks.slice(part.firstChunk, part.endChunk).map((c) => c.bytes),
        );
        expect(sha256(parts.flat())).toBe(sha256(segment.chunks.map((chunk) => chunk.bytes)));
        segment.parts.forEach((part, n) => {
          expect(part.sizeBytes).toBe((parts[n] ?? []).reduce((sum, bytes) => sum + bytes.length, 0));
        });
      }
    }
  });

  it('keeps sound and picture together across the whole', () => {
    const seconds = (id: 'video' | 'audio'): number => {
      const { segments, timescale } = packaged.bench.rendition(id);
      return (segments[0]?.startTicks ?? 0) / timescale;
    };
    expect(Math.abs(seconds('audio') - seconds('video'))).toBeLessThan(1024 / 44_100);
  });
});
