import { every, type Clock, type Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { LadderSink } from '../stream/ladder.ts';
import type { Channel, ChannelDeps, ChannelHost, ChannelStatus, StreamSource } from './channel.ts';
import { ChannelEncoder } from './channel-encoder.ts';
import type { SpawnEncoder } from './encoder-process.ts';
import { chooseLadder, type LadderPlan, type LadderSource } from './ladder-choice.ts';
import type { LadderOptions } from './ladder-options.ts';
import type { ToneMapper } from './tone-map.ts';
import { CHANNEL_STATES, TranscodeMetrics } from './transcode-metrics.ts';

export interface FarmDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly source: StreamSource;
  readonly spawn: SpawnEncoder;
  /** Cores of this machine. */
  readonly cores: number;
  /** What the ffmpeg of the options brings HDR down to SDR with. */
  readonly toneMapper: ToneMapper;
  /** 0 to 1. */
  readonly random: () => number;
  /** What may wait before one encoder; at least as much as the stream's GOP cache holds. */
  readonly queue: ChannelDeps['queue'];
  readonly maxSessionMs?: number;
}

const GAUGES_MS = 1000;

/** The encoders of all streams: one channel a stream, and the room they share. */
export class EncoderFarm implements ChannelHost {
  readonly #options: LadderOptions;
  readonly #deps: FarmDeps;
  readonly #metrics: TranscodeMetrics;
  readonly #channels = new Set<Channel>();
  /** Cores set aside, by channel; a channel without rungs is not here. */
  readonly #reserved = new Map<Channel, number>();
  readonly #gauges: Timer;
  #closing: Promise<void> | undefined;

  constructor(options: LadderOptions, deps: FarmDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#metrics = new TranscodeMetrics(deps.metrics);
    this.#gauges = every(deps.clock, GAUGES_MS, () => this.#showGauges());
  }

  /**
   * Encodes a stream from its next timeline on, until it ends. To be called when the stream's first sink is made; the
   * rungs go to `sink`.
   * @throws AppError of the source when there is no such stream
   */
  attach(stream: string, sink: LadderSink): void {
    if (this.#closing) return;
    const channel = new ChannelEncoder(stream, sink, {
      clock: this.#deps.clock,
      log: this.#deps.log.child({ stream }),
      metrics: this.#metrics,
      spawn: this.#deps.spawn,
      options: this.#options,
      cores: this.#deps.cores,
      toneMapper: this.#deps.toneMapper,
      source: this.#deps.source,
      host: this,
      random: this.#deps.random,
      queue: this.#deps.queue,
      maxSessionMs: this.#deps.maxSessionMs,
    });
    this.#channels.add(channel);
  }

  /** Every stream with an encoder of its own; a stream that ended may still be among them for a moment. */
  status(): ChannelStatus[] {
    return [...this.#channels].map((channel) => channel.status);
  }

  /** The newest encoder of a stream. */
  statusOf(stream: string): ChannelStatus | undefined {
    return this.status().findLast((status) => status.stream === stream);
  }

  /** Process ids of the encoders that run now. */
  pids(): number[] {
    return [...this.#channels].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  plan(channel: Channel, source: LadderSource): LadderPlan {
    this.#reserved.delete(channel);
    const plan = this.#choose(source);
    if (plan.rungs.length > 0) this.#reserved.set(channel, plan.costCores);
    if (plan.reason === 'channel_limit') this.#metrics.refused('channels');
    if (plan.reason === 'no_cores') this.#metrics.refused('cores');
    return plan;
  }

  release(channel: Channel): void {
    if (!this.#reserved.delete(channel)) return;
    for (const other of this.#channels) if (other !== channel) other.reconsider();
  }

  done(channel: Channel): void {
    this.#channels.delete(channel);
    this.release(channel);
  }

  /** Ends all encoders and waits until they are gone. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#gauges.cancel();
    await Promise.all([...this.#channels].map((channel) => channel.close()));
    this.#channels.clear();
    this.#reserved.clear();
  }

  #choose(source: LadderSource): LadderPlan {
    const { maxChannels, cpuShare, rungs } = this.#options;
    const allowed = maxChannels === 0 ? this.#deps.cores : maxChannels;
    if (rungs !== 'none' && this.#reserved.size >= allowed) {
      return { rungs: [], costCores: 0, reason: 'channel_limit' };
    }
    let taken = 0;
    for (const cores of this.#reserved.values()) taken += cores;
    const { cores } = this.#deps;
    return chooseLadder(source, this.#options, { cores, availableCores: (cores * cpuShare) / 100 - taken });
  }

  #showGauges(): void {
    const channels = [...this.#channels];
    for (const state of CHANNEL_STATES) {
      this.#metrics.channels(state, channels.filter((channel) => channel.state === state).length);
    }
    this.#metrics.shedRungs.set(channels.reduce((sum, { status }) => sum + status.shed.length, 0));
  }
}
