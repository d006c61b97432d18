import type { LiveWindow, Part, Period, Rendition, Segment } from '../../stream/live-window.ts';

/** The live edge of one rendition, read in constant time. */
export interface Edge {
  /** The last complete segment, media or gap. */
  readonly lastComplete: Segment | undefined;
  /** Its number; one below the first segment's when there is none. */
  readonly lastNumber: number;
  /** The growing segment, when there is one; listed only by its parts. */
  readonly open: Segment | undefined;
}

export function edgeOf(rendition: Rendition): Edge {
  const { segments } = rendition;
  const newest = segments.at(-1);
  if (newest?.state !== 'open') {
    return { lastComplete: newest, lastNumber: newest?.number ?? rendition.firstListed - 1, open: undefined };
  }
  return { lastComplete: segments.at(-2), lastNumber: newest.number - 1, open: newest };
}

/** Complete segments and gaps that the playlist lists, by their places in the rendition's segments: `[from, end)`. */
export interface ListedRange {
  readonly from: number;
  readonly end: number;
}

/** In constant time. */
export function listedRange({ segments, firstListed }: Rendition): ListedRange {
  const end = segments.length - (segments.at(-1)?.state === 'open' ? 1 : 0);
  const from = Math.max(0, firstListed - (segments[0]?.number ?? firstListed));
  return { from: Math.min(from, end), end };
}

/** Where a segment ends so far, ticks: of an open one, the end of its last listed part. */
export function endTicks(segment: Segment): number {
  if (segment.state !== 'open') return segment.startTicks + segment.durationTicks;
  return segment.parts.reduce((end, part) => end + part.durationTicks, segment.startTicks);
}

/** Number and part index of the last thing that a rendition's playlist lists (EXT-X-RENDITION-REPORT). */
export interface LastListed {
  readonly number: number;
  /** 0 for a gap, which has no parts: the attribute must be there (an absent one reads as the asker's own). */
  readonly part: number;
}

export function lastListed(rendition: Rendition): LastListed | undefined {
  const { lastComplete, open } = edgeOf(rendition);
  const openPart = open?.parts.at(-1);
  if (open && openPart) return { number: open.number, part: openPart.index };
  return lastComplete && { number: lastComplete.number, part: lastComplete.parts.at(-1)?.index ?? 0 };
}

/** The part that will be listed next. */
export interface NextPart {
  readonly period: string;
  readonly number: number;
  readonly part: number;
}

/** Undefined when none is coming: not live, or a track that the current period does not have. */
export function nextPart(window: LiveWindow, rendition: Rendition): NextPart | undefined {
  if (window.state !== 'live') return undefined;
  const { open, lastNumber } = edgeOf(rendition);
  if (open && !open.period.tracks.has(rendition.id)) return undefined;
  if (open?.partsForetold) {
    const number = open.number + 1;
    return { period: (upcomingAt(window, rendition, number) ?? open.period).id, number, part: 0 };
  }
  if (open) return { period: open.period.id, number: open.number, part: nextIndex(open.parts) };
  // A rendition that lags may still have a segment of the old period to come when the new one is known.
  const number = lastNumber + 1;
  const begun = window.periods.findLast((candidate) => candidate.startNumber <= number);
  const period = upcomingAt(window, rendition, number) ?? begun;
  if (!period?.tracks.has(rendition.id)) return undefined;
  return { period: period.id, number, part: 0 };
}

/** The announced period, when the rendition's segment `number` will be its first. */
function upcomingAt({ upcoming }: LiveWindow, { id }: Rendition, number: number): Period | undefined {
  return upcoming?.startNumber === number && upcoming.tracks.has(id) ? upcoming : undefined;
}

function nextIndex(parts: readonly Part[]): number {
  const last = parts.at(-1);
  return last ? last.index + 1 : 0;
}
