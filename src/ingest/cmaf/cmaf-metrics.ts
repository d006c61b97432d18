import type { ErrorCode } from '../../base/errors.ts';
import type { Metrics } from '../../base/metrics.ts';

/** Why a CMAF session ended, as a metric label and log field. */
export type SessionEnd =
  /** All its tracks said so: brand `lmsg`, or a `mfra`. */
  | 'last_segment'
  | 'deleted'
  /** Silent for too long. */
  | 'silence'
  /** Closed by the hub: kicked, taken over, refused, or its media could not be used. */
  | 'hub'
  | 'shutdown'
  /** A bug of ours; the log line has the cause. */
  | 'internal';

/** What was left out of a stream that goes on. */
export type IgnoredThing =
  | 'track_kind'
  | 'video_track_limit'
  | 'second_audio'
  | 'foreign_clock'
  | 'event_scheme';

/** The metrics of CMAF ingest, told what happened rather than which counter to move. */
export class CmafMetrics {
  readonly #requests;
  readonly #refused;
  readonly #receivedBytes;
  readonly #openRequests;
  readonly #sessions;
  readonly #ended;
  readonly #duplicates;
  readonly #switches;
  readonly #events;
  readonly #ignored;

  constructor(metrics: Metrics) {
    this.#requests = metrics.counter(
      'ingest_cmaf_requests_total',
      'CMAF ingest requests, by class of status.',
      ['status_class'],
    );
    this.#refused = metrics.counter(
      'ingest_cmaf_refused_total',
      'CMAF ingest requests refused, by error code.',
      ['code'],
    );
    this.#receivedBytes = metrics.counter(
      'ingest_cmaf_received_bytes_total',
      'Bytes of bodies of CMAF ingest.',
    );
    this.#openRequests = metrics.gauge(
      'ingest_cmaf_open_requests',
      'CMAF ingest requests whose body is being read.',
    );
    this.#sessions = metrics.gauge('ingest_cmaf_sessions', 'Streams that are published by CMAF ingest now.');
    this.#ended = metrics.counter(
      'ingest_cmaf_sessions_ended_total',
      'CMAF ingest sessions ended, by reason.',
      ['reason'],
    );
    this.#duplicates = metrics.counter(
      'ingest_cmaf_duplicate_samples_total',
      'Samples of redundant or repeated CMAF segments that were held already.',
    );
    this.#switches = metrics.counter(
      'ingest_cmaf_source_switches_total',
      'Times a redundant CMAF source took the place of one that had fallen behind.',
    );
    this.#events = metrics.counter(
      'ingest_cmaf_events_total',
      'Timed events of CMAF ingest, repeats left out.',
    );
    this.#ignored = metrics.counter(
      'ingest_cmaf_ignored_total',
      'Things of CMAF ingest left out while the stream goes on, by kind.',
      ['what'],
    );
  }

  answered(status: number, code: ErrorCode | undefined): void {
    this.#requests.inc({ status_class: `${Math.floor(status / 100)}xx` });
    if (code) this.#refused.inc({ code });
  }

  received(sizeBytes: number): void {
    this.#receivedBytes.inc(sizeBytes);
  }

  bodyOpened(): void {
    this.#openRequests.inc();
  }

  bodyClosed(): void {
    this.#openRequests.dec();
  }

  sessionStarted(): void {
    this.#sessions.inc();
  }

  sessionEnded(reason: SessionEnd): void {
    this.#sessions.dec();
    this.#ended.inc({ reason });
  }

  duplicates(samples: number): void {
    this.#duplicates.inc(samples);
  }

  sourceSwitched(): void {
    this.#switches.inc();
  }

  event(): void {
    this.#events.inc();
  }

  ignored(what: IgnoredThing): void {
    this.#ignored.inc({ what });
  }
}
