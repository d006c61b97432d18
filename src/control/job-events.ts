import { type Clock, every, type Timer } from '../base/clock.ts';
import type { Metrics } from '../base/metrics.ts';
import { headerBlock } from '../http/header-block.ts';
import { sharedBytes } from '../http/shared-bytes.ts';
import type { BodyStream, HttpResponse } from '../http/types.ts';
import { COMMON_HEADERS } from './admin-access.ts';
import { renderJob } from './title-routes.ts';
import type { TitleKeeper } from './title-status.ts';

/** Server-sent events: `event: job`, the data a `Job`. */
export const JOB_EVENTS_PATH = '/v1/jobs/events';

/** A job that changes all the time is told of so often at most. */
const PERIOD_MS = 500;
const PING_MS = 15_000;
/** Who does not read is cut. */
const MAX_BACKLOG_BYTES = 256 * 1024;
/** Readers at once; more get 503. */
export const MAX_READERS = 100;

const HEADERS = headerBlock([
  ['Content-Type', 'text/event-stream'],
  ['X-Accel-Buffering', 'no'],
  ...COMMON_HEADERS,
]);

interface JobEventsDeps {
  readonly titles: TitleKeeper;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** Tells those who listen how far jobs are: all of them at first, then those that change. */
export class JobEvents {
  readonly #deps: JobEventsDeps;
  readonly #readers = new Set<BodyStream>();
  readonly #changed = new Set<string>();
  readonly #unsubscribe: () => void;
  readonly #timers: readonly Timer[];
  readonly #gauge: { set(value: number): void };
  #busy = false;

  constructor(deps: JobEventsDeps) {
    this.#deps = deps;
    this.#gauge = deps.metrics.gauge(
      'control_job_event_readers',
      'Clients that listen to the progress of jobs.',
    );
    this.#unsubscribe = deps.titles.subscribe((id) => {
      if (this.#readers.size > 0) this.#changed.add(id);
    });
    this.#timers = [
      every(deps.clock, PERIOD_MS, () => void this.#tell()),
      every(deps.clock, PING_MS, () => this.#write(': ping\n\n')),
    ];
  }

  /** False: there are too many readers. */
  async join(response: HttpResponse): Promise<boolean> {
    if (this.#readers.size >= MAX_READERS) return false;
    const jobs = await this.#deps.titles.jobs();
    const body = response.open(200, HEADERS);
    this.#readers.add(body);
    this.#gauge.set(this.#readers.size);
    response.onAbort(() => {
      this.#readers.delete(body);
      this.#gauge.set(this.#readers.size);
    });
    body.write(sharedBytes(Buffer.from(`retry: 2000\n\n${jobs.toReversed().map(eventOf).join('')}`)));
    return true;
  }

  /** Idempotent. */
  close(): void {
    this.#unsubscribe();
    for (const timer of this.#timers) timer.cancel();
    for (const body of this.#readers) body.end();
    this.#readers.clear();
  }

  async #tell(): Promise<void> {
    if (this.#busy || this.#changed.size === 0) return;
    this.#busy = true;
    const ids = [...this.#changed];
    this.#changed.clear();
    try {
      const jobs = await Promise.all(ids.map((id) => this.#deps.titles.job(id)));
      this.#write(jobs.map((job) => (job ? eventOf(job) : '')).join(''));
    } catch {
      // The queue is away: the state is told when it is back.
      for (const id of ids) this.#changed.add(id);
    } finally {
      this.#busy = false;
    }
  }

  #write(text: string): void {
    if (text === '' || this.#readers.size === 0) return;
    const bytes = sharedBytes(Buffer.from(text));
    for (const body of this.#readers) {
      if (body.backlogBytes > MAX_BACKLOG_BYTES) this.#cut(body);
      else body.write(bytes);
    }
  }

  #cut(body: BodyStream): void {
    this.#readers.delete(body);
    this.#gauge.set(this.#readers.size);
    body.end();
  }
}

function eventOf(job: Parameters<typeof renderJob>[0]): string {
  return `event: job\ndata: ${JSON.stringify(renderJob(job))}\n\n`;
}
