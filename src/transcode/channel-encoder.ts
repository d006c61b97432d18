import { every, type Timer } from '../base/clock.ts';
import { errorCode } from '../base/errors.ts';
import { videoHdrRange } from '../media/video-config.ts';
import type { StreamEvent } from '../stream/fan-out.ts';
import type { LadderSink } from '../stream/ladder.ts';
import type { Sample, Timeline, VideoTrack } from '../stream/track.ts';
import type { Channel, ChannelDeps, ChannelStatus, StreamReader } from './channel.ts';
import { ChannelHealth } from './channel-health.ts';
import { ChannelInput, readCached } from './channel-input.ts';
import type { EncoderEnd } from './encoder-process.ts';
import { EncoderSession, type SessionHost } from './encoder-session.ts';
import type { LadderPlan, Rung } from './ladder-choice.ts';
import { RungDelivery } from './rung-delivery.ts';
import { SessionTails } from './session-tails.ts';
import { NOTHING_SHED, observeLag, type ShedState } from './shed-policy.ts';
import { newestKey, spliceStart } from './splice.ts';
import type { ChannelState, RestartReason } from './transcode-metrics.ts';
import { isHung } from './watchdog.ts';

/** The timeline being encoded and its ladder. */
interface Ladder {
  readonly timeline: Timeline;
  readonly video: VideoTrack;
  readonly plan: LadderPlan;
}

type State =
  /** No timeline, or one with nothing to encode. */
  | { readonly kind: 'idle' }
  /** There was no room for this one. */
  | { readonly kind: 'refused'; readonly timeline: Timeline; readonly video: VideoTrack }
  /** The encoder starts at the next key frame. */
  | { readonly kind: 'armed'; readonly ladder: Ladder }
  | { readonly kind: 'encoding'; readonly ladder: Ladder; readonly session: EncoderSession }
  /** The encoder is gone and comes again when the timer runs out. */
  | { readonly kind: 'waiting'; readonly ladder: Ladder; readonly timer: Timer }
  | { readonly kind: 'closed' };

const TICKS_PER_MS = 90;
const VIDEO_TIMESCALE = 90_000;
/** How often a running encoder is looked at. */
const LOOK_MS = 100;
/** An encoder that comes after several failed ones must run so long before its rungs are shown. */
const PROVEN_MS = 2000;
/** A new encoder works off the cached GOPs first; how far it is behind says nothing before. */
const CATCH_UP_MS = 3000;

/**
 * Keeps one stream's rungs coming: reads the stream, runs an encoder on it, and replaces the encoder when it dies,
 * hangs or is too slow, so that no frame is lost or doubled. When it cannot, the stream goes out without rungs until
 * it can again.
 */
export class ChannelEncoder implements Channel, SessionHost {
  readonly stream: string;
  readonly #deps: ChannelDeps;
  readonly #delivery: RungDelivery;
  readonly #tails: SessionTails;
  readonly #health: ChannelHealth;
  readonly #input: ChannelInput;
  readonly #look: Timer;
  /** Runs whose process is not gone yet. */
  readonly #open = new Set<EncoderSession>();
  #state: State = { kind: 'idle' };
  #seenHung = false;
  /** Why the current run is being ended by us. */
  #killedFor: RestartReason | undefined;
  #shed: ShedState = NOTHING_SHED;
  #streamOver = false;
  #onAllGone: (() => void) | undefined;

  constructor(stream: string, sink: LadderSink, deps: ChannelDeps) {
    this.stream = stream;
    this.#deps = deps;
    this.#delivery = new RungDelivery(sink, deps.metrics);
    this.#tails = new SessionTails(deps.clock);
    this.#health = new ChannelHealth(deps);
    this.#look = every(deps.clock, LOOK_MS, () => this.#lookAtEncoder());
    this.#input = new ChannelInput(stream, deps, {
      feed: (frame) => this.#feed(frame),
      signal: (event) => this.#signal(event),
      broken: (error) => this.#broken(error),
    });
    this.#input.readFrom(this.#input.subscribe());
  }

  get state(): ChannelState {
    const state = this.#state;
    if (!('ladder' in state)) return 'off';
    if (this.#health.degraded) return 'degraded';
    return state.kind === 'encoding' && state.session.firstAtMs !== undefined ? 'running' : 'starting';
  }

  get status(): ChannelStatus {
    const rungs = 'ladder' in this.#state ? this.#state.ladder.plan.rungs : [];
    return {
      stream: this.stream,
      state: this.state,
      rungs: this.#health.degraded ? [] : rungs.slice(this.#shed.shed),
      shed: rungs.slice(0, this.#shed.shed).map(({ id }) => id),
      restarts: this.#health.restarts,
      lagMs: Math.round(this.#lagMs()),
      lastCode: this.#health.lastCode,
    };
  }

  get pid(): number | undefined {
    return this.#state.kind === 'encoding' ? this.#state.session.pid : undefined;
  }

  reconsider(): void {
    const state = this.#state;
    if (state.kind !== 'refused') return;
    const ladder = this.#ladderFor(state.timeline, state.video);
    if (!ladder) return;
    this.#health.admitted();
    this.#state = { kind: 'armed', ladder };
    this.#expect(ladder);
    this.#startOver('live');
  }

  async close(): Promise<void> {
    this.#shut();
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      const before = this.#onAllGone;
      this.#onAllGone = () => {
        before?.();
        resolve();
      };
    });
  }

  track(_session: EncoderSession, rung: Rung, track: VideoTrack): void {
    this.#delivery.track(rung, track);
  }

  sample(session: EncoderSession, rung: Rung, sample: Sample): void {
    const state = this.#state;
    const isCurrent = state.kind === 'encoding' && state.session === session;
    const isEnding = this.#killedFor !== undefined;
    if (isCurrent && this.#health.degraded && !isEnding) this.#prove(session, state.ladder);
    if (isCurrent && (this.#health.degraded || !this.#isShown(state.ladder, rung))) return;
    this.#delivery.sample(rung, sample);
  }

  ended(session: EncoderSession, end: EncoderEnd): void {
    this.#open.delete(session);
    const state = this.#state;
    const wasTail = this.#tails.ended(session);
    if (!wasTail && state.kind === 'encoding' && state.session === session)
      this.#encoderGone(state.ladder, end);
    if (this.#open.size > 0) return;
    this.#onAllGone?.();
    if (this.#streamOver && this.#state.kind !== 'closed') this.#done();
  }

  /** Undefined when the stream is not known any more, which is its end. */
  #subscribeAgain(): StreamReader | undefined {
    try {
      return this.#input.subscribe();
    } catch (error) {
      this.#deps.log.debug({ code: errorCode(error) }, 'stream gone');
      this.#signal({ type: 'end' });
      return undefined;
    }
  }

  #signal(event: Exclude<StreamEvent, { readonly type: 'sample' }>): void {
    switch (event.type) {
      case 'begin':
        this.#begin(event.timeline);
        break;
      case 'away':
        this.#timelineOver();
        break;
      case 'end':
        this.#timelineOver();
        this.#streamOver = true;
        this.#deps.host.release(this);
        if (this.#open.size === 0) this.#done();
        break;
    }
  }

  /** Waits while the encoder takes no more. What it cannot take meanwhile is in the reader's bounded queue. */
  async #feed(sample: Sample): Promise<void> {
    if (this.#state.kind === 'armed' && sample.key) this.#startSession(this.#state.ladder, sample.pts);
    const state = this.#state;
    if (state.kind !== 'encoding') return;
    if (sample.key && state.session.worn) {
      this.#rollOver(state.ladder, state.session, sample.pts);
      await this.#feed(sample);
      return;
    }
    if (!state.session.ready) {
      await state.session.whenReady();
      if (this.#state !== state) return;
    }
    state.session.feed(sample);
  }

  #begin(timeline: Timeline): void {
    const before = this.#state;
    if ('ladder' in before && before.ladder.timeline === timeline) return;
    const pause = before.kind === 'waiting' ? before.timer : undefined;
    const oldIds = 'ladder' in before ? idsOf(before.ladder.plan.rungs) : '';
    this.#retire();
    const { video } = timeline;
    if (!video) this.#deps.host.release(this);
    const ladder = video && this.#ladderFor(timeline, video);
    if (!ladder) {
      pause?.cancel();
      this.#delivery.expect([]);
      return;
    }
    if (idsOf(ladder.plan.rungs) !== oldIds) this.#shed = NOTHING_SHED;
    this.#expect(ladder);
    if (pause) this.#state = { kind: 'waiting', ladder, timer: pause };
    else this.#startSession(ladder, timeline.startMs * TICKS_PER_MS);
  }

  /** Undefined when nothing is to be encoded; the state then says why. */
  #ladderFor(timeline: Timeline, video: VideoTrack): Ladder | undefined {
    const { frameTicks } = video.cadence;
    const plan = this.#deps.host.plan(this, {
      width: video.width,
      height: video.height,
      frameRate: frameTicks === undefined ? undefined : VIDEO_TIMESCALE / frameTicks,
      hdr: videoHdrRange(video.codec, video.config),
    });
    if (plan.rungs.length > 0) return { timeline, video, plan };
    const isRefused = plan.reason === 'no_cores' || plan.reason === 'channel_limit';
    if (isRefused && this.#state.kind !== 'refused') this.#health.refused(plan.reason);
    this.#state = isRefused ? { kind: 'refused', timeline, video } : { kind: 'idle' };
    return undefined;
  }

  #expect(ladder: Ladder): void {
    this.#delivery.expect(this.#health.degraded ? [] : this.#rungsOf(ladder));
  }

  #rungsOf(ladder: Ladder): readonly Rung[] {
    return ladder.plan.rungs.slice(this.#shed.shed);
  }

  #isShown(ladder: Ladder, rung: Rung): boolean {
    return this.#rungsOf(ladder).some(({ id }) => id === rung.id);
  }

  /** The timeline is over: its encoder gives the rest, and nothing new is started. */
  #timelineOver(): void {
    if (this.#state.kind === 'waiting') this.#state.timer.cancel();
    this.#retire();
  }

  #retire(): void {
    const state = this.#state;
    if (state.kind === 'closed') return;
    this.#state = { kind: 'idle' };
    if (!('ladder' in state)) return;
    const rungs = this.#rungsOf(state.ladder);
    if (state.kind === 'encoding' && this.#killedFor === undefined) {
      this.#tails.add(state.session, () => this.#delivery.flushed(rungs));
    } else {
      this.#killedFor = undefined;
      this.#delivery.flushed(rungs);
    }
  }

  /** The encoder's clock nears its end: a new one goes on from a key frame while the old one gives the rest. */
  #rollOver(ladder: Ladder, session: EncoderSession, fromPts: number): void {
    this.#health.replaced('worn');
    this.#tails.add(session, () => {});
    this.#startSession(ladder, fromPts);
  }

  #startSession(ladder: Ladder, nearPts: number): void {
    const shownPts = beforeLeadIn(ladder.timeline);
    const rungs = this.#rungsOf(ladder).map((rung) => {
      const lastPts = this.#delivery.lastPts(rung) ?? shownPts;
      return { rung, afterPts: lastPts && Math.max(lastPts, shownPts ?? 0) };
    });
    const session = new EncoderSession(
      { source: ladder.video, rungs, nearPts, maxSessionMs: this.#deps.maxSessionMs },
      this.#deps,
      this,
    );
    this.#open.add(session);
    this.#killedFor = undefined;
    this.#seenHung = false;
    this.#tails.setCurrent(session);
    this.#state = { kind: 'encoding', ladder, session };
  }

  /** The current run ended though there is more to encode. */
  #encoderGone(ladder: Ladder, end: EncoderEnd): void {
    const reason = this.#killedFor ?? (end.malformed ? 'malformed' : 'exited');
    this.#killedFor = undefined;
    this.#tails.setCurrent(undefined);
    this.#health.replaced(reason);
    if (reason === 'restored' || (reason === 'shed' && !this.#health.degraded)) {
      this.#startAgain(ladder);
      return;
    }
    const wasDegraded = this.#health.degraded;
    const delayMs = reason === 'shed' ? this.#health.overloaded() : this.#health.failed(end, reason);
    if (this.#health.degraded && !wasDegraded) this.#delivery.expect([]);
    if (delayMs === 0) this.#startAgain(ladder);
    else this.#wait(ladder, delayMs);
  }

  /** While degraded, an encoder's frames are not shown until it has run for a while. */
  #prove(session: EncoderSession, ladder: Ladder): void {
    const { firstAtMs } = session;
    if (firstAtMs === undefined || this.#deps.clock.monotonicMs() - firstAtMs < PROVEN_MS) return;
    this.#health.recovered(this.#rungsOf(ladder).map(({ id }) => id));
    for (const rung of this.#rungsOf(ladder)) this.#delivery.awaitKey(rung);
    this.#expect(ladder);
  }

  #wait(ladder: Ladder, delayMs: number): void {
    const timer = this.#deps.clock.after(delayMs, () => {
      const state = this.#state;
      if (state.kind === 'waiting') this.#startAgain(state.ladder);
    });
    this.#state = { kind: 'waiting', ladder, timer };
  }

  #startAgain(ladder: Ladder): void {
    this.#state = { kind: 'armed', ladder };
    this.#startOver(this.#health.degraded ? 'live' : 'splice');
  }

  /**
   * Reads the stream again from its cached GOPs, and starts an encoder in them: `splice` where the last one was, so
   * that nothing is missing, `live` at the newest key frame.
   */
  #startOver(from: 'splice' | 'live'): void {
    const state = this.#state;
    if (state.kind !== 'armed') return;
    const reader = this.#subscribeAgain();
    if (!reader) return;
    const { begin, video } = readCached(reader);
    if (begin !== state.ladder.timeline) {
      // It is on another timeline by now, or away: what the last encoder did not give is lost.
      if (begin) this.#begin(begin);
      else this.#timelineOver();
      this.#input.readFrom(reader, video);
      return;
    }
    const { ladder } = state;
    const deliveredPts = this.#delivery.lowestPts(this.#rungsOf(ladder));
    const start = from === 'live' ? newestKey(video) : spliceStart(video, deliveredPts);
    const first = start === undefined ? undefined : video[start];
    if (first) {
      if (from === 'splice') this.#countUncached(ladder.timeline, first, deliveredPts);
      this.#startSession(ladder, first.pts);
    }
    this.#input.readFrom(reader, first ? video.slice(start) : []);
  }

  #countUncached(timeline: Timeline, first: Sample, deliveredPts: number | undefined): void {
    if (deliveredPts === undefined || first.pts <= deliveredPts) return;
    if (deliveredPts < timeline.startMs * TICKS_PER_MS) return;
    this.#deps.metrics.dropped('not_cached', Math.round((first.pts - deliveredPts) / first.duration) - 1);
  }

  #lookAtEncoder(): void {
    this.#countOverflow();
    const state = this.#state;
    if (state.kind !== 'encoding' || this.#tails.busy || this.#killedFor !== undefined) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const hung = isHung(state.session.progress, this.#deps.options, nowMs);
    // Twice in a row: when it was we who stood still, what the encoder gave meanwhile has been read by then.
    if (hung && this.#seenHung) this.#kill(state.session, 'hung');
    else if (!hung && state.session.firstAtMs !== undefined)
      this.#lookAtLag(state.ladder, state.session, nowMs);
    this.#seenHung = hung;
  }

  #lookAtLag(ladder: Ladder, session: EncoderSession, nowMs: number): void {
    const { firstAtMs } = session;
    const isNew = firstAtMs === undefined || nowMs - firstAtMs < CATCH_UP_MS;
    if (this.#health.degraded || isNew) return;
    const before = this.#rungsOf(ladder);
    const lagMs = this.#lagMs();
    const { state, decision } = observeLag(this.#shed, lagMs, this.#deps.options.maxLagMs, nowMs);
    this.#shed = state;
    if (decision === 'shed') this.#shedTop(ladder, session, before, lagMs);
    else if (decision === 'restore') this.#restoreTop(ladder, session, before);
  }

  #shedTop(ladder: Ladder, session: EncoderSession, before: readonly Rung[], lagMs: number): void {
    this.#health.tooSlow(before[0]?.id, before.length - 1, lagMs);
    // When even the lowest was too slow, it is the one that is tried again.
    if (before.length === 1) this.#shed = { ...this.#shed, shed: ladder.plan.rungs.length - 1 };
    this.#expect(ladder);
    this.#kill(session, 'shed');
  }

  #restoreTop(ladder: Ladder, session: EncoderSession, before: readonly Rung[]): void {
    const [top] = this.#rungsOf(ladder);
    if (!top) return;
    this.#delivery.joinAt(top, before);
    this.#delivery.awaitKey(top);
    this.#health.triedAgain(top.id);
    this.#expect(ladder);
    this.#kill(session, 'restored');
  }

  #kill(session: EncoderSession, reason: RestartReason): void {
    this.#killedFor = reason;
    session.kill();
  }

  #lagMs(): number {
    const state = this.#state;
    if (state.kind !== 'encoding') return 0;
    const { lagMs, newestFedPts } = state.session;
    return lagMs + this.#input.waitingMs(newestFedPts);
  }

  #countOverflow(): void {
    const dropped = this.#input.takeDropped();
    // While nothing is encoded, nothing that was dropped is missed.
    if (this.#state.kind === 'encoding') this.#deps.metrics.dropped('overflow', dropped);
  }

  /** A fault of ours must not take the stream with it. */
  #broken(error: unknown): void {
    this.#deps.log.error({ code: 'INTERNAL', err: error }, 'encoder channel failed');
    this.#delivery.expect([]);
    this.#shut();
    this.#deps.host.done(this);
  }

  #done(): void {
    this.#shut();
    this.#deps.host.done(this);
  }

  #shut(): void {
    if (this.#state.kind === 'waiting') this.#state.timer.cancel();
    this.#state = { kind: 'closed' };
    this.#look.cancel();
    this.#delivery.close();
    this.#tails.close();
    this.#input.close();
    for (const session of this.#open) session.kill();
  }
}

/** The pictures of a lead-in are decoded but not encoded: up to where; undefined when there is none. */
function beforeLeadIn({ leadIn, startMs }: Timeline): number | undefined {
  return leadIn && Math.round((startMs - 1) * TICKS_PER_MS);
}

function idsOf(rungs: readonly Rung[]): string {
  return rungs.map(({ id }) => id).join();
}
