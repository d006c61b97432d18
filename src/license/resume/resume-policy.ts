import type { ResumeRecord, ResumeReport, WatchState } from '../../state/resume-store.ts';

/** What a device says of where it is; times in ms. */
export interface DeviceReport {
  readonly title: string;
  readonly device: string;
  readonly epoch: number;
  readonly seq: number;
  readonly positionMs: number;
  /** 0: not known. */
  readonly durationMs: number;
  readonly state: WatchState;
  /** The user has gone there on purpose: it counts even at the very beginning. */
  readonly force: boolean;
}

/** The same of a device that was offline. */
export interface OfflineReport extends DeviceReport {
  /** When it was so, by the device's clock. */
  readonly atMs: number;
  /** Our time when the gesture was claimed, if the device has kept it. */
  readonly claimedMs: number | undefined;
}

export interface ResumeRules {
  /** A gesture that has not got this far is opened and closed again, not watched. */
  readonly minWatchedMs: number;
  /** Of the duration: past it a title is watched, where nobody knows where its credits begin. */
  readonly completedPercent: number;
}

/** What is known of a title besides what players say. */
export interface TitleFacts {
  /** Where the credits begin; undefined when nobody knows. */
  readonly creditsMs: number | undefined;
}

/** The report as it is to be stored: within the title, and completed when it is. `eventMs` is of our clock. */
export function judgeReport(
  report: DeviceReport,
  { creditsMs }: TitleFacts,
  rules: ResumeRules,
  eventMs: number,
): ResumeReport {
  const { title, device, epoch, seq, durationMs } = report;
  const positionMs = durationMs > 0 ? Math.min(report.positionMs, durationMs) : report.positionMs;
  const endMs = creditsMs ?? (durationMs * rules.completedPercent) / 100;
  const isCompleted = report.state === 'completed' || (endMs > 0 && positionMs >= endMs);
  return {
    title,
    device,
    epoch,
    seq,
    durationMs,
    eventMs,
    positionMs: isCompleted ? 0 : positionMs,
    state: isCompleted ? 'completed' : report.state,
  };
}

/** Whether the record must be looked at before the report may replace it: it may be one of opened and closed. */
export function isHardlyBegun(
  judged: ResumeReport,
  { force }: DeviceReport,
  { minWatchedMs }: ResumeRules,
): boolean {
  return !force && judged.state !== 'completed' && judged.positionMs < minWatchedMs;
}

/** Whether a report that has hardly begun leaves an older record as it is. */
export function isHeldBack(judged: ResumeReport, current: ResumeRecord | undefined): boolean {
  return current !== undefined && !current.isDeleted && current.epoch < judged.epoch;
}

/**
 * When an offline report was so, by our clock: moved by how far the device's is off, never later than now, never before
 * the gesture was claimed.
 */
export function offlineEventMs(
  { atMs, claimedMs = 0 }: Pick<OfflineReport, 'atMs' | 'claimedMs'>,
  clientNowMs: number,
  nowMs: number,
): number {
  const movedMs = Math.round(atMs + (nowMs - clientNowMs));
  return Math.min(Math.max(movedMs, Math.ceil(claimedMs), 0), nowMs);
}

/** What may be gone on with, the newest first. */
export function toContinue(records: readonly ResumeRecord[], { minWatchedMs }: ResumeRules): ResumeRecord[] {
  return records
    .filter(
      ({ isDeleted, state, positionMs }) => !isDeleted && state !== 'completed' && positionMs >= minWatchedMs,
    )
    .sort((a, b) => b.eventMs - a.eventMs || b.version - a.version);
}
