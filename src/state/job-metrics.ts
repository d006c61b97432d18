import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';

/**
 * How an attempt ended. `retried`: failed, and will be begun again. `given_back`: its worker closed. `cancelled`: so was
 * its flow. `refused`: answered by a worker whose job it was not any more.
 */
export type AttemptEnd = 'done' | 'failed' | 'retried' | 'given_back' | 'cancelled' | 'refused';

/** What is counted of the job queue. */
export class JobMetrics {
  readonly begun: Counter;
  readonly ended: Counter<'end'>;
  readonly seconds: Histogram;
  /** Attempts under way in this process. */
  readonly running: Gauge;
  readonly waiting: Gauge;
  readonly flows: Gauge;
  readonly limited: Counter<'what'>;
  readonly lost: Counter;
  readonly outages: Counter;
  readonly durable: Gauge;

  constructor(metrics: Metrics) {
    this.begun = metrics.counter('job_attempts_total', 'Jobs begun in this process, each attempt counted.');
    this.ended = metrics.counter(
      'job_attempt_ends_total',
      'Attempts of this process that ended, by how: done, failed, retried, given_back, cancelled, refused.',
      ['end'],
    );
    this.seconds = metrics.histogram(
      'job_attempt_seconds',
      'Time an attempt took that was not cut short.',
      [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
    );
    this.running = metrics.gauge('job_attempts_running', 'Attempts under way in this process.');
    this.waiting = metrics.gauge('job_waiting_jobs', 'Jobs of flows that run which are not begun.');
    this.flows = metrics.gauge('job_flows_kept', 'Flows of jobs that are kept, those that ended counted.');
    this.limited = metrics.counter(
      'job_limited_total',
      'Flows of jobs not taken because of a limit, by which: flows or jobs.',
      ['what'],
    );
    this.lost = metrics.counter(
      'job_workers_lost_total',
      'Jobs taken from a worker that died or was not heard of for too long.',
    );
    this.outages = metrics.counter(
      'job_queue_outages_total',
      'Times the job queue could not be used any more.',
    );
    this.durable = metrics.gauge(
      'job_queue_durable',
      '1 while what the job queue acknowledges outlives the process that keeps it, 0 while it does not or nothing is known yet.',
    );
  }
}
