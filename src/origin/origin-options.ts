import type { MpdOptions } from '../packager/dash/mpd.ts';

/** What an operator may set of the origin. */
export interface OriginOptions {
  /** Requests held per stream (blocking reloads, hinted parts, segments asked for early); more get 503. */
  readonly maxWaiters: number;
  /** Longest hold of a request for a segment that has not begun: covers players whose clock runs ahead. */
  readonly segmentHoldMs: number;
  /** Whether `/` and `/live/streams.json` list the streams that are live. */
  readonly publicIndex: boolean;
  /** What the MPD tells players beyond the media: latency, where our clock is, whether there are patches. */
  readonly mpd: MpdOptions;
}

export const ORIGIN_DEFAULTS: OriginOptions = {
  maxWaiters: 10_000,
  segmentHoldMs: 2_500,
  publicIndex: true,
  // Relative, so that it holds behind any host name and path prefix.
  mpd: { clockUrl: '../../time' },
};

/** A blocking reload or a hinted part is held for at most this many target durations (RFC 8216bis 6.2.5.2). */
export const BLOCK_LIMIT_TARGET_DURATIONS = 3;
