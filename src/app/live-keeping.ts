import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Config } from '../config.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { diskUseOf } from '../storage/disk-use.ts';
import { type LiveArchiveStore, openLiveArchive } from '../vod/live-archive.ts';
import { Recorder } from '../vod/recorder.ts';
import { RecorderMetrics } from '../vod/recorder-metrics.ts';
import type { RecordingKeys } from '../vod/recording-maker.ts';
import type { TitleCatalogue } from '../vod/title-catalogue.ts';
import type { TitleService } from '../vod/title-service.ts';
import { storageOptions } from './storage-options.ts';

/** Keys of titles that were recorded, as the composition root needs them. */
export interface KeysOfRecordings extends RecordingKeys {
  /** The titles that have keys of live streams. */
  adopters(): readonly string[];
}

/** What is kept of live streams behind their memory, and what becomes titles of it. */
export interface LiveKeeping {
  readonly archive: LiveArchiveStore;
  readonly recorder: Recorder;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface LiveKeepingDeps {
  /** Closed by whoever opened it, after this. */
  readonly store: BlobStore;
  /** Reads through the cache. */
  readonly read: (key: string) => Promise<Uint8Array | undefined>;
  readonly catalogue: TitleCatalogue;
  readonly titles: TitleService;
  readonly keys: KeysOfRecordings | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Whether anything of a live stream outlasts its window. */
export function keepsLive({ live }: Config): boolean {
  return live.dvrSeconds > 0 || live.record;
}

/** Whether something was kept once: it is deleted in its time, also where nothing is kept any more. */
export function hasKeptLive(config: Config): boolean {
  return existsSync(indexPath(config));
}

function indexPath({ dataDir }: Config): string {
  return join(resolve(dataDir), 'state', 'live-segments.lmdb');
}

/** @throws AppError STATE_SEGMENTS_UNAVAILABLE, STATE_SEGMENTS_IN_USE */
export async function openLiveKeeping(config: Config, deps: LiveKeepingDeps): Promise<LiveKeeping> {
  const { store, catalogue, titles, keys, clock, metrics } = deps;
  const { windowSeconds, dvrSeconds, record, graceMs, recordingsKeptHours } = config.live;
  const log = deps.log.child({ area: 'archive' });
  const closer = new Closer();
  const storage = storageOptions(config);
  // A bucket, or what servers with one Redis have in common, may hold what is another's.
  const isShared = storage.driver !== 'fs' || config.state.driver === 'redis' || config.vod.queue === 'redis';
  const archive = await openLiveArchive(
    {
      indexPath: indexPath(config),
      ...{ windowSeconds, dvrSeconds, record, graceMs, isShared },
    },
    {
      ...{ store, clock, metrics, log: deps.log, random: () => randomBytes(4).readUInt32BE() / 2 ** 32 },
      read: deps.read,
      diskUse: storage.driver === 'fs' ? () => diskUseOf(storage.path) : undefined,
    },
  );
  closer.defer(() => archive.close());
  const recorder = new Recorder(
    { keptMs: recordingsKeptHours * 3_600_000 },
    {
      ...{ source: archive, store, catalogue, keys, clock, titles, log },
      metrics: new RecorderMetrics(metrics),
    },
  );
  if (keys && !isShared) await releaseKeysOfNone(keys, { catalogue, log });
  recorder.open();
  closer.defer(() => recorder.close());
  return { archive, recorder, close: () => closer.close() };
}

/** A server that was killed while it took a recording away left its keys. To be called before any recording is made. */
async function releaseKeysOfNone(
  keys: KeysOfRecordings,
  { catalogue, log }: Pick<LiveKeepingDeps, 'catalogue' | 'log'>,
): Promise<void> {
  for (const title of keys.adopters()) {
    try {
      if (!(await catalogue.find(title))) await keys.release(title);
    } catch (reason) {
      log.warn({ title, code: errorCode(reason), err: reason }, 'keys of a recording that is gone stay kept');
    }
  }
}
