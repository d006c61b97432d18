import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import process from 'node:process';
import type { Clock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { Metrics } from '../base/metrics.ts';
import type { Config } from '../config.ts';
import { createMetricsEndpoint, registerProcessMetrics } from '../control/metrics-endpoint.ts';
import { createHttpServer } from '../http/create-http-server.ts';
import { headerBlock } from '../http/header-block.ts';
import type { HttpHandler } from '../http/types.ts';
import { openDataFolder } from '../state/data-folder.ts';
import { openBlobStore } from '../storage/open-blob-store.ts';
import { StorageMetrics } from '../storage/storage-metrics.ts';
import { createSpawnEncoder, findProgram, guardCommand } from '../transcode/spawn-encoder.ts';
import { createRunTool } from '../transcode/vod/probe-process.ts';
import { toneMapperOnce } from './encoding-tools.ts';
import { storageOptions } from './storage-options.ts';
import { openQueue, openWorker } from './vod.ts';

/** A process that works on the titles of others and does nothing else. */
export interface FarmWorker {
  readonly metrics: Metrics;
  /** Takes work from then on. @throws AppError of whatever cannot be opened; what was opened is closed again */
  start(): Promise<{ readonly metrics: number }>;
  /** Gives back what it works on, and waits until its encoders are gone. Idempotent. */
  close(): Promise<void>;
}

interface FarmWorkerDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

const OWNER_BYTES = 12;
/** Descriptors that encoders, storage and Redis need. */
const RESERVED_DESCRIPTORS = 256;

/**
 * What stands in the way of working for others with a configuration; undefined: nothing. A worker puts what it makes where the
 * servers look for it, and reads masters where they found them.
 */
export function workerObstacle({ vod, storage }: Pick<Config, 'vod' | 'storage'>): string | undefined {
  if (vod.queue !== 'redis') return 'vod.queue: a worker takes its work from Redis: set it to redis';
  if (storage.driver === 'fs' && storage.path === '') {
    return 'storage.path: what a worker makes goes to the storage of its servers: name the folder that is mounted here and there, or set storage.driver to s3';
  }
  return undefined;
}

/**
 * Makes a worker of the farm: jobs of titles out of Redis, pieces in the clear into the storage. It has no keys: whoever puts
 * a title together encrypts it.
 */
export function createFarmWorker(config: Config, deps: FarmWorkerDeps): FarmWorker {
  const metrics = new Metrics();
  registerProcessMetrics(metrics);
  const closer = new Closer();
  return {
    metrics,
    async start() {
      try {
        return { metrics: await start(config, { ...deps, metrics }, closer) };
      } catch (error) {
        await closer.close();
        throw error;
      }
    },
    close: () => closer.close(),
  };
}

async function start(
  config: Config,
  deps: FarmWorkerDeps & { readonly metrics: Metrics },
  closer: Closer,
): Promise<number> {
  const { clock, log, metrics } = deps;
  const obstacle = workerObstacle(config);
  if (obstacle !== undefined) throw new AppError('CONFIG_INVALID', obstacle);
  const { ffmpeg } = config.ladder;
  if (findProgram(ffmpeg, process.env) === undefined) {
    throw new AppError('TOOL_MISSING', `there is no ${ffmpeg}: a worker encodes with it`);
  }
  await openDataFolder(resolve(config.dataDir));
  const server = await createHttpServer(
    {
      host: config.metrics.host,
      port: config.metrics.port,
      driver: 'node',
      limits: config.http,
      listener: 'metrics',
      descriptors: { reserved: RESERVED_DESCRIPTORS, share: 1 },
    },
    { log: log.child({ area: 'http' }), metrics, clock },
    withHealth(createMetricsEndpoint(metrics)),
  );
  closer.defer(() => server.close(0));
  const store = await openBlobStore(storageOptions(config), {
    clock,
    log: log.child({ area: 'storage' }),
    random: Math.random,
    randomBytes,
    metrics: new StorageMetrics(metrics),
  });
  closer.defer(() => store.close());
  const processId = randomBytes(OWNER_BYTES).toString('hex');
  const queue = await openQueue(config, {
    ...{ clock, metrics, processId },
    log: log.child({ area: 'vod' }),
    random: Math.random,
  });
  closer.defer(() => queue.close());
  const guard = await guardCommand(process.env);
  const worker = await openWorker(
    config,
    {
      ...{ ...deps, live: undefined, toneMapper: toneMapperOnce(config) },
      spawn: createSpawnEncoder(process.env, guard),
    },
    { queue, store, run: createRunTool(process.env, guard, clock) },
  );
  closer.defer(() => worker.close());
  return server.port;
}

/** `GET /healthz` beside the metrics: the process is alive. */
function withHealth(next: HttpHandler): HttpHandler {
  const headers = headerBlock([
    ['Content-Type', 'application/json'],
    ['Cache-Control', 'no-store'],
  ]);
  const body = Buffer.from(JSON.stringify({ server: 'headwater', role: 'worker', status: 'ok' }));
  return (request, response) => {
    const isAsked = request.path === '/healthz' && (request.method === 'GET' || request.method === 'HEAD');
    return isAsked ? response.send({ status: 200, headers, body }) : next(request, response);
  };
}
