import type { Metrics } from '../base/metrics.ts';
import type { PublishProtocol } from '../stream/publisher.ts';
import type { AdmittedBy, PublishRefusal } from './authorise.ts';
import type { JwksFetch } from '../base/token-keys.ts';
import type { CallFailure } from '../base/outgoing-http.ts';
import type { WebhookVerdict } from './webhook-formats.ts';

export type WebhookOutcome = WebhookVerdict['kind'] | CallFailure | 'heard' | 'dropped';
/** Why a publisher that was let in was cut. */
export type CutReason = 'rotated' | 'revoked' | 'expired';

const SECONDS_BUCKETS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5] as const;

/** What the gate counts: all of ingest's decisions, whatever the protocol. */
export class GateMetrics {
  readonly #decisions;
  readonly #cuts;
  readonly #webhookCalls;
  readonly #webhookSeconds;
  readonly #jwksFetches;
  readonly #keyLooksFailed;

  constructor(metrics: Metrics) {
    this.#decisions = metrics.counter(
      'ingest_publish_decisions_total',
      'Requests to publish, by protocol and what was decided: admitted by key, token, webhook or nobody, or why not.',
      ['protocol', 'decision'],
    );
    this.#cuts = metrics.counter(
      'ingest_publishers_cut_total',
      'Publishers that were let in and cut again: key rotated, key revoked, or time over.',
      ['reason'],
    );
    this.#webhookCalls = metrics.counter(
      'ingest_webhook_calls_total',
      'Calls of the webhook, by what was told and what came of it.',
      ['call', 'outcome'],
    );
    this.#webhookSeconds = metrics.histogram(
      'ingest_webhook_seconds',
      'Time the webhook took to say whether somebody may publish.',
      SECONDS_BUCKETS,
    );
    this.#jwksFetches = metrics.counter(
      'ingest_jwks_fetches_total',
      'Times the key set for publish tokens was fetched.',
      ['outcome'],
    );
    this.#keyLooksFailed = metrics.counter(
      'ingest_key_looks_failed_total',
      'Times the publish keys could not be read when looking for changes.',
    );
  }

  decided(protocol: PublishProtocol, decision: AdmittedBy | PublishRefusal | 'unavailable'): void {
    this.#decisions.inc({ protocol, decision });
  }

  cut(reason: CutReason): void {
    this.#cuts.inc({ reason });
  }

  webhookCalled(call: 'publish' | 'unpublish', outcome: WebhookOutcome): void {
    this.#webhookCalls.inc({ call, outcome });
  }

  webhookSeconds(seconds: number): void {
    this.#webhookSeconds.observe(seconds);
  }

  jwksFetched(outcome: JwksFetch): void {
    this.#jwksFetches.inc({ outcome });
  }

  keyLookFailed(): void {
    this.#keyLooksFailed.inc();
  }
}
