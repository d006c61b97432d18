import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import type { Clock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Config } from '../config.ts';
import { configuredVodCodecs, configuredVodLadder, parseVodLadder } from '../config/vod-rungs.ts';
import type { AdminAccess } from '../control/admin-access.ts';
import { JobEvents } from '../control/job-events.ts';
import type { DocumentedApi } from '../control/openapi.ts';
import type { RecordingKeeper } from '../control/recording-status.ts';
import type { TitleKeeper } from '../control/title-status.ts';
import { createUploadApi, UPLOAD_CALLS, UPLOADS_PATH } from '../control/upload-api.ts';
import type { HttpHandler } from '../http/types.ts';
import type { TitleSource } from '../origin/title-routes.ts';
import type { Encryption } from '../packager/period-cipher.ts';
import type { BullmqJobQueueDeps } from '../state/bullmq-job-queue.ts';
import type { JobQueue } from '../state/job-queue.ts';
import type { LeaseStore } from '../state/lease-store.ts';
import { openLmdbJobQueue } from '../state/lmdb-job-queue.ts';
import { readRedisSettings } from '../state/redis-settings.ts';
import { BlobCache } from '../storage/blob-cache.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { openBlobStore } from '../storage/open-blob-store.ts';
import { StorageMetrics } from '../storage/storage-metrics.ts';
import type { SpawnEncoder } from '../transcode/encoder-process.ts';
import type { ToneMapper } from '../transcode/tone-map.ts';
import type { VodLadderOptions } from '../transcode/vod/ladder-presets.ts';
import { planTitle } from '../transcode/vod/plan-title.ts';
import { type MasterLimits, probeMaster } from '../transcode/vod/probe-master.ts';
import { createRunTool, type RunTool } from '../transcode/vod/probe-process.ts';
import type { LiveLoad } from '../transcode/vod/step-back.ts';
import { makeText } from '../transcode/vod/text-track.ts';
import { checkSidecar, describeSidecar } from '../transcode/vod/text-sidecars.ts';
import type { Master, MasterText, TitlePlan } from '../transcode/vod/title-plan.ts';
import { chooseQualityMetric } from '../transcode/vod/quality-metric.ts';
import { createTitleWorker, type TitleWorker } from '../transcode/vod/work-titles.ts';
import { reachableWork } from '../vod/reachable-work.ts';
import { TitleCatalogue } from '../vod/title-catalogue.ts';
import { type PlanWish, type Sidecar, TitleService } from '../vod/title-service.ts';
import { Uploads } from '../vod/uploads.ts';
import { VodMetrics } from '../vod/vod-metrics.ts';
import {
  hasKeptLive,
  keepsLive,
  type KeysOfRecordings,
  type LiveKeeping,
  openLiveKeeping,
} from './live-keeping.ts';
import { scratchFolder } from './encoding-tools.ts';
import { recordingKeeper } from './recording-keeper.ts';
import { stateOptions } from './state-options.ts';
import { storageCacheOptions, storageOptions } from './storage-options.ts';
import { titleKeeper } from './title-keeper.ts';

/** Everything that makes, keeps and lists titles. */
export interface Vod {
  readonly keeper: TitleKeeper;
  readonly jobEvents: JobEvents;
  /** For the origin. */
  readonly source: TitleSource;
  /** Undefined: nothing of a live stream outlasts its window, nor ever did. */
  readonly live: LiveKeeping | undefined;
  readonly recordings: RecordingKeeper | undefined;
  readonly documented: DocumentedApi;
  /** Uploads; all other paths go to `next`. */
  handler(next: HttpHandler): HttpHandler;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface VodDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly adminAccess: AdminAccess;
  /** With the guard that ends children when we die. */
  readonly spawn: SpawnEncoder;
  readonly guard: readonly string[];
  readonly toneMapper: () => Promise<ToneMapper>;
  /** Live encoding on this machine, which goes first. */
  readonly live: LiveLoad | undefined;
  /** How titles are encrypted; undefined: there are no keys. */
  readonly encryptionOf: (title: string) => Encryption | undefined;
  /** Undefined: there are no keys. */
  readonly keysOfRecordings: KeysOfRecordings | undefined;
  /** Between the servers that share a queue. */
  readonly leases: LeaseStore;
}

/** An upload that nobody makes a title of. */
const UPLOAD_KEPT_MS = 24 * 3_600_000;
const MAX_UPLOADS = 1000;
const OWNER_BYTES = 12;

/** Where masters that were uploaded are. */
export function uploadsFolder({ dataDir, vod }: Pick<Config, 'dataDir' | 'vod'>): string {
  return vod.uploadsPath === '' ? join(resolve(dataDir), 'uploads') : resolve(vod.uploadsPath);
}

/**
 * Opens the store, the queue and the workers of titles, and goes on with what was under way.
 * @throws AppError STORAGE_UNAVAILABLE, STORAGE_FULL, JOB_QUEUE_UNAVAILABLE, JOB_QUEUE_IN_USE
 */
export async function openVod(config: Config, deps: VodDeps): Promise<Vod> {
  const closer = new Closer();
  try {
    return await open(config, deps, closer);
  } catch (error) {
    await closer.close();
    throw error;
  }
}

async function open(config: Config, deps: VodDeps, closer: Closer): Promise<Vod> {
  const { clock, metrics, adminAccess } = deps;
  const log = deps.log.child({ area: 'vod' });
  const storageMetrics = new StorageMetrics(metrics);
  const store = await openBlobStore(storageOptions(config), {
    clock,
    log: deps.log.child({ area: 'storage' }),
    random: Math.random,
    randomBytes,
    metrics: storageMetrics,
  });
  closer.defer(() => store.close());
  // A host and a process id may come again.
  const owner = randomBytes(OWNER_BYTES).toString('hex');
  const queue = await openQueue(config, { clock, log, metrics, random: Math.random, processId: owner });
  closer.defer(() => queue.close());
  const uploads = new Uploads(
    uploadsFolder(config),
    { maxBytes: config.vod.maxMasterBytes, maxUploads: MAX_UPLOADS, keptMs: UPLOAD_KEPT_MS },
    { clock, metrics, randomBytes },
  );
  await uploads.open();
  closer.defer(() => uploads.close());
  const run = createRunTool(process.env, deps.guard, clock);
  const catalogue = new TitleCatalogue(store, clock);
  const cache = new BlobCache(store, storageCacheOptions(config), storageMetrics);
  const read = (key: string): Promise<Uint8Array | undefined> => readBlob(cache, store, key);
  const service = new TitleService(
    { roots: roots(config), isProtected: config.drm.enabled },
    {
      queue,
      store,
      catalogue,
      uploads,
      leases: config.vod.queue === 'redis' ? deps.leases : undefined,
      owner,
      encryptionOf: deps.encryptionOf,
      isBeingRecorded: (title) => live?.recorder.isMaking(title) ?? false,
      releaseKeys: async (title) => deps.keysOfRecordings?.release(title),
      probe: (path) =>
        probeMaster(path, {
          run,
          limits: masterLimits(config),
          ffprobe: config.vod.ffprobe,
          sidecars: config.vod.sidecars,
        }),
      plan: (master, wish) => plan(config, master, wish),
      clock,
      log,
      metrics: new VodMetrics(metrics),
    },
  );
  await service.open();
  closer.defer(() => service.close());
  const live =
    keepsLive(config) || hasKeptLive(config)
      ? await openLiveKeeping(config, {
          ...{ store, read, catalogue, clock, metrics, titles: service },
          ...{ keys: deps.keysOfRecordings, log: deps.log },
        })
      : undefined;
  closer.defer(() => live?.close());
  if (config.vod.work) {
    const worker = await openWorker(config, deps, { queue, store, run });
    closer.defer(() => worker.close());
  }
  const keeper = titleKeeper(service);
  const jobEvents = new JobEvents({ titles: keeper, clock, metrics });
  closer.defer(() => jobEvents.close());
  const uploadApi = createUploadApi({ uploads, access: adminAccess, clock });
  return {
    keeper,
    jobEvents,
    source: {
      titles: catalogue,
      read,
      readOnce: (key) => store.get(key),
    },
    live,
    recordings: live && recordingKeeper(live.recorder),
    documented: { calls: UPLOAD_CALLS, schemas: {} },
    handler: (next) => (request, response) => {
      const { path } = request;
      const own = path === UPLOADS_PATH || path.startsWith(`${UPLOADS_PATH}/`);
      return (own ? uploadApi : next)(request, response);
    },
    close: () => closer.close(),
  };
}

/** @throws AppError JOB_QUEUE_UNAVAILABLE, JOB_QUEUE_IN_USE, STATE_OPTIONS_UNUSABLE, SECRET_FILE_UNSAFE */
export async function openQueue(config: Config, deps: BullmqJobQueueDeps): Promise<JobQueue> {
  if (config.vod.queue === 'embedded') {
    return openLmdbJobQueue(join(resolve(config.dataDir), 'state', 'jobs.lmdb'), {}, deps);
  }
  const settings = await readRedisSettings(stateOptions(config).redis);
  const { openBullmqJobQueue } = await import('../state/bullmq-job-queue.ts');
  return openBullmqJobQueue(settings, {}, deps);
}

/** The jobs of titles that this process does. */
export async function openWorker(
  config: Config,
  {
    clock,
    log,
    metrics,
    spawn,
    live,
    toneMapper,
  }: Pick<VodDeps, 'clock' | 'log' | 'metrics' | 'spawn' | 'live' | 'toneMapper'>,
  parts: {
    readonly queue: JobQueue;
    readonly store: BlobStore;
    readonly run: RunTool;
  },
): Promise<TitleWorker> {
  const { queue, store, run } = parts;
  const cores = availableParallelism();
  return createTitleWorker(
    {
      slots: config.vod.slots === 0 ? cores : config.vod.slots,
      cores,
      ffmpeg: config.ladder.ffmpeg,
      toneMapper: await toneMapper(),
      qualityMetric: () => chooseQualityMetric(config.ladder.ffmpeg, process.env),
      scratchFolder: scratchFolder(config),
    },
    {
      ...{ clock, metrics, store, spawn, live },
      // Of a queue of our own nobody else could do them.
      queue: config.vod.queue === 'embedded' ? queue : reachableWork(queue, { clock, log, metrics }),
      log: log.child({ area: 'vod' }),
      text: (work, id, attempt) => makeText(work, id, attempt, { run, store, ffmpeg: config.ladder.ffmpeg }),
    },
  );
}

/** Segments are small; what is larger is read for the one who asked. */
async function readBlob(cache: BlobCache, store: BlobStore, key: string): Promise<Uint8Array | undefined> {
  const blob = await cache.read(key);
  return blob?.kind === 'large' ? store.get(key) : blob?.bytes;
}

function roots({ vod }: Config): string[] {
  return vod.roots
    .split(',')
    .map((root) => root.trim())
    .filter((root) => root !== '')
    .map((root) => resolve(root));
}

function masterLimits({ vod }: Config): MasterLimits {
  return {
    maxBytes: vod.maxMasterBytes,
    maxDurationMs: vod.maxDurationHours * 3_600_000,
    maxPixels: vod.maxPixels,
    maxFrameRate: vod.maxFrameRate,
    maxStreams: vod.maxStreams,
    timeoutMs: vod.probeTimeoutMs,
  };
}

/** @throws AppError VOD_TITLE_INVALID, VOD_MASTER_REFUSED, VOD_TEXT_UNREADABLE */
async function plan(
  { vod }: Config,
  master: Master,
  { ladder: wished, sidecars, contentAware }: PlanWish,
): Promise<TitlePlan> {
  const ladder = wished === undefined ? configuredVodLadder(vod.ladder) : wishedLadder(wished);
  if (contentAware && typeof ladder !== 'string') {
    throw new AppError('VOD_TITLE_INVALID', 'only a ladder by name can be fitted to the pictures');
  }
  const options: VodLadderOptions = {
    ladder,
    codecs: configuredVodCodecs(vod.codecs),
    effort: vod.effort,
    segmentMs: vod.segmentMs,
    pieceSeconds: vod.pieceSeconds,
    surround: vod.surround,
    thumbnails: vod.thumbnails,
    contentAware: contentAware ?? vod.contentAware,
  };
  return planTitle(master, options, await Promise.all(sidecars.map(sidecarText)));
}

function wishedLadder(text: string): VodLadderOptions['ladder'] {
  const parsed = parseVodLadder(text);
  if ('problem' in parsed) throw new AppError('VOD_TITLE_INVALID', `the ladder: ${parsed.problem}`);
  return parsed.ladder;
}

/** What a file's name ends with says what it is; that of an upload says nothing. */
const SUFFIXES = { subrip: '.srt', webvtt: '.vtt', ttml: '.ttml' } as const;

/** Looked into, so that what cannot be read is refused before anything is encoded. */
async function sidecarText({ path, language, format }: Sidecar): Promise<MasterText> {
  const named = format === undefined ? path : `${path}${SUFFIXES[format]}`;
  const described = describeSidecar(named, language);
  if (!described) throw new AppError('VOD_TITLE_INVALID', 'what format a sidecar has must be said');
  await checkSidecar(path, described.codec);
  return { ...described, path };
}
