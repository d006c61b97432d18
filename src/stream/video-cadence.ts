import type { Logger } from '../base/log.ts';
import type { VideoConfig } from '../media/video-config.ts';
import {
  type FrameRate,
  type FrameTime,
  frameTicksOf,
  type MeasuredCadence,
  measureCadence,
} from './cadence.ts';
import type { Cadence, VideoTrack } from './track.ts';
import type { SourceSample } from './warm-up.ts';

const VIDEO_TIMESCALE = 90_000;
/**
 * Video that appears beside running audio is watched before it joins at a key frame: for so long and until its GOP is
 * known, but for the latter no longer than the second figure.
 */
const PROBE_MS = 1000;
const PROBE_GOP_MS = 2600;
const PROBE_FRAMES = 1200;
/** Faster than this, players and encoders are not tested: warned about. */
const MAX_FRAME_RATE = 61;
/** A bitstream that claims less is not believed. */
const MIN_HINT_RATE = 5;

/** How one publisher's frames are spaced, as far as known, and with it what its video track is. */
export class VideoCadence {
  readonly #log: Logger;
  readonly #quantumMs: number;
  /** The last video track of the stream, to know its GOP again after a short absence. */
  readonly #previous: VideoTrack | undefined;
  #measured: MeasuredCadence = { frameRate: undefined, gopFrames: undefined };
  #probe: FrameTime[] = [];

  constructor(log: Logger, quantumMs: number, previous: VideoTrack | undefined) {
    this.#log = log;
    this.#quantumMs = quantumMs;
    this.#previous = previous;
  }

  get frameRate(): FrameRate | undefined {
    return this.#measured.frameRate;
  }

  measure(frames: readonly FrameTime[], config: VideoConfig | undefined): void {
    this.#measured = measureCadence(frames, this.#quantumMs, config?.picture.frameRate);
    const fps = fpsOf(this.#measured.frameRate) ?? 0;
    if (fps > MAX_FRAME_RATE) this.#log.warn({ fps }, 'frame rate is above what is supported');
  }

  /** Gathers frames of video that joins late; true at the key frame at which enough is known. */
  probe({ sourceMs, compositionMs, key }: SourceSample, config: VideoConfig | undefined): boolean {
    const probe = this.#probe;
    const last = probe.at(-1);
    if (last && (sourceMs < last.dtsMs || probe.length >= PROBE_FRAMES)) probe.length = 0;
    probe.push({ dtsMs: sourceMs, ptsMs: sourceMs + compositionMs, key });
    const spanMs = sourceMs - (probe[0]?.dtsMs ?? 0);
    const joins = key && spanMs >= PROBE_MS && (spanMs >= PROBE_GOP_MS || countKeys(probe) > 1);
    if (joins) this.measure(probe, config);
    if (joins) this.forgetProbe();
    return joins;
  }

  forgetProbe(): void {
    this.#probe = [];
  }

  /**
   * A changed configuration keeps the measured cadence, unless the bitstream says that the rate changed and has told
   * the truth before.
   */
  reconfigure(before: VideoConfig | undefined, after: VideoConfig): void {
    const now = plausibleHint(after);
    const told = fpsOf(before?.picture.frameRate);
    const truthful = told !== undefined && told === fpsOf(this.frameRate);
    if (!truthful || !now || fpsOf(now) === told) return;
    this.#measured = { frameRate: now, gopFrames: undefined };
  }

  trackOf(config: VideoConfig): VideoTrack {
    return {
      kind: 'video',
      codec: config.codec,
      codecString: config.codecString,
      timescale: VIDEO_TIMESCALE,
      config: config.record,
      width: config.picture.width,
      height: config.picture.height,
      cadence: this.#cadenceFor(config),
    };
  }

  #cadenceFor(config: VideoConfig): Cadence {
    const { frameRate, gopFrames } = this.#measured;
    if (!frameRate) return { frameTicks: undefined, gopTicks: undefined };
    const frameTicks = frameTicksOf(frameRate);
    const gopTicks = gopFrames === undefined ? undefined : exactTicks(gopFrames, frameRate);
    return { frameTicks, gopTicks: gopTicks ?? this.#rememberedGop(config, frameTicks) };
  }

  /** A publisher that came back with the same encoder settings has the same GOP. */
  #rememberedGop(config: VideoConfig, frameTicks: number): number | undefined {
    const previous = this.#previous;
    if (!previous || previous.cadence.frameTicks !== frameTicks) return undefined;
    const sameConfig =
      previous.codec === config.codec && Buffer.compare(previous.config, config.record) === 0;
    return sameConfig ? previous.cadence.gopTicks : undefined;
  }
}

function countKeys(frames: readonly FrameTime[]): number {
  return frames.filter(({ key }) => key).length;
}

function exactTicks(frames: number, rate: FrameRate): number {
  return (frames * VIDEO_TIMESCALE * rate.denominator) / rate.numerator;
}

function fpsOf(rate: FrameRate | undefined): number | undefined {
  return rate && rate.numerator / rate.denominator;
}

/** The rate that the bitstream claims, when it is one we support. */
function plausibleHint(config: VideoConfig): FrameRate | undefined {
  const fps = fpsOf(config.picture.frameRate) ?? 0;
  return fps >= MIN_HINT_RATE && fps <= MAX_FRAME_RATE ? config.picture.frameRate : undefined;
}
