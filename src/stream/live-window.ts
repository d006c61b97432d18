import type { TrackProtection } from '../media/protection.ts';
import type { EventKind, Track } from './track.ts';

/**
 * The live window: what the packager writes and the origin and the renderers read. It holds each CMAF chunk once;
 * parts, segments and growing responses are all views of the same chunks. Nothing here knows HLS, DASH or HTTP.
 */

/** One CMAF chunk, `[styp][prft]moof mdat`, complete. Bytes are never written again. */
export interface Chunk {
  readonly bytes: Uint8Array;
  /** Begins with a sync sample. */
  readonly independent: boolean;
}

/** An LL-HLS partial segment: whole chunks `[firstChunk, endChunk)` of its segment. */
export interface Part {
  readonly index: number;
  readonly firstChunk: number;
  readonly endChunk: number;
  readonly durationTicks: number;
  readonly sizeBytes: number;
  /** Holds a chunk that begins with an IDR (always true for audio). */
  readonly independent: boolean;
}

/** `open`: growing at the live edge. `closed`: complete. `gap`: stands for an outage, has no media. */
export type SegmentState = 'open' | 'closed' | 'gap';

/** One segment of one rendition. Only its packager changes it, and only while it is open. */
export interface Segment {
  /** Media sequence number = DASH $Number$; the same in every rendition of the stream. */
  readonly number: number;
  readonly period: Period;
  /** tfdt of the first chunk, ticks of the rendition's timescale since the Unix epoch. */
  readonly startTicks: number;
  /** Real duration once closed (next segment's start minus this one's); of a gap, its nominal duration. */
  readonly durationTicks: number;
  readonly state: SegmentState;
  /** First segment of a period whose media does not continue the one before. */
  readonly discontinuity: boolean;
  /**
   * Where its media is: `memory`: in its chunks. `archive`: only in storage, and there are neither chunks nor parts any
   * more. `lost`: it left the memory and could not be stored, so that it is listed as a gap.
   */
  readonly place: 'memory' | 'archive' | 'lost';
  /** Every chunk that is complete so far, while its place is the memory. */
  readonly chunks: readonly Chunk[];
  readonly parts: readonly Part[];
  readonly sizeBytes: number;
  /** Starts with a sync sample. */
  readonly independent: boolean;
  /**
   * The next key frame is foretold right behind the last part: what comes next is the first part of the next
   * segment. A forecast: should the source break its cadence, further parts may follow all the same.
   */
  readonly partsForetold: boolean;
  /**
   * Its media ended long before it did, while the lead's went on: the track stopped. It lasts as long as in every other
   * rendition, which is more than it holds.
   */
  readonly brokenOff?: boolean | undefined;
}

/** A stretch with one set of tracks and one segment grid: a DASH Period; in HLS a DISCONTINUITY when it is one. */
export interface Period {
  /** URL-safe, unique for the life of the stream across restarts; the generation in every media URL. */
  readonly id: string;
  /** Presentation time of the first sample, ms since the Unix epoch (fractional): Period@start with AST = 1970. */
  readonly startMs: number;
  /** $Number$ of the first segment. */
  readonly startNumber: number;
  /** Nominal segment duration, milliseconds, exact as a ratio of ticks/timescale of the lead track. */
  readonly segmentTicks: number;
  /** Timescale of {@link segmentTicks}: the lead track's. */
  readonly segmentTimescale: number;
  /** The period before, when media runs on from it without a gap; what both have is the same in both. */
  readonly continues: string | undefined;
  /** The lead track: its frames decide where segments are cut. The source's video, or its audio when alone. */
  readonly lead: Track;
  /** What each rendition that has media here carries, by rendition id. Of one that is not in it there are only gaps. */
  readonly tracks: ReadonlyMap<string, Track>;
  /** Initialization segment of each of them (ftyp + moov). */
  readonly inits: ReadonlyMap<string, Uint8Array>;
  /** How those that are encrypted are; all with keys of one crypto period. */
  readonly protections: ReadonlyMap<string, TrackProtection>;
  /** It continues a period with other keys, so that not even the same track has the same initialization segment. */
  readonly rekeyed: boolean;
}

/** A list of segments with the same track: HLS rendition = DASH Representation. */
export interface Rendition {
  /** URL-safe: `video` or `audio` of the source; of an encoded rung its name, e.g. `480p`. */
  readonly id: string;
  readonly kind: 'video' | 'audio';
  readonly timescale: number;
  /** Contiguous by number, oldest first; the last may be open. Holds more than is listed (see firstListed). */
  readonly segments: readonly Segment[];
  /**
   * Numbers of those with media that does not begin with a sync sample, oldest first, an open one with them; undefined:
   * there are none. So that nobody needs to look at a day of segments for it.
   */
  readonly dependent?: readonly number[] | undefined;
  /** Number of the oldest segment that playlists list; older ones only stay downloadable. */
  readonly firstListed: number;
  /** EXT-X-DISCONTINUITY-SEQUENCE: discontinuities that left the list, counted over the stream's life. */
  readonly discontinuitySequence: number;
  /** Highest bit rate of any listed closed segment, and the mean over them; bits a second. */
  readonly peakBps: number;
  readonly averageBps: number;
}

/** A break in the programme, or another message to those who splice (ANSI/SCTE 35). Times are 90 kHz ticks. */
export interface Splice {
  /** Unique for the life of the stream. */
  readonly id: string;
  /** Counts the stream's splices. */
  readonly number: number;
  /** splice_event_id or segmentation_event_id; encoders use them again. */
  readonly eventId: number;
  /** Presentation time since the Unix epoch. */
  readonly atTicks: number;
  /** How long the break is to be, when that was announced. */
  readonly plannedTicks: number | undefined;
  /** How long it was; known once it is over. */
  readonly durationTicks: number | undefined;
  /** The splice_info_sections that begin a break, end one, or say something else; at least one is there. */
  readonly out: Uint8Array | undefined;
  readonly in: Uint8Array | undefined;
  readonly cmd: Uint8Array | undefined;
}

/** Fixed for the life of the stream from its first publish (Apple: none of these may ever change). */
export interface SegmentPlan {
  /** Longest possible part, seconds, as advertised in PART-TARGET: a multiple of 1 ms. */
  readonly partTargetSeconds: number;
  /** EXT-X-TARGETDURATION, whole seconds. */
  readonly targetDurationSeconds: number;
  /** Frames of video (or audio, when there is no video) in one chunk. */
  readonly chunkFrames: number;
  /** Nominal duration of one chunk of the first timeline, seconds; later periods may differ. */
  readonly chunkSeconds: number;
  readonly partHoldBackSeconds: number;
  readonly canSkipUntilSeconds: number;
  /** Time-shift window that playlists list, seconds. */
  readonly windowSeconds: number;
}

/** `live`: being published. `away`: publisher gone, may return within the grace time. `ended`: over (ENDLIST). */
export type LiveState = 'live' | 'away' | 'ended';

/** What a change in the window was, for those who wait on it. */
export type WindowChange =
  | { readonly kind: 'chunk'; readonly rendition: string; readonly segment: Segment }
  | { readonly kind: 'part'; readonly rendition: string; readonly segment: Segment; readonly part: Part }
  | { readonly kind: 'segment'; readonly rendition: string; readonly segment: Segment }
  | { readonly kind: 'period'; readonly period: Period }
  | { readonly kind: 'state'; readonly state: LiveState };

/** Read side of one stream's live window. Everything read between two awaits is one consistent snapshot. */
export interface LiveWindow {
  readonly stream: string;
  readonly plan: SegmentPlan;
  readonly state: LiveState;
  /** Oldest first; at least one. The last is the current one. */
  readonly periods: readonly Period[];
  /**
   * The period that will begin next, continuing the last, when that is known ahead (a change of keys): DASH players learn
   * of it before they need it. A forecast: should the source break its cadence, it is withdrawn and another begins.
   */
  readonly upcoming: Period | undefined;
  /** Video first, the source's before the encoded rungs. */
  readonly renditions: readonly Rendition[];
  /** Those that are listed or still to come, in the order in which they were announced. */
  readonly splices: readonly Splice[];
  /** What kinds of events the chunks of the stream carry, or once carried. */
  readonly inbandEvents: ReadonlySet<EventKind>;
  /** Grows with every change of what playlists or the MPD say. */
  readonly version: number;
  /** Wall-clock ms at which the MPD's own content last changed (a period, a rendition, the end). */
  readonly mpdChangedMs: number;
  /** True once at least one segment of every rendition is complete: nothing is served before. */
  readonly published: boolean;
  /** Calls back after each change is complete and readable. Returns the unsubscribe function. */
  subscribe(listener: (change: WindowChange) => void): () => void;
}
