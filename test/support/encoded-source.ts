import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseVideoTag } from '../../src/media/flv.ts';
import { FlvReader } from '../../src/media/flv-reader.ts';
import { inspectAccessUnit, parseAvcConfig } from '../../src/media/h264.ts';
import type { Sample, Timeline, VideoTrack } from '../../src/stream/track.ts';
import { ffmpeg, sourceArgs, type SourceFile } from './ffmpeg.ts';
import { EPOCH_MS } from './sample-source.ts';

const TICKS_PER_MS = 90;

/** Real H.264 as the hub would give it: one timeline, samples in decode order. */
export interface EncodedSource {
  readonly timeline: Timeline;
  readonly video: VideoTrack;
  readonly samples: readonly Sample[];
}

export interface EncodedSourceOptions extends Omit<SourceFile, 'audio' | 'video'> {
  /** Epoch time of the first frame. */
  readonly startMs?: number;
}

interface SourceFrame {
  readonly dtsMs: number;
  readonly offsetMs: number;
  readonly data: Uint8Array;
}

/** Ticks of 90 kHz a frame of `rate` as ffmpeg takes it: `30`, `30000/1001`. */
function frameTicksOf(rate: string): number {
  const [numerator = 30, denominator = 1] = rate.split('/').map(Number);
  return (90_000 * denominator) / numerator;
}

/** Encodes a test picture and reads it back as samples on the epoch's clock. */
export async function encodeSource(options: EncodedSourceOptions): Promise<EncodedSource> {
  const { startMs = EPOCH_MS, variable = false, rate = '30', gop = 60 } = options;
  const { config, frames } = await readFrames(options);
  const frameTicks = frameTicksOf(rate);
  const start = startMs * TICKS_PER_MS;
  const [first] = frames;
  if (!first) throw new Error('no frames');
  const ticks = (ms: number): number =>
    variable ? ms * TICKS_PER_MS : Math.round((ms * TICKS_PER_MS) / frameTicks) * frameTicks;
  // Decode times are moved so that dts = pts at the first key frame, as the hub does.
  const dtsOf = (frame: SourceFrame): number => Math.round(start + ticks(frame.dtsMs - first.dtsMs));
  const ptsOf = (frame: SourceFrame): number =>
    Math.round(start + ticks(frame.dtsMs - first.dtsMs + frame.offsetMs - first.offsetMs));
  const samples = frames.map((frame, index): Sample => {
    const next = frames[index + 1];
    const nominal = Math.round(variable ? 3000 : frameTicks);
    return {
      kind: 'video',
      dts: dtsOf(frame),
      pts: ptsOf(frame),
      duration: next ? dtsOf(next) - dtsOf(frame) : nominal,
      key: inspectAccessUnit(frame.data, 4)?.idr ?? false,
      data: frame.data,
    };
  });
  const video: VideoTrack = {
    kind: 'video',
    codec: 'avc1',
    codecString: config.codecString,
    timescale: 90_000,
    config: config.record,
    width: config.picture.width,
    height: config.picture.height,
    cadence: {
      frameTicks: variable ? undefined : frameTicks,
      gopTicks: variable ? undefined : gop * frameTicks,
    },
  };
  return { timeline: { reason: 'start', video, audio: undefined, startMs }, video, samples };
}

/** The same media as another timeline, so many milliseconds later. */
export function shifted(source: EncodedSource, byMs: number): EncodedSource {
  const by = byMs * TICKS_PER_MS;
  return {
    video: source.video,
    timeline: { ...source.timeline, reason: 'resume', startMs: source.timeline.startMs + byMs },
    samples: source.samples.map((sample) => ({ ...sample, dts: sample.dts + by, pts: sample.pts + by })),
  };
}

async function readFrames(options: EncodedSourceOptions) {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-source-'));
  try {
    const file = join(folder, 'source.flv');
    await ffmpeg([...sourceArgs({ ...options, audio: false }), file]);
    const tags = new FlvReader().push(await readFile(file)).filter(({ type }) => type === 'video');
    let record: Uint8Array | undefined;
    const frames: SourceFrame[] = [];
    for (const { timestampMs, body } of tags) {
      const tag = parseVideoTag(body);
      if (tag.kind === 'config') record = tag.config;
      if (tag.kind === 'frame')
        frames.push({ dtsMs: timestampMs, offsetMs: tag.compositionOffsetMs, data: tag.data });
    }
    const config = record && parseAvcConfig(record);
    if (!config) throw new Error('no configuration');
    return { config, frames };
  } finally {
    await rm(folder, { recursive: true });
  }
}
