import type { Title, TitlePeriod, TitleSegment, TitleTrack } from '../../stream/title.ts';
import { ticksToMs } from '../ticks.ts';
import { listedSegments, segmentStartMs } from '../vod/title-view.ts';

/** What one rendition has in a stretch: segments without a gap, at least one. */
export interface StretchTrack {
  readonly own: TitleTrack;
  readonly segments: readonly [TitleSegment, ...TitleSegment[]];
}

/**
 * A part of a title that is one Period of its MPD: in it no rendition has a gap, for an MPD cannot say that there is one. A
 * period of the title without gaps is one stretch, and has its id.
 */
export interface Stretch {
  readonly id: string;
  readonly period: TitlePeriod;
  readonly startMs: number;
  /** Where its pictures end, or its sound when there are none. */
  readonly mediaEndMs: number;
  /** By rendition id, in the title's order. */
  readonly tracks: ReadonlyMap<string, StretchTrack>;
  /** Its media runs on from the stretch before. */
  readonly continues: boolean;
}

/** The stretches of a title, in order. Where nothing has media there is none. */
export function stretchesOf(title: Title): Stretch[] {
  const stretches: Stretch[] = [];
  for (const period of title.periods) {
    const listed = new Map(title.renditions.map(({ id }) => [id, listedSegments(title, period, id)]));
    const cuts = cutNumbers([...listed.values()]);
    for (const [index, from] of cuts.entries()) {
      const until = cuts[index + 1] ?? Number.POSITIVE_INFINITY;
      const tracks = tracksWithin(period, listed, from, until);
      const stretch = describe(
        period,
        tracks,
        index === 0 ? period.id : `${period.id}-${from}`,
        stretches.at(-1),
      );
      if (stretch) stretches.push(stretch);
    }
  }
  return stretches;
}

/** The first number of a period, and those where a gap begins or ends in any rendition. */
function cutNumbers(all: readonly (readonly TitleSegment[])[]): number[] {
  const cuts = new Set<number>();
  for (const segments of all) {
    segments.forEach(({ number, isGap }, index) => {
      const before = segments[index - 1];
      if (before && before.isGap !== isGap) cuts.add(number);
    });
  }
  const numbers = all.flatMap((segments) => segments[0]?.number ?? []);
  if (numbers.length > 0) cuts.add(Math.min(...numbers));
  return [...cuts].toSorted((one, other) => one - other);
}

function tracksWithin(
  period: TitlePeriod,
  listed: ReadonlyMap<string, readonly TitleSegment[]>,
  from: number,
  until: number,
): Map<string, StretchTrack> {
  const tracks = new Map<string, StretchTrack>();
  for (const [id, all] of listed) {
    const own = period.tracks.get(id);
    const [first, ...others] = all.filter(({ number, isGap }) => !isGap && number >= from && number < until);
    if (own && first) tracks.set(id, { own, segments: [first, ...others] });
  }
  return tracks;
}

/** How far media may end before the next begins, and still run on: less than a frame of sound. */
const SLACK_MS = 50;

function describe(
  period: TitlePeriod,
  tracks: ReadonlyMap<string, StretchTrack>,
  id: string,
  before: Stretch | undefined,
): Stretch | undefined {
  const all = [...tracks.values()];
  const pictures = all.filter(({ own }) => own.track.kind === 'video');
  const leads = pictures.length > 0 ? pictures : all;
  const [lead] = leads;
  if (!lead) return undefined;
  const isFirst = before?.period !== period;
  const ownStartMs = segmentStartMs(period, lead.own, lead.segments[0].startTicks);
  // What is before the first picture, at the start of a period, is too short to cut off: sound begins there, too.
  const startMs = isFirst && ownStartMs - period.startMs <= SLACK_MS ? period.startMs : ownStartMs;
  const mediaEndMs = Math.max(...leads.map((track) => endMs(period, track)));
  const adjoins = before !== undefined && startMs - before.mediaEndMs <= SLACK_MS;
  return { id, period, startMs, mediaEndMs, tracks, continues: adjoins && (!isFirst || period.continues) };
}

function endMs(period: TitlePeriod, { own, segments }: StretchTrack): number {
  const last = segments.at(-1) ?? segments[0];
  return segmentStartMs(period, own, last.startTicks + last.durationTicks);
}

/** Whether `next` begins so late behind the stretch that it must say where it ends itself. */
export function endsEarly({ mediaEndMs }: Stretch, next: Stretch | undefined): boolean {
  return next !== undefined && next.startMs - mediaEndMs > SLACK_MS;
}

/** Media time of a track at the start of a stretch, ticks. */
export function offsetTicks(
  { period, startMs }: Stretch,
  { track, offsetTicks: atStart }: TitleTrack,
): number {
  return atStart + Math.round(((startMs - period.startMs) * track.timescale) / 1000);
}

/** Seconds of the longest segment of all. */
export function longestSeconds(stretches: readonly Stretch[]): number {
  let most = 0;
  for (const { tracks } of stretches) {
    for (const { own, segments } of tracks.values()) {
      for (const { durationTicks } of segments) {
        most = Math.max(most, ticksToMs(durationTicks, own.track.timescale) / 1000);
      }
    }
  }
  return most;
}
