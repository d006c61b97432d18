import type { LiveWindow } from './live-window.ts';

/** What the origin asks the rest of the server: which stream has which window. */
export interface WindowDirectory {
  /** The window of a stream that is live, away, or lately ended; undefined when unknown or never published. */
  window(stream: string): LiveWindow | undefined;
}
