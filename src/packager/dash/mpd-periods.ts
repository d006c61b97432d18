import type { LiveWindow, Period, Rendition, Segment } from '../../stream/live-window.ts';
import { ticksToMs } from '../ticks.ts';

/** A period that the MPD lists, with what its segments say of its end. */
export interface ListedPeriod {
  readonly period: Period;
  /** By rendition id: the last number with media, once no more will come; players ask for none beyond it. */
  readonly endNumbers: ReadonlyMap<string, number>;
  /** Where its media ends, ms since the epoch, where the next period does not say so by its start. */
  readonly endMs: number | undefined;
  /** By rendition id: every listed segment begins with a sync sample. */
  readonly independent: ReadonlyMap<string, boolean>;
}

/**
 * A period closed by its own media ends this much before the nominal end of its last segment at the latest: players
 * count segments as ceil(duration / segment duration), and a rounding error would make them ask for one that is not.
 */
const END_MARGIN_MS = 1;

/** What the segments that are held say of one period. */
interface PeriodMedia {
  /** Some of it is still listed. */
  readonly listed: boolean;
  readonly lastNumber: number;
  /** The same by rendition. */
  readonly lastNumbers: ReadonlyMap<string, number>;
  readonly endMs: number;
  readonly independent: ReadonlyMap<string, boolean>;
}

/** The periods that still have listed media, oldest first, and the current one; never none. */
export function listedPeriods(window: LiveWindow): readonly ListedPeriod[] {
  const { periods } = window;
  const last = periods.at(-1);
  const begun = periods.flatMap((period, i) => {
    const next = periods[i + 1];
    const media = mediaOf(window, period, next?.startNumber ?? Infinity);
    if (!media?.listed && period !== last) return [];
    return [describe(window, period, next, media)];
  });
  return [...begun, ...announced(window)];
}

/** The period to come. Nothing of it can be asked for yet, but players get ready for it, and for its keys. */
function announced({ upcoming, state }: LiveWindow): ListedPeriod[] {
  if (!upcoming || state !== 'live') return [];
  return [
    {
      period: upcoming,
      endNumbers: new Map(),
      endMs: undefined,
      independent: new Map(),
    },
  ];
}

/**
 * What is held of a period, whose segments are those before number `before`; undefined when it has no media. Looks at its
 * last segments only: a list may be a day long.
 */
function mediaOf(window: LiveWindow, period: Period, before: number): PeriodMedia | undefined {
  const lastNumbers = new Map<string, number>();
  const independent = new Map<string, boolean>();
  let endMs = 0;
  for (const rendition of window.renditions) {
    const last = lastMedia(rendition, period, before);
    if (!last) continue;
    lastNumbers.set(rendition.id, last.number);
    endMs = Math.max(endMs, ticksToMs(mediaEndTicks(last), rendition.timescale));
    const from = Math.max(rendition.firstListed, period.startNumber);
    if (last.number < from) continue;
    independent.set(rendition.id, !hasWithin(rendition.dependent ?? [], from, before));
  }
  if (lastNumbers.size === 0) return undefined;
  const lastNumber = Math.max(...lastNumbers.values());
  return { listed: independent.size > 0, lastNumber, lastNumbers, endMs, independent };
}

/** Whether one of the numbers, which grow, is in `[from, before)`. */
function hasWithin(numbers: readonly number[], from: number, before: number): boolean {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  return (numbers[low] ?? Infinity) < before;
}

/** The last segment of the period with media. */
function lastMedia({ segments }: Rendition, period: Period, before: number): Segment | undefined {
  const first = segments[0]?.number ?? 0;
  for (let i = Math.min(segments.length, before - first) - 1; i >= 0; i--) {
    const segment = segments[i];
    if (!segment || segment.number < period.startNumber) return undefined;
    // An open segment without a chunk is not media yet, and may still become a gap.
    if (segment.state === 'closed' || segment.chunks.length > 0) return segment;
  }
  return undefined;
}

function mediaEndTicks(segment: Segment): number {
  if (segment.state === 'closed') return segment.startTicks + segment.durationTicks;
  return segment.parts.reduce((end, part) => end + part.durationTicks, segment.startTicks);
}

function describe(
  window: LiveWindow,
  period: Period,
  next: Period | undefined,
  media: PeriodMedia | undefined,
): ListedPeriod {
  const independent = media?.independent ?? new Map<string, boolean>();
  const open = { period, endNumbers: new Map<string, number>(), endMs: undefined, independent };
  if (isGrowing(window, next)) return open;
  // An outage longer than all that is held: there is nothing left to play, so any fixed end in the past will do.
  if (!media) return { ...open, endMs: Math.max(window.mpdChangedMs, period.startMs) };
  const { lastNumber, lastNumbers: endNumbers } = media;
  // Media that runs on leaves no hole to tell of: the next period's start is the end.
  if (next?.continues === period.id) return next.rekeyed ? open : { ...open, endNumbers };
  const segmentMs = (period.segmentTicks / period.segmentTimescale) * 1000;
  const nominalEndMs = period.startMs + (lastNumber - period.startNumber + 1) * segmentMs - END_MARGIN_MS;
  const endMs = Math.min(media.endMs, nominalEndMs, next?.startMs ?? Number.POSITIVE_INFINITY);
  return { period, endNumbers, endMs: Math.max(endMs, period.startMs), independent };
}

/** More media of a period may come: it is the current one, or a late rendition has not reached the next one yet. */
function isGrowing(window: LiveWindow, next: Period | undefined): boolean {
  if (window.state !== 'live') return false;
  if (!next) return true;
  return window.renditions.some(({ id, segments }) => {
    if (!next.tracks.has(id)) return false;
    const newest = segments.at(-1);
    const lastComplete = newest?.state === 'open' ? newest.number - 1 : newest?.number;
    return lastComplete !== undefined && lastComplete < next.startNumber - 1;
  });
}
