import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FragmentSample,
  type InitTrack,
  readFragments,
  readInitSegment,
} from '../../src/media/isobmff/fragment-reader.ts';
import type { Publisher, PublisherInfo } from '../../src/stream/publisher.ts';
import type { AudioCodec, VideoCodec } from '../../src/stream/track.ts';
import type { EncodedSource } from './encoded-source.ts';
import type { FakeClock } from './fake-clock.ts';
import { ffmpeg } from './ffmpeg.ts';
import { setUp } from './hub-bench.ts';

/** A test file of one track in the codec that a test is about, made by ffmpeg and read by our own reader. */
export interface CodecFile {
  readonly path: string;
  readonly init: InitTrack;
  readonly config: Uint8Array;
  readonly samples: readonly FragmentSample[];
}

/** ffmpeg's options for a file that {@link readCodecFile} reads. */
export const FRAGMENTED = [
  '-movflags',
  'empty_moov+default_base_moof+frag_keyframe+delay_moov',
  '-strict',
  'experimental',
];
const GOP = 30;
const X265 = `log-level=none:keyint=${GOP}:min-keyint=${GOP}:scenecut=0`;

const VIDEO_ENCODERS = {
  hevc: ['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1', '-x265-params', `${X265}:bframes=0`],
  'hevc with B-frames': [
    ...['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1'],
    ...['-x265-params', `${X265}:bframes=3:open-gop=0`],
  ],
  /** Open GOPs, 10 bits, parameter sets before every key frame. */
  'hevc of open GOPs': [
    ...['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1', '-pix_fmt', 'yuv420p10le'],
    ...['-x265-params', `${X265}:bframes=3:open-gop=1:repeat-headers=1`],
  ],
  av1: ['-c:v', 'libsvtav1', '-preset', '12', '-g', `${GOP}`],
  'av1 of 10 bits': [
    ...['-c:v', 'libaom-av1', '-cpu-used', '8', '-usage', 'realtime', '-g', `${GOP}`],
    ...['-keyint_min', `${GOP}`, '-pix_fmt', 'yuv420p10le'],
  ],
  vp9: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-g', `${GOP}`],
  'vp9 with hidden frames': [
    ...['-c:v', 'libvpx-vp9', '-deadline', 'good', '-cpu-used', '5', '-g', `${GOP}`],
    ...['-keyint_min', `${GOP}`, '-auto-alt-ref', '1', '-lag-in-frames', '16', '-b:v', '200k'],
  ],
} as const;

const AUDIO_ENCODERS = {
  opus: ['-c:a', 'libopus', '-ac', '2'],
  'opus of 60 ms': ['-c:a', 'libopus', '-ac', '2', '-frame_duration', '60'],
  'opus 5.1': ['-c:a', 'libopus', '-ac', '6', '-mapping_family', '1'],
  flac: ['-c:a', 'flac', '-ac', '2'],
  'ac-3': ['-c:a', 'ac3', '-ac', '6', '-b:a', '384k'],
  'e-ac-3': ['-c:a', 'eac3', '-ac', '6', '-b:a', '256k'],
} as const;

export type CodecFileName = keyof typeof VIDEO_ENCODERS | keyof typeof AUDIO_ENCODERS;
export const VIDEO_FILES = Object.keys(VIDEO_ENCODERS) as (keyof typeof VIDEO_ENCODERS)[];
export const AUDIO_FILES = Object.keys(AUDIO_ENCODERS) as (keyof typeof AUDIO_ENCODERS)[];

/** Encodes a moving picture or a tone and reads it back. */
export async function makeCodecFile(
  folder: string,
  name: CodecFileName,
  seconds: number,
): Promise<CodecFile> {
  const path = join(folder, `${name.replaceAll(' ', '-')}.mp4`);
  const isVideo = name in VIDEO_ENCODERS;
  const source = isVideo ? 'testsrc2=size=320x180:rate=30' : 'sine=frequency=440:sample_rate=48000';
  const encoder: readonly string[] = { ...VIDEO_ENCODERS, ...AUDIO_ENCODERS }[name];
  const scale = isVideo ? ['-video_track_timescale', '90000'] : [];
  const input = ['-f', 'lavfi', '-i', source, '-t', `${seconds}`];
  const format = isVideo && !encoder.includes('-pix_fmt') ? ['-pix_fmt', 'yuv420p'] : [];
  await ffmpeg([...input, ...format, ...encoder, ...scale, ...FRAGMENTED, path], {
    env: { SVT_LOG: '1' },
  });
  return readCodecFile(path);
}

/** Reads a fragmented MP4 of one track. */
export async function readCodecFile(path: string): Promise<CodecFile> {
  const bytes = new Uint8Array(await readFile(path));
  const init = readInitSegment(bytes)?.[0];
  const fragments = init && readFragments(bytes, [init]);
  if (!init?.config || !fragments) throw new Error(`cannot read ${path}`);
  const samples = fragments.flatMap((fragment) => fragment.tracks[0]?.samples ?? []);
  return { path, init, config: init.config, samples };
}

/** A sample of either file with what is needed to send it. */
interface Outgoing {
  readonly kind: 'video' | 'audio';
  readonly atSeconds: number;
  readonly timescale: number;
  readonly sample: FragmentSample;
}

/**
 * Publishes files in their own time by moving the fake clock. Timestamps are of 90 kHz, as everything but RTMP brings
 * them.
 */
export function publishFiles(
  clock: FakeClock,
  publisher: Publisher,
  video: CodecFile | undefined,
  audio: CodecFile | undefined,
): void {
  if (video) publisher.videoConfig(video.init.entry as VideoCodec, video.config);
  if (audio) publisher.audioConfig(audio.init.entry as AudioCodec, audio.config);
  const outgoing = [...samplesOf('video', video), ...samplesOf('audio', audio)];
  outgoing.sort((a, b) => a.atSeconds - b.atSeconds);
  const startMs = clock.monotonicMs() - (outgoing[0]?.atSeconds ?? 0) * 1000;
  for (const { kind, atSeconds, timescale, sample } of outgoing) {
    const waitMs = startMs + atSeconds * 1000 - clock.monotonicMs();
    if (waitMs > 0) clock.advance(waitMs);
    publisher.write({
      kind,
      dts: Math.round(sample.dts * (90_000 / timescale) + 900_000) % 2 ** 33,
      compositionOffset: Math.round((sample.pts - sample.dts) * (90_000 / timescale)),
      key: sample.key,
      data: sample.data.slice(),
    });
  }
}

function samplesOf(kind: 'video' | 'audio', file: CodecFile | undefined): Outgoing[] {
  if (!file) return [];
  const { timescale } = file.init;
  return file.samples.map((sample) => ({ kind, atSeconds: sample.dts / timescale, timescale, sample }));
}

const PUBLISHER: PublisherInfo = {
  protocol: 'srt',
  role: 'primary',
  session: 'session-1',
  remoteAddress: '127.0.0.1:50000',
  timescale: 90_000,
  wrapBits: 33,
};

/** The file as the hub gives it to whoever reads the stream. */
export function throughHub(file: CodecFile): EncodedSource {
  const { clock, hub, sink } = setUp();
  const publisher = hub.publish('show', PUBLISHER, (code) => {
    throw new Error(`closed for ${code}`);
  });
  publishFiles(clock, publisher, file, undefined);
  const [timeline] = sink().timelines;
  if (!timeline?.video || sink().timelines.length > 1) throw new Error('not one timeline of video');
  return { timeline, video: timeline.video, samples: sink().samples('video') };
}
