export type WatchState = 'playing' | 'paused' | 'stopped' | 'completed';

/** Where a profile is in a title, as the server has it. */
export interface ResumeRecord {
  readonly title: string;
  readonly positionMs: number;
  readonly durationMs: number;
  readonly state: WatchState;
  /** The name that the device gave itself. */
  readonly device: string;
  /** Of the play gesture; greater than that of every one before. */
  readonly epoch: number;
  readonly seq: number;
  /** By the server's clock, ms since the Unix epoch. */
  readonly eventMs: number;
  /** Grows with every change of anything of the profile. */
  readonly version: number;
  readonly isDeleted: boolean;
}

/** Where playback is. */
export interface Position {
  readonly positionMs: number;
  readonly durationMs: number;
  readonly state: WatchState;
}

/** A position as it is sent: with its place among all reports of the title. */
export interface ResumeReport extends Position {
  readonly epoch: number;
  readonly seq: number;
  /** The viewer chose to be there, however near to the start: an older record may go. */
  readonly force?: boolean;
}

/** A report that could not be sent, and when it was so by this device's clock. */
export interface OfflineReport extends ResumeReport {
  readonly title: string;
  readonly atMs: number;
  /** By the server's clock, when the gesture was claimed. */
  readonly claimedMs?: number;
}

/** What becomes of each report of a batch; `unavailable` is to be sent again. */
export type BatchOutcome = 'stored' | 'superseded' | 'held' | 'conflict' | 'unavailable';

export interface BatchResult {
  readonly title: string;
  readonly outcome: BatchOutcome;
  readonly record: ResumeRecord | null;
}
