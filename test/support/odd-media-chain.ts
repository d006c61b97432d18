import type { Timer } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { ORIGIN_DEFAULTS } from '../../src/origin/origin-options.ts';
import { Origin } from '../../src/origin/origin.ts';
import { PackagerDirectory } from '../../src/packager/packager-directory.ts';
import { PackagerMetrics } from '../../src/packager/packager-metrics.ts';
import { DEFAULT_PACKAGER_OPTIONS } from '../../src/packager/stream-packager.ts';
import { StreamHub } from '../../src/stream/hub.ts';
import { DEFAULT_HUB_OPTIONS, type HubOptions } from '../../src/stream/hub-options.ts';
import type { LiveWindow } from '../../src/stream/live-window.ts';
import type { Publisher, PublisherInfo } from '../../src/stream/publisher.ts';
import { FakeClock } from './fake-clock.ts';
import { exchange } from './fake-exchange.ts';
import { createMemoryLog } from './memory-log.ts';
import { isHeader, type OddTag } from './odd-media.ts';
import { openMediaFeed } from './odd-media-feed.ts';
import { type Backend, FAKE_ORIGIN, withEntries } from './presentation.ts';
import { EPOCH_MS } from './sample-source.ts';

const STREAM = 'cam';

const INFO: PublisherInfo = {
  protocol: 'rtmp',
  role: 'primary',
  session: 'session-1',
  remoteAddress: '127.0.0.1:50000',
  timescale: 1000,
  wrapBits: 32,
};

/** Something that happened to the stream's publisher. */
export interface Closing {
  readonly atMs: number;
  readonly reason: ErrorCode | 'malformed' | 'unsupported';
}

/** Sends one thing at its time. */
export interface Delivery {
  /** Milliseconds from the start. */
  readonly atMs: number;
  deliver(): void;
}

/** Everything from the RTMP message to the HTTP answer, wired as the server wires it, on a clock of its own. */
export class OddMediaChain implements Backend {
  readonly clock = new FakeClock(EPOCH_MS + 137);
  readonly folder = `${FAKE_ORIGIN}/live/${STREAM}/`;
  readonly metrics = new Metrics();
  readonly log = createMemoryLog();
  readonly hub: StreamHub;
  readonly closings: Closing[] = [];
  /** When viewers could first see something, milliseconds from the start. */
  publishedAtMs: number | undefined;
  readonly #directory: PackagerDirectory;
  readonly #origin: Origin;
  readonly #turns: (() => void)[] = [];
  readonly #startMs: number;
  readonly #due = new Set<Timer>();

  /** @param onStream runs when the stream is first live, before its first sample is given to anybody */
  constructor(options: Partial<HubOptions> = {}, onStream: (stream: string) => void = () => {}) {
    const { clock, log, metrics } = this;
    this.#startMs = clock.monotonicMs();
    const journal = { load: () => undefined, save: () => undefined };
    this.#directory = new PackagerDirectory(DEFAULT_PACKAGER_OPTIONS, {
      clock,
      log,
      metrics: new PackagerMetrics(metrics),
      journal,
    });
    this.hub = new StreamHub(
      { ...DEFAULT_HUB_OPTIONS, ...options },
      {
        clock,
        log,
        metrics,
        createSink: (stream) => {
          onStream(stream);
          return this.#directory.createSink(stream);
        },
      },
    );
    this.#origin = new Origin(ORIGIN_DEFAULTS, {
      directory: this.#directory,
      liveStreams: () => [STREAM],
      isKnown: () => true,
      clock,
      log,
      metrics: new Metrics(),
      pages: new Map(),
      yieldTurn: (turn) => void this.#turns.push(turn),
    });
  }

  /** Milliseconds since the start. */
  get nowMs(): number {
    return this.clock.monotonicMs() - this.#startMs;
  }

  get window(): LiveWindow {
    const window = this.#directory.window(STREAM);
    if (!window) throw new Error('the stream never came to a window');
    return window;
  }

  /** False as long as nobody can watch. */
  get published(): boolean {
    return this.#directory.window(STREAM)?.published ?? false;
  }

  publish(info: Partial<PublisherInfo> = {}): Publisher {
    return this.hub.publish(STREAM, { ...INFO, ...info }, (reason) =>
      this.closings.push({ atMs: this.nowMs, reason }),
    );
  }

  /**
   * Sends tags as their times say, from now on. A publisher that is closed for what it sent comes back half a second
   * later, as encoders do, headers first.
   */
  playTags(tags: readonly OddTag[]): { close(): void } {
    const startMs = this.nowMs;
    const headers = tags.filter(isHeader);
    let broadcast = new RtmpFeed(this);
    this.#deliver(
      tags.map((tag) => ({
        atMs: startMs + tag.atMs,
        deliver: () => {
          if (broadcast.closed) {
            if (this.nowMs - broadcast.closedAtMs < 500) return;
            broadcast = new RtmpFeed(this);
            for (const header of headers) broadcast.send({ ...header, timestampMs: tag.timestampMs });
          }
          broadcast.send(tag);
        },
      })),
    );
    return { close: () => broadcast.close() };
  }

  /** Delivers each at its time; those of one moment in the order given. */
  #deliver(deliveries: readonly Delivery[], from = 0): void {
    const first = deliveries[from];
    if (!first) return;
    const timer = this.clock.after(Math.max(0, first.atMs - this.nowMs), () => {
      this.#due.delete(timer);
      let next = from;
      for (let one = deliveries[next]; one && one.atMs <= this.nowMs; one = deliveries[next]) {
        one.deliver();
        next++;
      }
      this.#look();
      this.#deliver(deliveries, next);
    });
    this.#due.add(timer);
  }

  /** Moves time on to so many milliseconds from the start. */
  runTo(ms: number): void {
    this.clock.advance(Math.max(0, ms - this.nowMs));
  }

  request(url: string, headers: Readonly<Record<string, string>>): ReturnType<Backend['request']> {
    const { pathname, search } = new URL(url);
    const response = exchange(this.#origin.handler, pathname + search, { headers });
    this.tick();
    return withEntries(response);
  }

  tick(): void {
    for (let turn = this.#turns.shift(); turn; turn = this.#turns.shift()) turn();
  }

  /** The value of a metric, added up over the label sets that match. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric(`headwater_${name}`)?.get();
    if (!metric) throw new Error(`no metric ${name}`);
    return metric.values
      .filter((value) => Object.entries(labels).every(([key, wanted]) => value.labels[key] === wanted))
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** Stops everything; gives the timers that nobody cancelled. */
  close(): number {
    for (const timer of this.#due) timer.cancel();
    this.hub.close();
    this.#origin.close();
    this.#directory.close();
    return this.clock.pendingTimers;
  }

  #look(): void {
    if (this.publishedAtMs === undefined && this.published) this.publishedAtMs = this.nowMs;
  }
}

/** One RTMP publisher's media, as its session feeds it. */
class RtmpFeed {
  readonly #chain: OddMediaChain;
  readonly #publisher: Publisher;
  readonly #feed: ReturnType<typeof openMediaFeed>;
  readonly #closingsBefore: number;

  constructor(chain: OddMediaChain) {
    this.#chain = chain;
    this.#closingsBefore = chain.closings.length;
    this.#publisher = chain.publish();
    this.#feed = openMediaFeed(this.#publisher);
  }

  get closed(): boolean {
    return this.#chain.closings.length > this.#closingsBefore;
  }

  get closedAtMs(): number {
    return this.#chain.closings.at(-1)?.atMs ?? 0;
  }

  close(): void {
    this.#publisher.close('unpublished');
  }

  send(tag: OddTag): void {
    if (this.closed || tag.kind === 'script') return;
    const fed = this.#feed(tag.kind, tag.timestampMs, tag.body);
    if (fed.kind !== 'malformed' && fed.kind !== 'unsupported') return;
    this.#publisher.close('error');
    this.#chain.closings.push({ atMs: this.#chain.nowMs, reason: fed.kind });
  }
}
