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
  listed: boolean;
  lastNumber: number;
  /** The same by rendition. */
  readonly lastNumbers: Map<string, number>;
  endMs: number;
  readonly independent: Map<string, boolean>;
}

/** The periods that still have listed media, oldest first, and the current one; never none. */
export function listedPeriods(window: LiveWindow): readonly ListedPeriod[] {
  const media = mediaByPeriod(window);
  const last = window.periods.at(-1);
  const begun = window.periods.flatMap((period, i) => {
    const own = media.get(period.id);
    if (!own?.listed && period !== last) return [];
    return [describe(window, period, window.periods[i + 1], own)];
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

function mediaByPeriod(window: LiveWindow): Map<string, PeriodMedia> {
  const media = new Map<string, PeriodMedia>();
  for (const rendition of window.renditions) {
    for (const segment of rendition.segments) {
      // An open segment without a chunk is not media yet, and may still become a gap.
      if (segment.state !== 'gap' && segment.chunks.length > 0) addSegment(media, rendition, segment);
    }
  }
  return media;
}

function addSegment(media: Map<string, PeriodMedia>, rendition: Rendition, segment: Segment): void {
  const own = media.get(segment.period.id) ?? {
    listed: false,
    lastNumber: 0,
    lastNumbers: new Map<string, number>(),
    endMs: 0,
    independent: new Map<string, boolean>(),
  };
  media.set(segment.period.id, own);
  own.lastNumber = Math.max(own.lastNumber, segment.number);
  own.lastNumbers.set(rendition.id, segment.number);
  own.endMs = Math.max(own.endMs, ticksToMs(mediaEndTicks(segment), rendition.timescale));
  if (segment.number < rendition.firstListed) return;
  own.listed = true;
  own.independent.set(rendition.id, segment.independent && (own.independent.get(rendition.id) ?? true));
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
