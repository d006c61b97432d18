import type { Metrics } from '../../base/metrics.ts';
import type { TsCounters } from '../../media/mpegts/ts-counters.ts';
import type { CloseReason } from './close-reason.ts';
import type { ConnectionStats } from './connection.ts';
import type { IgnoredPacket } from './listener.ts';
import { NO_RECEIVER_COUNTS } from './receiver.ts';

/** What packets are counted by. */
const PACKET_KINDS = [
  'lost',
  'retransmitted',
  'duplicate',
  'belated',
  'dropped',
  'overflowed',
  'stray',
  'undecrypted',
] as const;
/** From a machine beside this one to the other side of the earth and back. */
const RTT_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

type PacketKind = (typeof PACKET_KINDS)[number];
type Counts = Readonly<Record<PacketKind | 'packets' | 'bytes' | 'naksSent', number>>;

const NO_COUNTS: Counts = { ...NO_RECEIVER_COUNTS, naksSent: 0 };

/** The metrics of SRT, told what happened rather than which counter to move. */
export class SrtMetrics {
  readonly #requests;
  readonly #publishers;
  readonly #packets;
  readonly #receivedPackets;
  readonly #receivedBytes;
  readonly #naks;
  readonly #rtt;
  readonly #closed;
  readonly #ignored;
  readonly #socketBuffer;
  readonly #socketErrors;
  readonly #tsPackets;
  readonly #tsSkippedBytes;
  readonly #tsFaults;
  readonly #tsDropped;

  constructor(metrics: Metrics) {
    this.#requests = metrics.counter('ingest_srt_requests_total', 'SRT callers that asked to publish.');
    this.#publishers = metrics.gauge('ingest_srt_publishers', 'SRT connections that are publishing now.');
    this.#receivedPackets = metrics.counter(
      'ingest_srt_received_packets_total',
      'SRT data packets received.',
    );
    this.#receivedBytes = metrics.counter(
      'ingest_srt_received_bytes_total',
      'Payload received over SRT, bytes.',
    );
    this.#packets = metrics.counter(
      'ingest_srt_packets_total',
      'SRT data packets by what was out of order with them: found missing, sent again, received twice or after they were needed, given up, too far ahead, not decrypted.',
      ['kind'],
    );
    this.#naks = metrics.counter('ingest_srt_naks_sent_total', 'Loss reports sent to SRT publishers.');
    this.#rtt = metrics.histogram(
      'ingest_srt_rtt_seconds',
      'Round trip to SRT publishers, smoothed, one sample a second of each.',
      RTT_BUCKETS_SECONDS,
    );
    this.#closed = metrics.counter(
      'ingest_srt_closed_total',
      'SRT connections ended and callers turned away, by reason.',
      ['reason'],
    );
    this.#ignored = metrics.counter(
      'ingest_srt_ignored_packets_total',
      'UDP packets to the SRT port that were not looked at further, by reason.',
      ['reason'],
    );
    this.#socketBuffer = metrics.gauge(
      'ingest_srt_socket_buffer_bytes',
      'Receive buffer the system gives the SRT port.',
    );
    this.#socketErrors = metrics.counter(
      'ingest_srt_socket_errors_total',
      'Failures of the SRT socket to send or receive.',
      ['direction'],
    );
    this.#tsPackets = metrics.counter('ingest_srt_ts_packets_total', 'MPEG-TS packets received over SRT.');
    this.#tsSkippedBytes = metrics.counter(
      'ingest_srt_ts_skipped_bytes_total',
      'Bytes received over SRT that were passed over in search of MPEG-TS packets.',
    );
    this.#tsFaults = metrics.counter(
      'ingest_srt_ts_faults_total',
      'What was wrong with MPEG-TS received over SRT, below pictures and sound.',
      ['fault'],
    );
    this.#tsDropped = metrics.counter(
      'ingest_srt_ts_dropped_total',
      'Pictures, audio frames and events in MPEG-TS over SRT that were not handed on, by cause.',
      ['kind', 'cause'],
    );
  }

  requested(): void {
    this.#requests.inc();
  }

  publishStarted(): void {
    this.#publishers.inc();
  }

  publishEnded(): void {
    this.#publishers.dec();
  }

  closed(reason: CloseReason): void {
    this.#closed.inc({ reason });
  }

  ignored(reason: IgnoredPacket): void {
    this.#ignored.inc({ reason });
  }

  socketBuffer(sizeBytes: number): void {
    this.#socketBuffer.set(sizeBytes);
  }

  socketError(direction: 'receive' | 'send'): void {
    this.#socketErrors.inc({ direction });
  }

  /** Counts what is new since `before`; gives what to hand in next time. */
  connection(stats: ConnectionStats, before: Counts | undefined): Counts {
    const last = before ?? NO_COUNTS;
    this.#receivedPackets.inc(stats.packets - last.packets);
    this.#receivedBytes.inc(stats.bytes - last.bytes);
    this.#naks.inc(stats.naksSent - last.naksSent);
    for (const kind of PACKET_KINDS) {
      const count = stats[kind] - last[kind];
      if (count > 0) this.#packets.inc({ kind }, count);
    }
    this.#rtt.observe(stats.rttMs / 1000);
    return stats;
  }

  /** The same of a demuxer's counters. */
  transportStream(counters: TsCounters, before: TsCounts | undefined): TsCounts {
    this.#tsPackets.inc(counters.packets - (before?.packets ?? 0));
    this.#tsSkippedBytes.inc(counters.skippedBytes - (before?.skippedBytes ?? 0));
    for (const [fault, count] of entriesOf(counters.faults)) {
      const more = count - (before?.faults[fault] ?? 0);
      if (more > 0) this.#tsFaults.inc({ fault }, more);
    }
    for (const [kind, causes] of entriesOf(counters.dropped)) {
      for (const [cause, count] of entriesOf(causes)) {
        const more = count - (before?.dropped[kind][cause] ?? 0);
        if (more > 0) this.#tsDropped.inc({ kind, cause }, more);
      }
    }
    const { packets, skippedBytes, faults, dropped } = counters;
    return structuredClone({ packets, skippedBytes, faults, dropped });
  }
}

/** Where a connection's counters were when they were last counted. */
export type ConnectionCounts = Counts;

/** Where a demuxer's counters were when they were last counted. */
export type TsCounts = Pick<TsCounters, 'packets' | 'skippedBytes' | 'faults' | 'dropped'>;

function entriesOf<K extends string, V>(record: Record<K, V>): [K, V][] {
  return Object.entries(record) as [K, V][];
}
