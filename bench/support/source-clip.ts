import { readFileSync } from 'node:fs';
import { FlvReader, type FlvTag } from '../../src/media/flv-reader.ts';
import { ffmpeg } from '../../test/support/ffmpeg.ts';

/**
 * What every publisher of the cost benches sends: 1280x720 at 30 frames a second and 4 Mb/s with a key frame every 2 s
 * and no B-frames, and stereo AAC at 128 kb/s. Eight seconds are 240 frames of video and exactly 375 of 48 kHz AAC, so
 * that the clip can be sent round and round on one even clock.
 */
export const CLIP = {
  width: 1280,
  height: 720,
  frameRate: 30,
  gopFrames: 60,
  videoFrames: 240,
  sampleRate: 48_000,
  audioFrames: 375,
  durationMs: 8000,
  videoBps: 4_000_000,
  audioBps: 128_000,
} as const;

const AAC_FRAME_SAMPLES = 1024;
const EXTRA_SECONDS = 0.2;
const SEQUENCE_HEADER = 0;

/**
 * Encodes the clip into an FLV file (about ten seconds of one core). Noise keeps the encoder at its bit rate.
 * @throws Error when there is no ffmpeg or it fails.
 */
export async function makeClip(file: string): Promise<void> {
  const seconds = `${CLIP.durationMs / 1000 + EXTRA_SECONDS}`;
  const picture = `testsrc2=size=${CLIP.width}x${CLIP.height}:rate=${CLIP.frameRate},noise=alls=24:allf=t`;
  await ffmpeg([
    ...[
      '-f',
      'lavfi',
      '-i',
      picture,
      '-f',
      'lavfi',
      '-i',
      `sine=frequency=440:sample_rate=${CLIP.sampleRate}`,
    ],
    ...[
      '-t',
      seconds,
      '-c:v',
      'libx264',
      '-preset',
      'superfast',
      '-profile:v',
      'high',
      '-pix_fmt',
      'yuv420p',
    ],
    ...['-bf', '0', '-g', `${CLIP.gopFrames}`, '-keyint_min', `${CLIP.gopFrames}`, '-sc_threshold', '0'],
    ...['-b:v', `${CLIP.videoBps}`, '-maxrate', `${CLIP.videoBps}`, '-bufsize', `${CLIP.videoBps}`],
    ...['-c:a', 'aac', '-b:a', `${CLIP.audioBps}`, '-ac', '2', '-f', 'flv', file],
  ]);
}

/** Copies exactly one round of the clip's video into a file of its own, for a program that reads it round and round. */
export async function makeVideoClip(clip: string, file: string): Promise<void> {
  await ffmpeg(['-i', clip, '-an', '-c:v', 'copy', '-frames:v', `${CLIP.videoFrames}`, '-f', 'flv', file]);
}

/** The clip as RTMP messages without a timestamp. */
export interface Clip {
  /** AVC and AAC sequence headers. */
  readonly videoConfig: Buffer;
  readonly audioConfig: Buffer;
  /** Bodies of audio and video tags with the time into the clip at which they are due, in order. */
  readonly messages: readonly ClipMessage[];
}

export interface ClipMessage {
  readonly type: 'audio' | 'video';
  readonly atMs: number;
  readonly body: Buffer;
}

/** Reads a clip that {@link makeClip} made. */
export function readClip(file: string): Clip {
  const tags = new FlvReader().push(readFileSync(file));
  const of = (type: 'audio' | 'video') => tags.filter((tag) => tag.type === type);
  const [videoConfig, video] = split(of('video'), CLIP.videoFrames);
  const [audioConfig, audio] = split(of('audio'), CLIP.audioFrames);
  const messages = [
    ...video.map((body, i) => ({ type: 'video' as const, atMs: (i * 1000) / CLIP.frameRate, body })),
    ...audio.map((body, i) => ({
      type: 'audio' as const,
      atMs: (i * AAC_FRAME_SAMPLES * 1000) / CLIP.sampleRate,
      body,
    })),
  ].sort((a, b) => a.atMs - b.atMs);
  return { videoConfig, audioConfig, messages };
}

/** The sequence header, and as many of the frames behind it as the clip has; the encoder's own tail is left out. */
function split(tags: readonly FlvTag[], frames: number): [Buffer, Buffer[]] {
  const isConfig = (tag: FlvTag): boolean => tag.body[1] === SEQUENCE_HEADER;
  const config = tags.find(isConfig);
  const bodies = tags.filter((tag) => tag.body[1] === 1).map((tag) => Buffer.from(tag.body));
  if (!config || bodies.length < frames) throw new Error('the source clip is shorter than it should be');
  return [Buffer.from(config.body), bodies.slice(0, frames)];
}
