import type { ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type AacConfig, parseAacConfig } from '../media/aac.ts';
import {
  type AccessUnitFacts,
  type AvcConfig,
  inspectAccessUnit,
  normalizeAccessUnit,
  parseAvcConfig,
} from '../media/h264.ts';
import type { HubOptions } from './hub-options.ts';
import type { Publisher, PublisherInfo, RawSample } from './publisher.ts';
import { RateMeter } from './rate-meter.ts';
import type { DropCause, StreamCounters, StreamMetrics } from './stream-metrics.ts';
import type { TrackKind } from './track.ts';
import { TimestampUnwrapper } from './unwrap.ts';
import type { SourceSample } from './warm-up.ts';

/** Media of a kind without its configuration, or whose timestamps stand still, is borne for so long. */
const PATIENCE_MS = 5000;
/** Timestamps stand still when so many samples move them by no more than this. */
const STUCK_SAMPLES = 50;
const STUCK_STEP_MS = 500;
/** A picture shown further than this from its decoding is damage: 16 reordered frames at 5 fps are 3.2 s. */
const MAX_COMPOSITION_MS = 5000;
const KINDS: readonly TrackKind[] = ['video', 'audio'];

/** The stream a session feeds. All calls are synchronous. */
export interface SessionHost {
  /** A configuration or an announcement came. */
  configured(session: PublisherSession): void;
  /** A usable sample. */
  media(session: PublisherSession, sample: SourceSample): void;
  /** The publisher is gone; by itself, or with the code for which it was closed. */
  gone(session: PublisherSession, reason: string, code: ErrorCode | undefined): void;
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
  #video: AvcConfig | undefined;
  #videoBytes: Uint8Array | undefined;
  #audio: AacConfig | undefined;
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
  }

  /** The current configuration; the same object as long as its bytes are the same. */
  get video(): AvcConfig | undefined {
    return this.#video;
  }

  get audio(): AacConfig | undefined {
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
    const configured = { video: this.#video, audio: this.#audio };
    return KINDS.filter((kind) => this.#announced[kind] || configured[kind]);
  }

  bitrateBps(kind: TrackKind): number {
    return this.#watch[kind].rate.bitsPerSecond(this.#deps.nowMs());
  }

  videoConfig(bytes: Uint8Array): void {
    if (this.#closed || (this.#videoBytes && sameBytes(bytes, this.#videoBytes))) return;
    const config = parseAvcConfig(bytes);
    if (!config) {
      this.#passOverConfig('video', bytes);
      return;
    }
    const { width, height } = config.picture;
    if (width * height > this.#deps.options.maxVideoPixels) {
      this.#deps.log.warn({ width, height }, 'picture too large');
      this.closeFor('STREAM_VIDEO_TOO_LARGE');
      return;
    }
    this.#videoBytes = bytes.slice();
    this.#video = config;
    this.#watch.video.unconfiguredSinceMs = undefined;
    this.#deps.host.configured(this);
  }

  audioConfig(bytes: Uint8Array): void {
    if (this.#closed || (this.#audio && sameBytes(bytes, this.#audio.config))) return;
    const config = parseAacConfig(bytes);
    if (!config) {
      this.#passOverConfig('audio', bytes);
      return;
    }
    this.#audio = config;
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
    const watch = this.#watch[raw.kind];
    watch.rate.add(raw.data.byteLength, nowMs);
    this.#deps.metrics.received(raw.kind, raw.data.byteLength);
    if (!(raw.kind === 'video' ? this.#video : this.#audio)) {
      this.#bearUnconfigured(raw.kind, watch, nowMs);
      return;
    }
    if (isRepeat(raw, watch.lastRaw)) {
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
  #passOverConfig(kind: TrackKind, bytes: Uint8Array): void {
    this.#deps.metrics.unusableConfigs.inc({ kind });
    if (this.#warnedConfigs.has(kind)) return;
    this.#warnedConfigs.add(kind);
    this.#deps.log.warn({ kind, sizeBytes: bytes.byteLength }, 'codec configuration not usable');
  }

  #drop(kind: TrackKind, cause: DropCause): void {
    this.#deps.counters.dropped(kind, cause);
  }

  #bearUnconfigured(kind: TrackKind, watch: KindWatch, nowMs: number): void {
    this.#drop(kind, 'no_config');
    watch.unconfiguredSinceMs ??= nowMs;
    if (nowMs - watch.unconfiguredSinceMs >= PATIENCE_MS) this.closeFor('STREAM_NO_SEQUENCE_HEADER');
  }

  #videoSample(raw: RawSample, nowMs: number): SourceSample | undefined {
    const lengthSize = this.#video?.lengthSize ?? 4;
    const sane = Math.abs(raw.compositionOffset) * this.quantumMs <= MAX_COMPOSITION_MS;
    const facts = sane ? inspectAccessUnit(raw.data, lengthSize) : undefined;
    if (!facts?.picture) {
      this.#drop('video', facts ? 'empty' : 'malformed');
      return undefined;
    }
    const data = normalizeAccessUnit(raw.data, lengthSize, facts);
    return this.#sample(raw, facts, data, nowMs);
  }

  #audioSample(raw: RawSample, nowMs: number): SourceSample | undefined {
    if (raw.data.byteLength > 0) return this.#sample(raw, undefined, raw.data, nowMs);
    this.#drop('audio', 'empty');
    return undefined;
  }

  #sample(
    raw: RawSample,
    facts: AccessUnitFacts | undefined,
    data: Uint8Array,
    arrivalMs: number,
  ): SourceSample {
    return {
      kind: raw.kind,
      sourceMs: this.#unwrapper.next(raw.dts) * this.quantumMs,
      compositionMs: raw.kind === 'video' ? raw.compositionOffset * this.quantumMs : 0,
      key: facts?.idr ?? true,
      data,
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

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && Buffer.compare(a, b) === 0;
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
