import type { ArchivedRendition, ArchivedSegment, ArchivedStretch } from '../stream/archive.ts';
import { gapDurations } from './gap-slots.ts';
import { LiveRendition, LiveSegment } from './live-rendition.ts';
import { LivePeriod } from './period-factory.ts';
import { ticksToMs } from './ticks.ts';

/** A broadcast may begin this much before the end of the one before, target durations: its first GOP was held back. */
const OVERLAP_TARGETS = 1;

/** Shortest GAP segment: a hole that numbers were skipped in is divided no finer. */
const SHORTEST_GAP_MS = 20;

/** What was listed before this broadcast, as its window holds it. */
export interface RestoredPast {
  readonly periods: readonly LivePeriod[];
  readonly renditions: readonly LiveRendition[];
  readonly lastPeriod: LivePeriod;
  readonly lastNumber: number;
  /** Where its media, or the last of its gaps, ends; ms since the epoch. */
  readonly endMs: number;
  readonly discontinuities: number;
}

/** Discontinuities up to the end of a stretch, over the life of the stream. */
export function discontinuitiesOf({ discontinuitySequence, renditions }: ArchivedStretch): number {
  const listed = renditions[0]?.segments.filter(({ discontinuity }) => discontinuity) ?? [];
  return discontinuitySequence + listed.length;
}

/** The highest number of a stretch. */
export function lastNumberOf({ renditions }: ArchivedStretch): number {
  return Math.max(0, ...renditions.map(({ segments }) => segments.at(-1)?.number ?? 0));
}

/** The past made ready; undefined when it is none that can be listed: nothing, or renditions out of step. */
export function restorePast(stretch: ArchivedStretch): RestoredPast | undefined {
  const { renditions: all, targetDurationSeconds, discontinuitySequence } = stretch;
  const [lead] = all;
  const first = lead?.segments[0];
  const last = lead?.segments.at(-1);
  if (!lead || !first || !last || !all.every((one) => isInStep(one, first.number, last.number)))
    return undefined;
  const periods = new Map(stretch.periods.map((period) => [period.id, LivePeriod.restored(period)]));
  const lastPeriod = periods.get(last.periodId);
  const isKnown = all.every(({ segments }) => segments.every(({ periodId }) => periods.has(periodId)));
  if (!lastPeriod || !isKnown) return undefined;
  const list = { firstListed: first.number, discontinuitySequence };
  return {
    periods: [...periods.values()],
    renditions: all.map((one) => restoreRendition(one, periods, list, targetDurationSeconds)),
    lastPeriod,
    lastNumber: last.number,
    endMs: ticksToMs(last.startTicks + last.durationTicks, lead.timescale),
    discontinuities: discontinuitiesOf(stretch),
  };
}

function isInStep({ segments }: ArchivedRendition, first: number, last: number): boolean {
  return segments.length === last - first + 1 && segments.every(({ number }, i) => number === first + i);
}

function restoreRendition(
  { id, kind, timescale, segments }: ArchivedRendition,
  periods: ReadonlyMap<string, LivePeriod>,
  list: { readonly firstListed: number; readonly discontinuitySequence: number },
  targetDurationSeconds: number,
): LiveRendition {
  const origin = id === kind ? kind : 'rung';
  const rateRunSeconds = targetDurationSeconds / 2;
  const rendition = new LiveRendition({ id, kind, origin, timescale, rateRunSeconds, ...list });
  for (const segment of segments) {
    const period = periods.get(segment.periodId);
    if (period) rendition.push(restoreSegment(segment, period));
  }
  rendition.beginMemoryAt((segments.at(-1)?.number ?? 0) + 1);
  return rendition;
}

function restoreSegment(archived: ArchivedSegment, period: LivePeriod): LiveSegment {
  const segment = new LiveSegment({ ...archived, period });
  segment.durationTicks = archived.durationTicks;
  if (archived.state === 'gap') {
    segment.state = 'gap';
    return segment;
  }
  segment.state = 'closed';
  segment.sizeBytes = archived.sizeBytes;
  segment.independent = archived.independent;
  segment.brokenOff = archived.brokenOff;
  segment.keeping = archived.state === 'kept' ? 'kept' : 'failed';
  segment.leaveMemory(archived.state === 'kept' ? 'archive' : 'lost');
  return segment;
}

/** A gap between the broadcasts. */
export interface OutageGap {
  readonly durationMs: number;
  /** It stands for a discontinuity that was listed and is not known any more. */
  readonly discontinuity: boolean;
}

export interface Outage {
  /** Where the new broadcast begins, ms since the epoch. */
  readonly startMs: number;
  /** What a slot lasts. */
  readonly slotMs: number;
  readonly listSeconds: number;
  readonly targetDurationSeconds: number;
  /** The highest number, and the count of discontinuities, that somebody may have seen; see StreamRecord. */
  readonly used: { readonly lastNumber: number; readonly discontinuitySequence: number } | undefined;
}

/**
 * The gaps between the past and a broadcast that goes on behind it; undefined when it cannot: all of the past would have
 * left the list, or the clock went back. There are at least as many as numbers that were given out since: of a process that
 * was killed the journal only knows what it had reserved.
 */
export function gapsBehind(past: RestoredPast, outage: Outage): readonly OutageGap[] | undefined {
  const holeMs = outage.startMs - past.endMs;
  if (holeMs >= outage.listSeconds * 1000) return undefined;
  if (holeMs < -OVERLAP_TARGETS * outage.targetDurationSeconds * 1000) return undefined;
  const durations = gapDurations(holeMs, outage.slotMs);
  const skipped = (outage.used?.lastNumber ?? 0) - past.lastNumber;
  const unknown = Math.max(0, (outage.used?.discontinuitySequence ?? 0) - past.discontinuities);
  const count = Math.max(durations.length, skipped, unknown);
  const even = Math.max(SHORTEST_GAP_MS, holeMs / count);
  return Array.from({ length: count }, (_, i) => ({
    durationMs: count === durations.length ? (durations[i] ?? even) : even,
    discontinuity: i < unknown,
  }));
}
