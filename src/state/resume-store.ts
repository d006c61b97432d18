/** Whose state: a user's name that tells nobody who that is, and one of its profiles. */
export interface ProfileKey {
  /** 1 to 64 characters of A-Z a-z 0-9 - _. */
  readonly viewer: string;
  /** The same; `main` when the user has only one. */
  readonly profile: string;
}

/** `completed`: watched to the credits; the position is 0 then. */
export type WatchState = 'playing' | 'paused' | 'stopped' | 'completed';

/** Where a profile is in a title. */
export interface ResumeRecord {
  /** 1 to 64 characters of A-Z a-z 0-9 - _. */
  readonly title: string;
  readonly positionMs: number;
  readonly durationMs: number;
  readonly state: WatchState;
  /** Which device said so: a name of its own choice, 1 to 64 characters of A-Z a-z 0-9 - _. */
  readonly device: string;
  /** Of the play gesture; greater than that of every gesture before it. */
  readonly epoch: number;
  /** Grows with each report of one gesture. */
  readonly seq: number;
  /** When that was so: ms since the Unix epoch, of our clock. */
  readonly eventMs: number;
  /** Grows with every change of anything of the profile: what a device has seen up to. */
  readonly version: number;
  /** The record was deleted; it stays as a mark so that other devices learn of it. */
  readonly isDeleted: boolean;
}

/** What a device reports: {@link ResumeRecord} as it would be. */
export type ResumeReport = Omit<ResumeRecord, 'version' | 'isDeleted'>;

export type PutOutcome =
  | { readonly kind: 'stored'; readonly record: ResumeRecord }
  /** Something newer is there; undefined: the epoch was never given out, or what it was for has been deleted. */
  | { readonly kind: 'conflict'; readonly record: ResumeRecord | undefined };

/** What an offline device brings: it holds only if nothing newer was watched meanwhile. */
export interface PutRules {
  /** Also asks that the event is newer than the stored one's, and that no later epoch was given out. */
  readonly offline: boolean;
}

/** What a profile has. */
export interface ResumeList {
  /** What the profile is at; at least the version of each record. */
  readonly version: number;
  /** By version, the newest last. */
  readonly records: readonly ResumeRecord[];
  /**
   * The records are all there are: what a device holds besides them is gone. So it is for `after` 0, and when too much
   * has happened since `after` to tell what was deleted meanwhile, or the store never was at `after`.
   */
  readonly isWhole: boolean;
}

/**
 * Where viewers are. Never last-write-wins: a report holds only if its (epoch, seq) is greater than the stored one's, so
 * that retries, late ones and devices that wake up change nothing. Every driver passes the same contract suite. Calls reject with
 * AppError RESUME_UNAVAILABLE, within {@link RESUME_DEADLINE_MS} whatever the store does.
 */
export interface ResumeStore {
  /**
   * Begins a play gesture: a new epoch, and what is stored so far. Does not change the record: what was opened and closed
   * again is not watched.
   */
  claim(
    key: ProfileKey,
    title: string,
  ): Promise<{ readonly epoch: number; readonly record: ResumeRecord | undefined }>;
  /** When it resolves as stored, the record outlives a crash of any process. */
  put(key: ProfileKey, report: ResumeReport, rules: PutRules): Promise<PutOutcome>;
  find(key: ProfileKey, title: string): Promise<ResumeRecord | undefined>;
  /**
   * Records with a version above `after`, marks of deleted ones among them when `after` is above 0; and the version that the profile is at.
   * At most {@link MAX_RECORDS} are kept: the one unchanged for longest goes.
   */
  list(key: ProfileKey, after: number): Promise<ResumeList>;
  /** Takes a title off the list; the mark is returned. Undefined: it was not there. */
  remove(key: ProfileKey, title: string): Promise<ResumeRecord | undefined>;
  /** Everything of a user, all profiles: for a copy of one's own data. */
  export(
    viewer: string,
  ): Promise<readonly { readonly profile: string; readonly records: readonly ResumeRecord[] }[]>;
  /** Everything of a user is gone when it resolves, marks too. The number of records that were there. */
  erase(viewer: string): Promise<number>;
  /** Idempotent. */
  close(): Promise<void>;
}

export const RESUME_DEADLINE_MS = 300;
/** A profile keeps so many titles. */
export const MAX_RECORDS = 200;
/** A user has so many profiles at most: to begin play in one more rejects with AppError RESUME_PROFILE_LIMIT. */
export const MAX_PROFILES = 50;
