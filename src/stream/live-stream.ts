import type { Clock, Timer } from '../base/clock.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { FanOut, type SubscribeOptions, type Subscription } from './fan-out.ts';
import type { HubOptions } from './hub-options.ts';
import { LiveRun, type MediaEnd } from './live-run.ts';
import type { PublisherInfo } from './publisher.ts';
import { PublisherSession, type SessionHost } from './publisher-session.ts';
import { StreamCounters, type StreamMetrics } from './stream-metrics.ts';
import type { StreamSink, Timeline, TrackKind, VideoTrack } from './track.ts';
import { type SourceSample, WarmUp, type WarmUpResult } from './warm-up.ts';

/**
 * `offline`: never live yet. `warming`: a publisher is there, its media is not on the timeline yet. `live`. `away`: the
 * publisher is gone and may return within the grace time. `ended`: it did not.
 */
export type StreamState = 'offline' | 'warming' | 'live' | 'away' | 'ended';

type State =
  | { readonly kind: 'offline' | 'away' | 'ended' }
  | { readonly kind: 'warming'; readonly session: PublisherSession; readonly warmUp: WarmUp }
  | { readonly kind: 'live'; readonly session: PublisherSession; readonly run: LiveRun };

/** What the control API shows of a track. */
export interface TrackSnapshot {
  readonly kind: TrackKind;
  readonly codec: string;
  /** Bits a second received over the last seconds. */
  readonly bitrateBps: number;
  readonly width?: number;
  readonly height?: number;
  /** Frames a second; absent when they vary. */
  readonly frameRate?: number;
  /** Seconds from key frame to key frame; absent when not known or not regular. */
  readonly gopSeconds?: number;
  readonly sampleRate?: number;
  readonly channels?: number;
}

/** What the control API shows of a stream. */
export interface StreamSnapshot {
  readonly stream: string;
  readonly state: StreamState;
  readonly publisher:
    | {
        readonly protocol: PublisherInfo['protocol'];
        readonly session: string;
        readonly remoteAddress: string;
        /** When it was accepted, milliseconds since the Unix epoch. */
        readonly sinceMs: number;
      }
    | undefined;
  /** Of the current timeline, or of the last one. */
  readonly tracks: readonly TrackSnapshot[];
  readonly droppedSamples: number;
  readonly resyncs: number;
  readonly clockDriftMs: number;
  readonly subscribers: number;
}

export interface LiveStreamDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: StreamMetrics;
  readonly createSink: (stream: string) => StreamSink;
  /** The stream ended, or a publisher went before anything was on the timeline: nothing is left running. */
  readonly onIdle: () => void;
  /** The drift of the source's clock was measured anew. */
  readonly onDrift: () => void;
  readonly onPublisherGone: () => void;
}

const NO_MEDIA: MediaEnd = { video: undefined, audio: undefined };
/** The second key frame is waited for this many nominal segments. */
const SECOND_KEY_SEGMENTS = 1.3;
const VIDEO_TIMESCALE = 90_000;

/**
 * One stream through its publishers: at most one at a time. It owns the grace timer and decides what is a start, a
 * return and the end; how media gets its times is {@link LiveRun}'s.
 */
export class LiveStream implements SessionHost {
  readonly name: string;
  readonly #options: HubOptions;
  readonly #deps: LiveStreamDeps;
  readonly #log: Logger;
  readonly #fanOut: FanOut;
  readonly #counters: StreamCounters;
  #state: State = { kind: 'offline' };
  /** Runs from the moment a publisher that was live goes, until another one is live. */
  #grace: Timer | undefined;
  /** Adds up with the monotonic clock to a wall clock that never steps while the stream is alive. */
  #wallAtZeroMs: number | undefined;
  /** A timeline was given out and its stream not ended since. */
  #begun = false;
  #end: MediaEnd = NO_MEDIA;
  #lastTimeline: Timeline | undefined;
  #lastVideo: VideoTrack | undefined;
  #driftSecond = 0;
  #closed = false;

  constructor(name: string, options: HubOptions, deps: LiveStreamDeps) {
    this.name = name;
    this.#options = options;
    this.#deps = deps;
    this.#log = deps.log.child({ stream: name });
    this.#counters = new StreamCounters(deps.metrics);
    this.#fanOut = new FanOut(
      { maxMs: options.gopCacheMs, maxFrames: options.gopCacheFrames, maxBytes: options.gopCacheBytes },
      (samples) => deps.metrics.subscriberDropped.inc(samples),
    );
  }

  get state(): StreamState {
    return this.#state.kind;
  }

  get session(): PublisherSession | undefined {
    return this.#state.kind === 'warming' || this.#state.kind === 'live' ? this.#state.session : undefined;
  }

  get driftMs(): number {
    return this.#state.kind === 'live' ? this.#state.run.driftMs : 0;
  }

  /** @throws AppError STREAM_BUSY when somebody is publishing. */
  publish(info: PublisherInfo, onClosed: (code: ErrorCode) => void): PublisherSession {
    if (this.session) throw new AppError('STREAM_BUSY');
    if (!this.#begun) this.#wallAtZeroMs = undefined;
    const session = new PublisherSession(this.name, info, {
      host: this,
      options: this.#options,
      log: this.#log.child({ session: info.session }),
      metrics: this.#deps.metrics,
      counters: this.#counters,
      nowMs: () => this.#nowMs(),
      onClosed,
    });
    this.#log.info(
      {
        session: info.session,
        protocol: info.protocol,
        remoteAddress: info.remoteAddress,
        resumes: this.#begun,
      },
      'publisher accepted',
    );
    this.#state = { kind: 'warming', session, warmUp: this.#newWarmUp() };
    return session;
  }

  /** A further reader of the stream beside its first sink. */
  subscribe(options: SubscribeOptions): Subscription {
    return this.#fanOut.subscribe(options);
  }

  /** Disconnects the publisher. False when there is none. */
  kick(code: ErrorCode): boolean {
    const session = this.session;
    session?.closeFor(code);
    return session !== undefined;
  }

  /** The server stops: the publisher is closed and the sink told `away`, never `end`. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.kick('STREAM_CLOSING');
    this.#cancelGrace();
    this.#fanOut.close();
  }

  snapshot(): StreamSnapshot {
    const session = this.session;
    return {
      stream: this.name,
      state: this.#state.kind,
      publisher: session && {
        protocol: session.info.protocol,
        session: session.info.session,
        remoteAddress: session.info.remoteAddress,
        sinceMs: session.sinceMs,
      },
      tracks: this.#lastTimeline ? trackSnapshots(this.#lastTimeline, session) : [],
      droppedSamples: this.#counters.droppedSamples,
      resyncs: this.#counters.resyncs,
      clockDriftMs: Math.round(this.driftMs),
      subscribers: this.#fanOut.subscribers,
    };
  }

  configured(session: PublisherSession): void {
    const state = this.#state;
    if (state.kind !== 'warming' || state.session !== session) return;
    for (const kind of session.expected) state.warmUp.expect(kind);
  }

  media(session: PublisherSession, sample: SourceSample): void {
    const state = this.#state;
    if (state.kind === 'warming' && state.session === session)
      this.#warm(state.session, state.warmUp, sample);
    else if (state.kind === 'live' && state.session === session) {
      state.run.write(sample);
      this.#afterWrite(state.run, sample.arrivalMs);
    }
  }

  gone(session: PublisherSession, reason: string, code: ErrorCode | undefined): void {
    const state = this.#state;
    if (this.session !== session) return;
    this.#log.info({ session: session.info.session, reason, code }, 'publisher gone');
    if (state.kind === 'live') {
      state.run.flush();
      this.#remember(state.run);
      this.#state = { kind: 'away' };
      this.#fanOut.away();
      if (!this.#closed) this.#grace = this.#deps.clock.after(this.#options.graceMs, () => this.#graceOver());
    } else {
      this.#state = { kind: this.#begun ? 'away' : this.#lastTimeline ? 'ended' : 'offline' };
    }
    this.#deps.onPublisherGone();
    if (!this.#begun) this.#deps.onIdle();
  }

  #nowMs(): number {
    this.#wallAtZeroMs ??= this.#deps.clock.wallMs() - this.#deps.clock.monotonicMs();
    return this.#wallAtZeroMs + this.#deps.clock.monotonicMs();
  }

  #newWarmUp(): WarmUp {
    return new WarmUp({
      anchorMs: this.#options.anchorMs,
      secondKeyWaitMs: this.#begun ? 0 : SECOND_KEY_SEGMENTS * this.#options.segmentMs,
      maxBytes: this.#options.gopCacheBytes,
    });
  }

  #warm(session: PublisherSession, warmUp: WarmUp, sample: SourceSample): void {
    warmUp.add(sample);
    if (!warmUp.done) return;
    this.#counters.dropped('video', 'before_key', warmUp.droppedBeforeKey);
    this.#counters.resynced('video', 'warm_up', warmUp.restarts);
    const result = warmUp.result();
    const fps = framesPerSecond(result.frames);
    if (fps > this.#options.maxFrameRate) {
      this.#log.warn({ session: session.info.session, fps: Math.round(fps) }, 'frame rate too high');
      session.closeFor('STREAM_FRAME_RATE_TOO_HIGH');
      return;
    }
    const reason = this.#begun ? 'resume' : 'start';
    this.#cancelGrace();
    if (!this.#begun) this.#fanOut.setFirst(this.#deps.createSink(this.name));
    this.#begun = true;
    const run = new LiveRun(
      {
        source: session,
        sink: this.#fanOut,
        counters: this.#counters,
        metrics: this.#deps.metrics,
        log: this.#log.child({ session: session.info.session }),
      },
      { reason, warmUp: result, end: this.#end, previousVideo: this.#lastVideo },
    );
    this.#state = { kind: 'live', session, run };
    this.#afterWrite(run, sample.arrivalMs);
  }

  #afterWrite(run: LiveRun, nowMs: number): void {
    this.#lastTimeline = run.timeline ?? this.#lastTimeline;
    const second = Math.floor(nowMs / 1000);
    if (second === this.#driftSecond) return;
    this.#driftSecond = second;
    this.#deps.onDrift();
  }

  #remember(run: LiveRun): void {
    this.#end = run.end;
    this.#lastVideo = run.timeline?.video ?? this.#lastVideo;
    this.#deps.onDrift();
  }

  #cancelGrace(): void {
    this.#grace?.cancel();
    this.#grace = undefined;
  }

  /** The stream is over; a publisher that is warming up just then starts it anew. */
  #graceOver(): void {
    this.#grace = undefined;
    this.#begun = false;
    this.#log.info({ graceMs: this.#options.graceMs }, 'stream ended');
    this.#fanOut.end();
    this.#fanOut.setFirst(undefined);
    if (this.#state.kind !== 'away') return;
    this.#state = { kind: 'ended' };
    this.#deps.onIdle();
  }
}

function trackSnapshots(timeline: Timeline, session: PublisherSession | undefined): TrackSnapshot[] {
  const tracks: TrackSnapshot[] = [];
  const { video, audio } = timeline;
  if (video) {
    const { frameTicks, gopTicks } = video.cadence;
    tracks.push({
      kind: 'video',
      codec: video.codecString,
      bitrateBps: session?.bitrateBps('video') ?? 0,
      width: video.width,
      height: video.height,
      ...(frameTicks !== undefined && { frameRate: VIDEO_TIMESCALE / frameTicks }),
      ...(gopTicks !== undefined && { gopSeconds: gopTicks / VIDEO_TIMESCALE }),
    });
  }
  if (audio) {
    tracks.push({
      kind: 'audio',
      codec: audio.codecString,
      bitrateBps: session?.bitrateBps('audio') ?? 0,
      sampleRate: audio.timescale,
      channels: audio.channels,
    });
  }
  return tracks;
}

/** Mean rate of frames by their decode times; 0 when there are too few to tell. */
function framesPerSecond(frames: WarmUpResult['frames']): number {
  const [first] = frames;
  const last = frames.at(-1);
  const spanMs = first && last ? last.dtsMs - first.dtsMs : 0;
  return spanMs > 0 ? ((frames.length - 1) * 1000) / spanMs : 0;
}
