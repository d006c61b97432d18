import type { Period, Rendition, Segment } from './live-window.ts';
import type { TrackKind } from './track.ts';

/**
 * What lies behind the memory window of live streams: whole segments where titles are kept, listed as before and served
 * under the same URLs. The packager writes it, the origin reads it, recordings are made of it.
 */

/** One segment, without its bytes. */
export interface ArchivedSegment {
  /** As in the window; contiguous in a rendition. */
  readonly number: number;
  readonly periodId: string;
  /** Ticks of the rendition since the Unix epoch. */
  readonly startTicks: number;
  readonly durationTicks: number;
  readonly discontinuity: boolean;
  readonly independent: boolean;
  /** See {@link Segment.brokenOff}. */
  readonly brokenOff: boolean;
  /** `kept`: it is in the store. `gap`: it never had media. `lost`: it had, and could not be stored. */
  readonly state: 'kept' | 'gap' | 'lost';
  readonly sizeBytes: number;
  /** Its first chunk, when that is its key frame and nothing else; 0: it is not. */
  readonly keyFrameBytes: number;
}

export interface ArchivedRendition {
  readonly id: string;
  readonly kind: TrackKind;
  readonly timescale: number;
  /** Contiguous, oldest first; none is being stored still. */
  readonly segments: readonly ArchivedSegment[];
}

/** A run of numbers of one stream. Every rendition has the same ones: where it had no media they are gaps. */
export interface ArchivedStretch {
  readonly stream: string;
  /** EXT-X-TARGETDURATION under which it was listed. */
  readonly targetDurationSeconds: number;
  /** EXT-X-DISCONTINUITY-SEQUENCE of its first segment. */
  readonly discontinuitySequence: number;
  /** Those that its segments belong to, oldest first. */
  readonly periods: readonly Period[];
  /** Video first, as in the window. */
  readonly renditions: readonly ArchivedRendition[];
}

/** The archive as the packager sees it. It is open before anything is published; none of its calls waits or throws. */
export interface LiveArchive {
  /** For a stream that is to be packaged. One at a time for each stream: the one before must be closed. */
  open(stream: string): StreamArchive;
}

/** What one packager has of it. */
export interface StreamArchive {
  /** What is still within the window from before, for the list to go on behind it; undefined: nothing. */
  past(): ArchivedStretch | undefined;
  /** Said once, before the first segment, and again whenever it is another. */
  describe(facts: { readonly targetDurationSeconds: number }): void;
  /**
   * A segment is complete, or a gap, or, `lost`, has left the memory before it could be stored. Segments of a rendition
   * come in the order of their numbers. `settled` is called once, later: with true when it is in the store; never for a gap.
   */
  keep(rendition: Rendition, segment: Segment, settled: (isKept: boolean) => void): void;
  /** Playlists list nothing before `number` any more, and had so many discontinuities before it. */
  listedFrom(number: number, discontinuitySequence: number): void;
  /**
   * Calls back when the store is nearly full and segments before `number` had to go early: they must leave the playlists.
   * Never one that is younger than the memory window. One listener.
   */
  onShortened(listener: (number: number) => void): void;
  /** The stream has ended: nothing more comes before somebody publishes anew. */
  end(): void;
  /** The packager lets go of it, with or without an end. */
  close(): void;
}

/** The archive as the origin sees it. */
export interface ArchiveReader {
  /**
   * The bytes of a segment; undefined when it is not there (any more).
   * Rejects with AppError STORAGE_UNAVAILABLE.
   */
  read(stream: string, rendition: string, segment: Segment): Promise<Uint8Array | undefined>;
}
