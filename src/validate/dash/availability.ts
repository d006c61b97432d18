import type { Mpd, Period, Representation } from './mpd-model.ts';
import { indexAt, type SegmentRef, segmentAt, segmentCount } from './segments.ts';

/** Wall time at which a Period starts, ms since the Unix epoch; undefined when it can not be told. */
export function periodStartMs(mpd: Mpd, period: Period): number | undefined {
  if (mpd.availabilityStartMs === undefined || period.start === undefined) return undefined;
  return mpd.availabilityStartMs + period.start * 1000;
}

/** When a segment of a dynamic presentation is there (ISO/IEC 23009-1 5.3.9.5.3, A.3.4), ms since the Unix epoch. */
export interface SegmentTimes {
  /** When its first picture was, on the MPD's time line. */
  readonly beginMs: number;
  /** When its last one was: from then on it is there whole. */
  readonly endMs: number;
  /** From then on it may be asked for: `endMs` less availabilityTimeOffset. */
  readonly availableMs: number;
}

export function segmentTimes(
  mpd: Mpd,
  period: Period,
  { addressing }: Representation,
  segment: SegmentRef,
): SegmentTimes | undefined {
  const startMs = periodStartMs(mpd, period);
  if (startMs === undefined || !addressing) return undefined;
  const beginMs = startMs + segment.start * 1000;
  const endMs = beginMs + segment.duration * 1000;
  return { beginMs, endMs, availableMs: endMs - addressing.availabilityTimeOffset * 1000 };
}

/** The newest segment that may be asked for at `nowMs`; undefined when there is none yet. */
export function edgeSegment(
  mpd: Mpd,
  period: Period,
  representation: Representation,
  nowMs: number,
): SegmentRef | undefined {
  const startMs = periodStartMs(mpd, period);
  const { addressing } = representation;
  if (startMs === undefined || !addressing) return undefined;
  const count = segmentCount(representation, period);
  let index = indexAt(representation, (nowMs - startMs) / 1000);
  if (index === undefined) return undefined;
  if (count !== undefined) index = Math.min(index, count - 1);
  // One or two back from the one that holds this very moment, as long as that is not there yet.
  for (let back = 0; back < 4 && index - back >= 0; back++) {
    const segment = segmentAt(representation, period, index - back);
    const times = segment && segmentTimes(mpd, period, representation, segment);
    if (times && times.availableMs <= nowMs) return segment;
  }
  return undefined;
}

/** The oldest segment that must still be there: the first that reaches into the time shift buffer. */
export function oldestSegment(
  mpd: Mpd,
  period: Period,
  representation: Representation,
  nowMs: number,
): SegmentRef | undefined {
  const startMs = periodStartMs(mpd, period);
  if (startMs === undefined) return undefined;
  const depth = mpd.timeShiftBufferDepth;
  const sinceStart = depth === undefined ? 0 : (nowMs - startMs) / 1000 - depth;
  return segmentAt(representation, period, Math.max(0, indexAt(representation, sinceStart) ?? 0));
}

/** The Period that a moment falls into, else the last one that has begun. */
export function periodAt(mpd: Mpd, nowMs: number): Period | undefined {
  return mpd.periods.findLast((period) => {
    const startMs = periodStartMs(mpd, period);
    return startMs !== undefined && startMs <= nowMs;
  });
}
