import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { parseVideoTag } from '../media/flv.ts';
import { FlvReader, type FlvTag } from '../media/flv-reader.ts';
import { inspectAccessUnit, normalizeAccessUnit, parseAvcConfig } from '../media/h264.ts';
import { videoHdrRange } from '../media/video-config.ts';
import type { Sample, VideoTrack } from '../stream/track.ts';
import { buildArguments, rateOf } from './arguments.ts';
import { encoderInput, type EncoderInput } from './encoder-input.ts';
import { EncoderMessages } from './encoder-messages.ts';
import type { EncoderEnd, EncoderExit, EncoderProcess, SpawnEncoder } from './encoder-process.ts';
import { FedFrames, type FedFrame } from './fed-frames.ts';
import type { Rung } from './ladder-choice.ts';
import type { LadderOptions } from './ladder-options.ts';
import { decoderThreads } from './threads.ts';
import type { ToneMapper } from './tone-map.ts';
import type { TranscodeMetrics } from './transcode-metrics.ts';
import type { RungProgress } from './watchdog.ts';

/** A rung of one run of the encoder. */
export interface SessionRung {
  readonly rung: Rung;
  /** Source frames up to this time were encoded already, by an encoder before this one. */
  readonly afterPts: number | undefined;
}

export interface SessionSetup {
  readonly source: VideoTrack;
  readonly rungs: readonly SessionRung[];
  /** A source time not after the first frame's: it only has to be near. */
  readonly nearPts: number;
  /** Longest stretch of media to be fed. */
  readonly maxSessionMs?: number | undefined;
}

export interface SessionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: TranscodeMetrics;
  readonly spawn: SpawnEncoder;
  readonly options: LadderOptions;
  readonly cores: number;
  /** What the ffmpeg of the options brings HDR down to SDR with. */
  readonly toneMapper: ToneMapper;
}

/** Who started the run. Never called during the constructor. */
export interface SessionHost {
  track(session: EncoderSession, rung: Rung, track: VideoTrack): void;
  sample(session: EncoderSession, rung: Rung, sample: Sample): void;
  ended(session: EncoderSession, end: EncoderEnd): void;
}

interface Output {
  readonly rung: Rung;
  readonly afterPts: number | undefined;
  readonly reader: FlvReader;
  lengthSize: number;
  newestPts: number | undefined;
  lastAtMs: number | undefined;
  /** An encoded frame whose duration the next one tells. */
  held: Sample | undefined;
}

const TICKS_PER_MS = 90;
const VIDEO_TIMESCALE = 90_000;
/** Where the fed file's clock starts: room for decode times that lie before the first presentation. */
const LEAD_MS = 10_000;
/**
 * Pictures of a lead-in last a tick: they are fed a millisecond apart, so long before the place where they stand that
 * they are told apart and none is taken for a picture that is to be encoded.
 */
const LEAD_IN_MS = 3500;
/** Frames a decoder may rightly hold when there are B-frames; without them one may be lost to it. */
const REORDER_DEPTH = 16;
const LOST_FRAMES = 1;
/** After this the fed file's clock nears the 31 bits that FLV has: twelve days. */
const DEFAULT_MAX_SESSION_MS = 2 ** 30;
/** Largest encoded frame that is taken from the encoder. */
const MAX_TAG_BYTES = 8 * 1024 * 1024;

/** One run of the encoder: source frames in, the rungs' frames out at the source's own times. */
export class EncoderSession {
  readonly #setup: SessionSetup;
  readonly #deps: SessionDeps;
  readonly #host: SessionHost;
  readonly #outputs: readonly Output[];
  readonly #fed: FedFrames;
  readonly #messages: EncoderMessages;
  readonly #process: EncoderProcess;
  readonly #startedAtMs: number;
  readonly #maxSessionMs: number;
  #firstAtMs: number | undefined;
  #newestFedPts: number | undefined;
  #lastDtsMs = 0;
  /** Where the lead-in begins that is being fed, if one is. */
  #leadInTicks: number | undefined;
  #blocked = false;
  #over = false;
  #malformed = false;
  readonly #input: EncoderInput;
  /** Frames the decoder's threads hold. */
  readonly #heldByThreads: number;
  /** Frames were fed that are not shown when they are decoded. */
  #reorders = false;
  #missingCounted = 0;
  #wake: (() => void)[] = [];

  constructor(setup: SessionSetup, deps: SessionDeps, host: SessionHost) {
    this.#setup = setup;
    this.#deps = deps;
    this.#host = host;
    this.#maxSessionMs = setup.maxSessionMs ?? DEFAULT_MAX_SESSION_MS;
    this.#startedAtMs = deps.clock.monotonicMs();
    this.#messages = new EncoderMessages(deps.clock, deps.log);
    const originTicks = Math.floor(setup.nearPts / TICKS_PER_MS - LEAD_MS) * TICKS_PER_MS;
    this.#fed = new FedFrames(originTicks, setup.rungs.length);
    this.#outputs = setup.rungs.map(({ rung, afterPts }) => ({
      rung,
      afterPts,
      reader: new FlvReader({ maxTagBytes: MAX_TAG_BYTES }),
      lengthSize: 4,
      newestPts: undefined,
      lastAtMs: undefined,
      held: undefined,
    }));
    this.#input = encoderInput(setup.source);
    const { width, height, cadence } = setup.source;
    this.#heldByThreads = decoderThreads(width * height, rateOf(cadence.frameTicks), deps.cores) - 1;
    this.#process = this.#spawn();
    this.#write(this.#input.start());
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Source time of the newest frame fed. */
  get newestFedPts(): number | undefined {
    return this.#newestFedPts;
  }

  /** When its first encoded frame came, monotonic milliseconds. */
  get firstAtMs(): number | undefined {
    return this.#firstAtMs;
  }

  /** Whether another frame may be fed now; once the run is over, always: it will be thrown away. */
  get ready(): boolean {
    return this.#over || (!this.#blocked && !this.#fed.full);
  }

  /** True when the fed clock nears its end: the next key frame is to go to a new run. */
  get worn(): boolean {
    return this.#newestFedPts !== undefined && this.#fed.msOf(this.#newestFedPts) > this.#maxSessionMs;
  }

  /** How far the slowest rung is behind what was fed, milliseconds of media. */
  get lagMs(): number {
    if (this.#newestFedPts === undefined || this.#fed.size === 0) return 0;
    const slowest = this.#slowestPts();
    const from = slowest ?? this.#fed.first?.pts ?? this.#newestFedPts;
    return Math.max(0, (this.#newestFedPts - from) / TICKS_PER_MS);
  }

  /** What a watchdog wants to know, a rung each. */
  get progress(): readonly RungProgress[] {
    const held = (this.#reorders ? REORDER_DEPTH : LOST_FRAMES) + this.#heldByThreads;
    return this.#outputs.map(({ lastAtMs }, index) => ({
      waitingSinceMs: this.#fed.oldestWaiting(index, held),
      lastOutputAtMs: lastAtMs,
    }));
  }

  /** Settles when {@link ready} is true. */
  async whenReady(): Promise<void> {
    while (!this.ready) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  /** Feeds a frame, in decode order; the first must be a key frame. */
  feed(sample: Sample): void {
    if (this.#over) return;
    const ptsMs = this.#msOf(sample, sample.pts);
    const wantedMs = this.#msOf(sample, sample.dts) - this.#input.decodeShiftMs;
    const dtsMs = Math.max(this.#lastDtsMs + 1, Math.min(wantedMs, ptsMs));
    if (sample.pts !== sample.dts) this.#reorders = true;
    this.#lastDtsMs = dtsMs;
    this.#newestFedPts = Math.max(this.#newestFedPts ?? sample.pts, sample.pts);
    if (!sample.leadIn) this.#remember(sample);
    this.#deps.metrics.framesIn.inc();
    const { key, data } = sample;
    // FLV cannot say that a frame is shown before it is decoded; the other format has no decode times.
    const shownMs = this.#input.format === 'flv' ? Math.max(ptsMs, dtsMs) : ptsMs;
    this.#write(this.#input.frame({ dtsMs, ptsMs: shownMs, key, data }));
  }

  /** No more will be fed: the run gives what is left and ends. */
  finish(): void {
    this.#process.end();
  }

  kill(): void {
    this.#process.kill();
  }

  /** Lets its output come, or holds it back. */
  flow(on: boolean): void {
    this.#process.flow(on);
  }

  #spawn(): EncoderProcess {
    const { options, cores, toneMapper } = this.#deps;
    const { source, rungs } = this.#setup;
    const { width, height, cadence } = source;
    const args = buildArguments({
      options,
      format: this.#input.format,
      source: { width, height, hdr: videoHdrRange(source.codec, source.config) },
      toneMapper,
      frameTicks: cadence.frameTicks,
      gopTicks: cadence.gopTicks,
      cores,
      rungs: rungs.map(({ rung, afterPts }) => {
        const fromMs = afterPts === undefined ? 0 : this.#fed.msOf(afterPts) + 1;
        return fromMs > 0 ? { ...rung, fromMs } : rung;
      }),
    });
    return this.#deps.spawn(
      { program: options.ffmpeg, args, outputs: rungs.length },
      {
        output: (index, bytes) => this.#received(index, bytes),
        drained: () => {
          this.#blocked = false;
          this.#wakeUp();
        },
        said: (bytes) => this.#messages.add(bytes),
        exited: (exit) => this.#exited(exit),
      },
    );
  }

  #write(bytes: Uint8Array): void {
    if (!this.#process.write(bytes)) this.#blocked = true;
  }

  /** The millisecond of the fed file for a time of a sample. */
  #msOf({ leadIn, pts }: Sample, ticks: number): number {
    if (!leadIn) return this.#fed.msOf(ticks);
    const start = (this.#leadInTicks ??= pts);
    return this.#fed.msOf(start) - LEAD_IN_MS + Math.min(ticks - start, LEAD_IN_MS - 1);
  }

  #remember(sample: Sample): void {
    const done = this.#outputs.reduce(
      (mask, { afterPts }, index) =>
        afterPts !== undefined && sample.pts <= afterPts ? mask | (1 << index) : mask,
      0,
    );
    if (done === (1 << this.#outputs.length) - 1) return;
    const fedAtMs = this.#deps.clock.monotonicMs();
    const frame: FedFrame = { pts: sample.pts, duration: sample.duration, fedAtMs };
    if (!this.#fed.add(frame, done)) this.#deps.metrics.dropped('ambiguous');
  }

  #received(index: number, bytes: Uint8Array): void {
    const output = this.#outputs[index];
    if (!output || this.#malformed) return;
    for (const tag of output.reader.push(bytes)) this.#tag(output, index, tag);
    if (output.reader.fault !== undefined) this.#giveUp();
    this.#forgetDone();
    if (this.ready) this.#wakeUp();
  }

  #tag(output: Output, index: number, tag: FlvTag): void {
    if (tag.type !== 'video') return;
    const body = parseVideoTag(tag.body);
    if (body.kind === 'config') this.#configured(output, body.config);
    else if (body.kind === 'frame') {
      this.#encoded(output, index, tag.timestampMs + body.compositionOffsetMs, body.data);
    } else if (body.kind !== 'ignored') this.#giveUp();
  }

  #configured(output: Output, bytes: Uint8Array): void {
    const config = parseAvcConfig(bytes);
    if (!config) {
      this.#giveUp();
      return;
    }
    output.lengthSize = config.lengthSize;
    this.#host.track(this, output.rung, {
      kind: 'video',
      codec: 'avc1',
      codecString: config.codecString,
      timescale: VIDEO_TIMESCALE,
      config: config.record,
      width: config.picture.width,
      height: config.picture.height,
      cadence: this.#setup.source.cadence,
    });
  }

  #encoded(output: Output, index: number, ms: number, data: Uint8Array): void {
    const facts = inspectAccessUnit(data, output.lengthSize);
    if (!facts?.picture) {
      this.#deps.metrics.dropped('malformed');
      return;
    }
    const frame = this.#fed.take(ms, index);
    if (!frame || (output.newestPts !== undefined && frame.pts <= output.newestPts)) {
      this.#deps.metrics.dropped('unmatched');
      return;
    }
    const nowMs = this.#deps.clock.monotonicMs();
    this.#noteFirst(nowMs);
    output.lastAtMs = nowMs;
    output.newestPts = frame.pts;
    this.#deps.metrics.encoded(output.rung, nowMs - frame.fedAtMs);
    this.#give(output, {
      kind: 'video',
      dts: frame.pts,
      pts: frame.pts,
      duration: this.#durationOf(frame),
      key: facts.idr,
      data: normalizeAccessUnit(data, output.lengthSize, facts),
    });
  }

  #noteFirst(nowMs: number): void {
    if (this.#firstAtMs !== undefined) return;
    this.#firstAtMs = nowMs;
    this.#deps.metrics.startSeconds.observe((nowMs - this.#startedAtMs) / 1000);
  }

  /** Until the next frame is shown. With B-frames that is not the next one decoded, but the grid tells where it is. */
  #durationOf(frame: FedFrame): number {
    const { frameTicks } = this.#setup.source.cadence;
    if (!this.#reorders || frameTicks === undefined) return frame.duration;
    const next = this.#fed.nextAfter(frame.pts, frameTicks * 1.5);
    return next ? next.pts - frame.pts : Math.round(frameTicks);
  }

  /** With B-frames at a variable rate only the next frame out tells how long this one lasts. */
  #give(output: Output, sample: Sample): void {
    if (!this.#reorders || this.#setup.source.cadence.frameTicks !== undefined) {
      this.#host.sample(this, output.rung, sample);
      return;
    }
    const { held } = output;
    output.held = sample;
    if (held) this.#host.sample(this, output.rung, { ...held, duration: sample.pts - held.pts });
  }

  #slowestPts(): number | undefined {
    let slowest: number | undefined;
    for (const { newestPts, afterPts } of this.#outputs) {
      const at = newestPts ?? afterPts;
      if (at === undefined) return undefined;
      if (slowest === undefined || at < slowest) slowest = at;
    }
    return slowest;
  }

  #forgetDone(): void {
    const slowest = this.#slowestPts();
    if (slowest === undefined) return;
    this.#fed.forgetUpTo(slowest);
    this.#deps.metrics.dropped('missing', this.#fed.missing - this.#missingCounted);
    this.#missingCounted = this.#fed.missing;
  }

  #giveUp(): void {
    if (this.#malformed) return;
    this.#malformed = true;
    this.#process.kill();
  }

  #exited(exit: EncoderExit): void {
    if (this.#over) return;
    this.#over = true;
    for (const output of this.#outputs) {
      if (output.held) this.#host.sample(this, output.rung, output.held);
      output.held = undefined;
    }
    const lastAtMs = Math.max(0, ...this.#outputs.map((output) => output.lastAtMs ?? 0));
    this.#wakeUp();
    this.#host.ended(this, {
      exit,
      malformed: this.#malformed,
      lines: this.#messages.last,
      ranMs: this.#firstAtMs === undefined ? 0 : lastAtMs - this.#firstAtMs,
    });
  }

  #wakeUp(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}
