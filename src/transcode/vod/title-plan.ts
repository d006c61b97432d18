/** What a master is, as far as encoding it asks. Times are counted from the start of the file's own clock. */
export interface Master {
  /** The one demuxer that it is to be read with, by ffmpeg's name: `mov`, `matroska`, `mpegts`, `mxf`. */
  readonly demuxer: string;
  readonly sizeBytes: number;
  /** Of the pictures, or of the sound where there are none. */
  readonly durationMs: number;
  readonly video: MasterVideo | undefined;
  readonly audios: readonly MasterAudio[];
  readonly texts: readonly MasterText[];
  /** Counted from the first frame, or the first sound where there are no pictures: the title's 0. In order. */
  readonly chapters: readonly { readonly startMs: number; readonly name: string }[];
  /** What is in the file but cannot be made anything of: a sentence each, for people. */
  readonly leftOut?: readonly string[] | undefined;
}

export interface Ratio {
  readonly numerator: number;
  readonly denominator: number;
}

export interface MasterVideo {
  /** Stream index in the file. */
  readonly index: number;
  readonly codec: string;
  /** As it is shown: turned the right way up, with square pixels; even. */
  readonly width: number;
  readonly height: number;
  /** Of the frames that are encoded: for a variable rate the nearest common one that loses no frame. */
  readonly frameRate: Ratio;
  readonly isVariableRate: boolean;
  readonly isInterlaced: boolean;
  readonly range: 'sdr' | 'pq' | 'hlg';
  /** How its colours are coded, by ffmpeg's name of the matrix (`bt709`, `smpte170m`); undefined: the file does not say. */
  readonly matrix?: string | undefined;
  /** Time stamp of the first frame. */
  readonly startMs: number;
  readonly durationMs: number;
  /** Undefined: not known. */
  readonly keyFrames?: KeyFrames | undefined;
}

/** How far apart a master's key frames are, as far as they were seen. */
export interface KeyFrames {
  readonly longestMs: number;
  /** They stand at the multiples of this, counted from the first picture; undefined: as they like. */
  readonly evenMs?: number | undefined;
}

export interface MasterAudio {
  readonly index: number;
  readonly codec: string;
  readonly channels: number;
  readonly sampleRate: number;
  /** BCP 47; `und` when the file does not say. */
  readonly language: string;
  readonly label: string | undefined;
  readonly isDefault: boolean;
  /** When the file says. */
  readonly bitrateBps?: number | undefined;
}

export interface MasterText {
  /** Stream index in the master; undefined: of a file beside it. */
  readonly index: number | undefined;
  readonly path: string | undefined;
  readonly codec: string;
  readonly language: string;
  readonly label: string | undefined;
  readonly isDefault: boolean;
  readonly isForced: boolean;
}

/** What is to be made of a master. Everything that all the jobs of a title must agree on. JSON. */
export interface TitlePlan {
  readonly durationMs: number;
  readonly video: PlannedVideo | undefined;
  readonly audios: readonly PlannedAudio[];
  readonly texts: readonly PlannedText[];
  readonly thumbnails: PlannedThumbnails | undefined;
  /** Nominal; of pictures exactly `video.segmentFrames`. */
  readonly segmentMs: number;
  /** The bit rates of the rungs are not final: before the first piece they are fitted to the pictures ({@link ComplexityResult}). */
  readonly contentAware?: boolean | undefined;
  /** What a person should know of it: tracks and rungs left out, and why; a sentence each. */
  readonly notes?: readonly string[] | undefined;
}

/** Frame `n` of every rung is shown at `n / frameRate`, counted from the first frame, and lasts until the next one. */
export interface PlannedVideo {
  readonly frameRate: Ratio;
  /** As far as the master's duration tells; what the last piece has decides. */
  readonly frames: number;
  /** A key frame, and nowhere else, at each multiple. Divides {@link segmentFrames}. */
  readonly gopFrames: number;
  /** Divides {@link pieceFrames}. */
  readonly segmentFrames: number;
  readonly pieceFrames: number;
  /** Piece 0 is one segment long, so that there is soon something to play; all others but the last are `pieceFrames` long. */
  readonly pieces: number;
  /** Best first. */
  readonly rungs: readonly PlannedRung[];
  /** Rungs that are made together, with one decoder: ids. Each group is a job of its own for every piece. */
  readonly groups: readonly (readonly string[])[];
  readonly isInterlaced: boolean;
  /** Brought down to SDR. */
  readonly toneMap: 'pq' | 'hlg' | undefined;
}

export interface PlannedRung {
  /** Its rendition's id: `720p`; another codec than H.264 is in it: `720p-hevc`. */
  readonly id: string;
  readonly codec: 'h264' | 'hevc' | 'av1';
  readonly width: number;
  readonly height: number;
  /** Capped quality: what it may take in the mean over a second or two, and the quality (crf) it need not exceed. */
  readonly maxBitrateBps: number;
  readonly crf: number;
  readonly preset: string;
}

export interface PlannedAudio {
  /** Its rendition's id: `audio-en`, `audio-en-2`; one that is carried as it is: `audio-en-surround`. */
  readonly id: string;
  readonly index: number;
  /** `aac`: encoded anew; `copy`: carried as it is. */
  readonly codec: 'aac' | 'copy';
  readonly channels: number;
  readonly sampleRate: number;
  readonly bitrateBps: number;
  readonly language: string;
  readonly label: string;
  readonly isDefault: boolean;
}

export interface PlannedText {
  readonly id: string;
  readonly index: number | undefined;
  readonly path: string | undefined;
  readonly codec: string;
  readonly language: string;
  readonly label: string;
  readonly isDefault: boolean;
  readonly isForced: boolean;
}

export interface PlannedThumbnails {
  readonly columns: number;
  readonly rows: number;
  readonly width: number;
  readonly height: number;
  readonly intervalMs: number;
}

/** What every job of a title is told ({@link FlowSpec.data}). */
export interface TitleWork {
  readonly title: string;
  /** Another each time a title is made: also in the keys of what the jobs make. */
  readonly generation: string;
  /** What people call it. */
  readonly name: string;
  readonly isProtected: boolean;
  /** Whether renditions may be taken home as files. */
  readonly isDownloadable?: boolean | undefined;
  readonly createdMs: number;
  /** The master: a file below an allowed folder. */
  readonly masterPath: string;
  readonly master: Master;
  readonly plan: TitlePlan;
}

/** The frames `[start, end)` of a piece; `end` of the last one is as planned, and what the master has decides. */
export function pieceRange(
  video: Pick<PlannedVideo, 'frames' | 'segmentFrames' | 'pieceFrames'>,
  index: number,
): { readonly start: number; readonly end: number } {
  const { frames, segmentFrames, pieceFrames } = video;
  const start = index === 0 ? 0 : segmentFrames + (index - 1) * pieceFrames;
  return { start, end: Math.min(frames, index === 0 ? segmentFrames : start + pieceFrames) };
}

/** The jobs of a title: kind and data; what they resolve to follows. Files are blobs below {@link workPrefix}. */
export type TitleJob =
  /** The ladder is fitted to the pictures, where the plan wants that. */
  | { readonly kind: 'complexity' }
  /** One piece of the rungs of one group. */
  | { readonly kind: 'piece'; readonly rungs: readonly string[]; readonly index: number }
  /** A whole track of sound. */
  | { readonly kind: 'audio'; readonly id: string }
  /** A whole WebVTT file, times from 0 of the title. */
  | { readonly kind: 'text'; readonly id: string }
  /** All sheets. */
  | { readonly kind: 'thumbnails' };

/** Where the jobs of a title put what they make. */
export function workPrefix({ title, generation }: Pick<TitleWork, 'title' | 'generation'>): string {
  return `work/${title}/${generation}/`;
}

/** One blob a rung: fragmented MP4 with one track, times from 0 in each piece, in frames of the planned rate. */
export interface PieceResult {
  readonly frames: number;
  readonly outputs: readonly { readonly rung: string; readonly key: string; readonly sizeBytes: number }[];
}

/** How like two pictures are: by libvmaf where ffmpeg has it, else by structural similarity of brightness. */
export type QualityMetric = 'vmaf' | 'ssim';

/** What a rung is encoded with after a look at the pictures. */
export interface FittedRung {
  readonly id: string;
  readonly crf: number;
  readonly maxBitrateBps: number;
  /** What it was before. */
  readonly plannedBps: number;
}

/** The ladder that was fitted to a title's pictures. */
export interface ComplexityResult {
  readonly metric: QualityMetric;
  readonly rungs: readonly FittedRung[];
  /** For people: what was measured of each rung, and what it saves. */
  readonly notes: readonly string[];
}

/**
 * Sound comes in stretches, each put as soon as it is there, `progress` said after it: `<prefix><n>.mp4` counted from 0,
 * fragmented MP4 with an init each; their times run on from the title's 0 in ticks of the sample rate. Stretch `n` of
 * another attempt has the same samples, so that who reads along may go on with it.
 */
export interface AudioResult {
  readonly prefix: string;
  readonly stretches: number;
}

/** Where stretch `n` of a track of sound is, of one attempt. */
export function audioStretchKey(
  work: Pick<TitleWork, 'title' | 'generation'>,
  id: string,
  attempt: number,
  n: number,
): string {
  return `${workPrefix(work)}${id}/${attempt}/${n}.mp4`;
}

export interface TextResult {
  readonly key: string;
  readonly sizeBytes: number;
  readonly cues: number;
}

export interface ThumbnailsResult {
  /** One a sheet. */
  readonly keys: readonly string[];
  readonly sheetBytes: readonly number[];
}
