import type { Title, TitlePeriod, TitleRendition, TitleSegment, TitleTrack } from '../../stream/title.ts';
import { ticksToMs } from '../ticks.ts';
import type { TierScope } from '../tier-scope.ts';

/** A rendition that may be named, with what it has in one period. */
export interface Offered {
  readonly rendition: TitleRendition;
  readonly own: TitleTrack;
}

/** Whether a rendition may be named to a viewer: no key that it needs is out of scope. As {@link TierScope}, a courtesy. */
export function isInScope({ periods }: Title, rendition: string, scope: TierScope): boolean {
  if (scope === undefined) return true;
  return periods.every(({ tracks }) => {
    const protection = tracks.get(rendition)?.protection;
    return protection === undefined || scope.has(protection.tier);
  });
}

/** The renditions of a kind that may be named, each with its track of the period that asks most of a player. */
export function offered(title: Title, kind: TitleRendition['kind'], scope: TierScope): Offered[] {
  return title.renditions.flatMap((rendition) => {
    if (rendition.kind !== kind || !isInScope(title, rendition.id, scope)) return [];
    const own = greatestTrack(title, rendition.id);
    return own ? [{ rendition, own }] : [];
  });
}

/** The source of a recording may have changed its pictures: whoever can play the largest can play all of it. */
function greatestTrack({ periods }: Title, rendition: string): TitleTrack | undefined {
  let greatest: TitleTrack | undefined;
  for (const { tracks } of periods) {
    const own = tracks.get(rendition);
    if (own && (!greatest || sizeOf(own) > sizeOf(greatest))) greatest = own;
  }
  return greatest;
}

/** Pixels, or channels. */
function sizeOf({ track }: TitleTrack): number {
  return track.kind === 'video' ? track.width * track.height : track.channels;
}

export function firstTrack({ periods }: Title, rendition: string): TitleTrack | undefined {
  return periods.find(({ tracks }) => tracks.has(rendition))?.tracks.get(rendition);
}

/**
 * The segments of a rendition that may be listed. While a title grows these are those that all renditions of pictures
 * have, so that a player may switch at each; sound that is ahead waits for them.
 */
export function listedSegments(
  title: Title,
  period: TitlePeriod,
  rendition: string,
): readonly TitleSegment[] {
  const segments = period.tracks.get(rendition)?.segments ?? [];
  const front = frontNumber(title, period);
  if (front === undefined || (segments.at(-1)?.number ?? 0) <= front) return segments;
  return segments.slice(0, Math.max(0, front - (segments[0]?.number ?? 0) + 1));
}

/** The last number that all pictures of a period have; undefined: it grows no more, or has none. */
function frontNumber(title: Title, period: TitlePeriod): number | undefined {
  if (title.state === 'complete' || period !== title.periods.at(-1)) return undefined;
  const ends = [...period.tracks.values()]
    .filter(({ track }) => track.kind === 'video')
    .map(({ segments }) => segments.at(-1)?.number ?? -1);
  return ends.length === 0 ? undefined : Math.min(...ends);
}

/** Seconds of a segment. */
export function segmentSeconds({ track }: TitleTrack, { durationTicks }: TitleSegment): number {
  return durationTicks / track.timescale;
}

/** Where a segment begins in the title, ms. */
export function segmentStartMs(
  period: TitlePeriod,
  { track, offsetTicks }: TitleTrack,
  startTicks: number,
): number {
  return period.startMs + ticksToMs(startTicks - offsetTicks, track.timescale);
}

/** Each segment of pictures that is listed begins with a key frame. */
export function allIndependent(title: Title): boolean {
  return title.periods.every((period) =>
    [...period.tracks].every(
      ([id, { track }]) =>
        track.kind === 'audio' ||
        listedSegments(title, period, id).every(({ isGap, keyFrameBytes }) => isGap || keyFrameBytes > 0),
    ),
  );
}

/** What a playlist or an MPD says of a rate: a whole number above 0. */
export function wholeRate(bps: number): number {
  return Math.max(1, Math.ceil(bps));
}
