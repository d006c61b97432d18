/** Limits and times of the hub; see docs/config.md, `live.*` and `ingest.*`. */
export interface HubOptions {
  /** How long a stream waits for a publisher that went away before it ends. */
  readonly graceMs: number;
  /**
   * What happens to a publisher when another asks for the same stream in the same role: it gives way as soon as the
   * newcomer has sent a picture to begin with, or the newcomer is refused with STREAM_BUSY.
   */
  readonly onSecondPublisher: 'takeover' | 'reject';
  /** Without media for this long, a publisher gives way to one that stands by. */
  readonly failoverMs: number;
  /** How long arrivals are watched to anchor media time to the wall clock. */
  readonly anchorMs: number;
  /** Nominal segment length: the wait for the second key frame is bounded by 1.3 of it. */
  readonly segmentMs: number;
  /** Publishers at one time; one more is refused with STREAM_LIMIT. */
  readonly maxPublishers: number;
  /** A larger picture closes its publisher with STREAM_VIDEO_TOO_LARGE. */
  readonly maxVideoPixels: number;
  /** A publisher with more frames a second is closed with STREAM_FRAME_RATE_TOO_HIGH when the warm-up has counted them. */
  readonly maxFrameRate: number;
  /** A longer GOP is warned about and counted; a publisher without any key frame for twice this long is closed. */
  readonly maxGopMs: number;
  /** Bounds of what a stream keeps for those who join: whole GOPs within all three; with 0 ms it keeps none. */
  readonly gopCacheMs: number;
  readonly gopCacheFrames: number;
  readonly gopCacheBytes: number;
}

export const DEFAULT_HUB_OPTIONS: HubOptions = {
  graceMs: 30_000,
  onSecondPublisher: 'takeover',
  failoverMs: 300,
  anchorMs: 1000,
  segmentMs: 2000,
  maxPublishers: 50,
  maxVideoPixels: 4096 * 2176,
  maxFrameRate: 61,
  maxGopMs: 10_000,
  gopCacheMs: 10_000,
  gopCacheFrames: 600,
  gopCacheBytes: 32 * 1024 * 1024,
};
