import { sameBytes } from '../base/same-bytes.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type AudioConfig, audioFrameTicks, parseAudioConfig } from '../media/audio-config.ts';
import type { VideoConfig } from '../media/video-config.ts';
import type { HubOptions } from './hub-options.ts';
import type { Publisher, PublisherInfo, RawEvent, RawSample } from './publisher.ts';
import { RateMeter } from './rate-meter.ts';
import type { DropCause, StreamCounters, StreamMetrics } from './stream-metrics.ts';
import type { AudioCodec, TrackKind, VideoCodec } from './track.ts';
import { TimestampUnwrapper } from './unwrap.ts';
import { type Reading, VideoInput } from './video-input.ts';
import type { SourceSample } from './warm-up.ts';

/** Media of a kind without its configuration, or whose timestamps stand still, is borne for so long. */
const PATIENCE_MS = 5000;
/** Timestamps stand still when so many samples move them by no more than this. */
const STUCK_SAMPLES = 50;
const STUCK_STEP_MS = 500;
/** A picture shown further than this from its decoding is damage: 16 reordered frames at 5 fps are 3.2 s. */
const MAX_COMPOSITION_MS = 5000;
const KINDS: readonly TrackKind[] = ['video', 'audio'];
/** Video tracks of one publisher beyond this are passed over: Enhanced RTMP's encoders send 5 or 6. */
const MAX_VIDEO_TRACKS = 8;
/** The source itself; the others are lesser encodings of it. */
const SOURCE_TRACK = 0;

/** The stream a session feeds. All calls are synchronous. */
export interface SessionHost {
  /** A configuration or an announcement came. */
  configured(session: PublisherSession): void;
  /** A usable sample of the source's picture or sound. */
  media(session: PublisherSession, sample: SourceSample): void;
  /** A lesser encoding of the picture, track 1 and up, was declared or its configuration changed. */
  rungConfigured(session: PublisherSession, track: number, config: VideoConfig): void;
  /** A usable sample of a lesser encoding, on the clock of the source's. */
  rungMedia(session: PublisherSession, track: number, sample: SourceSample): void;
  /** Something that is neither picture nor sound. */
  event(session: PublisherSession, event: SourceEvent): void;
  /** The publisher is gone; by itself, or with the code for which it was closed. */
  gone(session: PublisherSession, reason: string, code: ErrorCode | undefined): void;
}

/** A {@link RawEvent} on the unwrapped clock of the samples. */
export interface SourceEvent {
  readonly kind: RawEvent['kind'];
  /** Milliseconds on the clock of the samples' presentation times; undefined: with the next picture. */
  readonly sourceMs: number | undefined;
  readonly data: Uint8Array;
}

export interface SessionDeps {
  readonly host: SessionHost;
  readonly options: HubOptions;
  readonly log: Logger;
  readonly metrics: StreamMetrics;
  readonly counters: StreamCounters;
  /** The stream's steady wall clock. */
  readonly nowMs: () => number;
  /** Tells the protocol to disconnect the publisher. */
  readonly onClosed: (code: ErrorCode) => void;
}

interface KindWatch {
  readonly rate: RateMeter;
  /** When media without a configuration began to come. */
  unconfiguredSinceMs: number | undefined;
  lastRaw: RawSample | undefined;
  /** Where timestamps were when they last moved on. */
  movedAtMs: number;
  movedSourceMs: number | undefined;
  samplesSinceMoved: number;
}

/**
 * One publisher: checks and normalises what it sends, and hands on only usable samples on an unwrapped clock. A
 * publisher whose media can never be played is closed with the reason.
 */
export class PublisherSession implements Publisher {
  readonly stream: string;
  readonly info: PublisherInfo;
  /** When it was accepted, milliseconds since the Unix epoch. */
  readonly sinceMs: number;
  readonly #deps: SessionDeps;
  readonly #unwrapper: TimestampUnwrapper;
  readonly #watch: Record<TrackKind, KindWatch>;
  readonly #announced: Record<TrackKind, boolean> = { video: false, audio: false };
  readonly #warnedConfigs = new Set<TrackKind>();
  readonly #video: VideoInput;
  /** Lesser encodings by track, 1 and up. */
  readonly #rungs = new Map<number, VideoInput>();
  #audio: AudioConfig | undefined;
  #audioBytes: Uint8Array | undefined;
  /** A frame of the current audio configuration was seen. */
  #audioSeen = false;
  #firstVideoMs: number | undefined;
  #lastKeySourceMs: number | undefined;
  #gopJudged = false;
  #warnedLongGop = false;
  #closed = false;

  constructor(stream: string, info: PublisherInfo, deps: SessionDeps) {
    this.stream = stream;
    this.info = info;
    this.#deps = deps;
    this.sinceMs = deps.nowMs();
    this.#unwrapper = new TimestampUnwrapper(info.wrapBits, info.timescale);
    this.#watch = { video: newWatch(), audio: newWatch() };
    this.#video = new VideoInput(deps.options.maxVideoPixels);
  }

  /** The current configuration; the same object as long as its bytes are the same. */
  get video(): VideoConfig | undefined {
    return this.#video.config;
  }

  get audio(): AudioConfig | undefined {
    return this.#audio;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Length of one source tick. */
  get quantumMs(): number {
    return 1000 / this.info.timescale;
  }

  /** Tracks that are configured or announced. */
  get expected(): readonly TrackKind[] {
    const declared = { video: this.#video.declared, audio: this.#audio !== undefined };
    return KINDS.filter((kind) => this.#announced[kind] || declared[kind]);
  }

  bitrateBps(kind: TrackKind): number {
    return this.#watch[kind].rate.bitsPerSecond(this.#deps.nowMs());
  }

  videoConfig(codec: VideoCodec, bytes: Uint8Array, track = SOURCE_TRACK): void {
    if (this.#closed) return;
    const input = this.#videoInput(track);
    const declared = input?.declare(codec, bytes);
    if (declared?.kind === 'same') return;
    if (!input || !declared || declared.kind === 'unusable') {
      this.#passOverConfig('video', codec, bytes);
      return;
    }
    if (declared.kind === 'too-large') {
      this.#refuseLarge(declared.picture);
      return;
    }
    if (track === SOURCE_TRACK) {
      this.#watch.video.unconfiguredSinceMs = undefined;
      this.#deps.host.configured(this);
    } else if (declared.kind === 'configured') this.#tellRung(track, input);
  }

  audioConfig(codec: AudioCodec, bytes: Uint8Array): void {
    const same = this.#audio?.codec === codec && this.#audioBytes && sameBytes(bytes, this.#audioBytes);
    if (this.#closed || same) return;
    const config = parseAudioConfig(codec, bytes);
    if (!config) {
      this.#passOverConfig('audio', codec, bytes);
      return;
    }
    this.#audioBytes = bytes.slice();
    this.#audio = config;
    this.#audioSeen = false;
    this.#watch.audio.unconfiguredSinceMs = undefined;
    this.#deps.host.configured(this);
  }

  announce(kinds: { readonly video: boolean; readonly audio: boolean }): void {
    if (this.#closed) return;
    this.#announced.video = kinds.video;
    this.#announced.audio = kinds.audio;
    this.#deps.host.configured(this);
  }

  write(raw: RawSample): void {
    if (this.#closed) return;
    const nowMs = this.#deps.nowMs();
    const watch = raw.kind === 'video' ? this.#watch.video : this.#watch.audio;
    watch.rate.add(raw.data.length, nowMs);
    this.#deps.metrics.received(raw.kind, raw.data.length);
    const track = raw.track ?? SOURCE_TRACK;
    if (track !== SOURCE_TRACK) {
      this.#writeRung(track, raw, nowMs);
      return;
    }
    const configured = raw.kind === 'video' ? this.video : this.audio;
    if (configured && isRepeat(raw, watch.lastRaw)) {
      this.#drop(raw.kind, 'duplicate');
      return;
    }
    watch.lastRaw = raw;
    const sample = raw.kind === 'video' ? this.#videoSample(raw, nowMs) : this.#audioSample(raw, nowMs);
    if (!sample) return;
    const code = this.#fault(sample, watch);
    if (code) this.closeFor(code);
    else this.#deps.host.media(this, sample);
  }

  event(event: RawEvent): void {
    if (this.#closed) return;
    const { kind, pts, data } = event;
    const sourceMs = pts === undefined ? undefined : this.#unwrapper.near(pts) * this.quantumMs;
    this.#deps.host.event(this, { kind, sourceMs, data });
  }

  close(reason: 'unpublished' | 'disconnected' | 'timeout' | 'error'): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.host.gone(this, reason, undefined);
  }

  /** Closes the publisher from our side: the stream first learns that it is gone, then the protocol is told. */
  closeFor(code: ErrorCode): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.metrics.publisherClosed(code);
    this.#deps.host.gone(this, 'closed', code);
    this.#deps.onClosed(code);
  }

  /** Logged once a kind: a publisher may send as many as it likes. */
  #passOverConfig(kind: TrackKind, codec: VideoCodec | AudioCodec, bytes: Uint8Array): void {
    this.#deps.metrics.unusableConfigs.inc({ kind });
    if (this.#warnedConfigs.has(kind)) return;
    this.#warnedConfigs.add(kind);
    this.#deps.log.warn({ kind, codec, sizeBytes: bytes.length }, 'codec configuration not usable');
  }

  #drop(kind: TrackKind, cause: DropCause): void {
    this.#deps.counters.dropped(kind, cause);
  }

  #refuseLarge(picture: { readonly width: number; readonly height: number } | undefined): void {
    this.#deps.log.warn({ width: picture?.width, height: picture?.height }, 'picture too large');
    this.closeFor('STREAM_VIDEO_TOO_LARGE');
  }

  /** The track's input; made when it is new. Undefined for a track that there may not be. */
  #videoInput(track: number): VideoInput | undefined {
    if (track === SOURCE_TRACK) return this.#video;
    const known = this.#rungs.get(track);
    if (known || this.#rungs.size >= MAX_VIDEO_TRACKS - 1) return known;
    const input = new VideoInput(this.#deps.options.maxVideoPixels);
    this.#rungs.set(track, input);
    return input;
  }

  #tellRung(track: number, { config }: VideoInput): void {
    if (config) this.#deps.host.rungConfigured(this, track, config);
  }

  /** What is wrong with a lesser encoding is its own affair: only pictures that are too large close the publisher. */
  #writeRung(track: number, raw: RawSample, nowMs: number): void {
    const input = raw.kind === 'video' ? this.#rungs.get(track) : undefined;
    if (!input) {
      this.#drop(raw.kind, 'no_config');
      return;
    }
    const reading = this.#isSane(raw) ? input.read(raw.data) : MALFORMED;
    switch (reading.kind) {
      case 'frame':
        if (reading.changed) this.#tellRung(track, input);
        this.#deps.host.rungMedia?.(this, track, this.#videoSampleOf(raw, reading, nowMs));
        return;
      case 'too-large':
        this.#refuseLarge(reading.picture);
        return;
      case 'unconfigured':
        this.#drop('video', reading.awaitsKey ? 'before_key' : 'no_config');
        return;
      default:
        this.#drop('video', reading.kind);
    }
  }

  #bearUnconfigured(kind: TrackKind, nowMs: number): void {
    const watch = this.#watch[kind];
    this.#drop(kind, 'no_config');
    watch.unconfiguredSinceMs ??= nowMs;
    if (nowMs - watch.unconfiguredSinceMs >= PATIENCE_MS) this.closeFor('STREAM_NO_SEQUENCE_HEADER');
  }

  /** What a codec's configuration leaves open comes with the first key frame, which may be a GOP away. */
  #awaitKey(nowMs: number): void {
    const watch = this.#watch.video;
    this.#drop('video', 'before_key');
    watch.unconfiguredSinceMs ??= nowMs;
    const { maxGopMs } = this.#deps.options;
    if (nowMs - watch.unconfiguredSinceMs > 2 * maxGopMs) this.closeFor('STREAM_NO_KEY_FRAME');
  }

  #isSane(raw: RawSample): boolean {
    return Math.abs(raw.compositionOffset) * this.quantumMs <= MAX_COMPOSITION_MS;
  }

  #videoSample(raw: RawSample, nowMs: number): SourceSample | undefined {
    const reading = this.#isSane(raw) ? this.#video.read(raw.data) : MALFORMED;
    switch (reading.kind) {
      case 'frame':
        if (reading.changed) this.#deps.host.configured(this);
        return this.#videoSampleOf(raw, reading, nowMs);
      case 'unconfigured':
        if (reading.awaitsKey) this.#awaitKey(nowMs);
        else this.#bearUnconfigured('video', nowMs);
        return undefined;
      case 'too-large':
        this.#refuseLarge(reading.picture);
        return undefined;
      default:
        this.#drop('video', reading.kind);
        return undefined;
    }
  }

  #audioSample(raw: RawSample, nowMs: number): SourceSample | undefined {
    const audio = this.#audio;
    if (!audio) {
      this.#bearUnconfigured('audio', nowMs);
      return undefined;
    }
    const frameTicks = audioFrameTicks(audio, raw.data);
    if (frameTicks === undefined) {
      this.#drop('audio', raw.data.length > 0 ? 'malformed' : 'empty');
      return undefined;
    }
    // How long a usual frame is, some codecs' configurations do not tell, but the first frame does.
    if (!this.#audioSeen && frameTicks !== audio.frameTicks) this.#audio = { ...audio, frameTicks };
    this.#audioSeen = true;
    return {
      kind: 'audio',
      sourceMs: this.#unwrapper.next(raw.dts) * this.quantumMs,
      compositionMs: 0,
      key: true,
      data: raw.data,
      arrivalMs: nowMs,
    };
  }

  #videoSampleOf(
    raw: RawSample,
    { frame }: Extract<Reading, { readonly kind: 'frame' }>,
    arrivalMs: number,
  ): SourceSample {
    return {
      kind: 'video',
      sourceMs: this.#unwrapper.next(raw.dts) * this.quantumMs,
      compositionMs: raw.compositionOffset * this.quantumMs,
      key: frame.key,
      leading: frame.leading,
      data: frame.data,
      arrivalMs,
    };
  }

  /** What makes it pointless to go on with this publisher. */
  #fault(sample: SourceSample, watch: KindWatch): ErrorCode | undefined {
    if (isStuck(sample, watch)) return 'STREAM_TIMESTAMPS_STUCK';
    return sample.kind === 'video' ? this.#judgeGop(sample) : undefined;
  }

  #judgeGop(sample: SourceSample): ErrorCode | undefined {
    const { maxGopMs } = this.#deps.options;
    this.#firstVideoMs ??= sample.arrivalMs;
    const lastKeyMs = this.#lastKeySourceMs;
    if (lastKeyMs !== undefined && !this.#gopJudged && sample.sourceMs - lastKeyMs > maxGopMs) {
      this.#gopJudged = true;
      this.#deps.metrics.longGops.inc();
      if (!this.#warnedLongGop) this.#deps.log.warn({ maxGopMs }, 'key frames are too far apart');
      this.#warnedLongGop = true;
    }
    if (sample.key) {
      this.#lastKeySourceMs = sample.sourceMs;
      this.#gopJudged = false;
    }
    const neverKey = this.#lastKeySourceMs === undefined;
    return neverKey && sample.arrivalMs - this.#firstVideoMs > 2 * maxGopMs
      ? 'STREAM_NO_KEY_FRAME'
      : undefined;
  }
}

const MALFORMED: Reading = { kind: 'malformed' };

function newWatch(): KindWatch {
  return {
    rate: new RateMeter(),
    unconfiguredSinceMs: undefined,
    lastRaw: undefined,
    movedAtMs: 0,
    movedSourceMs: undefined,
    samplesSinceMoved: 0,
  };
}

function isRepeat(raw: RawSample, last: RawSample | undefined): boolean {
  return last !== undefined && raw.dts === last.dts && sameBytes(raw.data, last.data);
}

function isStuck(sample: SourceSample, watch: KindWatch): boolean {
  const movedMs = Math.abs(sample.sourceMs - (watch.movedSourceMs ?? Number.NEGATIVE_INFINITY));
  if (movedMs > STUCK_STEP_MS) {
    watch.movedSourceMs = sample.sourceMs;
    watch.movedAtMs = sample.arrivalMs;
    watch.samplesSinceMoved = 0;
  }
  watch.samplesSinceMoved++;
  return watch.samplesSinceMoved >= STUCK_SAMPLES && sample.arrivalMs - watch.movedAtMs >= PATIENCE_MS;
}
