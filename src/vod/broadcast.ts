import type { ArchivedStretch } from '../stream/archive.ts';

/** One show: what a stream carried from its first segment to its end, outages within the grace time included. */
export interface Broadcast {
  readonly stream: string;
  /** Of its first and last segment; it says which broadcast it is. */
  readonly firstNumber: number;
  readonly lastNumber: number;
  /** Ms since the Unix epoch. */
  readonly startMs: number;
  readonly endMs: number;
}

/** Which part of a stream: whole segments, those that hold any of `[fromMs, toMs)`, ms since the Unix epoch. */
export interface StretchOf {
  readonly stream: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The archive of live streams as recordings need it. */
export interface RecordingSource {
  /** What is kept of it and is whole now; undefined: nothing. */
  stretch(of: StretchOf): ArchivedStretch | undefined;
  /** Where the media of a segment is. */
  segmentKey(stream: string, rendition: string, periodId: string, number: number): string;
  /** Nothing from `fromMs` on is deleted before the returned function is called (or the process ends). */
  hold(stream: string, fromMs: number): () => void;
  /**
   * Broadcasts that are over, to the last stored segment, and not finished, the oldest first; also those of an earlier process.
   * Their media stays until they are finished. Only where broadcasts are to be recorded.
   */
  ended(): readonly Broadcast[];
  /** Calls back when there is one more. Returns the unsubscribe function. */
  onEnded(listener: () => void): () => void;
  /** Its media is no longer needed for a recording. */
  finished(broadcast: Broadcast): Promise<void>;
}
