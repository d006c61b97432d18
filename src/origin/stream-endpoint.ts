import type { Clock } from '../base/clock.ts';
import type { HttpResponse } from '../http/types.ts';
import { MpdHistory } from '../packager/dash/mpd-history.ts';
import { PlaylistHistory } from '../packager/hls/playlist-history.ts';
import type { LiveWindow, Segment } from '../stream/live-window.ts';
import type { PartOutcome, SegmentOutcome } from './media-decision.ts';
import type { HoldKind, OriginMetrics } from './origin-metrics.ts';
import { BLOCK_LIMIT_TARGET_DURATIONS, type OriginOptions } from './origin-options.ts';
import type { Releaser, YieldTurn } from './releaser.ts';
import { type ReaderCount, SegmentStreamer } from './segment-streamer.ts';
import { TextCache } from './text-cache.ts';
import { type HoldObserver, WaitRoom, type WaitRoomDeps } from './wait-room.ts';

interface StreamEndpointDeps {
  readonly clock: Clock;
  readonly releaser: Releaser;
  readonly yieldTurn: YieldTurn;
  readonly metrics: OriginMetrics;
  /** Readers of growing segments, of all streams together. */
  readonly count: ReaderCount;
  readonly fail: (response: HttpResponse, error: unknown) => void;
}

/**
 * What the origin keeps for one live window: rendered texts, held requests, and senders of growing segments. It
 * looks at the window once per turn of the event loop in which the window changed, whatever the number of changes,
 * so that ingest never waits for viewers.
 */
export class StreamEndpoint {
  readonly window: LiveWindow;
  readonly texts: TextCache;
  readonly mpd: MpdHistory;
  readonly playlists: WaitRoom<'listed'>;
  readonly parts: WaitRoom<PartOutcome>;
  readonly segments: WaitRoom<SegmentOutcome>;
  readonly #deps: StreamEndpointDeps;
  readonly #histories = new Map<string, PlaylistHistory>();
  readonly #streamers = new Map<Segment, SegmentStreamer>();
  readonly #unsubscribe: () => void;
  #turnAsked = false;
  #closed = false;

  constructor(window: LiveWindow, options: OriginOptions, deps: StreamEndpointDeps) {
    this.window = window;
    this.#deps = deps;
    this.texts = new TextCache(deps.metrics.renders);
    this.mpd = new MpdHistory(options.mpd);
    const places = { left: options.maxWaiters };
    const blockLimitMs = BLOCK_LIMIT_TARGET_DURATIONS * window.plan.targetDurationSeconds * 1000;
    const roomDeps = (kind: HoldKind): WaitRoomDeps => ({
      ...deps,
      observer: observeHolds(kind, deps.metrics),
    });
    this.playlists = new WaitRoom(blockLimitMs, places, roomDeps('playlist'));
    this.parts = new WaitRoom(blockLimitMs, places, roomDeps('part'));
    this.segments = new WaitRoom(options.segmentHoldMs, places, roomDeps('segment'));
    this.#unsubscribe = window.subscribe(() => this.#changed());
  }

  /** What is known of the oldest part of a media playlist, by its rendition and key format. */
  history(name: string): PlaylistHistory {
    const known = this.#histories.get(name);
    if (known) return known;
    const history = new PlaylistHistory();
    this.#histories.set(name, history);
    return history;
  }

  /** The one sender of an open segment. */
  streamer(segment: Segment): SegmentStreamer {
    const known = this.#streamers.get(segment);
    if (known) return known;
    const streamer = new SegmentStreamer(segment, this.#deps);
    this.#streamers.set(segment, streamer);
    return streamer;
  }

  /** Answers a request that we could not serve through a fault of ours. */
  fail(response: HttpResponse, error: unknown): void {
    this.#deps.fail(response, error);
  }

  /** Lets everyone who is held go with an error, and sends no more of growing segments. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe();
    for (const room of [this.playlists, this.parts, this.segments]) room.expireAll();
    for (const streamer of this.#streamers.values()) streamer.close();
    this.#streamers.clear();
  }

  #changed(): void {
    if (this.#turnAsked) return;
    this.#turnAsked = true;
    this.#deps.yieldTurn(() => {
      this.#turnAsked = false;
      if (!this.#closed) this.#catchUp();
    });
  }

  #catchUp(): void {
    for (const [segment, streamer] of this.#streamers) {
      streamer.changed();
      if (streamer.finished) this.#streamers.delete(segment);
    }
    for (const room of [this.segments, this.parts, this.playlists]) room.recheck();
  }
}

function observeHolds(kind: HoldKind, metrics: OriginMetrics): HoldObserver {
  const waiters = metrics.waiters.labels(kind);
  const blocked = metrics.blockedSeconds.labels(kind);
  const expired = metrics.holdsExpired.labels(kind);
  const abandoned = metrics.holdsAbandoned.labels(kind);
  return {
    held: () => waiters.inc(),
    left(seconds) {
      waiters.dec();
      if (seconds === undefined) abandoned.inc();
      else blocked.observe(seconds);
    },
    expired: () => expired.inc(),
  };
}
