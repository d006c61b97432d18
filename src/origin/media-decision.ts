import { decideReload } from '../packager/hls/blocking.ts';
import type { LiveWindow, Part, Period, Rendition, Segment } from '../stream/live-window.ts';

/** How many segments ahead of the newest one a request may be: players' clocks run a little ahead of ours. */
export const SEGMENT_ADVANCE = 2;

/** What is to become of a request for a segment. */
export type SegmentOutcome =
  | { readonly kind: 'whole'; readonly segment: Segment }
  | { readonly kind: 'growing'; readonly segment: Segment }
  /** It has left the memory, and is in storage. */
  | { readonly kind: 'archived'; readonly segment: Segment }
  /** It has left the memory, and is nowhere: players that do not know of gaps go on over an empty one. */
  | { readonly kind: 'lost' }
  /** Behind the last segment of a period whose media goes on with other keys: there is nothing, and no harm in it. */
  | { readonly kind: 'past-end' }
  | { readonly kind: 'missing' };

/** What is to become of a request for a part. */
export type PartOutcome =
  | { readonly kind: 'part'; readonly segment: Segment; readonly part: Part }
  | { readonly kind: 'missing' };

/** Not decided yet: hold the request. */
export interface NotYet {
  readonly kind: 'not-yet';
}

const MISSING = { kind: 'missing' } as const;
const PAST_END = { kind: 'past-end' } as const;
const LOST = { kind: 'lost' } as const;
const NOT_YET: NotYet = { kind: 'not-yet' };

/** Which segment, or part of it, a media URL names. */
export interface SegmentAddress {
  readonly period: string;
  readonly number: number;
}

/** The segment of a number, in constant time: numbers of a rendition are contiguous. */
export function findSegment(rendition: Rendition, number: number): Segment | undefined {
  const first = rendition.segments[0];
  return first ? rendition.segments[number - first.number] : undefined;
}

/** Whether a number lies past the newest segment: it may exist one day. */
export function isAhead(rendition: Rendition, number: number): boolean {
  const newest = rendition.segments.at(-1);
  return newest !== undefined && number > newest.number;
}

/** Decides a request for a segment; ask again after each change, until it is something else than `not-yet`. */
export function decideSegment(
  window: LiveWindow,
  rendition: Rendition,
  { period, number }: SegmentAddress,
): SegmentOutcome | NotYet {
  if (isJustPastEnd(window, { period, number })) return PAST_END;
  const segment = findSegment(rendition, number);
  if (segment) {
    if (!answersTo(segment.period, period) || segment.state === 'gap') return MISSING;
    if (segment.state === 'closed') return complete(segment);
    // Without a chunk it may still turn out to be a gap: an empty body would be kept as the segment.
    return segment.chunks.length === 0 ? NOT_YET : { kind: 'growing', segment };
  }
  const newest = rendition.segments.at(-1)?.number ?? Number.POSITIVE_INFINITY;
  const near = number > newest && number <= newest + SEGMENT_ADVANCE;
  return near && mayCome(window, { period, number }) ? NOT_YET : MISSING;
}

function complete(segment: Segment): SegmentOutcome {
  if (segment.place === 'lost') return LOST;
  return { kind: segment.place === 'memory' ? 'whole' : 'archived', segment };
}

/**
 * Decides a request for a part, as {@link decideSegment} does. A part that does not exist yet is held exactly when a
 * playlist request for it would be: within the advance limits, the hinted part among them.
 */
export function decidePart(
  window: LiveWindow,
  rendition: Rendition,
  address: SegmentAddress,
  index: number,
): PartOutcome | NotYet {
  const segment = findSegment(rendition, address.number);
  const part = segment && answersTo(segment.period, address.period) ? segment.parts[index] : undefined;
  if (segment && part) return { kind: 'part', segment, part };
  if (!mayCome(window, address)) return MISSING;
  const directives = { msn: address.number, part: index, skip: undefined, malformed: undefined };
  const reload = decideReload(window, rendition, directives);
  return reload.kind === 'wait' && reload.msn === address.number && reload.part === index ? NOT_YET : MISSING;
}

/** Players count so many segments more than there are in a period that goes on with other keys: dash.js 1, Shaka 2. */
const COUNTED_TOO_MANY = 2;

/** Whether a number is one of those. A player that got nothing there would wait in vain at every change of keys. */
function isJustPastEnd({ periods, upcoming }: LiveWindow, { period, number }: SegmentAddress): boolean {
  const next =
    upcoming?.continues === period ? upcoming : periods.findLast(({ continues }) => continues === period);
  if (!next?.rekeyed) return false;
  return number >= next.startNumber && number < next.startNumber + COUNTED_TOO_MANY;
}

/** True while somebody publishes, and what will have that number is of that period as far as can be known. */
function mayCome(window: LiveWindow, { period, number }: SegmentAddress): boolean {
  if (window.state !== 'live') return false;
  // Numbers mean the same time in every rendition: one that is ahead knows the period already.
  for (const rendition of window.renditions) {
    const segment = findSegment(rendition, number);
    if (segment) return answersTo(segment.period, period);
  }
  const { upcoming } = window;
  if (upcoming && number >= upcoming.startNumber) return answersTo(upcoming, period);
  return window.periods.at(-1)?.id === period;
}

/**
 * A period that only continues another has the same initialization segment, so its segments are also those of the
 * other: a player that has not yet seen the new period goes on asking under the old one's URLs. With other keys it could
 * not play what it got.
 */
function answersTo(period: Period, id: string): boolean {
  return period.id === id || (period.continues === id && !period.rekeyed);
}
