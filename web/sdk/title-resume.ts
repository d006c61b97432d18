import { ApiError } from './api-error.ts';
import { backOffMs, type SdkClock } from './clock.ts';
import type { OfflineQueue } from './offline-queue.ts';
import type { Position, ResumeRecord, ResumeReport } from './resume-types.ts';
import type { HeartbeatResume, ResumeClaim } from './session-types.ts';

/** How one title's reports go out. */
export interface TitleTransport {
  /** A new play gesture. @throws ApiError */
  claim(title: string): Promise<ResumeClaim>;
  /** @throws ApiError; 409 has what holds as `record` */
  report(title: string, report: ResumeReport): Promise<{ readonly record: ResumeRecord | null }>;
  /** The page goes: no time for an answer. False: it could not even be handed over. */
  beacon(title: string, report: ResumeReport): boolean;
  /** To be called after a while in which nothing could be sent. */
  flush(): void;
}

export interface TitleResumeDeps {
  readonly transport: TitleTransport;
  readonly queue: Pick<OfflineQueue, 'put'>;
  readonly profile: string;
  readonly clock: SdkClock;
}

/** While nothing changes, so often. */
export const REPORT_EVERY_MS = 10_000;
const BACK_OFF = { firstMs: 1000, mostMs: 30_000 };
/** Nearer to the start than this, the viewer is where the server would not take the word for it. */
const START_MS = 10_000;

/**
 * Where this device is in one title, told to the server: on each change of state, on each seek, every 10 s, and when the
 * page goes. Reports have an epoch, which the server gives for each play gesture, and a number that grows. When another
 * device goes on, reporting ends until {@link takeBack}.
 */
export class TitleResume {
  readonly title: string;
  /** Another device has gone on: what holds now. */
  onSuperseded: ((record: ResumeRecord | undefined) => void) | undefined;
  readonly #deps: TitleResumeDeps;
  #epoch: number | undefined;
  #claimedMs: number | undefined;
  #seq = 0;
  #record: ResumeRecord | undefined;
  #superseded = false;
  #closed = false;
  #latest: Position | undefined;
  /** {@link #latest} has not been sent yet. */
  #dirty = false;
  #force = false;
  #sending = false;
  #claiming = false;
  #failures = 0;
  #cancelTimer: (() => void) | undefined;

  /** With the claim of a session's start, or none: it is then made here. */
  constructor(title: string, claim: ResumeClaim | undefined, deps: TitleResumeDeps) {
    this.title = title;
    this.#deps = deps;
    if (claim) this.#take(claim);
    else void this.#claim();
    this.#schedule();
  }

  /** Where to begin: 0 for what is new, watched to the end, or not known. */
  get startPositionMs(): number {
    return this.#record && !this.#record.isDeleted && this.#record.state !== 'completed'
      ? this.#record.positionMs
      : 0;
  }

  /** What holds, as far as is known. */
  get record(): ResumeRecord | undefined {
    return this.#record;
  }

  get epoch(): number | undefined {
    return this.#epoch;
  }

  get isSuperseded(): boolean {
    return this.#superseded;
  }

  /** Where playback is now; sent soon. A change of state is sent at once. */
  update(position: Position): void {
    const isChange = position.state !== this.#latest?.state;
    this.#note(position);
    if (isChange) void this.#send();
  }

  /** The viewer went to another place; sent at once, also when it is right at the start. */
  seeked(position: Position): void {
    if (position.positionMs < START_MS) this.#force = true;
    this.#note(position);
    void this.#send();
  }

  /** The page is hidden or goes: what is not sent yet is handed to the browser. */
  leave(position: Position): void {
    this.#note(position);
    const report = this.#next();
    if (!report) return;
    if (!this.#deps.transport.beacon(this.title, report) || this.#failures > 0) this.#keep(report);
  }

  /** A report that a heartbeat takes along; undefined: there is nothing to say. Its answer goes to {@link heartbeatDone}. */
  forHeartbeat(): ResumeReport | undefined {
    return this.#sending ? undefined : this.#next();
  }

  heartbeatDone(report: ResumeReport, answer: HeartbeatResume | null | undefined): void {
    if (answer?.conflict) this.#refused(report, answer.conflict.record ?? undefined);
    else if (answer?.error !== undefined || !answer) this.#keep(report);
    else this.#record = answer.record ?? this.#record;
  }

  /** An event told of what holds. */
  noticed(record: ResumeRecord): void {
    if (this.#epoch === undefined || record.epoch <= this.#epoch) {
      if (record.version > (this.#record?.version ?? 0)) this.#record = record;
      return;
    }
    this.#lose(record);
  }

  /** The viewer wants to go on here: a new play gesture. What holds is in {@link record} then; the page goes there. */
  async takeBack(): Promise<void> {
    this.#superseded = false;
    this.#epoch = undefined;
    this.#latest = undefined;
    this.#dirty = false;
    await this.#claim();
  }

  /** The network is back: no more waiting. */
  retry(): void {
    if (this.#epoch === undefined && !this.#superseded) return void this.#claim();
    // Nothing new to try with: what is kept.
    if (this.#failures > 0 && !this.#dirty) this.#deps.transport.flush();
    void this.#send();
  }

  /** No more reports. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
  }

  #note(position: Position): void {
    const { positionMs, durationMs, state } = position;
    if (!Number.isFinite(positionMs) || !Number.isFinite(durationMs)) return;
    this.#latest = {
      positionMs: Math.max(0, Math.floor(positionMs)),
      durationMs: Math.floor(durationMs),
      state,
    };
    this.#dirty = true;
  }

  #take({ epoch, record, serverTimeMs }: ResumeClaim): void {
    this.#epoch = epoch;
    this.#claimedMs = serverTimeMs;
    this.#seq = 0;
    this.#record = record ?? undefined;
  }

  async #claim(): Promise<void> {
    if (this.#claiming || this.#closed) return;
    this.#claiming = true;
    try {
      this.#take(await this.#deps.transport.claim(this.title));
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      // It plays all the same; nobody will know where.
      if (error instanceof ApiError && !error.isPassing) this.close();
    } finally {
      this.#claiming = false;
    }
    if (this.#epoch !== undefined) await this.#send();
    else this.#schedule();
  }

  /** The next report, taken as sent; undefined while there is none, or no right to send it. */
  #next(): ResumeReport | undefined {
    if (!this.#latest || !this.#dirty || this.#epoch === undefined || this.#superseded || this.#closed)
      return undefined;
    this.#dirty = false;
    const report = {
      ...this.#latest,
      epoch: this.#epoch,
      seq: ++this.#seq,
      ...(this.#force ? { force: true } : {}),
    };
    this.#force = false;
    return report;
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    const report = this.#next();
    if (!report) return this.#schedule();
    this.#sending = true;
    try {
      const { record } = await this.#deps.transport.report(this.title, report);
      if (report.epoch === this.#epoch && record) this.#record = record;
      if (this.#failures > 0) this.#deps.transport.flush();
      this.#failures = 0;
    } catch (error) {
      this.#failed(report, error);
    } finally {
      this.#sending = false;
    }
    // What came meanwhile is newer: at once, or after the wait.
    if (this.#dirty && this.#failures === 0 && this.#latest?.state !== report.state) await this.#send();
    else this.#schedule();
  }

  #failed(report: ResumeReport, error: unknown): void {
    if (error instanceof ApiError && error.code === 'RESUME_CONFLICT') {
      this.#refused(report, (error.problem['record'] ?? undefined) as ResumeRecord | undefined);
    } else if (!(error instanceof ApiError) || error.isPassing) {
      this.#failures++;
      this.#keep(report);
    }
  }

  /** A report of ours that a later one of ours has passed is refused too: then nobody else has gone on. */
  #refused({ epoch }: ResumeReport, record: ResumeRecord | undefined): void {
    if (epoch === this.#epoch && record?.epoch !== epoch) this.#lose(record);
  }

  #keep(report: ResumeReport): void {
    const { queue, profile, clock } = this.#deps;
    const claimed = this.#claimedMs === undefined ? {} : { claimedMs: this.#claimedMs };
    void queue.put(profile, { ...report, ...claimed, title: this.title, atMs: clock.nowMs() });
  }

  #lose(record: ResumeRecord | undefined): void {
    if (record) this.#record = record;
    if (this.#superseded) return;
    this.#superseded = true;
    this.onSuperseded?.(record);
  }

  #schedule(): void {
    this.#cancelTimer?.();
    if (this.#closed) return;
    const { clock } = this.#deps;
    const delayMs =
      this.#failures === 0 ? REPORT_EVERY_MS : backOffMs(this.#failures, BACK_OFF, clock.random());
    this.#cancelTimer = clock.after(delayMs, () => this.retry());
  }
}
