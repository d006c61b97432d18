import type { Controls } from './controls.ts';
import type { PageOptions } from './page-options.ts';
import type { ServerClock } from './server-clock.ts';
import type { StreamSource } from './stream-source.ts';

/** What both kinds of watch page are made of. */
export interface PageParts {
  readonly video: HTMLVideoElement;
  readonly source: StreamSource;
  readonly clock: ServerClock;
  readonly options: PageOptions;
  readonly controls: Controls;
}
