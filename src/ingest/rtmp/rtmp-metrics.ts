import type { Metrics } from '../../base/metrics.ts';
import type { CloseReason } from './close-reason.ts';

/** Why a message of a publisher was passed over; the connection went on. */
export type IgnoredReason = 'empty_media' | 'metadata_limit' | 'message_type';

/** The metrics of one RTMP server, told what happened rather than which counter to move. */
export class RtmpMetrics {
  readonly #connections;
  readonly #sessions;
  readonly #publishers;
  readonly #receivedBytes;
  readonly #closed;
  readonly #ignored;
  readonly #listenerErrors;

  constructor(metrics: Metrics) {
    this.#connections = metrics.counter('ingest_rtmp_connections_total', 'RTMP connections accepted.');
    this.#sessions = metrics.gauge('ingest_rtmp_sessions', 'RTMP connections open now.');
    this.#publishers = metrics.gauge('ingest_rtmp_publishers', 'RTMP connections that are publishing now.');
    this.#receivedBytes = metrics.counter('ingest_rtmp_received_bytes_total', 'Bytes received over RTMP.');
    this.#closed = metrics.counter('ingest_rtmp_closed_total', 'RTMP connections ended, by reason.', [
      'reason',
    ]);
    this.#ignored = metrics.counter(
      'ingest_rtmp_ignored_messages_total',
      'RTMP messages passed over, by reason.',
      ['reason'],
    );
    this.#listenerErrors = metrics.counter(
      'ingest_rtmp_listener_errors_total',
      'Errors of the RTMP listener, such as no file descriptor left for a connection.',
    );
  }

  sessionOpened(): void {
    this.#connections.inc();
    this.#sessions.inc();
  }

  sessionGone(): void {
    this.#sessions.dec();
  }

  publishStarted(): void {
    this.#publishers.inc();
  }

  publishEnded(): void {
    this.#publishers.dec();
  }

  received(sizeBytes: number): void {
    this.#receivedBytes.inc(sizeBytes);
  }

  closed(reason: CloseReason): void {
    this.#closed.inc({ reason });
  }

  ignored(reason: IgnoredReason): void {
    this.#ignored.inc({ reason });
  }

  listenerError(): void {
    this.#listenerErrors.inc();
  }
}
