import type { Clock } from '../base/clock.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { SubscribeOptions, Subscription } from './fan-out.ts';
import type { HubOptions } from './hub-options.ts';
import { LiveStream, type StreamSinks } from './live-stream.ts';
import type { Publisher, PublisherInfo } from './publisher.ts';
import { StreamMetrics } from './stream-metrics.ts';
import type { StreamSnapshot } from './stream-snapshot.ts';
import { isStreamName } from './stream-name.ts';

export interface HubDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /**
   * Makes a stream's first sink (its packager) when its first timeline begins. It is kept until its `end()`; the
   * next publish after that gets a fresh one. `ownRungs`: the publisher makes the rungs of the ladder itself.
   */
  readonly createSink: (stream: string, ownRungs: boolean) => StreamSinks;
}

/** Streams that ended are listed until so many others ended after them. */
const MAX_IDLE_STREAMS = 100;

/** The meeting place of publishers and sinks: every stream by its name. */
export class StreamHub {
  readonly #options: HubOptions;
  readonly #deps: HubDeps;
  readonly #metrics: StreamMetrics;
  readonly #streams = new Map<string, LiveStream>();
  #closed = false;

  constructor(options: HubOptions, deps: HubDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#metrics = new StreamMetrics(deps.metrics);
  }

  /**
   * Begins publishing. `onClosed` runs when the hub closes the publisher, with the reason, never during this call;
   * after it, or after the publisher's own `close()`, its other calls do nothing.
   * @throws AppError STREAM_NAME_INVALID, STREAM_BUSY, STREAM_LIMIT, STREAM_CLOSING
   */
  publish(stream: string, info: PublisherInfo, onClosed: (code: ErrorCode) => void): Publisher {
    try {
      this.#admit(stream);
      const session = this.#stream(stream).publish(info, onClosed);
      this.#countPublishers();
      return session;
    } catch (error) {
      if (error instanceof AppError) this.#metrics.publishRefused(error.code);
      throw error;
    }
  }

  /** Every stream that is published, away or lately ended; a consistent snapshot. */
  streams(): StreamSnapshot[] {
    return [...this.#streams.values()].map((stream) => stream.snapshot());
  }

  /** Undefined when the stream is not known. */
  stream(name: string): StreamSnapshot | undefined {
    return this.#streams.get(name)?.snapshot();
  }

  /**
   * Disconnects a stream's publishers. The stream is then away, as after any other loss.
   * @throws AppError STREAM_NOT_FOUND, STREAM_OFFLINE when nobody is publishing it
   */
  kick(name: string): void {
    const stream = this.#streams.get(name);
    if (!stream) throw new AppError('STREAM_NOT_FOUND');
    if (!stream.kick('STREAM_KICKED')) throw new AppError('STREAM_OFFLINE');
  }

  /**
   * A further reader of a stream beside its first sink; see {@link Subscription}. Whoever subscribes closes.
   * @throws AppError STREAM_NOT_FOUND
   */
  subscribe(name: string, options: SubscribeOptions): Subscription {
    const stream = this.#streams.get(name);
    if (!stream) throw new AppError('STREAM_NOT_FOUND');
    return stream.subscribe(options);
  }

  /** Stops: publishers are closed, sinks are told `away` but not `end`, so that a restart goes on. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.close();
    this.#countPublishers();
  }

  #admit(name: string): void {
    if (this.#closed) throw new AppError('STREAM_CLOSING');
    if (!isStreamName(name)) throw new AppError('STREAM_NAME_INVALID');
    // Somebody who takes over does not add to them for long.
    const joins = (this.#streams.get(name)?.sessions.length ?? 0) > 0;
    if (!joins && this.#publishers() >= this.#options.maxPublishers) throw new AppError('STREAM_LIMIT');
  }

  #stream(name: string): LiveStream {
    const known = this.#streams.get(name);
    if (known) return known;
    const stream = new LiveStream(name, this.#options, {
      clock: this.#deps.clock,
      log: this.#deps.log,
      metrics: this.#metrics,
      createSink: this.#deps.createSink,
      onIdle: () => this.#becameIdle(name),
      onDrift: () => this.#showDrift(),
      onPublisherGone: () => this.#countPublishers(),
    });
    this.#streams.set(name, stream);
    return stream;
  }

  #publishers(): number {
    let count = 0;
    for (const { sessions } of this.#streams.values()) count += sessions.length;
    return count;
  }

  #countPublishers(): void {
    this.#metrics.publishers.set(this.#publishers());
  }

  #showDrift(): void {
    let worstMs = 0;
    for (const { driftMs } of this.#streams.values()) {
      if (Math.abs(driftMs) > Math.abs(worstMs)) worstMs = driftMs;
    }
    this.#metrics.clockDriftMs.set(worstMs);
  }

  /** Moves the stream to the young end of the map, and forgets the longest idle ones over the limit. */
  #becameIdle(name: string): void {
    const stream = this.#streams.get(name);
    if (!stream) return;
    this.#streams.delete(name);
    if (stream.state !== 'offline') this.#streams.set(name, stream);
    const idle = [...this.#streams].filter(([, { state }]) => state === 'ended');
    for (const [old] of idle.slice(0, Math.max(0, idle.length - MAX_IDLE_STREAMS))) this.#streams.delete(old);
  }
}
