import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { createHttpServer } from '../../src/http/create-http-server.ts';
import {
  DEFAULT_HTTP_LIMITS,
  type HttpHandler,
  type HttpLimits,
  type HttpServer,
} from '../../src/http/types.ts';
import { loadUws } from '../../src/http/uws-native.ts';
import { createMemoryLog, type LogLine } from './memory-log.ts';

export type DriverName = 'uws' | 'node';

/** A listener on a free loopback port, with its log and metrics in hand. */
export interface TestListener {
  readonly server: HttpServer;
  readonly port: number;
  readonly origin: string;
  readonly log: readonly LogLine[];
  /** Sum of a metric over the label sets that contain `labels`. */
  readonly metric: (name: string, labels?: Record<string, string>) => Promise<number>;
}

/** The drivers that run here; uWebSockets.js has no binary for some Node versions. */
export const DRIVERS: readonly DriverName[] =
  'module' in loadUws(DEFAULT_HTTP_LIMITS.maxHeaderBytes) ? ['uws', 'node'] : ['node'];

/** Limits roomy enough that only the test's own ones matter. */
export const ROOMY: HttpLimits = { ...DEFAULT_HTTP_LIMITS, maxConnectionsPerAddress: 5000 };

/** Starts listeners and closes them all. */
export class TestListeners {
  readonly #open: HttpServer[] = [];

  async start(
    driver: DriverName,
    handler: HttpHandler,
    limits: Partial<HttpLimits> = {},
  ): Promise<TestListener> {
    const log = createMemoryLog();
    const metrics = new Metrics();
    const server = await createHttpServer(
      { driver, host: '127.0.0.1', port: 0, limits: { ...ROOMY, ...limits } },
      { log, metrics, clock: systemClock },
      handler,
    );
    this.#open.push(server);
    return {
      server,
      port: server.port,
      origin: `http://127.0.0.1:${server.port}`,
      log: log.lines,
      async metric(name, labels = {}) {
        const metric = metrics.registry.getSingleMetric(`headwater_${name}`);
        const { values } = (await metric?.get()) ?? { values: [] };
        const wanted = Object.entries(labels);
        return values
          .filter((value) =>
            wanted.every(([key, text]) => (value.labels as Record<string, unknown>)[key] === text),
          )
          .reduce((sum, value) => sum + value.value, 0);
      },
    };
  }

  async closeAll(): Promise<void> {
    for (const server of this.#open.splice(0)) await server.close();
  }
}
