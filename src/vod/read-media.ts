import { AppError } from '../base/errors.ts';
import { type AudioCodecName, parseAudioConfig } from '../media/audio-config.ts';
import type { StreamTrack } from '../media/isobmff/stream-init.ts';
import { StreamReader, STREAM_READER_LIMITS, type StreamSample } from '../media/isobmff/stream-reader.ts';
import { parseVideoConfig, type VideoCodecName } from '../media/video-config.ts';
import type { AudioTrack, Sample, VideoTrack } from '../stream/track.ts';
import type { Ratio } from '../transcode/vod/title-plan.ts';

/** Media of one track, ready to be packaged. Times are ticks of the track from the title's 0. */
export interface ReadMedia<T> {
  readonly track: T;
  readonly samples: readonly Sample[];
}

/** Ticks a second of all pictures. */
export const VIDEO_TIMESCALE = 90_000;

const VIDEO_CODECS: Readonly<Record<string, VideoCodecName>> = {
  avc1: 'avc1',
  avc3: 'avc1',
  hvc1: 'hvc1',
  hev1: 'hvc1',
  av01: 'av01',
};
const AUDIO_CODECS: ReadonlySet<string> = new Set(['mp4a', 'ac-3', 'ec-3', 'Opus', 'fLaC']);

/** Where a piece of pictures belongs. */
export interface PiecePlace {
  readonly startFrame: number;
  readonly frameRate: Ratio;
  readonly gopFrames: number;
}

/** When frame `n` is shown, ticks of {@link VIDEO_TIMESCALE}. */
export function frameTicksAt(n: number, { numerator, denominator }: Ratio): number {
  return Math.round((n * VIDEO_TIMESCALE * denominator) / numerator);
}

/**
 * Reads a piece that a worker encoded. Its frames are counted, not timed: frame `n` of the title has the time that the
 * plan gives it, whatever rounding the encoder's clock did.
 * @throws AppError VOD_WORK_DAMAGED when it is no such file, or a frame is missing or there twice
 */
export function readPiece(bytes: Uint8Array, place: PiecePlace): ReadMedia<VideoTrack> {
  const { track: stored, samples } = readFragments(bytes);
  const { frameRate, startFrame, gopFrames } = place;
  const track = videoTrack(stored, frameRate, gopFrames);
  const frameTicks = (stored.timescale * frameRate.denominator) / frameRate.numerator;
  const shown = samples.map(({ baseTicks, offsetTicks, compositionOffset }) =>
    Math.round((Number(baseTicks) + offsetTicks + compositionOffset) / frameTicks),
  );
  const first = Math.min(...shown);
  const places = shown.map((frame) => frame - first);
  if (new Set(places).size !== samples.length || Math.max(...places) !== samples.length - 1) {
    throw damaged('its frames are not one after the other');
  }
  if (samples[0]?.key !== true) throw damaged('it does not begin with a key frame');
  return {
    track,
    samples: samples.map(({ data, key }, index) => {
      const dts = frameTicksAt(startFrame + index, frameRate);
      return {
        kind: 'video',
        dts,
        pts: frameTicksAt(startFrame + (places[index] ?? 0), frameRate),
        duration: frameTicksAt(startFrame + index + 1, frameRate) - dts,
        key,
        data,
      };
    }),
  };
}

/**
 * Reads a stretch of sound.
 * @throws AppError VOD_WORK_DAMAGED
 */
export function readStretch(bytes: Uint8Array): ReadMedia<AudioTrack> {
  const { track: stored, samples } = readFragments(bytes);
  const track = audioTrack(stored);
  if (stored.timescale !== track.timescale) throw damaged('its clock is not its sample rate');
  return {
    track,
    samples: samples.map(({ baseTicks, offsetTicks, durationTicks, data }) => {
      const dts = Number(baseTicks) + offsetTicks;
      return { kind: 'audio', dts, pts: dts, duration: durationTicks, key: true, data };
    }),
  };
}

function readFragments(bytes: Uint8Array): { track: StreamTrack; samples: readonly StreamSample[] } {
  const samples: StreamSample[] = [];
  let track: StreamTrack | undefined;
  const reader = new StreamReader(
    {
      init(tracks) {
        track = tracks[0];
        return tracks.length === 1;
      },
      fragment: () => undefined,
      sample: (sample) => void samples.push(sample),
      event: () => undefined,
      last: () => undefined,
    },
    STREAM_READER_LIMITS,
  );
  const fault = reader.push(bytes) ?? reader.end();
  if (fault !== undefined) throw damaged(fault);
  if (!track || samples.length === 0) throw damaged('it holds no media');
  return { track, samples };
}

function videoTrack(stored: StreamTrack, frameRate: Ratio, gopFrames: number): VideoTrack {
  const codec = VIDEO_CODECS[stored.entry];
  const config = codec && stored.config && parseVideoConfig(codec, stored.config);
  if (config === undefined || config === 'in-band') throw damaged(`its codec is not read: ${stored.entry}`);
  const frameTicks = (VIDEO_TIMESCALE * frameRate.denominator) / frameRate.numerator;
  return {
    kind: 'video',
    codec: config.codec,
    codecString: config.codecString,
    timescale: VIDEO_TIMESCALE,
    config: config.record,
    width: config.picture.width,
    height: config.picture.height,
    cadence: { frameTicks, gopTicks: frameTicks * gopFrames },
  };
}

function audioTrack(stored: StreamTrack): AudioTrack {
  const codec = AUDIO_CODECS.has(stored.entry) ? (stored.entry as AudioCodecName) : undefined;
  const config = codec && stored.config && parseAudioConfig(codec, stored.config);
  if (!config) throw damaged(`its codec is not read: ${stored.entry}`);
  const { codecString, sampleRate, channels, frameTicks } = config;
  return {
    kind: 'audio',
    codec: config.codec,
    codecString,
    timescale: sampleRate,
    config: config.config,
    channels,
    frameTicks,
  };
}

function damaged(why: string): AppError {
  return new AppError('VOD_WORK_DAMAGED', `what a worker made cannot be used: ${why}`);
}
