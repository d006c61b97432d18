/** A title as the control API tells of it. */
export interface TitleStatus {
  readonly id: string;
  readonly name: string;
  readonly state: 'growing' | 'complete';
  readonly durationMs: number;
  readonly createdMs: number;
  readonly isProtected: boolean;
  readonly renditions: readonly {
    readonly id: string;
    readonly codec: string;
    readonly width?: number | undefined;
    readonly height?: number | undefined;
    readonly channels?: number | undefined;
    readonly language?: string | undefined;
    readonly averageBps: number;
    readonly peakBps: number;
  }[];
}

/** How far the making of a title is. */
export interface JobView {
  readonly id: string;
  readonly title: string;
  readonly name: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly progress: number;
  readonly rungs: readonly { readonly id: string; readonly progress: number }[];
  readonly speed: number | undefined;
  readonly etaSeconds: number | undefined;
  readonly addedMs: number;
  readonly endedMs: number | undefined;
  readonly error: { readonly code: string; readonly message: string } | undefined;
  /** Sentences for people. */
  readonly notes: readonly string[];
}

/** A file on the server, or one that was uploaded. */
export type FileChoice = { readonly path: string } | { readonly upload: string };

/** Subtitles beside a master. */
export interface NewSidecar {
  readonly file: FileChoice;
  readonly language: string | undefined;
  /** Undefined: as the file's name says. */
  readonly format: 'subrip' | 'webvtt' | 'ttml' | undefined;
}

/** What somebody wants made; checked by whoever makes it. */
export interface NewTitle {
  readonly id: string;
  readonly name: string | undefined;
  readonly master: FileChoice;
  readonly sidecars: readonly NewSidecar[];
  readonly isProtected: boolean | undefined;
  readonly allowDownload: boolean | undefined;
  readonly ladder: string | undefined;
  /** Whether the ladder is fitted to the pictures; undefined: as configured. */
  readonly contentAware?: boolean | undefined;
}

/** What the control API asks of VOD. Rejections are AppErrors of VOD_, JOB_ and STORAGE_. */
export interface TitleKeeper {
  titles(): Promise<readonly TitleStatus[]>;
  title(id: string): Promise<TitleStatus | undefined>;
  add(title: NewTitle): Promise<JobView>;
  /** False: there is none. */
  remove(id: string): Promise<boolean>;
  /** Newest first. */
  jobs(): Promise<readonly JobView[]>;
  job(id: string): Promise<JobView | undefined>;
  cancel(id: string): Promise<boolean>;
  retry(id: string): Promise<boolean>;
  /** Calls back with the id of a job that has changed. */
  subscribe(listener: (id: string) => void): () => void;
}
