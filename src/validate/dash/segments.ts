import type { Addressing, Period, Representation } from './mpd-model.ts';
import { resolveUrl } from './parse-mpd.ts';
import { expandTemplate } from './url-template.ts';

/** One media segment as the MPD has it. */
export interface SegmentRef {
  /** 0 for the first segment that the addressing has. */
  readonly index: number;
  readonly number: number;
  /** Where the MPD puts it in the media's own time, ticks. */
  readonly mediaTicks: number;
  readonly durationTicks: number;
  /** Seconds from the start of the Period. */
  readonly start: number;
  /** Seconds. */
  readonly duration: number;
  readonly url: string;
  /** `first-last` bytes of the URL. */
  readonly range: string | undefined;
}

/** How many segments there are at most; undefined when that is open (live, without a timeline). */
export function segmentCount({ addressing }: Representation, period: Period): number | undefined {
  if (!addressing) return 0;
  if (addressing.kind === 'single') return 1;
  if (addressing.timeline) return addressing.timeline.segments.length;
  if (addressing.kind === 'list') return addressing.urls.length;
  const { duration, timescale, startNumber, endNumber } = addressing;
  if (endNumber !== undefined) return Math.max(0, endNumber - startNumber + 1);
  if (period.end === undefined || period.start === undefined || !duration) return undefined;
  // A Period may be cut a rounding error past a segment's end.
  return Math.max(0, Math.ceil(((period.end - period.start) * timescale) / duration - 1e-3));
}

/** The segment with that index; undefined when there is none, or its place can not be told. */
export function segmentAt(
  representation: Representation,
  period: Period,
  index: number,
): SegmentRef | undefined {
  const { addressing } = representation;
  const count = segmentCount(representation, period);
  if (!addressing || index < 0 || (count !== undefined && index >= count)) return undefined;
  const span = spanOf(addressing, period, index);
  if (!span) return undefined;
  const { timescale, presentationTimeOffset } = addressing;
  const number = addressing.startNumber + index;
  const place = placeOf(representation, addressing, { index, number, time: span.start });
  if (!place) return undefined;
  return {
    index,
    number,
    mediaTicks: span.start,
    durationTicks: span.duration,
    start: (span.start - presentationTimeOffset) / timescale,
    duration: span.duration / timescale,
    ...place,
  };
}

/** Index of the segment that holds a time; it may lie before the first or behind the last. `seconds`: in the Period. */
export function indexAt({ addressing }: Representation, seconds: number): number | undefined {
  if (!addressing || addressing.kind === 'single') return 0;
  const { timeline, timescale, presentationTimeOffset, duration } = addressing;
  if (!timeline) return duration ? Math.floor((seconds * timescale) / duration + 1e-6) : undefined;
  const ticks = seconds * timescale + presentationTimeOffset;
  let low = 0;
  let high = timeline.segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((timeline.segments[middle]?.start ?? 0) <= ticks + 1e-6) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

interface Span {
  /** Ticks of media time. */
  readonly start: number;
  readonly duration: number;
}

function spanOf(addressing: Addressing, period: Period, index: number): Span | undefined {
  const { timeline, duration, presentationTimeOffset, timescale, kind } = addressing;
  if (timeline) return timeline.segments[index];
  if (duration) return { start: presentationTimeOffset + index * duration, duration };
  const only = kind === 'single' || (kind === 'list' && addressing.urls.length === 1);
  if (!only || period.start === undefined || period.end === undefined) return undefined;
  return { start: presentationTimeOffset, duration: (period.end - period.start) * timescale };
}

function placeOf(
  representation: Representation,
  addressing: Addressing,
  { index, number, time }: { index: number; number: number; time: number },
): { url: string; range: string | undefined } | undefined {
  const { baseUrl } = representation;
  if (addressing.kind === 'single') return { url: baseUrl, range: undefined };
  if (addressing.kind === 'list') {
    const listed = addressing.urls[index];
    return listed && { url: listed.media ? resolveUrl(listed.media, baseUrl) : baseUrl, range: listed.range };
  }
  if (addressing.media === undefined) return undefined;
  return { url: resolveUrl(fill(addressing.media, representation, number, time), baseUrl), range: undefined };
}

/** Where the initialization segment is; undefined when there is none. */
export function initializationOf(
  representation: Representation,
): { url: string; range: string | undefined } | undefined {
  const { addressing, baseUrl } = representation;
  if (!addressing) return undefined;
  const { initialization, initializationRange } = addressing;
  if (initialization === undefined) {
    return initializationRange === undefined ? undefined : { url: baseUrl, range: initializationRange };
  }
  const name = addressing.kind === 'template' ? fill(initialization, representation, 0, 0) : initialization;
  return { url: resolveUrl(name, baseUrl), range: initializationRange };
}

function fill(template: string, { id, bandwidth }: Representation, number: number, time: number): string {
  return expandTemplate(template, { representationId: id ?? '', bandwidth: bandwidth ?? 0, number, time });
}
