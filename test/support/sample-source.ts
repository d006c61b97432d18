import type { AudioTrack, Sample, Timeline, VideoTrack } from '../../src/stream/track.ts';

/** AVCDecoderConfigurationRecord that x264 makes for 320x240 at 30 fps, Constrained Baseline 1.3. */
const AVC_CONFIG = Uint8Array.from(
  Buffer.from('0142c00dffe100166742c00dda0507ec0440000003004000000f03c50aa801000468ce0fc8', 'hex'),
);

export const VIDEO_TIMESCALE = 90_000;

/** 2026-11-22T12:00:00Z: where FakeClock starts. A whole multiple of two seconds. */
export const EPOCH_MS = Date.UTC(2026, 10, 22, 12, 0, 0);

export interface VideoOptions {
  readonly fps?: number;
  /** Frames from key to key as the cadence declares it; 0: irregular. */
  readonly gopFrames?: number;
  /** Variable cadence: no frame duration is declared. */
  readonly variable?: boolean;
  readonly config?: Uint8Array;
}

export function videoTrack(options: VideoOptions = {}): VideoTrack {
  const { fps = 30, gopFrames = 60 } = options;
  const frameTicks = VIDEO_TIMESCALE / fps;
  return {
    kind: 'video',
    codec: 'avc1',
    codecString: 'avc1.42c00d',
    timescale: VIDEO_TIMESCALE,
    config: options.config ?? AVC_CONFIG,
    width: 320,
    height: 240,
    cadence: {
      frameTicks: options.variable ? undefined : frameTicks,
      gopTicks: gopFrames === 0 ? undefined : gopFrames * frameTicks,
    },
  };
}

export function audioTrack(sampleRate = 48_000): AudioTrack {
  // AAC-LC, two channels: 5 bits object type, 4 bits frequency index, 4 bits channels.
  const index = { 48_000: 3, 44_100: 4, 32_000: 5 }[sampleRate] ?? 3;
  return {
    kind: 'audio',
    codec: 'mp4a',
    codecString: 'mp4a.40.2',
    timescale: sampleRate,
    config: Uint8Array.of(0x10 | (index >> 1), ((index & 1) << 7) | 0x10),
    channels: 2,
    frameTicks: 1024,
  };
}

export function timeline(
  tracks: { readonly video?: VideoTrack; readonly audio?: AudioTrack },
  options: Partial<Pick<Timeline, 'reason' | 'startMs' | 'leadIn'>> = {},
): Timeline {
  return {
    reason: options.reason ?? 'start',
    video: tracks.video,
    audio: tracks.audio,
    startMs: options.startMs ?? EPOCH_MS,
    leadIn: options.leadIn,
  };
}

export interface VideoRun {
  readonly startMs?: number;
  readonly seconds: number;
  readonly fps?: number;
  /** Which frames are key frames; by default every 60th. */
  readonly isKey?: (frame: number) => boolean;
  readonly frameBytes?: number;
}

/** Frames at a constant rate, on the tick grid that rounds `n * 90000 / fps`. */
export function videoSamples(run: VideoRun): Sample[] {
  const { startMs = EPOCH_MS, fps = 30, isKey = (frame) => frame % 60 === 0, frameBytes = 100 } = run;
  const start = Math.round((startMs * VIDEO_TIMESCALE) / 1000);
  const at = (frame: number): number => start + Math.round((frame * VIDEO_TIMESCALE) / fps);
  return Array.from({ length: Math.round(run.seconds * fps) }, (_, frame) => ({
    kind: 'video',
    dts: at(frame),
    pts: at(frame),
    duration: at(frame + 1) - at(frame),
    key: isKey(frame),
    data: new Uint8Array(frameBytes).fill(frame & 0xff),
  }));
}

export interface AudioRun {
  readonly startMs?: number;
  readonly seconds: number;
  readonly sampleRate?: number;
  readonly frameBytes?: number;
}

/** AAC-sized frames of 1024 samples, the first at or after `startMs`. */
export function audioSamples(run: AudioRun): Sample[] {
  const { startMs = EPOCH_MS, sampleRate = 48_000, frameBytes = 50 } = run;
  const start = Math.round((startMs / 1000) * sampleRate);
  return Array.from({ length: Math.floor((run.seconds * sampleRate) / 1024) }, (_, frame) => ({
    kind: 'audio',
    dts: start + frame * 1024,
    pts: start + frame * 1024,
    duration: 1024,
    key: true,
    data: new Uint8Array(frameBytes).fill(frame & 0xff),
  }));
}

const TIMESCALES = { video: VIDEO_TIMESCALE, audio: 48_000 };

/** Seconds since the epoch of a sample's decode time. */
export function sampleSeconds(sample: Sample, audioRate = TIMESCALES.audio): number {
  return sample.dts / (sample.kind === 'video' ? VIDEO_TIMESCALE : audioRate);
}

/** One sequence in decode-time order; `audioLeadMs` makes audio arrive that much earlier than its time. */
export function interleave(
  video: readonly Sample[],
  audio: readonly Sample[],
  options: { readonly audioLeadMs?: number; readonly audioRate?: number } = {},
): Sample[] {
  const { audioLeadMs = 0, audioRate } = options;
  const due = (sample: Sample): number =>
    sampleSeconds(sample, audioRate) - (sample.kind === 'audio' ? audioLeadMs / 1000 : 0);
  return [...video, ...audio].sort((a, b) => due(a) - due(b));
}
