import type { Clock } from '../../base/clock.ts';
import { ERRORS, type ErrorCode, errorCode } from '../../base/errors.ts';
import type { Publisher, PublishRole } from '../../stream/publisher.ts';
import type { PublishTarget } from '../publish-target.ts';
import { ByteMeter } from '../byte-meter.ts';
import type { CloseReason } from './close-reason.ts';
import { CLOSE_REASONS } from './close-reason.ts';
import type { ConnectionEnd, ConnectionOutput, ConnectionStats } from './connection.ts';
import type { OpenFeed, PayloadFeed } from './payload-feed.ts';
import type { ConnectionCounts, SrtMetrics } from './srt-metrics.ts';

export interface PublicationDeps {
  readonly hub: PublishTarget;
  readonly clock: Clock;
  readonly metrics: SrtMetrics;
  readonly openFeed: OpenFeed;
}

export interface PublicationLimits {
  readonly maxBitrateBps: number;
  readonly silenceTimeoutMs: number;
}

export interface PublicationInfo {
  readonly stream: string;
  readonly role: PublishRole;
  readonly session: string;
  readonly remoteAddress: string;
}

/** Why it ended, and words and fields for the log. */
export type PublicationEnd = (reason: CloseReason, fields: Record<string, unknown>) => void;

const HUB_REFUSALS = new Map<ErrorCode, CloseReason>([
  ['STREAM_BUSY', 'stream_busy'],
  ['STREAM_LIMIT', 'stream_limit'],
  ['STREAM_NAME_INVALID', 'stream_invalid'],
  ['STREAM_CLOSING', 'stream_closing'],
]);

const CONNECTION_ENDS: Readonly<Record<ConnectionEnd, CloseReason>> = {
  peer_shutdown: 'unpublished',
  peer_idle: 'peer_idle',
};

/**
 * What one SRT connection publishes: from the hub's yes to its end. It is the output of the connection; whoever makes it
 * gives it ticks and closes the connection when `onEnd` is called, which is once and never during `open`.
 */
export class Publication implements Omit<ConnectionOutput, 'send'> {
  readonly stream: string;
  readonly #deps: PublicationDeps;
  readonly #limits: PublicationLimits;
  readonly #onEnd: PublicationEnd;
  readonly #meter: ByteMeter;
  readonly #publisher: Publisher;
  readonly #feed: PayloadFeed;
  #open = true;
  #mediaMs: number;
  #samples = 0;
  #counted: ConnectionCounts | undefined;

  /** The hub's refusal, or the publication. @throws whatever the hub throws that is no refusal. */
  static open(
    info: PublicationInfo,
    limits: PublicationLimits,
    deps: PublicationDeps,
    onEnd: PublicationEnd,
  ): Publication | CloseReason {
    // The hub never closes a publisher while it makes it.
    let publication: Publication | undefined;
    const onClosed = (code: ErrorCode): void =>
      publication?.close('hub', { code, why: ERRORS[code].meaning });
    let publisher: Publisher;
    try {
      const { session, role, remoteAddress } = info;
      publisher = deps.hub.publish(
        info.stream,
        { protocol: 'srt', role, session, remoteAddress, timescale: 90_000, wrapBits: 33 },
        onClosed,
      );
    } catch (error) {
      const refusal = HUB_REFUSALS.get(errorCode(error));
      if (refusal === undefined) throw error;
      return refusal;
    }
    publication = new Publication(publisher, limits, deps, onEnd);
    return publication;
  }

  private constructor(
    publisher: Publisher,
    limits: PublicationLimits,
    deps: PublicationDeps,
    onEnd: PublicationEnd,
  ) {
    this.stream = publisher.stream;
    this.#deps = deps;
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.#publisher = publisher;
    this.#feed = deps.openFeed(publisher);
    this.#meter = new ByteMeter(limits.maxBitrateBps);
    this.#mediaMs = deps.clock.monotonicMs();
    deps.metrics.publishStarted();
  }

  /** Whether what comes is still published. */
  get open(): boolean {
    return this.#open;
  }

  payload(bytes: Buffer): void {
    if (this.#open) this.#guard(() => this.#feed.push(bytes));
  }

  gap(): void {
    if (this.#open) this.#guard(() => this.#feed.gap());
  }

  ended(end: ConnectionEnd): void {
    if (end === 'peer_shutdown' && this.#open) this.#guard(() => this.#feed.flush());
    this.close(CONNECTION_ENDS[end]);
  }

  /** About once a second: counts what came, and ends a publisher that sends too much, or no media. */
  watch(stats: ConnectionStats): void {
    const newBytes = stats.bytes - (this.#counted?.bytes ?? 0);
    this.count(stats);
    if (!this.#open) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const { samples, unsupported } = this.#feed;
    if (samples > this.#samples) this.#mediaMs = nowMs;
    this.#samples = samples;
    if (!this.#meter.add(newBytes, nowMs)) this.close('bitrate');
    else if (unsupported !== undefined && samples === 0)
      this.close('codec_unsupported', { codec: unsupported });
    else if (nowMs - this.#mediaMs >= this.#limits.silenceTimeoutMs) this.close('silence_timeout');
  }

  /** Adds what is new in the connection's counters to the metrics. */
  count(stats: ConnectionStats): void {
    this.#counted = this.#deps.metrics.connection(stats, this.#counted);
    this.#feed.report();
  }

  /** Idempotent. */
  close(reason: CloseReason, fields: Record<string, unknown> = {}): void {
    if (!this.#open) return;
    this.#open = false;
    this.#deps.metrics.publishEnded();
    if (reason !== 'hub') this.#publisher.close(CLOSE_REASONS[reason]);
    this.#onEnd(reason, fields);
  }

  /** A bug met in one peer's media ends that peer's connection, not everybody's. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.close('internal', { err: error });
    }
  }
}
