import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../../base/metrics.ts';

/** Why an event stream ended that its client had not left. */
export type StreamCut = 'backlog' | 'token' | 'closing';

/** What is counted of resume state and its events. Labels come from closed sets. */
export class ResumeMetrics {
  readonly calls: Counter<'call' | 'outcome'>;
  readonly reports: Counter<'via' | 'outcome'>;
  readonly limited: Counter<'scope'>;
  readonly streams: Gauge;
  readonly cuts: Counter<'reason'>;
  readonly events: Counter<'event'>;
  readonly pushSeconds: Histogram;
  readonly syncs: Counter<'outcome'>;
  readonly notices: Counter<'outcome'>;
  readonly gaps: Counter;

  constructor(metrics: Metrics) {
    this.calls = metrics.counter(
      'resume_calls_total',
      'Calls about where viewers are, by call and outcome: ok, or the code of the refusal.',
      ['call', 'outcome'],
    );
    this.reports = metrics.counter(
      'resume_reports_total',
      'Reports of where a viewer is, by the way they came and what became of them: stored, held, conflict, superseded or unavailable.',
      ['via', 'outcome'],
    );
    this.limited = metrics.counter(
      'resume_limited_total',
      'Calls refused because their address or user asks too often (429).',
      ['scope'],
    );
    this.streams = metrics.gauge('resume_streams_connections', 'Event streams that are open.');
    this.cuts = metrics.counter(
      'resume_stream_cuts_total',
      'Event streams that we ended: backlog (the client did not read), token (it had run out) or closing.',
      ['reason'],
    );
    this.events = metrics.counter(
      'resume_events_total',
      'Events sent to devices, by kind: record, reset, sessions or session.',
      ['event'],
    );
    this.pushSeconds = metrics.histogram(
      'resume_push_seconds',
      'Time from a report to its event on another device of the user.',
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5],
    );
    this.syncs = metrics.counter(
      'resume_syncs_total',
      'Times that the state behind event streams was read again, by outcome.',
      ['outcome'],
    );
    this.notices = metrics.counter(
      'resume_notices_total',
      'Messages to other servers and streams that something has changed, by outcome.',
      ['outcome'],
    );
    this.gaps = metrics.counter(
      'resume_gaps_total',
      'Times that such messages may have been missed, and every stream was compared with the state.',
    );
  }
}
