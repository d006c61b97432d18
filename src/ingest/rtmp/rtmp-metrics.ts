import { BatchedCounter } from '../../base/batched-counter.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { CloseReason } from './close-reason.ts';

/** Why a message of a publisher was passed over; the connection went on. */
export type IgnoredReason =
  | 'empty_media'
  | 'metadata_limit'
  | 'message_type'
  /** Of a video track over the limit, below the source's, without a configuration, or of a codec we do not have. */
  | 'video_track'
  /** Of another audio track than number 0. */
  | 'audio_track';

/** The metrics of one RTMP server, told what happened rather than which counter to move. */
export class RtmpMetrics {
  readonly #connections;
  readonly #sessions;
  readonly #publishers;
  readonly #receivedBytes;
  readonly #closed;
  readonly #ignored;
  readonly #listenerErrors;
  readonly #certificateReads;
  readonly #certificateExpiry;

  constructor(metrics: Metrics) {
    this.#connections = metrics.counter('ingest_rtmp_connections_total', 'RTMP connections accepted.');
    this.#sessions = metrics.gauge('ingest_rtmp_sessions', 'RTMP connections open now.');
    this.#publishers = metrics.gauge('ingest_rtmp_publishers', 'RTMP connections that are publishing now.');
    const received = metrics.counter('ingest_rtmp_received_bytes_total', 'Bytes received over RTMP.');
    this.#receivedBytes = new BatchedCounter(received).series({});
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
    this.#certificateReads = metrics.counter(
      'ingest_rtmps_certificate_reads_total',
      'Times the RTMPS certificate and key were read, by outcome: `used`, or `refused` and the old one kept.',
      ['outcome'],
    );
    this.#certificateExpiry = metrics.gauge(
      'ingest_rtmps_certificate_expiry_timestamp_seconds',
      'When the RTMPS certificate in use ends, seconds since the Unix epoch; 0 without RTMPS.',
    );
  }

  connectionOpened(): void {
    this.#connections.inc();
    this.#sessions.inc();
  }

  connectionGone(): void {
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

  certificateRead(usable: boolean): void {
    this.#certificateReads.inc({ outcome: usable ? 'used' : 'refused' });
  }

  certificateInUse(validToMs: number): void {
    this.#certificateExpiry.set(validToMs / 1000);
  }

  listenerError(): void {
    this.#listenerErrors.inc();
  }
}
