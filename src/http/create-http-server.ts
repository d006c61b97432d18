import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { affordableConnections, type DescriptorBudget } from './descriptor-limit.ts';
import { createHttpMetrics } from './http-metrics.ts';
import { listenWithNode } from './node-driver.ts';
import type { HttpHandler, HttpLimits, HttpListenOptions, HttpServer } from './types.ts';
import { listenWithUws } from './uws-driver.ts';
import { loadUws } from './uws-native.ts';

/** How to serve one listener. */
export interface HttpServerOptions extends HttpListenOptions {
  /**
   * `uws` serves GET, HEAD and OPTIONS at a fraction of the cost; `node` everything, and each chunk of a growing
   * body with its closing CRLF. `auto` takes `uws` where it loads.
   */
  readonly driver: 'auto' | 'uws' | 'node';
  readonly limits: HttpLimits;
  /** Value of the metrics' `listener` label, from a closed set. */
  readonly listener?: string;
  /** What it may take of the process's file descriptors; all that are free unless it is said. */
  readonly descriptors?: DescriptorBudget;
}

/** What a listener needs of the process. */
export interface HttpServerDeps {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/**
 * Opens a listener. The caller closes it.
 * @throws AppError HTTP_LISTEN_FAILED, HTTP_DRIVER_MISSING when `uws` was asked for by name and does not load.
 */
export async function createHttpServer(
  options: HttpServerOptions,
  deps: HttpServerDeps,
  handler: HttpHandler,
): Promise<HttpServer> {
  const { listener = 'main' } = options;
  const log = deps.log.child({ listener });
  const driverDeps = (driver: string) => ({
    log,
    clock: deps.clock,
    metrics: createHttpMetrics(deps.metrics, listener, driver),
  });
  const budget = options.descriptors ?? { reserved: 0, share: 1 };
  const affordable = await affordableConnections(options.limits.maxConnections, budget);
  if (affordable < options.limits.maxConnections) {
    log.warn({ maxConnections: affordable }, 'the limit of open files lowers the limit of HTTP connections');
  }
  const bounded = { ...options, limits: { ...options.limits, maxConnections: affordable } };
  if (options.driver === 'node') return listenWithNode(bounded, driverDeps('node'), handler);

  const uws = loadUws(options.limits.maxHeaderBytes);
  if ('module' in uws) return listenWithUws(bounded, driverDeps('uws'), handler, uws.module);
  if (options.driver === 'uws') throw new AppError('HTTP_DRIVER_MISSING', undefined, { cause: uws.failure });
  log.warn({ reason: firstLine(uws.failure) }, 'uWebSockets.js does not load; serving with node:http');
  return listenWithNode(bounded, driverDeps('node'), handler);
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split('\n', 1)[0] ?? '';
}
