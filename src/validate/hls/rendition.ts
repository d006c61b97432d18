import type { WatchedRendition } from '../contracts.ts';
import type { FetchResult } from '../fetcher.ts';
import type { MediaPlaylist } from './playlist.ts';

/** What the multivariant playlist says of a media playlist. */
export interface RenditionRole {
  /** URL of the playlist; the rendition's identity. */
  readonly url: string;
  readonly kind: WatchedRendition['kind'];
  /** Codecs of every variant that plays it; undefined when none are declared. */
  readonly codecs: readonly string[] | undefined;
  /** RESOLUTION of its variant. */
  readonly height: number | undefined;
  readonly iFrames: boolean;
  /** The multivariant playlist promises EXT-X-INDEPENDENT-SEGMENTS; undefined when there is none to promise. */
  readonly independentSegments: boolean | undefined;
}

/** One text of a rendition's playlist, and when it came. Times are of the monotonic clock. */
export interface Snapshot {
  readonly playlist: MediaPlaylist;
  readonly result: FetchResult;
  readonly startedMs: number;
  readonly endedMs: number;
}

/** Bytes and time of one segment that was fetched. */
export interface SegmentRate {
  readonly msn: number;
  readonly seconds: number;
  readonly bytes: number;
}
