import type { Logger } from '../base/log.ts';
import { type AudioConfig, audioFrameTicks } from '../media/audio-config.ts';
import { msToTicks, rescale, ticksToMs } from '../media/timescale.ts';
import type { VideoConfig } from '../media/video-config.ts';
import { AudioClock } from './audio-clock.ts';
import {
  type FrameRate,
  type FrameTime,
  frameTicksOf,
  type MeasuredCadence,
  measureCadence,
} from './cadence.ts';
import { FrameGrid, type PlacedFrame } from './frame-grid.ts';
import type { DropCause, StreamCounters, StreamMetrics } from './stream-metrics.ts';
import { RunningTimeline } from './timeline.ts';
import type {
  AudioTrack,
  Cadence,
  Sample,
  StreamSink,
  Timeline,
  TimelineReason,
  TrackKind,
  VideoTrack,
} from './track.ts';
import type { SourceSample, WarmUpResult } from './warm-up.ts';

/** Where a stream's media ended: what comes later may not begin before. */
export interface MediaEnd {
  readonly video: { readonly dtsTicks: number; readonly endTicks: number } | undefined;
  readonly audio: { readonly endTicks: number; readonly timescale: number } | undefined;
}

/** What the publisher sends, by its configurations. */
export interface SourceTracks {
  readonly video: VideoConfig | undefined;
  readonly audio: AudioConfig | undefined;
  readonly quantumMs: number;
}

export interface LiveRunDeps {
  readonly source: SourceTracks;
  readonly sink: StreamSink;
  readonly counters: StreamCounters;
  readonly metrics: StreamMetrics;
  readonly log: Logger;
  /** Told of each frame of the source that got its place. */
  readonly onPlaced?: ((source: SourceSample, sample: Sample) => void) | undefined;
}

/** What the stream knew before this run. */
export interface RunStart {
  readonly reason: 'start' | 'resume';
  readonly warmUp: WarmUpResult;
  readonly end: MediaEnd;
  /** The last video track of the stream, to know its GOP again after a short absence. */
  readonly previousVideo: VideoTrack | undefined;
}

const VIDEO_TIMESCALE = 90_000;
/** A track that sends nothing for so long, while the other does, leaves the timeline. Sparse video is normal. */
const SILENCE_MS: Readonly<Record<TrackKind, number>> = { audio: 3000, video: 10_000 };
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

/**
 * Where media runs on over a jump, one track may already reach this far past the key frame at which the other begins
 * anew. Moving the timeline on by that each time would make a source that loops run away from the wall clock.
 */
const RUN_ON_OVERLAP_MS = 100;

interface CurrentTimeline {
  readonly timeline: Timeline;
  readonly video: VideoConfig | undefined;
  readonly audio: AudioConfig | undefined;
}

interface Pending {
  readonly reason: TimelineReason;
  /** Anchor again: move by the drift. */
  readonly anchorAgain: boolean;
}

/**
 * One publisher's media from the end of its warm-up until it goes: decides where timelines begin and gives every
 * sample its final time. A new timeline begins at a video key frame, or at any audio frame when there is no video;
 * until then media runs on in the old one, except what the new tracks cannot be in.
 */
export class LiveRun {
  readonly #deps: LiveRunDeps;
  readonly #clock: RunningTimeline;
  /** When each kind last arrived. */
  readonly #lastSeenMs: Record<TrackKind, number | undefined> = { video: undefined, audio: undefined };
  readonly #start: RunStart;
  #cadence: MeasuredCadence;
  #pending: Pending | undefined;
  #current: CurrentTimeline | undefined;
  #end: MediaEnd;
  #grid: FrameGrid | undefined;
  #audioClock: AudioClock | undefined;
  /** Media is being left out until a key frame is far enough on: the source's clock ran ahead of ours. */
  #leaping = false;
  /** Pictures before the next key frame were left out, or there were none. */
  #holeBeforeKey = true;
  /** The same of the last key frame. */
  #keyAfterHole = true;
  #probe: FrameTime[] = [];
  /** Frames that the grid was given and has not given on; kept only for who is told of their places. */
  readonly #unplaced: SourceSample[] = [];
  #seenGrid = { missing: 0, shifts: 0, rateChanges: 0 };
  #seenHoles = 0;

  constructor(deps: LiveRunDeps, start: RunStart) {
    this.#deps = deps;
    this.#start = start;
    this.#end = start.end;
    this.#clock = new RunningTimeline(start.warmUp.offsetsMs);
    this.#cadence = this.#measure(start.warmUp.frames);
    this.#pending = { reason: start.reason, anchorAgain: false };
    for (const sample of start.warmUp.samples) this.write(sample);
  }

  get timeline(): Timeline | undefined {
    return this.#current?.timeline;
  }

  get driftMs(): number {
    return this.#clock.driftMs;
  }

  /** Where the media written so far ends. */
  get end(): MediaEnd {
    const grid = this.#grid;
    const audio = this.#current?.timeline.audio;
    return {
      video: grid ? { dtsTicks: grid.endDts, endTicks: grid.endTicks } : this.#end.video,
      audio:
        this.#audioClock && audio
          ? { endTicks: this.#audioClock.endTicks, timescale: audio.timescale }
          : this.#end.audio,
    };
  }

  write(sample: SourceSample): void {
    const { jumped } = this.#clock.place(sample.kind, sample.sourceMs, sample.arrivalMs);
    if (jumped) this.#noteJump(sample.kind);
    if (this.#clock.excessDriftMs !== undefined) this.#wantAnchor(sample.kind);
    this.#lastSeenMs[sample.kind] = sample.arrivalMs;
    if (sample.kind === 'video') this.#video(sample);
    else this.#audio(sample);
  }

  /** When a moment of the source's presentation is, 90 kHz ticks since the Unix epoch; undefined: with what comes next. */
  eventTicks(sourceMs: number | undefined): number {
    if (sourceMs !== undefined) return Math.round(this.#clock.toEpochMs(this.#leadKind, sourceMs) * 90);
    const { video } = this.end;
    return video ? video.endTicks : Math.round(endMsOf(this.end) * 90);
  }

  /** Writes what is held: the publisher is gone. */
  flush(): void {
    this.#grid?.flush();
    this.#collectCounts();
  }

  get #leadKind(): TrackKind {
    return this.#current?.video ? 'video' : 'audio';
  }

  #noteJump(kind: TrackKind): void {
    this.#deps.counters.resynced(kind, 'jump');
    this.#deps.log.warn({ kind }, 'source clock jumped');
    this.#pending ??= { reason: 'jump', anchorAgain: false };
  }

  #wantAnchor(kind: TrackKind): void {
    if (this.#pending?.anchorAgain || isOpening(this.#pending)) return;
    this.#deps.counters.resynced(kind, 'drift');
    this.#deps.log.warn(
      { kind, driftMs: Math.round(this.#clock.driftMs) },
      'source clock drifted, anchoring again',
    );
    this.#pending = { reason: 'jump', anchorAgain: true };
  }

  #wantTracks(): void {
    this.#pending ??= { reason: 'tracks', anchorAgain: false };
  }

  #video(sample: SourceSample): void {
    const current = this.#current;
    if (current && !current.video && !this.#knowsLateVideo(sample)) return;
    const changed = current?.video !== this.#deps.source.video;
    if (current && (changed || this.#isSilent('audio', current, sample.arrivalMs))) this.#wantTracks();
    if (this.#pending && sample.key) this.#begin(sample);
    const grid = this.#grid;
    if (!grid || this.#current?.video !== this.#deps.source.video || this.#leaping) {
      this.#leaveOut(this.#leaping ? 'clock' : 'new_timeline');
      return;
    }
    if (this.#cannotBeDecoded(sample)) {
      this.#deps.counters.dropped('video', 'before_key');
      return;
    }
    if (this.#deps.onPlaced) this.#unplaced.push(sample);
    grid.push(this.#placed(sample));
    if (sample.key) this.#collectCounts();
  }

  #audio(sample: SourceSample): void {
    const current = this.#current;
    if (current && current.audio !== this.#deps.source.audio) this.#wantTracks();
    if (current && this.#isSilent('video', current, sample.arrivalMs)) this.#wantTracks();
    if (this.#pending && !this.#videoLeads(sample.arrivalMs)) this.#begin(sample);
    const clock = this.#audioClock;
    const track = this.#current?.timeline.audio;
    if (!clock || !track || this.#current?.audio !== this.#deps.source.audio || this.#leaping) {
      this.#deps.counters.dropped('audio', this.#leaping ? 'clock' : 'new_timeline');
      return;
    }
    const droppedBefore = clock.counts.dropped;
    const atTicks = msToTicks(this.#epochMs(sample), track.timescale);
    const written = clock.push(atTicks, sample.data, this.#audioTicks(sample));
    if (written) return;
    const behind = clock.counts.dropped > droppedBefore;
    this.#deps.counters.dropped('audio', behind ? 'clock' : 'before_key');
  }

  #leaveOut(cause: DropCause): void {
    this.#holeBeforeKey = true;
    this.#deps.counters.dropped('video', cause);
  }

  /**
   * Leading pictures of an open GOP lie before their key frame in time but behind it in the stream, and need what came
   * before it. Where that was left out, or there was nothing before, they go too: nobody could decode them. A viewer
   * who joins at such a key frame later drops them by himself (ISO/IEC 23008-2 8.1.3).
   */
  #cannotBeDecoded({ key, leading }: SourceSample): boolean {
    if (!key) return leading === true && this.#keyAfterHole;
    this.#keyAfterHole = this.#holeBeforeKey;
    this.#holeBeforeKey = false;
    return false;
  }

  /** Undefined where every frame lasts as long. */
  #audioTicks({ data }: SourceSample): number | undefined {
    const audio = this.#current?.audio;
    return audio && audioFrameTicks(audio, data);
  }

  /** A begin may have moved the clock, so times are asked for again. */
  #epochMs(sample: SourceSample): number {
    return this.#clock.toEpochMs(sample.kind, sample.sourceMs);
  }

  #placed(sample: SourceSample): PlacedFrame {
    return {
      dtsTicks: (this.#epochMs(sample) * VIDEO_TIMESCALE) / 1000,
      compositionTicks: (sample.compositionMs * VIDEO_TIMESCALE) / 1000,
      key: sample.key,
      data: sample.data,
    };
  }

  #isSilent(kind: TrackKind, current: CurrentTimeline, nowMs: number): boolean {
    const lastMs = this.#lastSeenMs[kind];
    return current[kind] !== undefined && lastMs !== undefined && nowMs - lastMs > SILENCE_MS[kind];
  }

  /** Whether a new timeline must wait for a video key frame. */
  #videoLeads(nowMs: number): boolean {
    if (!this.#deps.source.video) return false;
    if (!this.#current) return this.#start.warmUp.present.video;
    const lastMs = this.#lastSeenMs.video;
    return this.#current.video !== undefined && lastMs !== undefined && nowMs - lastMs <= SILENCE_MS.video;
  }

  /** Gathers frames of video that joins late, until its cadence can be told. */
  #knowsLateVideo(sample: SourceSample): boolean {
    const probe = this.#probe;
    const last = probe.at(-1);
    if (last && (sample.sourceMs < last.dtsMs || probe.length >= PROBE_FRAMES)) probe.length = 0;
    const { sourceMs, compositionMs, key } = sample;
    probe.push({ dtsMs: sourceMs, ptsMs: sourceMs + compositionMs, key });
    const spanMs = sample.sourceMs - (probe[0]?.dtsMs ?? 0);
    const joins = sample.key && spanMs >= PROBE_MS && (spanMs >= PROBE_GOP_MS || countKeys(probe) > 1);
    if (!joins) {
      this.#leaveOut('new_timeline');
      return false;
    }
    this.#cadence = this.#measure(probe);
    this.#probe = [];
    return true;
  }

  #measure(frames: readonly FrameTime[]): MeasuredCadence {
    const { video, quantumMs } = this.#deps.source;
    const measured = measureCadence(frames, quantumMs, video?.picture.frameRate);
    const rate = measured.frameRate;
    if (rate && rate.numerator / rate.denominator > MAX_FRAME_RATE) {
      this.#deps.log.warn(
        { fps: rate.numerator / rate.denominator },
        'frame rate is above what is supported',
      );
    }
    return measured;
  }

  /** Begins the pending timeline at this sample, unless its clock is still too far ahead. */
  #begin(first: SourceSample): void {
    const pending = this.#pending;
    if (!pending || !this.#moveClock(pending, first)) return;
    const { video, audio } = this.#deps.source;
    const withVideo = first.kind === 'video' ? video : undefined;
    const audioHere = first.kind === 'audio' || this.#hasAudioAt(first.arrivalMs);
    const withAudio = audioHere ? audio : undefined;
    if (withVideo) this.#cadence = this.#cadenceUnder(withVideo);
    const videoTrack = withVideo && this.#videoTrack(withVideo);
    const audioTrack = withAudio && audioTrackOf(withAudio);
    const startMs = this.#openVideo(withVideo, first) ?? this.#audioStartMs(first, audioTrack);
    this.#openAudio(withAudio, audioTrack, startMs, pending.reason);
    this.#probe = [];
    this.#pending = undefined;
    this.#leaping = false;
    const timeline = { reason: pending.reason, video: videoTrack, audio: audioTrack, startMs };
    this.#current = { timeline, video: withVideo, audio: withAudio };
    this.#announce(timeline);
  }

  /**
   * A changed configuration keeps the measured cadence, unless the bitstream says that the rate changed and has told
   * the truth before.
   */
  #cadenceUnder(config: VideoConfig): MeasuredCadence {
    const before = this.#current?.video;
    const now = plausibleHint(config);
    const told = fpsOf(before?.picture.frameRate);
    const truthful = told !== undefined && told === fpsOf(this.#cadence.frameRate);
    if (!truthful || !now || fpsOf(now) === told) return this.#cadence;
    return { frameRate: now, gopFrames: undefined };
  }

  #announce(timeline: Timeline): void {
    const { reason, video, audio, startMs } = timeline;
    this.#deps.metrics.timelineBegun(reason);
    this.#deps.log.info(
      {
        reason,
        startMs: Math.round(startMs),
        video: video && {
          codec: video.codecString,
          size: `${video.width}x${video.height}`,
          ...video.cadence,
        },
        audio: audio && { codec: audio.codecString, sampleRate: audio.timescale, channels: audio.channels },
      },
      'timeline begun',
    );
    this.#deps.sink.begin(timeline);
  }

  #hasAudioAt(nowMs: number): boolean {
    const lastMs = this.#lastSeenMs.audio;
    if (lastMs === undefined) return !this.#current && this.#start.warmUp.present.audio;
    return nowMs - lastMs <= SILENCE_MS.audio;
  }

  /**
   * Moves the clock by the drift where asked, and on where the timeline would overlap the last one. False while the
   * source is so far ahead that media must be left out.
   */
  #moveClock(pending: Pending, first: SourceSample): boolean {
    if (pending.reason === 'tracks') return true;
    const wantedMs = this.#epochMs(first) + first.compositionMs;
    const shiftMs = pending.anchorAgain ? Math.round(this.#clock.driftMs) : 0;
    const overlapMs = Math.ceil(endMsOf(this.end) - wantedMs - shiftMs);
    const toleratedMs = isOpening(pending) ? 0 : RUN_ON_OVERLAP_MS;
    const leadMs = overlapMs > toleratedMs ? overlapMs : 0;
    if (shiftMs < 0 && leadMs > 0) {
      this.#leaping = true;
      return false;
    }
    if (shiftMs !== 0 || leadMs > 0) this.#clock.shift(shiftMs + leadMs, leadMs);
    return true;
  }

  #openVideo(video: VideoConfig | undefined, first: SourceSample): number | undefined {
    const frame = this.#placed(first);
    this.#closeGrid(video && frame.dtsTicks + frame.compositionTicks);
    if (!video) return undefined;
    const floor = this.end.video?.dtsTicks ?? 0;
    const grid = new FrameGrid(this.#cadence.frameRate, floor, this.#emit);
    const startMs = ticksToMs(grid.startTicksFor(frame), VIDEO_TIMESCALE);
    this.#grid = grid;
    return startMs;
  }

  #closeGrid(untilTicks: number | undefined): void {
    this.#grid?.flush(untilTicks);
    this.#collectCounts();
    this.#end = { ...this.#end, video: this.end.video };
    this.#grid = undefined;
    this.#seenGrid = { missing: 0, shifts: 0, rateChanges: 0 };
  }

  #audioStartMs(first: SourceSample, track: AudioTrack | undefined): number {
    const atMs = this.#epochMs(first);
    if (!track) return atMs;
    const startTicks = Math.max(msToTicks(atMs, track.timescale), this.#audioFloor(track.timescale));
    return ticksToMs(startTicks, track.timescale);
  }

  /** Where audio may begin: at the end of what there is, rounded up should the sample rate have changed. */
  #audioFloor(timescale: number): number {
    const end = this.end.audio;
    if (!end) return 0;
    const roundUp = end.timescale === timescale ? 0 : 1;
    return rescale(end.endTicks, end.timescale, timescale) + roundUp;
  }

  /** The count of frames goes on over a mere change of tracks. */
  #openAudio(
    audio: AudioConfig | undefined,
    track: AudioTrack | undefined,
    startMs: number,
    reason: TimelineReason,
  ): void {
    if (reason === 'tracks' && audio && audio === this.#current?.audio) return;
    const floor = track ? this.#audioFloor(track.timescale) : 0;
    this.#collectCounts();
    this.#end = { ...this.#end, audio: this.end.audio };
    this.#seenHoles = 0;
    this.#audioClock = track
      ? new AudioClock(track, Math.floor((startMs * track.timescale) / 1000), floor, this.#emit)
      : undefined;
  }

  readonly #emit = (sample: Sample): void => {
    this.#deps.sink.sample(sample);
    const source = sample.kind === 'video' ? this.#unplaced.shift() : undefined;
    if (source) this.#deps.onPlaced?.(source, sample);
  };

  #videoTrack(config: VideoConfig): VideoTrack {
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
    const { frameRate, gopFrames } = this.#cadence;
    if (!frameRate) return { frameTicks: undefined, gopTicks: undefined };
    const frameTicks = frameTicksOf(frameRate);
    const gopTicks = gopFrames === undefined ? undefined : exactTicks(gopFrames, frameRate);
    return { frameTicks, gopTicks: gopTicks ?? this.#rememberedGop(config, frameTicks) };
  }

  /** A publisher that came back with the same encoder settings has the same GOP. */
  #rememberedGop(config: VideoConfig, frameTicks: number): number | undefined {
    const previous = this.#start.previousVideo;
    if (!previous || previous.cadence.frameTicks !== frameTicks) return undefined;
    const sameConfig =
      previous.codec === config.codec && Buffer.compare(previous.config, config.record) === 0;
    return sameConfig ? previous.cadence.gopTicks : undefined;
  }

  #collectCounts(): void {
    const { counters, metrics } = this.#deps;
    const counts = this.#grid?.counts;
    if (counts) {
      metrics.missingFrames.inc(counts.missing - this.#seenGrid.missing);
      counters.resynced('video', 'shift', counts.shifts - this.#seenGrid.shifts);
      counters.resynced('video', 'rate', counts.rateChanges - this.#seenGrid.rateChanges);
      this.#seenGrid = { ...counts };
    }
    const holes = this.#audioClock?.counts.holes ?? 0;
    counters.resynced('audio', 'hole', holes - this.#seenHoles);
    this.#seenHoles = holes;
  }
}

function countKeys(frames: readonly FrameTime[]): number {
  return frames.filter(({ key }) => key).length;
}

function isOpening(pending: Pending | undefined): boolean {
  return pending?.reason === 'start' || pending?.reason === 'resume';
}

function exactTicks(frames: number, rate: FrameRate): number {
  return (frames * VIDEO_TIMESCALE * rate.denominator) / rate.numerator;
}

function endMsOf(end: MediaEnd): number {
  const videoMs = end.video ? ticksToMs(end.video.endTicks, VIDEO_TIMESCALE) : 0;
  const audioMs = end.audio ? ticksToMs(end.audio.endTicks, end.audio.timescale) : 0;
  return Math.max(videoMs, audioMs);
}

function fpsOf(rate: FrameRate | undefined): number | undefined {
  return rate && rate.numerator / rate.denominator;
}

/** The rate that the bitstream claims, when it is one we support. */
function plausibleHint(config: VideoConfig): FrameRate | undefined {
  const fps = fpsOf(config.picture.frameRate) ?? 0;
  return fps >= MIN_HINT_RATE && fps <= MAX_FRAME_RATE ? config.picture.frameRate : undefined;
}

function audioTrackOf(config: AudioConfig): AudioTrack {
  return {
    kind: 'audio',
    codec: config.codec,
    codecString: config.codecString,
    timescale: config.sampleRate,
    config: config.config,
    channels: config.channels,
    frameTicks: config.frameTicks,
  };
}
