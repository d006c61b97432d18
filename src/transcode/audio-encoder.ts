import { type Clock, every, type Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { ForeignAudioFeed } from '../stream/foreign-audio.ts';
import type { Publisher } from '../stream/publisher.ts';
import { TimestampUnwrapper } from '../stream/unwrap.ts';
import { AudioBacklog, type FedTag } from './audio-backlog.ts';
import { AudioLine, isStepBack } from './audio-line.ts';
import type { AudioMetrics, AudioRestartReason } from './audio-metrics.ts';
import { AudioRun, type AudioRunHost, type EncodedAudio } from './audio-run.ts';
import { type AudioSource, readAudioSource } from './audio-source.ts';
import type { EncoderEnd, SpawnEncoder } from './encoder-process.ts';
import { FailureAccount } from './failure-account.ts';
import { STABLE_MS } from './restart-policy.ts';
import { isHung, type WatchdogLimits } from './watchdog.ts';

/** The part of the ladder's options that concerns audio. */
export interface AudioOptions extends WatchdogLimits {
  /** The ffmpeg program. */
  readonly ffmpeg: string;
}

/** The room that all audio encoders share. */
export interface AudioEncoderHost {
  /** Asks for a place, which is held until `release`. */
  admit(encoder: AudioEncoder): boolean;
  release(encoder: AudioEncoder): void;
  /** It is closed and nothing of it runs any more. */
  gone(encoder: AudioEncoder): void;
}

export interface AudioEncoderDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AudioMetrics;
  readonly spawn: SpawnEncoder;
  readonly options: AudioOptions;
  readonly host: AudioEncoderHost;
  /** 0 to 1. */
  readonly random: () => number;
  /** Longest stretch of media one process is fed. */
  readonly maxRunMs?: number | undefined;
}

interface Run {
  readonly process: AudioRun;
  readonly line: AudioLine;
  /** The configuration that the publisher was told for it. */
  config: Uint8Array | undefined;
}

type State =
  /** Nothing to encode. */
  | { readonly kind: 'idle' }
  /** A process starts with the next tag. */
  | { readonly kind: 'armed'; readonly line: AudioLine }
  | {
      readonly kind: 'running';
      readonly line: AudioLine;
      readonly run: Run;
      /** Since when it owes audio, monotonic milliseconds; undefined when it owes none. */
      owingSinceMs: number | undefined;
      /** Why we ended it. */
      killedFor: AudioRestartReason | undefined;
    }
  /** A process starts when the timer runs out. */
  | { readonly kind: 'waiting'; readonly line: AudioLine; readonly timer: Timer; readonly dueMs: number }
  | { readonly kind: 'closed' };

/** The clock of RTMP. */
const WRAP_BITS = 32;
const TIMESCALE = 1000;
const WRAP_MS = 2 ** WRAP_BITS;
/** After this the fed file's clock nears the 31 bits that FLV has: twelve days. */
const DEFAULT_MAX_RUN_MS = 2 ** 30;
/** What a decoder is given before the first sample that counts: MP3 frames lean on the ones before. */
const PREROLL_MS = 300;
/** What is kept for another process: audio that is older would come too late for viewers. */
const BACKLOG = { maxMs: 2000 + PREROLL_MS, maxBytes: 1024 * 1024, maxTags: 2048 };
/** What decoder, resampler and encoder may rightly hold. */
const HELD = { ms: 250, tags: 4 };
const LOOK_MS = 100;
/** What an old process still has must come within this. */
const TAIL_MS = 1000;
/** A source that changes all the time gets no more than one new process in this time. */
const CHANGE_EVERY_MS = 1000;

/**
 * Makes AAC of one publisher's audio and gives it to the same publisher. It keeps the encoder alive: one that dies or
 * hangs is replaced and fed again what it had not given yet. Until it can be, the stream goes on without audio.
 */
export class AudioEncoder implements ForeignAudioFeed, AudioRunHost {
  readonly #publisher: Publisher;
  readonly #deps: AudioEncoderDeps;
  /** Degraded while audio is missing. */
  readonly #account: FailureAccount;
  readonly #maxRunMs: number;
  readonly #look: Timer;
  readonly #backlog = new AudioBacklog(BACKLOG);
  readonly #open = new Set<AudioRun>();
  #unwrapper = new TimestampUnwrapper(WRAP_BITS, TIMESCALE);
  #state: State = { kind: 'idle' };
  /** A process that was given its last tag, and may have something left until the next one has. */
  #tail: { readonly run: Run; readonly timer: Timer } | undefined;
  /** Source time of the newest tag. */
  #lastInMs: number | undefined;
  /** Source time of the newest frame given. */
  #lastOutMs: number | undefined;
  #startedAtMs = Number.NEGATIVE_INFINITY;

  constructor(publisher: Publisher, deps: AudioEncoderDeps) {
    this.#publisher = publisher;
    this.#deps = deps;
    this.#account = new FailureAccount('audio encoder', deps);
    this.#maxRunMs = deps.maxRunMs ?? DEFAULT_MAX_RUN_MS;
    this.#look = every(deps.clock, LOOK_MS, () => this.#lookAtProcess());
  }

  /** Process ids of what runs for it now. */
  get pids(): number[] {
    return [...this.#open].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  feed(timestampMs: number, body: Uint8Array): void {
    if (this.#state.kind === 'closed') return;
    const unwrappedMs = this.#unwrapper.next(timestampMs);
    const source = this.#sourceOf(body);
    if (!source) {
      this.#deps.metrics.dropped('unreadable');
      return;
    }
    if (!this.#prepare(source, unwrappedMs)) return;
    const sourceMs = Math.max(unwrappedMs, this.#lastInMs ?? unwrappedMs);
    this.#lastInMs = sourceMs;
    this.#keep({ sourceMs, body, receivedAtMs: this.#deps.clock.monotonicMs() });
    if (this.#state.kind === 'armed') this.#start(this.#state.line);
    else this.#pump();
  }

  stop(): void {
    const state = this.#state;
    if (state.kind === 'idle' || state.kind === 'closed') return;
    if (state.kind === 'waiting') state.timer.cancel();
    this.#state = { kind: 'idle' };
    this.#forget();
    this.#deps.host.release(this);
  }

  close(): void {
    if (this.#state.kind === 'closed') return;
    this.stop();
    this.#state = { kind: 'closed' };
    this.#look.cancel();
    if (this.#open.size === 0) this.#deps.host.gone(this);
  }

  encoded(process: AudioRun, frame: EncodedAudio): void {
    const run = this.#listensTo(process);
    if (!run) return;
    const { line } = run;
    const sourceMs = line.sourceMs(frame.fileMs);
    if (line.stepsBack) this.#lastOutMs = undefined;
    line.stepsBack = false;
    if (this.#lastOutMs !== undefined && sourceMs <= this.#lastOutMs + line.halfFrameMs) {
      this.#deps.metrics.dropped('behind');
      return;
    }
    this.#lastOutMs = sourceMs;
    line.lastOutMs = sourceMs;
    this.#deps.metrics.framesOut.inc();
    if (run.config !== frame.config) this.#publisher.audioConfig('mp4a', frame.config);
    run.config = frame.config;
    this.#publisher.write({
      kind: 'audio',
      dts: modulo(sourceMs, WRAP_MS),
      compositionOffset: 0,
      key: true,
      data: frame.data,
    });
    if (run === this.#tail?.run) return;
    this.#dropTail();
    this.#backlog.settle(sourceMs - PREROLL_MS);
    this.#noteWorks(process);
  }

  drained(process: AudioRun): void {
    if (this.#state.kind === 'running' && this.#state.run.process === process) this.#pump();
  }

  ended(process: AudioRun, end: EncoderEnd): void {
    this.#open.delete(process);
    this.#deps.metrics.processes.dec();
    const state = this.#state;
    if (this.#tail?.run.process === process) this.#dropTail();
    if (state.kind === 'running' && state.run.process === process) {
      this.#failed(state.line, state.killedFor ?? (end.malformed ? 'malformed' : 'exited'), end);
    }
    if (state.kind === 'closed' && this.#open.size === 0) this.#deps.host.gone(this);
  }

  #keep(tag: FedTag): void {
    const given = ('line' in this.#state && this.#state.line.lastOutMs) || Number.NEGATIVE_INFINITY;
    const lost = this.#backlog.add(tag).filter(({ sourceMs }) => sourceMs > given);
    this.#deps.metrics.dropped('overflow', lost.length);
  }

  /** What a tag is; one that does not tell is like those before it. */
  #sourceOf(body: Uint8Array): AudioSource | undefined {
    const known = 'line' in this.#state ? this.#state.line.source : undefined;
    return readAudioSource(body) ?? (known?.format === body[0] ? known : undefined);
  }

  /** Sees to it that there is a line that the tag goes on. False when there is no room for it. */
  #prepare(source: AudioSource, atMs: number): boolean {
    const state = this.#state;
    if (!('line' in state)) {
      if (!this.#admitted()) return false;
      this.#deps.log.info({ codec: source.codec, sampleRate: source.sampleRate }, 'audio is encoded');
      this.#begin(new AudioLine(source, atMs, true));
      return true;
    }
    const reason = state.line.breakBefore(source, this.#lastInMs, atMs, this.#maxRunMs);
    if (reason === undefined) return true;
    this.#deps.metrics.restarted(reason);
    this.#deps.log.info({ reason, codec: source.codec, sampleRate: source.sampleRate }, 'audio begins anew');
    const stepsBack = state.line.stepsBack || isStepBack(this.#lastInMs, atMs);
    this.#lastInMs = undefined;
    this.#backlog.clear();
    if (state.kind === 'running') this.#retire(state.run);
    this.#begin(new AudioLine(source, atMs, stepsBack));
    return true;
  }

  #admitted(): boolean {
    const isKnown = this.#account.lastCode === 'TRANSCODE_AUDIO_NO_ROOM';
    if (this.#deps.host.admit(this)) {
      if (isKnown) this.#account.note(undefined);
      return true;
    }
    this.#deps.metrics.dropped('no_room');
    if (isKnown) return false;
    const code = 'TRANSCODE_AUDIO_NO_ROOM';
    this.#account.note(code);
    this.#deps.log.warn({ code }, 'no room to encode this audio');
    return false;
  }

  /** The next process is for this line; one that waits is waited for. */
  #begin(line: AudioLine): void {
    const state = this.#state;
    if (state.kind === 'waiting') {
      state.timer.cancel();
      this.#wait(line, state.dueMs - this.#deps.clock.monotonicMs());
      return;
    }
    const restMs = this.#startedAtMs + CHANGE_EVERY_MS - this.#deps.clock.monotonicMs();
    if (restMs > 0) this.#wait(line, restMs);
    else this.#state = { kind: 'armed', line };
  }

  #wait(line: AudioLine, delayMs: number): void {
    const timer = this.#deps.clock.after(Math.max(0, delayMs), () => {
      const state = this.#state;
      if (state.kind === 'waiting') this.#start(state.line);
    });
    this.#state = { kind: 'waiting', line, timer, dueMs: this.#deps.clock.monotonicMs() + delayMs };
  }

  #start(line: AudioLine): void {
    const { first } = this.#backlog;
    if (!first) {
      this.#state = { kind: 'armed', line };
      return;
    }
    const { options } = this.#deps;
    this.#startedAtMs = this.#deps.clock.monotonicMs();
    const process = new AudioRun(
      {
        program: options.ffmpeg,
        sampleRate: line.source.sampleRate,
        fromSample: line.firstSample(first.sourceMs),
      },
      this.#deps,
      this,
    );
    this.#open.add(process);
    this.#deps.metrics.processes.inc();
    this.#backlog.rewind();
    const run: Run = { process, line, config: undefined };
    this.#state = { kind: 'running', line, run, owingSinceMs: undefined, killedFor: undefined };
    this.#pump();
  }

  /** Gives the process what it takes; what it does not take waits. */
  #pump(): void {
    const state = this.#state;
    if (state.kind !== 'running' || state.killedFor !== undefined) return;
    const { process, line } = state.run;
    while (process.ready) {
      const tag = this.#backlog.take();
      if (!tag) return;
      this.#deps.metrics.framesIn.inc();
      process.feed(line.fileMs(tag.sourceMs), tag.body);
    }
  }

  /** The run whose frames count: the current one, or the one before it as long as that has given nothing. */
  #listensTo(process: AudioRun): Run | undefined {
    if (this.#tail?.run.process === process) return this.#tail.run;
    const state = this.#state;
    return state.kind === 'running' && state.run.process === process ? state.run : undefined;
  }

  #retire(run: Run): void {
    this.#dropTail();
    run.process.finish();
    const timer = this.#deps.clock.after(TAIL_MS, () => this.#dropTail());
    this.#tail = { run, timer };
  }

  #dropTail(): void {
    const tail = this.#tail;
    this.#tail = undefined;
    tail?.timer.cancel();
    tail?.run.process.kill();
  }

  /** Ends all that runs, and begins with the next tag as with the first. */
  #forget(): void {
    this.#dropTail();
    for (const process of this.#open) process.kill();
    this.#backlog.clear();
    this.#unwrapper = new TimestampUnwrapper(WRAP_BITS, TIMESCALE);
    this.#lastInMs = undefined;
    this.#lastOutMs = undefined;
  }

  #failed(line: AudioLine, reason: AudioRestartReason, end: EncoderEnd): void {
    this.#deps.metrics.restarted(reason);
    const { degraded, delayMs } = this.#account.failed(end, reason);
    if (degraded) this.#account.degrade();
    if (delayMs === 0) this.#start(line);
    else this.#wait(line, delayMs);
  }

  #noteWorks(process: AudioRun): void {
    if (this.#account.lastCode === undefined || process.ranMs < STABLE_MS) return;
    this.#account.recovered();
    this.#deps.log.info({}, 'audio goes on');
  }

  #lookAtProcess(): void {
    const state = this.#state;
    if (state.kind !== 'running' || state.killedFor !== undefined) return;
    const { process } = state.run;
    const owedSince = this.#backlog.owedSince(state.line.lastOutMs ?? Number.NEGATIVE_INFINITY, HELD);
    // The oldest tags are given up while it owes, but it owes since the first of them.
    if (owedSince === undefined) state.owingSinceMs = undefined;
    else state.owingSinceMs ??= Math.max(owedSince, process.startedAtMs);
    const progress = { waitingSinceMs: state.owingSinceMs, lastOutputAtMs: process.lastOutputAtMs };
    if (!isHung([progress], this.#deps.options, this.#deps.clock.monotonicMs())) return;
    state.killedFor = 'hung';
    process.kill();
  }
}

/** The representative from 0 on. */
function modulo(value: number, modulus: number): number {
  return ((value % modulus) + modulus) % modulus;
}
