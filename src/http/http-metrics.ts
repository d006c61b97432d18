import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';
import { BatchedCounter } from '../base/batched-counter.ts';

const CUT_REASONS = ['backlog', 'stalled'] as const;
const REFUSAL_REASONS = ['total', 'per_address', 'pipelining'] as const;
const MALFORMED_REASONS = ['syntax', 'timeout', 'too_large', 'framing', 'host'] as const;

/** Why a reader was cut. */
export type CutReason = (typeof CUT_REASONS)[number];
/** Why a connection was refused. */
export type RefusalReason = (typeof REFUSAL_REASONS)[number];
/** What was wrong with a request that never reached a handler. */
export type MalformedReason = (typeof MALFORMED_REASONS)[number];

type Labels = 'listener' | 'driver';

/** The metrics of one listener, with its labels already bound. */
export interface HttpMetrics {
  answered(status: number): void;
  aborted(): void;
  connectionOpened(): void;
  connectionClosed(): void;
  cut(reason: CutReason): void;
  refused(reason: RefusalReason): void;
  malformed(reason: MalformedReason): void;
  handlerFailed(): void;
}

/**
 * Registers the HTTP metrics, or takes them up when another listener has registered them already.
 * `listener` must come from a closed set: it is a label.
 */
export function createHttpMetrics(metrics: Metrics, listener: string, driver: string): HttpMetrics {
  const labels = { listener, driver };
  const requests = counter(metrics, 'http_requests_total', 'Answers begun, by class of status.', [
    'status_class',
  ]);
  const aborted = counter(
    metrics,
    'http_aborted_requests_total',
    'Requests whose peer went away unanswered.',
  );
  const cut = counter(metrics, 'http_cut_readers_total', 'Slow readers cut.', ['reason']);
  const refused = counter(metrics, 'http_refused_connections_total', 'Connections refused.', ['reason']);
  const malformed = counter(metrics, 'http_malformed_requests_total', 'Requests refused unread.', ['reason']);
  const failed = counter(metrics, 'http_handler_failures_total', 'Handlers that failed by a fault of ours.');
  const open = openConnections(metrics).labels(labels);
  const answers = new BatchedCounter(requests);
  const byClass = ['1xx', '2xx', '3xx', '4xx', '5xx'].map((name) =>
    answers.series({ ...labels, status_class: name }),
  );
  // A series that is not there until it first counts cannot be told from one that is missing.
  for (const series of [aborted.labels(labels), failed.labels(labels)]) series.inc(0);
  for (const reason of CUT_REASONS) cut.inc({ ...labels, reason }, 0);
  for (const reason of REFUSAL_REASONS) refused.inc({ ...labels, reason }, 0);
  for (const reason of MALFORMED_REASONS) malformed.inc({ ...labels, reason }, 0);
  open.inc(0);
  return {
    answered: (status) => byClass[Math.floor(status / 100) - 1]?.inc(),
    aborted: () => aborted.inc(labels),
    connectionOpened: () => open.inc(),
    connectionClosed: () => open.dec(),
    cut: (reason) => cut.inc({ ...labels, reason }),
    refused: (reason) => refused.inc({ ...labels, reason }),
    malformed: (reason) => malformed.inc({ ...labels, reason }),
    handlerFailed: () => failed.inc(labels),
  };
}

function counter<L extends string = never>(
  metrics: Metrics,
  name: string,
  help: string,
  labelNames: readonly L[] = [],
): Counter<L | Labels> {
  const known = metrics.registry.getSingleMetric(`headwater_${name}`) as Counter<L | Labels> | undefined;
  return known ?? metrics.counter<L | Labels>(name, help, ['listener', 'driver', ...labelNames]);
}

function openConnections(metrics: Metrics): Gauge<Labels> {
  const name = 'http_open_connections';
  const known = metrics.registry.getSingleMetric(`headwater_${name}`) as Gauge<Labels> | undefined;
  return known ?? metrics.gauge<Labels>(name, 'Open connections.', ['listener', 'driver']);
}
