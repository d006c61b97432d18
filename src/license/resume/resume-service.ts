import type { Clock } from '../../base/clock.ts';
import { errorCode } from '../../base/errors.ts';
import {
  MAX_RECORDS,
  type ProfileKey,
  type ResumeList,
  type ResumeRecord,
  type ResumeReport,
  type ResumeStore,
} from '../../state/resume-store.ts';
import type { ResumeMetrics } from './resume-metrics.ts';
import {
  type DeviceReport,
  isHardlyBegun,
  isHeldBack,
  judgeReport,
  offlineEventMs,
  type OfflineReport,
  type ResumeRules,
  type TitleFacts,
  toContinue,
} from './resume-policy.ts';
import type { BatchRequest } from './resume-request.ts';
import type { ViewerNotices } from './viewer-notices.ts';

export interface ResumeServiceDeps {
  readonly store: ResumeStore;
  readonly notices: ViewerNotices;
  /** What the catalogue knows of a title. */
  readonly factsOf: (title: string) => TitleFacts;
  readonly clock: Clock;
  readonly metrics: ResumeMetrics;
}

/** What became of a report. */
export type ReportOutcome =
  | { readonly kind: 'stored'; readonly record: ResumeRecord }
  /** Opened and closed: the record of before stays. */
  | { readonly kind: 'held'; readonly record: ResumeRecord }
  /** Undefined: the epoch was never given out, or what it was for has been deleted. */
  | { readonly kind: 'conflict'; readonly record: ResumeRecord | undefined };

/** What became of a report out of a batch. */
export interface BatchResult {
  readonly title: string;
  readonly outcome: ReportOutcome['kind'] | 'superseded' | 'unavailable';
  readonly record: ResumeRecord | undefined;
}

/** The way a report came, for the metric. */
export type ReportVia = 'call' | 'beacon' | 'heartbeat' | 'batch';

/** Titles of one batch that are written at once. */
const BATCH_WRITES = 16;

/** Where viewers are: the rules in front of the store, and word of every change to who listens. */
export class ResumeService {
  readonly #rules: ResumeRules;
  readonly #deps: ResumeServiceDeps;

  constructor(rules: ResumeRules, deps: ResumeServiceDeps) {
    this.#rules = rules;
    this.#deps = deps;
  }

  /** Begins a play gesture. @throws AppError RESUME_PROFILE_LIMIT, RESUME_UNAVAILABLE; the latter as all calls here */
  claim(key: ProfileKey, title: string): ReturnType<ResumeStore['claim']> {
    return this.#deps.store.claim(key, title);
  }

  async report(key: ProfileKey, report: DeviceReport, via: ReportVia): Promise<ReportOutcome> {
    const { clock } = this.#deps;
    const judged = this.#judge(report, clock.wallMs());
    const outcome = await this.#store(key, report, judged, false);
    this.#deps.metrics.reports.inc({ via, outcome: outcome.kind });
    return outcome;
  }

  /** Of several reports on a title only the last is written: it holds against all before it. */
  async batch(
    key: ProfileKey,
    { clientNowMs, reports }: Omit<BatchRequest, 'profile'>,
  ): Promise<BatchResult[]> {
    const last = new Map<string, OfflineReport>();
    for (const report of reports) {
      const other = last.get(report.title);
      if (other === undefined || isLater(report, other)) last.set(report.title, report);
    }
    const results = new Map<OfflineReport, BatchResult>();
    const waiting = [...last.values()];
    const write = async (): Promise<void> => {
      for (let next = waiting.pop(); next; next = waiting.pop())
        results.set(next, await this.#offline(key, next, clientNowMs));
    };
    await Promise.all(Array.from({ length: BATCH_WRITES }, write));
    return reports.map((report) => {
      const result = results.get(report) ?? { ...SUPERSEDED, title: report.title };
      this.#deps.metrics.reports.inc({ via: 'batch', outcome: result.outcome });
      return result;
    });
  }

  list(key: ProfileKey, after: number): Promise<ResumeList> {
    return this.#deps.store.list(key, after);
  }

  async continueWatching(key: ProfileKey, limit: number): Promise<Omit<ResumeList, 'isWhole'>> {
    const { version, records } = await this.#deps.store.list(key, 0);
    return { version, records: toContinue(records, this.#rules).slice(0, limit) };
  }

  find(key: ProfileKey, title: string): Promise<ResumeRecord | undefined> {
    return this.#deps.store.find(key, title);
  }

  async remove(key: ProfileKey, title: string): Promise<void> {
    const mark = await this.#deps.store.remove(key, title);
    if (mark) this.#tell(key, mark);
  }

  export(viewer: string): ReturnType<ResumeStore['export']> {
    return this.#deps.store.export(viewer);
  }

  /** The number of records that were there. */
  async erase(viewer: string): Promise<number> {
    const erased = await this.#deps.store.erase(viewer);
    this.#deps.notices.tell(viewer, { kind: 'erased' });
    return erased;
  }

  async #offline(key: ProfileKey, report: OfflineReport, clientNowMs: number): Promise<BatchResult> {
    const { title } = report;
    const nowMs = this.#deps.clock.wallMs();
    const judged = this.#judge(report, offlineEventMs(report, clientNowMs, nowMs));
    try {
      const { kind, record } = await this.#store(key, report, judged, true);
      return { title, outcome: kind, record };
    } catch (error) {
      if (errorCode(error) !== 'RESUME_UNAVAILABLE') throw error;
      return { title, outcome: 'unavailable', record: undefined };
    }
  }

  #judge(report: DeviceReport, eventMs: number): ResumeReport {
    return judgeReport(report, this.#deps.factsOf(report.title), this.#rules, eventMs);
  }

  async #store(
    key: ProfileKey,
    report: DeviceReport,
    judged: ResumeReport,
    offline: boolean,
  ): Promise<ReportOutcome> {
    const { store } = this.#deps;
    if (isHardlyBegun(judged, report, this.#rules)) {
      const current = await store.find(key, report.title);
      if (current !== undefined && isHeldBack(judged, current)) return { kind: 'held', record: current };
    }
    const outcome = await store.put(key, judged, { offline });
    if (outcome.kind === 'stored') this.#tell(key, outcome.record);
    return outcome;
  }

  #tell({ viewer, profile }: ProfileKey, { version }: ResumeRecord): void {
    this.#deps.notices.tell(viewer, { kind: 'changed', profile, version });
  }
}

/** The most that one answer lists. */
export const MAX_LISTED = MAX_RECORDS;

const SUPERSEDED = { outcome: 'superseded', record: undefined } as const;

function isLater(a: OfflineReport, b: OfflineReport): boolean {
  return a.epoch === b.epoch ? a.seq > b.seq : a.epoch > b.epoch;
}
