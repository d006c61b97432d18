import type { TrackProtection } from '../media/protection.ts';
import type { Track } from './track.ts';

/**
 * A title: media that is kept, whole or still growing to a length that is known. What the packager writes and the
 * renderers and the origin read. HLS and DASH are views of the same files. Values, never changed: a title that has grown
 * is another one.
 */
export interface Title {
  /** As in its URL: `^[A-Za-z0-9_-]{1,64}$`. */
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  /** `growing`: more segments are to come, in order, up to {@link durationMs}. */
  readonly state: 'growing' | 'complete';
  /** How long it is, or will be. */
  readonly durationMs: number;
  /** Nominal; no segment of pictures is longer than half as much again. */
  readonly segmentMs: number;
  /** Pictures first, best first; then sound, the default first. */
  readonly renditions: readonly TitleRendition[];
  /** In the order of time; at least one. Most titles have one: more come of a recording of a live stream. */
  readonly periods: readonly TitlePeriod[];
  readonly texts: readonly TitleText[];
  readonly thumbnails: TitleThumbnails | undefined;
  readonly chapters: readonly TitleChapter[];
  /** Ms since the Unix epoch. */
  readonly createdMs: number;
  /** Of the last change. */
  readonly updatedMs: number;
  /** A rendition may be taken home as a file. */
  readonly isDownloadable?: boolean | undefined;
  /** Of what was live before; undefined: it was made of a master. */
  readonly recording?: TitleRecording | undefined;
}

/** What a title was recorded of. */
export interface TitleRecording {
  readonly stream: string;
  /** Segments of the stream, of which there are gaps perhaps. */
  readonly firstNumber: number;
  readonly lastNumber: number;
  /** Made of a broadcast when that was over, as `live.record` says: it may go again by itself. False: somebody asked for it. */
  readonly isAutomatic: boolean;
}

/** HLS rendition = DASH Representation. */
export interface TitleRendition {
  /** URL-safe: `720p`, `audio-en`. */
  readonly id: string;
  readonly kind: 'video' | 'audio';
  /** Of sound, BCP 47; `und` when nobody knows. */
  readonly language: string | undefined;
  /** Of sound: what a menu shows. */
  readonly label: string | undefined;
  /** Of sound: played unless the viewer wants another. */
  readonly isDefault: boolean;
  /** Of all its segments so far; of a growing title at least what was planned. */
  readonly peakBps: number;
  readonly averageBps: number;
}

/** A stretch with the same tracks, on one clock. */
export interface TitlePeriod {
  /** URL-safe; in every media URL. Another each time a title is made: the same URL never has two bodies. */
  readonly id: string;
  /** Where it begins in the title. */
  readonly startMs: number;
  /** Its media runs on from the period before it. */
  readonly continues: boolean;
  /** Of a recording that is to say so: when its start was live, ms since the Unix epoch. */
  readonly liveMs?: number | undefined;
  /** By rendition id. */
  readonly tracks: ReadonlyMap<string, TitleTrack>;
}

/** What one rendition has in one period. */
export interface TitleTrack {
  readonly track: Track;
  /** ftyp + moov. */
  readonly init: Uint8Array;
  /** Undefined: in the clear. */
  readonly protection: TrackProtection | undefined;
  /** Media time at the start of the period, ticks of the track. */
  readonly offsetTicks: number;
  /** Contiguous by number. */
  readonly segments: readonly TitleSegment[];
}

export interface TitleSegment {
  /** The same for the same time in every rendition of the period. */
  readonly number: number;
  /** tfdt, ticks of the track. */
  readonly startTicks: number;
  readonly durationTicks: number;
  readonly sizeBytes: number;
  /**
   * So many bytes from its beginning are a chunk of its own with the key frame and nothing else (I-frame playlists). 0: it
   * does not begin with one, or is sound.
   */
  readonly keyFrameBytes: number;
  /** There is no media: an outage of the live stream that was recorded. */
  readonly isGap: boolean;
}

/** Subtitles or captions, as WebVTT. */
export interface TitleText {
  /** URL-safe: `text-en`. The file is `<id>/<period>/text.vtt`. */
  readonly id: string;
  readonly language: string;
  readonly label: string;
  readonly isDefault: boolean;
  readonly isForced: boolean;
  readonly sizeBytes: number;
}

/** Small pictures of the whole title, many to a JPEG: `thumbnails/<period>/<sheet>.jpg`, sheets counted from 0. */
export interface TitleThumbnails {
  readonly columns: number;
  readonly rows: number;
  /** Of one picture. */
  readonly width: number;
  readonly height: number;
  /** One picture stands for so long. */
  readonly intervalMs: number;
  /** Those that are there so far, bytes each. */
  readonly sheetBytes: readonly number[];
}

export interface TitleChapter {
  readonly startMs: number;
  readonly name: string;
}

/** Where titles are looked up, by whoever serves or lists them. */
export interface TitleDirectory {
  /** Undefined: there is none, or nothing of it can be played yet. Rejects with AppError STORAGE_UNAVAILABLE. */
  find(id: string): Promise<Title | undefined>;
  /** Those that can be played, the newest first. */
  list(): Promise<readonly Title[]>;
  /** Key of the blob behind a path below `/vod/<title>/`. */
  blobKey(title: Title, path: string): string;
}
