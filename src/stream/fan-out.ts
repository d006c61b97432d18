import { GopCache, type GopCacheLimits } from './gop-cache.ts';
import type { Sample, StreamSink, TimedEvent, Timeline } from './track.ts';

/** What a subscriber reads, in order. */
export type StreamEvent =
  | { readonly type: 'begin'; readonly timeline: Timeline }
  | { readonly type: 'sample'; readonly sample: Sample }
  | { readonly type: 'away' }
  | { readonly type: 'end' };

export interface SubscribeOptions {
  /** Whether to be given the cached GOPs first. Without it, reading starts at the next key frame. */
  readonly replay: boolean;
  /** What may wait to be read; at either limit the subscriber loses what waits, up to the next key frame. */
  readonly maxQueueBytes: number;
  readonly maxQueueSamples: number;
}

/**
 * One reader of a stream beside its packager. It reads at its own speed, without ever holding up the stream: one that
 * is too slow loses what was queued and everything up to the next key frame, and then goes on at the live edge. The
 * iteration ends after `end`, or when either side closes.
 */
export class Subscription implements AsyncIterable<StreamEvent> {
  readonly #options: SubscribeOptions;
  readonly #onClose: (subscription: Subscription) => void;
  readonly #onDropped: (samples: number) => void;
  #queue: StreamEvent[] = [];
  /** Events before this index of the queue were read. */
  #head = 0;
  #queuedBytes = 0;
  #timeline: Timeline | undefined;
  #awaitsKey = true;
  #droppedSamples = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(
    options: SubscribeOptions,
    onDropped: (samples: number) => void,
    onClose: (subscription: Subscription) => void,
  ) {
    this.#options = options;
    this.#onDropped = onDropped;
    this.#onClose = onClose;
  }

  /** Samples lost because they were not read in time. Samples before the first key frame are not counted. */
  get droppedSamples(): number {
    return this.#droppedSamples;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get queuedEvents(): number {
    return this.#queue.length - this.#head;
  }

  /** The next event, when there is one. */
  read(): StreamEvent | undefined {
    const event = this.#queue[this.#head];
    if (!event) return undefined;
    this.#head++;
    if (this.#head * 2 > this.#queue.length) this.#compact();
    if (event.type === 'sample') this.#queuedBytes -= event.sample.data.length;
    return event;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, undefined> {
    try {
      for (;;) {
        const event = this.read();
        if (event) {
          yield event;
        } else if (this.#closed) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.close();
    }
  }

  /** Stops reading: the queue is let go. Idempotent. */
  close(): void {
    if (this.#queue.length > 0) this.#forget();
    this.finish();
  }

  /** Used by the fan-out: no more will come, what is queued may still be read. */
  finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose(this);
    this.#wakeUp();
  }

  /** Used by the fan-out: a new timeline, whose first video is a key frame. */
  begin(timeline: Timeline): void {
    this.#timeline = timeline;
    this.#awaitsKey = timeline.video !== undefined;
    this.#enqueue({ type: 'begin', timeline });
  }

  /** Used by the fan-out: the stream is away, or over. */
  signal(type: 'away' | 'end'): void {
    this.#enqueue({ type });
  }

  /** Used by the fan-out. */
  sample(sample: Sample): void {
    const timeline = this.#timeline;
    if (!timeline) return;
    if (this.#awaitsKey && !this.#canStartAt(sample, timeline)) {
      if (this.#droppedSamples > 0) this.#countDropped(1);
    } else if (this.#isFullWith(sample)) {
      this.#overflow(sample, timeline);
    } else {
      this.#awaitsKey = false;
      this.#enqueueSample(sample);
    }
  }

  #canStartAt(sample: Sample, timeline: Timeline): boolean {
    return timeline.video ? sample.kind === 'video' && sample.key : true;
  }

  #isFullWith(sample: Sample): boolean {
    return (
      this.queuedEvents >= this.#options.maxQueueSamples ||
      this.#queuedBytes + sample.data.length > this.#options.maxQueueBytes
    );
  }

  /** Lets everything queued go, but says again which timeline it is when that was not read yet. */
  #overflow(sample: Sample, timeline: Timeline): void {
    const unread = this.#queue.slice(this.#head);
    const begin = unread.findLast((event) => event.type === 'begin');
    const lostSamples = unread.filter((event) => event.type === 'sample').length;
    this.#forget();
    if (begin) this.#queue.push(begin);
    this.#awaitsKey = !this.#canStartAt(sample, timeline) || this.#isFullWith(sample);
    this.#countDropped(lostSamples + (this.#awaitsKey ? 1 : 0));
    if (!this.#awaitsKey) this.#enqueueSample(sample);
  }

  #enqueueSample(sample: Sample): void {
    this.#queuedBytes += sample.data.length;
    this.#enqueue({ type: 'sample', sample });
  }

  #countDropped(samples: number): void {
    this.#droppedSamples += samples;
    this.#onDropped(samples);
  }

  /** Signals are few, but a reader that never reads must not gather them for ever either. */
  #enqueue(event: StreamEvent): void {
    if (this.#closed) return;
    if (event.type !== 'sample' && this.queuedEvents >= this.#options.maxQueueSamples) {
      this.#countDropped(this.#queue.slice(this.#head).filter((queued) => queued.type === 'sample').length);
      this.#forget();
    }
    this.#queue.push(event);
    this.#wakeUp();
  }

  #forget(): void {
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
  }

  #compact(): void {
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/**
 * Passes one stream on: to its first sink (the packager), directly, and to any number of subscribers, each through
 * its own bounded queue. Keeps the last GOPs for those who join.
 */
export class FanOut implements StreamSink {
  readonly #cache: GopCache;
  readonly #onDropped: (samples: number) => void;
  readonly #subscriptions = new Set<Subscription>();
  #first: StreamSink | undefined;

  constructor(limits: GopCacheLimits, onDropped: (samples: number) => void) {
    this.#cache = new GopCache(limits);
    this.#onDropped = onDropped;
  }

  /** Sets the first sink, which is called directly; undefined for none. */
  setFirst(sink: StreamSink | undefined): void {
    this.#first = sink;
  }

  get subscribers(): number {
    return this.#subscriptions.size;
  }

  get cachedBytes(): number {
    return this.#cache.sizeBytes;
  }

  /** Whoever subscribes closes, or reads to the end. */
  subscribe(options: SubscribeOptions): Subscription {
    const subscription = new Subscription(options, this.#onDropped, (gone) => {
      this.#subscriptions.delete(gone);
    });
    const timeline = this.#cache.timeline;
    if (timeline) subscription.begin(timeline);
    if (options.replay) for (const sample of this.#cache.samples()) subscription.sample(sample);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  begin(timeline: Timeline): void {
    this.#cache.begin(timeline);
    this.#first?.begin(timeline);
    for (const subscription of this.#subscriptions) subscription.begin(timeline);
  }

  sample(sample: Sample): void {
    this.#cache.add(sample);
    this.#first?.sample(sample);
    for (const subscription of this.#subscriptions) subscription.sample(sample);
  }

  /** Encoders have no use for them: subscribers are not told. */
  event(event: TimedEvent): void {
    this.#first?.event(event);
  }

  away(): void {
    this.#cache.clear();
    this.#first?.away();
    for (const subscription of this.#subscriptions) subscription.signal('away');
  }

  end(): void {
    this.#cache.clear();
    this.#first?.end();
    for (const subscription of this.#subscriptions) subscription.signal('end');
    this.close();
  }

  /** Ends every subscription, without saying that the stream is over. */
  close(): void {
    for (const subscription of this.#subscriptions) subscription.finish();
  }
}
