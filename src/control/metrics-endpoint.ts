import { collectDefaultMetrics } from 'prom-client';
import { AppError } from '../base/errors.ts';
import type { Metrics } from '../base/metrics.ts';
import { headerBlock } from '../http/header-block.ts';
import { problemAnswer } from '../http/problem.ts';
import type { HttpHandler } from '../http/types.ts';

/** Adds what Node knows of itself (CPU, memory, event-loop lag, garbage collection) under `headwater_`. */
export function registerProcessMetrics(metrics: Metrics): void {
  collectDefaultMetrics({
    register: metrics.registry,
    prefix: 'headwater_',
    // Milliseconds between looks at the event loop; the default of 10 is most of what an idle server does.
    eventLoopMonitoringPrecision: 100,
  });
}

/** `GET /metrics` in the Prometheus text format; nothing else lives here. */
export function createMetricsEndpoint(metrics: Metrics): HttpHandler {
  const headers = headerBlock([
    ['Content-Type', metrics.registry.contentType],
    ['Cache-Control', 'no-store'],
  ]);
  return async (request, response) => {
    if (request.path !== '/metrics') return response.send(problemAnswer(new AppError('HTTP_NOT_FOUND')));
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return response.send(problemAnswer(new AppError('HTTP_METHOD_NOT_ALLOWED'), [['Allow', 'GET, HEAD']]));
    }
    const text = await metrics.registry.metrics();
    response.send({ status: 200, headers, body: Buffer.from(text) });
  };
}
