import { addressGroup } from '../../base/address-group.ts';
import { type Clock, every, type Timer } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import { headerBlock } from '../../http/header-block.ts';
import { sharedBytes } from '../../http/shared-bytes.ts';
import type { HttpResponse } from '../../http/types.ts';
import type { PubSub } from '../../state/pub-sub.ts';
import type { ResumeStore } from '../../state/resume-store.ts';
import type { SessionStore } from '../../state/session-store.ts';
import { licenseHeaders } from '../license-problem.ts';
import { EventClient } from './event-client.ts';
import { PING, retryText } from './event-text.ts';
import type { ResumeMetrics, StreamCut } from './resume-metrics.ts';
import { Turns } from './turns.ts';
import { ViewerFeed } from './viewer-feed.ts';
import type { ViewerNotices } from './viewer-notices.ts';

export interface EventHubOptions {
  readonly maxStreams: number;
  readonly maxStreamsPerViewer: number;
  /** Of one address (one /64 of IPv6). */
  readonly maxStreamsPerAddress: number;
  /** A client that so much waits for does not read: it is let go. */
  readonly maxStreamBacklogBytes: number;
}

export interface EventHubDeps {
  readonly store: ResumeStore;
  readonly sessions: SessionStore;
  readonly pubSub: PubSub;
  readonly notices: ViewerNotices;
  readonly clock: Clock;
  readonly metrics: ResumeMetrics;
}

/** A device that wants to listen. */
export interface EventAsk {
  readonly viewer: string;
  readonly profile: string;
  /** Version that it has seen up to; 0: nothing. */
  readonly after: number;
  readonly address: string;
  /** Ms since the Unix epoch: the stream ends then. */
  readonly untilMs: number;
}

/** Each device hears something so often, … */
const PING_MS = 15_000;
/** … some of them at each of these steps: ten thousand writes at once would hold everything up. */
const PING_STEP_MS = 1_000;
const PING_STEPS = PING_MS / PING_STEP_MS;
const RETRY_MS = 2_000;
/** Users whose state is read at once. */
const MAX_SYNCS = 64;

const STREAM_HEADERS = headerBlock([
  ...licenseHeaders('text/event-stream').entries,
  // nginx would hold events back until its buffer is full.
  ['X-Accel-Buffering', 'no'],
]);

/** Who listens to events here: within limits, kept awake, and compared with the state after a gap. */
export class EventHub {
  readonly #options: EventHubOptions;
  readonly #deps: EventHubDeps;
  readonly #feeds = new Map<string, ViewerFeed>();
  readonly #byAddress = new Map<string, number>();
  readonly #turns = new Turns(MAX_SYNCS);
  readonly #ping: Timer;
  readonly #unwatch: () => void;
  #count = 0;
  /** Steps since the beginning. */
  #step = 0;
  /** Streams since the beginning. */
  #opened = 0;
  #closed = false;

  constructor(options: EventHubOptions, deps: EventHubDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#ping = every(deps.clock, PING_STEP_MS, () => this.#look());
    this.#unwatch = deps.pubSub.onGap(() => this.#gap());
  }

  /** Streams that are open. */
  get size(): number {
    return this.#count;
  }

  /**
   * Answers with a stream of events, until the device leaves, its token runs out or it does not read.
   * @throws AppError RESUME_STREAMS_FULL, PUBSUB_UNAVAILABLE; nothing has been answered then
   */
  async open(ask: EventAsk, response: HttpResponse): Promise<void> {
    const group = addressGroup(ask.address);
    const feed = this.#admit(ask.viewer, group);
    try {
      await feed.listening();
    } catch (error) {
      this.#release(ask.viewer, feed, group);
      throw error;
    }
    if (response.aborted || this.#closed) return this.#release(ask.viewer, feed, group);
    const client = new EventClient(response.open(200, STREAM_HEADERS), {
      profile: ask.profile,
      after: ask.after,
      addressGroup: group,
      untilMs: ask.untilMs,
      turn: this.#opened++ % PING_STEPS,
      maxBacklogBytes: this.#options.maxStreamBacklogBytes,
    });
    client.write(sharedBytes(Buffer.from(retryText(RETRY_MS))));
    feed.join(client);
    response.onAbort(() => this.#leave(ask.viewer, feed, client));
  }

  /** Ends all streams. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ping.cancel();
    this.#unwatch();
    for (const [viewer, feed] of this.#feeds) {
      for (const client of feed.clients) this.#end(viewer, feed, client, 'closing');
    }
    for (const feed of this.#feeds.values()) feed.close();
    this.#feeds.clear();
  }

  /** Counted at once, so that a hundred that come together are not all let in. */
  #admit(viewer: string, group: string): ViewerFeed {
    const { maxStreams, maxStreamsPerViewer, maxStreamsPerAddress } = this.#options;
    const ofAddress = this.#byAddress.get(group) ?? 0;
    const known = this.#feeds.get(viewer);
    if (
      this.#closed ||
      this.#count >= maxStreams ||
      ofAddress >= maxStreamsPerAddress ||
      (known?.holders ?? 0) >= maxStreamsPerViewer
    ) {
      throw new AppError('RESUME_STREAMS_FULL');
    }
    const feed = known ?? this.#newFeed(viewer);
    feed.holders += 1;
    this.#byAddress.set(group, ofAddress + 1);
    this.#count += 1;
    this.#deps.metrics.streams.set(this.#count);
    return feed;
  }

  #newFeed(viewer: string): ViewerFeed {
    const feed: ViewerFeed = new ViewerFeed(viewer, {
      ...this.#deps,
      turns: this.#turns,
      onBehind: (client) => this.#end(viewer, feed, client, 'backlog'),
    });
    this.#feeds.set(viewer, feed);
    return feed;
  }

  #end(viewer: string, feed: ViewerFeed, client: EventClient, reason: StreamCut): void {
    if (!feed.clients.has(client)) return;
    this.#deps.metrics.cuts.inc({ reason });
    client.end();
    this.#leave(viewer, feed, client);
  }

  #leave(viewer: string, feed: ViewerFeed, client: EventClient): void {
    if (feed.clients.delete(client)) this.#release(viewer, feed, client.addressGroup);
  }

  #release(viewer: string, feed: ViewerFeed, group: string): void {
    feed.holders -= 1;
    const ofAddress = (this.#byAddress.get(group) ?? 1) - 1;
    if (ofAddress > 0) this.#byAddress.set(group, ofAddress);
    else this.#byAddress.delete(group);
    this.#count -= 1;
    this.#deps.metrics.streams.set(this.#count);
    if (feed.holders > 0) return;
    feed.close();
    if (this.#feeds.get(viewer) === feed) this.#feeds.delete(viewer);
  }

  /** Lets go whose time is over or who does not read, and keeps some of the others awake. */
  #look(): void {
    const turn = this.#step++ % PING_STEPS;
    const nowMs = this.#deps.clock.wallMs();
    const ping = sharedBytes(Buffer.from(PING));
    for (const [viewer, feed] of [...this.#feeds]) {
      for (const client of [...feed.clients]) {
        if (client.untilMs <= nowMs) this.#end(viewer, feed, client, 'token');
        else if (client.isBehind) this.#end(viewer, feed, client, 'backlog');
        else if (client.turn === turn) client.write(ping);
      }
    }
  }

  #gap(): void {
    this.#deps.metrics.gaps.inc();
    for (const feed of this.#feeds.values()) feed.compareAll();
  }
}
