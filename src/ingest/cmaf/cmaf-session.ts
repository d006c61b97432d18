import type { Clock, Timer } from '../../base/clock.ts';
import { AppError, type ErrorCode, errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { EventMessage } from '../../media/isobmff/event-message.ts';
import type { StreamTrack } from '../../media/isobmff/stream-init.ts';
import type { StreamSample } from '../../media/isobmff/stream-reader.ts';
import type { Publisher, PublishRole } from '../../stream/publisher.ts';
import type { PublishTarget } from '../publish-target.ts';
import { ByteMeter } from '../byte-meter.ts';
import type { CmafMetrics, SessionEnd } from './cmaf-metrics.ts';
import type { CmafOptions } from './cmaf-options.ts';
import { trackUse, type TrackUse } from './codec-map.ts';
import { MAX_TIMESCALE, type MediaTime, SessionClock, WRAP_BITS } from './session-clock.ts';
import { EventMemory, eventKind } from './timed-events.ts';
import { type MergeSource, TrackMerge } from './track-merge.ts';

export interface CmafSessionDeps {
  readonly options: CmafOptions;
  readonly hub: PublishTarget;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: CmafMetrics;
  /** Called once, when the session is over. */
  readonly onEnd: (reason: SessionEnd) => void;
}

/** Who opened a session. */
export interface CmafPeer {
  readonly session: string;
  readonly stream: string;
  readonly role: PublishRole;
  readonly remoteAddress: string;
}

/** One request that feeds a session. */
export interface SessionSource extends MergeSource {
  /** The session is over: its body must not be read on. */
  cut(code: ErrorCode): void;
}

/** Text and metadata tracks are known, so that their segments are taken, and not used. */
type SessionUse = Extract<TrackUse, { kind: 'video' | 'audio' | 'other' }>;

/** One track of the stream, however many sources send it. */
interface SessionTrack {
  readonly name: string;
  /** As its latest initialization segment says. */
  init: StreamTrack;
  use: SessionUse;
  readonly merge: TrackMerge;
  /** The publisher's number for it; undefined until publishing, and for what is left out. */
  number: number | undefined;
  /** What the publisher was last told of it. */
  declared: StreamTrack | undefined;
  /** The sender said that nothing follows. */
  ended: boolean;
}

/** An event with its time on the track that carried it. */
interface TimedMessage {
  readonly message: EventMessage;
  readonly time: MediaTime;
  readonly timescale: number;
}

type Held =
  | { readonly kind: 'sample'; readonly track: SessionTrack; readonly sample: StreamSample }
  | { readonly kind: 'event'; readonly event: TimedMessage };

type State =
  /** Waits for the tracks to be declared; what comes meanwhile is held. */
  | { readonly kind: 'gathering'; held: Held[]; heldBytes: number; timer: Timer | undefined }
  | { readonly kind: 'publishing'; readonly publisher: Publisher; readonly clock: SessionClock }
  | { readonly kind: 'over'; readonly code: ErrorCode };

const HUB_REASONS = {
  last_segment: 'unpublished',
  deleted: 'unpublished',
  silence: 'timeout',
  hub: 'error',
  shutdown: 'disconnected',
  internal: 'error',
} as const satisfies Record<SessionEnd, Parameters<Publisher['close']>[0]>;

/** Codes that the requests of a session that is over are answered with. */
const END_CODES: Readonly<Record<SessionEnd, ErrorCode>> = {
  last_segment: 'INGEST_CMAF_INIT_MISSING',
  deleted: 'INGEST_CMAF_INIT_MISSING',
  silence: 'INGEST_CMAF_SILENT',
  hub: 'STREAM_KICKED',
  shutdown: 'STREAM_CLOSING',
  internal: 'INTERNAL',
};

/** Held while gathering; more opens the publisher at once. */
const MAX_GATHERED_BYTES = 16 * 1024 * 1024;

/**
 * One stream published by CMAF ingest: all tracks, all requests and all redundant sources of it are one publisher. It
 * owns its Publisher and its timers; whoever makes it closes it.
 */
export class CmafSession {
  readonly peer: CmafPeer;
  /** Hashes of the credentials that were let in. */
  readonly admitted = new Set<string>();
  readonly #deps: CmafSessionDeps;
  readonly #log: Logger;
  readonly #tracks = new Map<string, SessionTrack>();
  readonly #sources = new Set<SessionSource>();
  readonly #meter: ByteMeter;
  readonly #events = new EventMemory();
  #state: State = { kind: 'gathering', held: [], heldBytes: 0, timer: undefined };
  #silence: Timer | undefined;
  #lastMediaMs: number;
  /** No further tracks are to be waited for. */
  #isComplete = false;
  #duplicates = 0;

  constructor(peer: CmafPeer, deps: CmafSessionDeps) {
    const { session, stream, role, remoteAddress } = peer;
    this.peer = peer;
    this.#deps = deps;
    this.#log = deps.log.child({ session, stream, role, remoteAddress });
    this.#meter = new ByteMeter(deps.options.maxBitrateBps);
    this.#lastMediaMs = deps.clock.monotonicMs();
    this.#watchSilence(deps.options.silenceTimeoutMs);
    deps.metrics.sessionStarted();
    this.#log.info({}, 'CMAF session started');
  }

  get over(): boolean {
    return this.#state.kind === 'over';
  }

  /** Whether the hub has it: from then on it is cut when what let it in does not hold any more. */
  get publishing(): boolean {
    return this.#state.kind === 'publishing';
  }

  join(source: SessionSource): void {
    this.#sources.add(source);
  }

  /** A source's request is over, well or not. `ended`: tracks whose sender said that nothing follows. */
  leave(source: SessionSource, ended: readonly string[]): void {
    if (!this.#sources.delete(source)) return;
    for (const track of this.#tracks.values()) track.merge.leave(source);
    for (const name of ended) this.#endTrack(name);
    this.#endWhenDone();
  }

  /** Counts what a source sent; false when the stream is over its rate. */
  received(sizeBytes: number): boolean {
    return this.#meter.add(sizeBytes, this.#deps.clock.monotonicMs());
  }

  /** The init of a track that is known by `name`. */
  trackInit(name: string): StreamTrack | undefined {
    return this.#tracks.get(name)?.init;
  }

  /** Names and inits of all tracks. */
  inits(): { name: string; init: StreamTrack }[] {
    return [...this.#tracks.values()].map(({ name, init }) => ({ name, init }));
  }

  /** Declares (or declares again) a track; gives the code that refuses it. */
  declare(name: string, init: StreamTrack): ErrorCode | undefined {
    const use = trackUse(init);
    if (use.kind === 'unsupported') return 'INGEST_CMAF_MEDIA_TYPE';
    if (use.kind === 'unusable' || init.timescale > MAX_TIMESCALE) return 'INGEST_CMAF_INIT_UNUSABLE';
    const known = this.#tracks.get(name);
    if (known && known.use.kind === use.kind) {
      known.init = init;
      known.use = use;
      known.ended = false;
      return undefined;
    }
    if (!known && this.#tracks.size >= this.#deps.options.maxTracks) return 'INGEST_CMAF_TRACK_LIMIT';
    const track = this.#newTrack(name, init, use);
    this.#tracks.set(name, track);
    if (use.kind === 'other') this.#deps.metrics.ignored('track_kind');
    if (this.#state.kind === 'publishing') this.#admitLate(track);
    return undefined;
  }

  /** A sample of the track known by `name`. */
  sample(source: SessionSource, name: string, sample: StreamSample): void {
    const track = this.#tracks.get(name);
    if (!track || track.use.kind === 'other' || this.over) return;
    const outcome = track.merge.offer(source, sample);
    if (outcome === 'duplicate') this.#countDuplicates(1);
    else if (outcome === 'foreign') this.#deps.metrics.ignored('foreign_clock');
    else this.#lastMediaMs = this.#deps.clock.monotonicMs();
  }

  event(message: EventMessage, time: MediaTime, timescale: number): void {
    if (this.over) return;
    if (eventKind(message) === undefined) {
      this.#deps.metrics.ignored('event_scheme');
      return;
    }
    if (!this.#events.isNew(message)) return;
    this.#deps.metrics.event();
    const event = { message, time, timescale };
    if (this.#state.kind === 'publishing') this.#giveEvent(this.#state, event);
    else this.#hold({ kind: 'event', event }, message.data.length);
  }

  /** All tracks are declared at once: there is nothing to wait for. */
  complete(): void {
    if (this.#state.kind === 'gathering' && this.#state.held.length > 0) this.#publish();
    this.#isComplete = true;
  }

  /** A track is taken back by its sender. */
  remove(name: string): void {
    this.#endTrack(name);
    this.#endWhenDone();
  }

  /** Ends the session: its publisher is gone, its requests are cut. Idempotent. */
  end(reason: SessionEnd, code: ErrorCode = END_CODES[reason]): void {
    const state = this.#state;
    if (state.kind === 'over') return;
    this.#state = { kind: 'over', code };
    if (state.kind === 'gathering') state.timer?.cancel();
    this.#silence?.cancel();
    if (state.kind === 'publishing') state.publisher.close(HUB_REASONS[reason]);
    this.#deps.metrics.sessionEnded(reason);
    this.#log.info(
      {
        reason,
        code,
        tracks: this.#tracks.size,
        bytes: this.#meter.totalBytes,
        duplicates: this.#duplicates,
      },
      'CMAF session ended',
    );
    this.#deps.onEnd(reason);
    for (const source of [...this.#sources]) source.cut(code);
  }

  #newTrack(name: string, init: StreamTrack, use: SessionUse): SessionTrack {
    const { maxSourceLeadMs, maxStandbyBytes } = this.#deps.options;
    const track: SessionTrack = {
      name,
      init,
      use,
      number: undefined,
      declared: undefined,
      ended: false,
      merge: new TrackMerge(
        { maxLeadMs: maxSourceLeadMs, maxHeldBytes: maxStandbyBytes },
        {
          sample: (sample) => this.#merged(track, sample),
          superseded: (samples) => this.#countDuplicates(samples),
          switched: () => this.#deps.metrics.sourceSwitched(),
        },
      ),
    };
    return track;
  }

  /** The next sample of a track, each once. */
  #merged(track: SessionTrack, sample: StreamSample): void {
    const state = this.#state;
    track.ended = false;
    if (state.kind === 'publishing') this.#give(state, track, sample);
    else if (state.kind === 'gathering') this.#hold({ kind: 'sample', track, sample }, sample.data.length);
  }

  #hold(held: Held, sizeBytes: number): void {
    const state = this.#state;
    if (state.kind !== 'gathering') return;
    state.held.push(held);
    state.heldBytes += sizeBytes;
    if (this.#isComplete || state.heldBytes > MAX_GATHERED_BYTES) this.#publish();
    else state.timer ??= this.#deps.clock.after(this.#deps.options.gatherMs, () => this.#publish());
  }

  /** Opens the publisher with the tracks there are, and gives it what was held. */
  #publish(): void {
    const state = this.#state;
    if (state.kind !== 'gathering') return;
    state.timer?.cancel();
    const clock = this.#chooseClock();
    let publisher: Publisher;
    try {
      publisher = this.#open(clock);
    } catch (error) {
      const code = errorCode(error);
      if (!(error instanceof AppError)) this.#log.error({ err: error }, 'CMAF session failed');
      this.end(error instanceof AppError ? 'hub' : 'internal', code);
      return;
    }
    const publishing = { kind: 'publishing', publisher, clock } as const;
    this.#state = publishing;
    this.#number();
    const kinds = new Set(this.#mediaTracks().map(({ use }) => use.kind));
    publisher.announce({ video: kinds.has('video'), audio: kinds.has('audio') });
    for (const held of state.held) {
      if (held.kind === 'sample') this.#give(publishing, held.track, held.sample);
      else this.#giveEvent(publishing, held.event);
    }
  }

  #open(clock: SessionClock): Publisher {
    const { session, stream, role, remoteAddress } = this.peer;
    const { timescale } = clock;
    const info = { protocol: 'cmaf', role, session, remoteAddress, timescale, wrapBits: WRAP_BITS } as const;
    return this.#deps.hub.publish(stream, info, (code) => this.end('hub', code));
  }

  /** The picture's own timescale, so that its times pass unchanged; sound is counted by its frames anyway. */
  #chooseClock(): SessionClock {
    const tracks = [...this.#tracks.values()];
    const lead = this.#videoTracks()[0] ?? tracks.find(({ use }) => use.kind === 'audio');
    return new SessionClock(lead?.init.timescale ?? 90_000);
  }

  #mediaTracks(): SessionTrack[] {
    return [...this.#tracks.values()].filter(({ use }) => use.kind !== 'other');
  }

  /** Video tracks by what they show, the best first. */
  #videoTracks(): SessionTrack[] {
    return [...this.#tracks.values()].filter(({ use }) => use.kind === 'video').sort(byQuality);
  }

  /** Gives the tracks that are carried their numbers. */
  #number(): void {
    for (const [index, track] of this.#videoTracks().entries()) {
      if (index < this.#deps.options.maxVideoTracks) track.number = index;
      else this.#deps.metrics.ignored('video_track_limit');
    }
    for (const [index, track] of [...this.#tracks.values()].filter(isAudio).entries()) {
      if (index === 0) track.number = 0;
      else this.#deps.metrics.ignored('second_audio');
    }
  }

  /** A track declared after publishing began comes behind those there are. */
  #admitLate(track: SessionTrack): void {
    if (track.use.kind === 'other') return;
    const same = [...this.#tracks.values()].filter(
      ({ use, number }) => use.kind === track.use.kind && number !== undefined,
    );
    const room = track.use.kind === 'audio' ? 1 : this.#deps.options.maxVideoTracks;
    const next = Math.max(-1, ...same.map(({ number }) => number ?? -1)) + 1;
    if (next < room) track.number = next;
    else this.#deps.metrics.ignored(track.use.kind === 'audio' ? 'second_audio' : 'video_track_limit');
  }

  /** The configuration goes with the sample: a source in reserve may have another, which counts when it takes over. */
  #give(state: Extract<State, { kind: 'publishing' }>, track: SessionTrack, sample: StreamSample): void {
    const { kind } = track.use;
    if (track.number === undefined || kind === 'other') return;
    if (track.declared !== sample.track) this.#declare(state.publisher, track, sample.track);
    const { baseTicks, offsetTicks, compositionOffset } = sample;
    const { timescale, editTicks } = sample.track;
    const dtsOffset = offsetTicks + editTicks;
    state.publisher.write({
      kind,
      track: track.number,
      dts: state.clock.at({ baseTicks, offsetTicks: dtsOffset }, timescale),
      compositionOffset: state.clock.between(baseTicks, dtsOffset, dtsOffset + compositionOffset, timescale),
      key: sample.key,
      data: sample.data,
    });
  }

  #declare(publisher: Publisher, track: SessionTrack, init: StreamTrack): void {
    const { declared } = track;
    track.declared = init;
    // Each body brings it again.
    if (declared && isSameConfig(declared, init)) return;
    const use = trackUse(init);
    if (use.kind === 'video') publisher.videoConfig(use.codec, use.config, track.number ?? 0);
    else if (use.kind === 'audio') publisher.audioConfig(use.codec, use.config);
  }

  #giveEvent({ publisher, clock }: Extract<State, { kind: 'publishing' }>, event: TimedMessage): void {
    const kind = eventKind(event.message);
    if (kind === undefined) return;
    publisher.event({ kind, pts: clock.at(event.time, event.timescale), data: event.message.data });
  }

  #endTrack(name: string): void {
    const track = this.#tracks.get(name);
    // Another source may still be sending it.
    if (track && !track.merge.fed) track.ended = true;
  }

  #endWhenDone(): void {
    const tracks = this.#mediaTracks();
    if (tracks.length === 0 || tracks.some(({ ended }) => !ended)) return;
    // What was held for want of further tracks is the whole broadcast.
    this.#publish();
    this.end('last_segment');
  }

  #countDuplicates(samples: number): void {
    this.#duplicates += samples;
    this.#deps.metrics.duplicates(samples);
  }

  /** Looks again when the silence could be long enough, rather than with every sample. */
  #watchSilence(inMs: number): void {
    const { clock, options } = this.#deps;
    this.#silence = clock.after(inMs, () => {
      const leftMs = this.#lastMediaMs + options.silenceTimeoutMs - clock.monotonicMs();
      if (leftMs > 0) this.#watchSilence(leftMs);
      else this.end('silence');
    });
  }
}

function isSameConfig(a: StreamTrack, b: StreamTrack): boolean {
  return (
    a.entry === b.entry &&
    a.config !== undefined &&
    b.config !== undefined &&
    Buffer.compare(a.config, b.config) === 0
  );
}

function isAudio({ use }: SessionTrack): boolean {
  return use.kind === 'audio';
}

function byQuality(a: SessionTrack, b: SessionTrack): number {
  return (
    b.init.height * b.init.width - a.init.height * a.init.width ||
    b.init.bitrateBps - a.init.bitrateBps ||
    (a.name < b.name ? -1 : 1)
  );
}
