import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { LiveArchive } from '../stream/archive.ts';
import type { StreamJournal } from '../stream/journal.ts';
import type { PackagerMetrics } from './packager-metrics.ts';
import type { Encryption } from './period-cipher.ts';

/** What the packager of every stream is given. */
export interface PackagerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: PackagerMetrics;
  readonly journal: StreamJournal;
  /** How a stream is encrypted; undefined: it goes in the clear. */
  readonly encryptionOf?: ((stream: string) => Encryption | undefined) | undefined;
  /** Keeps what the memory lets go of; undefined: nothing does. */
  readonly archive?: LiveArchive | undefined;
}
