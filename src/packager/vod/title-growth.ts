import type { Title, TitlePeriod, TitleRendition, TitleSegment } from '../../stream/title.ts';
import { ticksToMs } from '../ticks.ts';
import { measureRates } from './title-rates.ts';

/** Segments that a rendition of a title has got. */
export interface TitleAddition {
  readonly period: string;
  readonly rendition: string;
  /** Following on those that it has. */
  readonly segments: readonly TitleSegment[];
}

/**
 * The title with more segments, its rates measured anew: of a growing title they never go down, so that what was planned
 * for it stays the least that is said.
 * @throws RangeError when there is no such track, or numbers do not follow on
 */
export function growTitle(title: Title, additions: readonly TitleAddition[], nowMs: number): Title {
  const known = new Set(
    title.periods.flatMap(({ id, tracks }) => [...tracks.keys()].map((key) => `${id}/${key}`)),
  );
  for (const { period, rendition } of additions) {
    if (!known.has(`${period}/${rendition}`)) throw new RangeError(`no track ${rendition} in ${period}`);
  }
  const periods = title.periods.map((period) =>
    growPeriod(
      period,
      additions.filter((addition) => addition.period === period.id),
    ),
  );
  return withRates({ ...title, periods, updatedMs: nowMs }, 'keep');
}

/**
 * The title with everything in it that will ever be: as long as what it has, with the rates of what it has.
 */
export function completeTitle(title: Title, nowMs: number): Title {
  const complete = withRates({ ...title, state: 'complete', updatedMs: nowMs }, 'replace');
  return { ...complete, durationMs: mediaEndMs(complete) };
}

/** Where the media of a title ends, ms in it: the pictures where there are any, for a frame of sound may reach further. */
export function mediaEndMs({ periods }: Title): number {
  const last = periods.at(-1);
  if (!last) return 0;
  const ends = { video: 0, audio: 0 };
  for (const { track, offsetTicks, segments } of last.tracks.values()) {
    const segment = segments.at(-1);
    if (!segment) continue;
    const ticks = segment.startTicks + segment.durationTicks - offsetTicks;
    ends[track.kind] = Math.max(ends[track.kind], ticksToMs(ticks, track.timescale));
  }
  return last.startMs + (ends.video > 0 ? ends.video : ends.audio);
}

function growPeriod(period: TitlePeriod, additions: readonly TitleAddition[]): TitlePeriod {
  if (additions.length === 0) return period;
  const tracks = new Map(period.tracks);
  for (const { rendition, segments } of additions) {
    const track = tracks.get(rendition);
    if (!track) continue;
    const all = [...track.segments, ...segments];
    const first = all[0]?.number ?? 0;
    if (all.some(({ number }, index) => number !== first + index)) {
      throw new RangeError(`segments of ${rendition} do not follow on`);
    }
    tracks.set(rendition, { ...track, segments: all });
  }
  return { ...period, tracks };
}

function withRates(title: Title, mode: 'keep' | 'replace'): Title {
  const targetSeconds = title.segmentMs / 1000;
  const renditions = title.renditions.map((rendition): TitleRendition => {
    const stretches = title.periods.flatMap(({ tracks }) => {
      const own = tracks.get(rendition.id);
      return own ? [{ segments: own.segments, timescale: own.track.timescale }] : [];
    });
    const measured = measureRates(stretches, targetSeconds);
    if (mode === 'replace') return { ...rendition, ...measured };
    return {
      ...rendition,
      peakBps: Math.max(rendition.peakBps, measured.peakBps),
      averageBps: Math.max(rendition.averageBps, measured.averageBps),
    };
  });
  return { ...title, renditions };
}
