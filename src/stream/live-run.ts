import type { Logger } from '../base/log.ts';
import { type AudioConfig, audioFrameTicks } from '../media/audio-config.ts';
import { ticksToMs } from '../media/timescale.ts';
import type { VideoConfig } from '../media/video-config.ts';
import { type AudioEnd, AudioLane } from './audio-lane.ts';
import type { PlacedFrame } from './frame-grid.ts';
import type { DropCause, StreamCounters, StreamMetrics } from './stream-metrics.ts';
import { RunningTimeline } from './timeline.ts';
import type {
  AudioTrack,
  LeadInFacts,
  Sample,
  StreamSink,
  Timeline,
  TimelineReason,
  TrackKind,
  VideoTrack,
} from './track.ts';
import { VideoCadence } from './video-cadence.ts';
import { type VideoEnd, VideoLane } from './video-lane.ts';
import type { SourceSample, WarmUpResult } from './warm-up.ts';

/** Where a stream's media ended: what comes later may not begin before. */
export interface MediaEnd {
  readonly video: VideoEnd | undefined;
  readonly audio: AudioEnd | undefined;
  /** Of the track that led, milliseconds since the Unix epoch: where the next timeline begins at the earliest. */
  readonly leadMs: number;
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
  /** By the clock of the arrivals. */
  readonly nowMs: number;
  /** The last video track of the stream, to know its GOP again after a short absence. */
  readonly previousVideo: VideoTrack | undefined;
}

const VIDEO_TIMESCALE = 90_000;
/** A track that sends nothing for so long, while the other does, leaves the timeline. Sparse video is normal. */
const SILENCE_MS: Readonly<Record<TrackKind, number>> = { audio: 3000, video: 10_000 };

/**
 * Where media runs on over a jump, one track may already reach this far past the key frame at which the other begins
 * anew. Moving the timeline on by that each time would make a source that loops run away from the wall clock.
 */
const RUN_ON_OVERLAP_MS = 100;
/**
 * Media that ended further ahead of the present than this was on another clock: the new media is not held back until
 * its time has come but put behind it.
 */
const MAX_AHEAD_MS = 2000;
/** What milliseconds since the Unix epoch lose of a tick. */
const ROUNDING_TICKS = 0.1;

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
  readonly #cadence: VideoCadence;
  readonly #videoLane: VideoLane;
  readonly #audioLane: AudioLane;
  #pending: Pending | undefined;
  #current: CurrentTimeline | undefined;
  /** Media is being left out until a key frame is far enough on: the source's clock ran ahead of ours. */
  #leaping = false;

  constructor(deps: LiveRunDeps, start: RunStart) {
    const { counters, metrics, source } = deps;
    this.#deps = deps;
    this.#start = start;
    const emit = (sample: Sample): void => deps.sink.sample(sample);
    this.#videoLane = new VideoLane({ counters, metrics, emit, onPlaced: deps.onPlaced }, start.end.video);
    this.#audioLane = new AudioLane(counters, emit, start.end.audio);
    this.#clock = new RunningTimeline(start.warmUp.offsetsMs);
    this.#cadence = new VideoCadence(deps.log, source.quantumMs, start.previousVideo);
    this.#cadence.measure(start.warmUp.frames, source.video);
    this.#pending = { reason: start.reason, anchorAgain: false };
    for (const sample of this.#fromLastKey(start.warmUp.samples)) this.write(sample);
  }

  get timeline(): Timeline | undefined {
    return this.#current?.timeline;
  }

  get driftMs(): number {
    return this.#clock.driftMs;
  }

  /** Where the media written so far ends. */
  get end(): MediaEnd {
    const video = this.#videoLane.end;
    const audio = this.#audioLane.end;
    const { leadMs } = this.#start.end;
    if (!this.#current) return { video, audio, leadMs };
    const endMs = this.#current.video ? videoEndMs(video) : audioEndMs(audio);
    return { video, audio, leadMs: Math.max(leadMs, endMs) };
  }

  write(sample: SourceSample): void {
    const { jumped } = this.#clock.place(sample.kind, sample.sourceMs, sample.arrivalMs);
    if (jumped) this.#noteJump(sample.kind);
    if (this.#clock.excessDriftMs !== undefined) this.#wantAnchor(sample.kind);
    if (sample.kind === 'video') {
      this.#lastSeenMs.video = sample.arrivalMs;
      this.#video(sample);
    } else {
      this.#lastSeenMs.audio = sample.arrivalMs;
      this.#audio(sample);
    }
  }

  /** When a moment of the source's presentation is, 90 kHz ticks since the Unix epoch; undefined: with what comes next. */
  eventTicks(sourceMs: number | undefined): number {
    if (sourceMs !== undefined) return Math.round(this.#clock.toEpochMs(this.#leadKind, sourceMs) * 90);
    const { video, audio } = this.end;
    return video ? video.endTicks : Math.round(audioEndMs(audio) * 90);
  }

  /** Writes what is held: the publisher is gone. */
  flush(): void {
    this.#videoLane.flush();
    this.#audioLane.collectCounts();
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
    if (current && !current.video && !this.#cadence.probe(sample, this.#deps.source.video)) {
      this.#leaveOut('new_timeline');
      return;
    }
    const changed = current?.video !== this.#deps.source.video;
    const soundStopped = current?.audio && lastedLonger(SILENCE_MS.audio, this.#lastSeenMs.audio, sample);
    if (current && (changed || soundStopped)) this.#wantTracks();
    if (this.#pending && sample.key) this.#begin(sample);
    const lane = this.#videoLane;
    if (!lane.isOpen || this.#current?.video !== this.#deps.source.video || this.#leaping)
      this.#leaveOut(this.#leaping ? 'clock' : 'new_timeline');
    else if (!lane.push(sample, this.#placed(sample))) this.#deps.counters.dropped('video', 'before_key');
    else if (sample.key) this.#audioLane.collectCounts();
  }

  #audio(sample: SourceSample): void {
    const current = this.#current;
    if (current && current.audio !== this.#deps.source.audio) this.#wantTracks();
    const pictureStopped = current?.video && lastedLonger(SILENCE_MS.video, this.#lastSeenMs.video, sample);
    if (pictureStopped) this.#wantTracks();
    if (this.#pending && !this.#videoLeads(sample.arrivalMs)) this.#begin(sample);
    if (!this.#audioLane.isOpen || this.#current?.audio !== this.#deps.source.audio || this.#leaping) {
      this.#deps.counters.dropped('audio', this.#leaping ? 'clock' : 'new_timeline');
      return;
    }
    const dropped = this.#audioLane.push(this.#epochMs(sample), sample.data, this.#audioTicks(sample));
    if (dropped) this.#deps.counters.dropped('audio', dropped);
  }

  #leaveOut(cause: DropCause): void {
    this.#videoLane.skip();
    this.#deps.counters.dropped('video', cause);
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

  /** Whether a new timeline must wait for a video key frame. */
  #videoLeads(nowMs: number): boolean {
    if (!this.#deps.source.video) return false;
    if (!this.#current) return this.#start.warmUp.present.video;
    const lastMs = this.#lastSeenMs.video;
    return this.#current.video !== undefined && lastMs !== undefined && nowMs - lastMs <= SILENCE_MS.video;
  }

  /** Begins the pending timeline at this sample, unless its clock is still too far ahead. */
  #begin(first: SourceSample): void {
    const pending = this.#pending;
    if (!pending || !this.#moveClock(pending, first)) return;
    const { video, audio } = this.#deps.source;
    const withVideo = first.kind === 'video' ? video : undefined;
    const audioHere = first.kind === 'audio' || this.#hasAudioAt(first.arrivalMs);
    const withAudio = audioHere ? audio : undefined;
    if (withVideo) this.#cadence.reconfigure(this.#current?.video, withVideo);
    const videoTrack = withVideo && this.#cadence.trackOf(withVideo);
    const audioTrack = withAudio && audioTrackOf(withAudio);
    const floorMs = isOpening(pending) ? this.#start.end.leadMs : 0;
    const opened = this.#openVideo(withVideo, first, floorMs);
    const startMs = opened?.startMs ?? this.#audioStartMs(first, audioTrack, floorMs);
    // The count of frames goes on over a mere change of tracks.
    const goesOn = pending.reason === 'tracks' && withAudio && withAudio === this.#current?.audio;
    if (!goesOn) this.#audioLane.open(audioTrack, startMs);
    this.#cadence.forgetProbe();
    this.#pending = undefined;
    this.#leaping = false;
    const { reason } = pending;
    const leadIn = opened?.leadIn;
    const timeline = { reason, video: videoTrack, audio: audioTrack, startMs, ...(leadIn && { leadIn }) };
    this.#current = { timeline, video: withVideo, audio: withAudio };
    this.#announce(timeline);
  }

  #announce(timeline: Timeline): void {
    const { reason, video, audio, startMs, leadIn } = timeline;
    this.#deps.metrics.timelineBegun(reason);
    this.#deps.log.info(
      {
        reason,
        startMs: Math.round(startMs),
        leadInMs: leadIn && Math.round(startMs - ticksToMs(leadIn.keyTicks, VIDEO_TIMESCALE)),
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
   * source is so far ahead that media must be left out. A publisher that comes on air stays on its own clock: what lies
   * before the end of the last one is a lead-in, or is dropped.
   */
  #moveClock(pending: Pending, first: SourceSample): boolean {
    if (pending.reason === 'tracks') return true;
    if (isOpening(pending)) {
      const overlapMs = Math.ceil(this.#start.end.leadMs - this.#shownMs(first));
      if (this.#isFarAhead && overlapMs > 0) this.#clock.shift(overlapMs, overlapMs);
      return true;
    }
    const shiftMs = pending.anchorAgain ? Math.round(this.#clock.driftMs) : 0;
    const overlapMs = Math.ceil(endMsOf(this.end) - this.#shownMs(first) - shiftMs);
    const leadMs = overlapMs > RUN_ON_OVERLAP_MS ? overlapMs : 0;
    if (shiftMs < 0 && leadMs > 0) {
      this.#leaping = true;
      return false;
    }
    if (shiftMs !== 0 || leadMs > 0) this.#clock.shift(shiftMs + leadMs, leadMs);
    return true;
  }

  #shownMs(sample: SourceSample): number {
    return this.#epochMs(sample) + sample.compositionMs;
  }

  /** The media before ended so far ahead of the present that its clock cannot have been ours. */
  get #isFarAhead(): boolean {
    return this.#start.end.leadMs - this.#start.nowMs > MAX_AHEAD_MS;
  }

  /** Leaves out the GOPs before the last one that begins before the media before ended: nobody needs them. */
  #fromLastKey(samples: readonly SourceSample[]): readonly SourceSample[] {
    if (this.#isFarAhead) return samples;
    const { leadMs } = this.#start.end;
    const start = samples.findLastIndex((sample) => isVideoKey(sample) && this.#shownMs(sample) <= leadMs);
    const kept = samples.filter(({ kind }, index) => kind === 'audio' || index >= start);
    this.#deps.counters.dropped('video', 'new_timeline', samples.length - kept.length);
    return kept;
  }

  /** `floorMs`: where the media before ended, for a publisher that comes on air; it may begin with a lead-in. */
  #openVideo(
    video: VideoConfig | undefined,
    first: SourceSample,
    floorMs: number,
  ): { readonly startMs: number; readonly leadIn: LeadInFacts | undefined } | undefined {
    const frame = this.#placed(first);
    this.#videoLane.close(video && frame.dtsTicks + frame.compositionTicks);
    if (!video) return undefined;
    const floorTicks = Math.ceil((floorMs * VIDEO_TIMESCALE) / 1000 - ROUNDING_TICKS);
    const { startTicks, leadIn } = this.#videoLane.open(this.#cadence.frameRate, frame, floorTicks);
    return { startMs: ticksToMs(startTicks, VIDEO_TIMESCALE), leadIn };
  }

  #audioStartMs(first: SourceSample, track: AudioTrack | undefined, floorMs: number): number {
    const atMs = Math.max(this.#epochMs(first), floorMs);
    return track ? this.#audioLane.startMs(atMs, track) : atMs;
  }
}

/** A silence since `sinceMs`, until a sample of the other kind comes. */
function lastedLonger(limitMs: number, sinceMs: number | undefined, { arrivalMs }: SourceSample): boolean {
  return sinceMs !== undefined && arrivalMs - sinceMs > limitMs;
}

function isOpening(pending: Pending | undefined): boolean {
  return pending?.reason === 'start' || pending?.reason === 'resume';
}

function isVideoKey({ kind, key }: SourceSample): boolean {
  return kind === 'video' && key;
}

function videoEndMs(end: VideoEnd | undefined): number {
  return end ? ticksToMs(end.endTicks, VIDEO_TIMESCALE) : 0;
}

function audioEndMs(end: AudioEnd | undefined): number {
  return end ? ticksToMs(end.endTicks, end.timescale) : 0;
}

function endMsOf(end: MediaEnd): number {
  return Math.max(videoEndMs(end.video), audioEndMs(end.audio));
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
