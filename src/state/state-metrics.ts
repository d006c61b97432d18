import type { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../base/metrics.ts';

/** The parts of the state, as labels. */
export type StatePart = 'resume' | 'sessions' | 'pub_sub' | 'leases' | 'registry';

/**
 * Why a call came to nothing. `deadline`: no answer in time, so it may have been done; `full`: too many are under way;
 * `fault`: the store failed or is not there.
 */
export type CallFailure = 'deadline' | 'full' | 'fault';

/** What is counted of all state, whichever driver keeps it. One for a process. */
export class StateMetrics {
  readonly pendingCalls: Gauge<'part'>;
  readonly failedCalls: Counter<'part' | 'reason'>;
  readonly redisConnected: Gauge<'use'>;
  readonly redisErrors: Counter<'use'>;
  readonly redisDurable: Gauge;
  readonly pubSubGaps: Counter;
  readonly pubSubDropped: Counter;
  readonly pubSubChannels: Gauge;

  constructor(metrics: Metrics) {
    this.pendingCalls = metrics.gauge('state_pending_calls', 'Calls of state stores that are under way.', [
      'part',
    ]);
    this.failedCalls = metrics.counter(
      'state_failed_calls_total',
      'Calls of state stores that came to nothing: no answer in time, too many under way, or a fault of the store.',
      ['part', 'reason'],
    );
    this.redisConnected = metrics.gauge(
      'state_redis_connected',
      'Connections to Redis that can be used now; several for messages when it is a Cluster.',
      ['use'],
    );
    this.redisErrors = metrics.counter(
      'state_redis_errors_total',
      'Faults of connections to Redis: lost, refused, silent for too long.',
      ['use'],
    );
    this.redisDurable = metrics.gauge(
      'state_redis_durable',
      '1 while what Redis acknowledges outlives its process (appendonly), 0 while it does not or nothing is known yet.',
    );
    this.pubSubGaps = metrics.counter(
      'state_pubsub_gaps_total',
      'Times that messages between servers may have been missed, as the connection was lost for a while.',
    );
    this.pubSubDropped = metrics.counter(
      'state_pubsub_dropped_total',
      'Messages between servers that were not sent, as too many waited.',
    );
    this.pubSubChannels = metrics.gauge('state_pubsub_channels', 'Channels that are listened to.');
  }
}
