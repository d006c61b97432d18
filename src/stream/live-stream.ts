import type { Clock, Timer } from '../base/clock.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { FanOut, type SubscribeOptions, type Subscription } from './fan-out.ts';
import type { VideoConfig } from '../media/video-config.ts';
import type { HubOptions } from './hub-options.ts';
import type { LadderSink } from './ladder.ts';
import { LiveRun, type MediaEnd } from './live-run.ts';
import type { PublisherInfo, PublishRole } from './publisher.ts';
import { PublisherSession, type SessionHost, type SourceEvent } from './publisher-session.ts';
import { type StreamSnapshot, type StreamState, trackSnapshots } from './stream-snapshot.ts';
import { SourceRungs } from './source-rungs.ts';
import { StreamCounters, type StreamMetrics } from './stream-metrics.ts';
import type { StreamSink, Timeline, TrackKind, VideoTrack } from './track.ts';
import { type SourceSample, WarmUp, type WarmUpResult } from './warm-up.ts';

/** The publisher whose media is on the timeline. */
interface OnAir {
  readonly session: PublisherSession;
  readonly run: LiveRun;
  readonly rungs: SourceRungs | undefined;
  /** When media last came that the stream cannot go on without, by the stream's clock. */
  lastMediaMs: number;
}

/** A publisher whose media is not on the timeline: it warms up, or stands by. */
interface Contender {
  readonly session: PublisherSession;
  warmUp: WarmUp;
  /** What the samples that are held were sent under. */
  configs: { readonly video: Uint8Array | undefined; readonly audio: Uint8Array | undefined };
  /** Made when the publisher declares that it has some. */
  rungs: SourceRungs | undefined;
  /** What came before the timeline that it belongs to. */
  readonly events: SourceEvent[];
}

/** Where a stream's media goes. */
export interface StreamSinks {
  readonly source: StreamSink;
  /** For rungs that the publisher makes itself; who makes a ladder of encoders' rungs puts them there, too. */
  readonly rungs: LadderSink;
}

export interface LiveStreamDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: StreamMetrics;
  /** See {@link StreamSinks}; `ownRungs`: the publisher makes the lesser renditions, nothing is to be encoded. */
  readonly createSink: (stream: string, ownRungs: boolean) => StreamSinks;
  /** The stream ended, or a publisher went before anything was on the timeline: nothing is left running. */
  readonly onIdle: () => void;
  /** The drift of the source's clock was measured anew. */
  readonly onDrift: () => void;
  readonly onPublisherGone: () => void;
}

const NO_MEDIA: MediaEnd = { video: undefined, audio: undefined, leadMs: 0 };
/** The second key frame is waited for this many nominal segments. */
const SECOND_KEY_SEGMENTS = 1.3;
const VIDEO_TIMESCALE = 90_000;
/** How long the anchor of one who comes back, or takes over, must have stood: viewers are waiting. */
const SETTLED_MS = 200;
/** Events kept of a publisher that is not on air; the oldest go. */
const MAX_EARLY_EVENTS = 64;
/** How often it is looked whether the publisher on air still sends, while another stands by. */
const STALL_CHECK_MS = 100;
/** A picture rate this low makes a pause of so many frames normal. */
const STALL_FRAMES = 3;

/**
 * One stream through its publishers. One is on air; one of each role may contend: a newcomer that warms up and takes
 * the place of the one in its role, or a backup (or a primary that came back) that stands by, warm, from its last key
 * frame on, until the one on air is lost or stalls. Who is on air stays there: a primary that returns does not cause
 * another switch.
 *
 * It owns the grace timer and decides what is a start, a return and the end; how media gets its times is
 * {@link LiveRun}'s.
 */
export class LiveStream implements SessionHost {
  readonly name: string;
  readonly #options: HubOptions;
  readonly #deps: LiveStreamDeps;
  readonly #log: Logger;
  readonly #fanOut: FanOut;
  readonly #counters: StreamCounters;
  #onAir: OnAir | undefined;
  readonly #contenders = new Map<PublishRole, Contender>();
  /** The ladder, when its rungs are the publisher's own. */
  #ownLadder: LadderSink | undefined;
  /** Looks for a stall; runs while somebody stands by. */
  #stallCheck: Timer | undefined;
  #switches = 0;
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
    if (this.#onAir) return 'live';
    if (this.#contenders.size > 0) return 'warming';
    if (this.#begun) return 'away';
    return this.#lastTimeline ? 'ended' : 'offline';
  }

  /** Everybody who publishes the stream, the one on air first. */
  get sessions(): readonly PublisherSession[] {
    const waiting = [...this.#contenders.values()].map(({ session }) => session);
    return this.#onAir ? [this.#onAir.session, ...waiting] : waiting;
  }

  get driftMs(): number {
    return this.#onAir?.run.driftMs ?? 0;
  }

  /** @throws AppError STREAM_BUSY when somebody is publishing in this role and does not give way. */
  publish(info: PublisherInfo, onClosed: (code: ErrorCode) => void): PublisherSession {
    const { role } = info;
    const taken = this.#contenders.has(role) || this.#onAir?.session.info.role === role;
    if (taken && this.#options.onSecondPublisher === 'reject') throw new AppError('STREAM_BUSY');
    if (!this.#begun && this.sessions.length === 0) this.#wallAtZeroMs = undefined;
    const session = new PublisherSession(this.name, info, {
      host: this,
      options: this.#options,
      log: this.#log.child({ session: info.session }),
      metrics: this.#deps.metrics,
      counters: this.#counters,
      nowMs: () => this.#nowMs(),
      onClosed,
    });
    const { protocol, remoteAddress } = info;
    this.#log.info(
      { session: info.session, protocol, role, remoteAddress, resumes: this.#begun },
      'publisher accepted',
    );
    const rival = this.#contenders.get(role);
    this.#contenders.set(role, this.#newContender(session));
    rival?.session.closeFor('STREAM_TAKEN_OVER');
    return session;
  }

  /** A further reader of the stream beside its first sink. */
  subscribe(options: SubscribeOptions): Subscription {
    return this.#fanOut.subscribe(options);
  }

  /** Disconnects everybody who publishes it. False when nobody does. */
  kick(code: ErrorCode): boolean {
    const { sessions } = this;
    // Those who stand by first, lest one of them goes on air for a moment.
    for (const session of sessions.toReversed()) session.closeFor(code);
    return sessions.length > 0;
  }

  /** The server stops: publishers are closed and the sink told `away`, never `end`. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.kick('STREAM_CLOSING');
    this.#cancelGrace();
    this.#stallCheck?.cancel();
    this.#fanOut.close();
  }

  snapshot(): StreamSnapshot {
    const publishers = this.sessions.map((session) => ({
      protocol: session.info.protocol,
      role: session.info.role,
      onAir: session === this.#onAir?.session,
      session: session.info.session,
      remoteAddress: session.info.remoteAddress,
      sinceMs: session.sinceMs,
    }));
    return {
      stream: this.name,
      state: this.state,
      publisher: publishers[0],
      publishers,
      tracks: this.#lastTimeline ? trackSnapshots(this.#lastTimeline, this.sessions[0]) : [],
      droppedSamples: this.#counters.droppedSamples,
      resyncs: this.#counters.resyncs,
      switches: this.#switches,
      clockDriftMs: Math.round(this.driftMs),
      subscribers: this.#fanOut.subscribers,
    };
  }

  configured(session: PublisherSession): void {
    const contender = this.#contenderOf(session);
    if (contender) this.#noteConfigs(contender);
    if (contender) for (const kind of session.expected) contender.warmUp.expect(kind);
  }

  media(session: PublisherSession, sample: SourceSample): void {
    const onAir = this.#onAir;
    if (onAir?.session === session) {
      if (sample.kind === this.#leadKind()) onAir.lastMediaMs = sample.arrivalMs;
      onAir.run.write(sample);
      this.#afterWrite(onAir.run, sample.arrivalMs);
      return;
    }
    const contender = this.#contenderOf(session);
    if (!contender) return;
    contender.warmUp.add(sample);
    this.#judge(contender);
  }

  rungConfigured(session: PublisherSession, track: number, config: VideoConfig): void {
    const contender = this.#contenderOf(session);
    // Who went on air without any has a ladder of encoders.
    if (contender) contender.rungs ??= new SourceRungs(this.#counters);
    this.#rungsOf(session)?.configure(track, config);
  }

  rungMedia(session: PublisherSession, track: number, sample: SourceSample): void {
    this.#rungsOf(session)?.add(track, sample);
  }

  event(session: PublisherSession, event: SourceEvent): void {
    if (this.#onAir?.session === session) {
      this.#tell(this.#onAir.run, event);
      return;
    }
    const events = this.#contenderOf(session)?.events;
    events?.push(event);
    if (events && events.length > MAX_EARLY_EVENTS) events.shift();
  }

  #rungsOf(session: PublisherSession): SourceRungs | undefined {
    return this.#onAir?.session === session ? this.#onAir.rungs : this.#contenderOf(session)?.rungs;
  }

  #tell(run: LiveRun, { kind, sourceMs, data }: SourceEvent): void {
    this.#fanOut.event({ kind, atTicks: run.eventTicks(sourceMs), data });
  }

  gone(session: PublisherSession, reason: string, code: ErrorCode | undefined): void {
    this.#log.info({ session: session.info.session, reason, code }, 'publisher gone');
    if (this.#onAir?.session === session) this.#leaveAir();
    else if (this.#contenderOf(session)) this.#contenders.delete(session.info.role);
    this.#watchForStalls();
    this.#deps.onPublisherGone();
    if (!this.#begun && this.sessions.length === 0) this.#deps.onIdle();
  }

  #nowMs(): number {
    this.#wallAtZeroMs ??= this.#deps.clock.wallMs() - this.#deps.clock.monotonicMs();
    return this.#wallAtZeroMs + this.#deps.clock.monotonicMs();
  }

  #newContender(session: PublisherSession): Contender {
    const configs = { video: session.video?.record, audio: session.audio?.config };
    return { session, warmUp: this.#newWarmUp(), configs, rungs: undefined, events: [] };
  }

  #newWarmUp(): WarmUp {
    return new WarmUp({
      anchorMs: this.#options.anchorMs,
      secondKeyWaitMs: this.#begun ? 0 : SECOND_KEY_SEGMENTS * this.#options.segmentMs,
      maxBytes: this.#options.gopCacheBytes,
      ...(this.#begun && { settledMs: SETTLED_MS }),
    });
  }

  /** What is held of a publisher that has changed its configurations since cannot be decoded with the new ones. */
  #noteConfigs(contender: Contender): void {
    const video = contender.session.video?.record;
    const audio = contender.session.audio?.config;
    const { configs } = contender;
    const changed =
      (configs.video !== undefined && configs.video !== video) ||
      (configs.audio !== undefined && configs.audio !== audio);
    contender.configs = { video, audio };
    if (changed) contender.warmUp = this.#newWarmUp();
  }

  #contenderOf(session: PublisherSession): Contender | undefined {
    const contender = this.#contenders.get(session.info.role);
    return contender?.session === session ? contender : undefined;
  }

  /** A contender has sent something: it may be its turn. */
  #judge(contender: Contender): void {
    const { session, warmUp } = contender;
    const rival = this.#onAir?.session;
    if (rival?.info.role === session.info.role && warmUp.usable) {
      this.#switches++;
      rival.closeFor('STREAM_TAKEN_OVER');
    }
    if (!warmUp.done) return;
    if (!this.#onAir) this.#goOnAir(contender);
    else {
      warmUp.roll();
      this.#watchForStalls();
    }
  }

  #goOnAir({ session, warmUp, rungs, events }: Contender): void {
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
    if (!this.#begun) this.#open(rungs !== undefined);
    this.#begun = true;
    this.#contenders.delete(session.info.role);
    const own = this.#ownLadder && rungs;
    if (this.#ownLadder) own?.open(this.#ownLadder);
    const nowMs = this.#nowMs();
    const run = new LiveRun(
      {
        source: session,
        sink: own ? withRungs(this.#fanOut, own) : this.#fanOut,
        counters: this.#counters,
        metrics: this.#deps.metrics,
        log: this.#log.child({ session: session.info.session }),
        onPlaced: own && ((source, sample) => own.place(source, sample)),
      },
      { reason, warmUp: result, end: this.#end, nowMs, previousVideo: this.#lastVideo },
    );
    this.#onAir = { session, run, rungs: own, lastMediaMs: nowMs };
    if (!own) this.#ownLadder?.expect([]);
    for (const event of events) this.#tell(run, event);
    this.#afterWrite(run, nowMs);
    this.#watchForStalls();
  }

  #open(ownRungs: boolean): void {
    const { source, rungs } = this.#deps.createSink(this.name, ownRungs);
    this.#fanOut.setFirst(source);
    this.#ownLadder = ownRungs ? rungs : undefined;
  }

  /** Ends the run on air. Whoever stands by takes over at once; without one the stream is away. */
  #leaveAir(): void {
    const onAir = this.#onAir;
    if (!onAir) return;
    onAir.run.flush();
    onAir.rungs?.close();
    this.#remember(onAir.run);
    this.#onAir = undefined;
    const next = [...this.#contenders.values()].find(({ warmUp }) => warmUp.done && warmUp.usable);
    if (next && !this.#closed) this.#goOnAir(next);
    if (this.#onAir) return;
    this.#fanOut.away();
    if (!this.#closed) this.#grace = this.#deps.clock.after(this.#options.graceMs, () => this.#graceOver());
  }

  /** What a viewer would miss first. */
  #leadKind(): TrackKind {
    return this.#lastTimeline && !this.#lastTimeline.video ? 'audio' : 'video';
  }

  /** Looks again and again whether the one on air still sends, as long as somebody could take over. */
  #watchForStalls(): void {
    const needed = this.#onAir !== undefined && this.#contenders.size > 0 && !this.#closed;
    if (!needed) {
      this.#stallCheck?.cancel();
      this.#stallCheck = undefined;
      return;
    }
    this.#stallCheck ??= this.#deps.clock.after(STALL_CHECK_MS, () => {
      this.#stallCheck = undefined;
      this.#switchIfStalled();
      this.#watchForStalls();
    });
  }

  #switchIfStalled(): void {
    const onAir = this.#onAir;
    const standby = [...this.#contenders.values()].find(({ warmUp }) => warmUp.done && warmUp.usable);
    if (!onAir || !standby || this.#nowMs() - onAir.lastMediaMs < this.#patienceMs) return;
    const { session } = onAir;
    this.#log.warn({ session: session.info.session }, 'publisher stalled, the one standing by takes over');
    this.#switches++;
    const { role } = session.info;
    this.#leaveAir();
    const replaced = this.#contenders.has(role);
    if (replaced) session.closeFor('STREAM_TAKEN_OVER');
    else this.#contenders.set(role, this.#newContender(session));
  }

  get #patienceMs(): number {
    const frameTicks = this.#lastTimeline?.video?.cadence.frameTicks ?? 0;
    return Math.max(this.#options.failoverMs, (STALL_FRAMES * frameTicks * 1000) / VIDEO_TIMESCALE);
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
    if (this.sessions.length === 0) this.#deps.onIdle();
  }
}

/** The rungs learn of a timeline before its first frame is placed. */
function withRungs(sink: StreamSink, rungs: SourceRungs): StreamSink {
  return {
    begin: (timeline) => {
      sink.begin(timeline);
      if (timeline.video) rungs.begin(timeline.video.cadence);
    },
    sample: (sample) => sink.sample(sample),
    event: (event) => sink.event(event),
    away: () => sink.away(),
    end: () => sink.end(),
  };
}

/** Mean rate of frames by their decode times; 0 when there are too few to tell. */
function framesPerSecond(frames: WarmUpResult['frames']): number {
  const [first] = frames;
  const last = frames.at(-1);
  const spanMs = first && last ? last.dtsMs - first.dtsMs : 0;
  return spanMs > 0 ? ((frames.length - 1) * 1000) / spanMs : 0;
}
