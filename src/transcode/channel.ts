import type { ErrorCode } from '../base/errors.ts';
import type { StreamEvent, SubscribeOptions } from '../stream/fan-out.ts';
import type { SessionDeps } from './encoder-session.ts';
import type { LadderPlan, LadderSource, Rung } from './ladder-choice.ts';
import type { ChannelState } from './transcode-metrics.ts';

/** What a channel reads its stream by; the hub's subscriptions are such. */
export interface StreamReader extends AsyncIterable<StreamEvent> {
  /** The next event, when there is one. */
  read(): StreamEvent | undefined;
  readonly queuedEvents: number;
  readonly droppedSamples: number;
  close(): void;
}

/** Where streams are read; the hub is one. */
export interface StreamSource {
  /** @throws AppError when there is no such stream */
  subscribe(name: string, options: SubscribeOptions): StreamReader;
}

/** One stream's encoder, as the farm sees it. */
export interface Channel {
  readonly state: ChannelState;
  readonly status: ChannelStatus;
  /** Process id of the encoder that runs now. */
  readonly pid: number | undefined;
  /** There is room again: a stream that was refused may have its ladder now. */
  reconsider(): void;
  /** Ends the encoder and waits until it is gone. Idempotent. */
  close(): Promise<void>;
}

/** What a channel asks of the farm it is in. */
export interface ChannelHost {
  /** Chooses a ladder and sets aside what it costs; what the channel had before is given back. */
  plan(channel: Channel, source: LadderSource): LadderPlan;
  /** Gives back what was set aside. */
  release(channel: Channel): void;
  /** The stream is over and all of it was given. */
  done(channel: Channel): void;
}

export interface ChannelDeps extends SessionDeps {
  readonly source: StreamSource;
  readonly host: ChannelHost;
  /** 0 to 1. */
  readonly random: () => number;
  readonly queue: Pick<SubscribeOptions, 'maxQueueBytes' | 'maxQueueSamples'>;
  /** Longest stretch of media one encoder is fed, for tests. */
  readonly maxSessionMs?: number | undefined;
}

/** What the control API shows of a channel's encoder. */
export interface ChannelStatus {
  readonly stream: string;
  readonly state: ChannelState;
  /** Encoded now, best first. */
  readonly rungs: readonly Rung[];
  /** Left out because encoding was too slow. */
  readonly shed: readonly string[];
  readonly restarts: number;
  /** How far the slowest rung is behind the source, milliseconds. */
  readonly lagMs: number;
  /** Why nothing is encoded, or why the last encoder was replaced. */
  readonly lastCode: ErrorCode | undefined;
}
