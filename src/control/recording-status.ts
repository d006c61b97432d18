import type { TitleStatus } from './title-status.ts';

/** What somebody wants recorded; times are ms since the Unix epoch. Checked by whoever makes it. */
export interface NewRecording {
  readonly stream: string;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
}

/** What makes titles of live streams. Rejections are AppErrors of STREAM_, VOD_, DRM_ and STORAGE_. */
export interface RecordingKeeper {
  record(recording: NewRecording): Promise<TitleStatus>;
}
