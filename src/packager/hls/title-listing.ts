import type { Title, TitlePeriod, TitleSegment, TitleTrack } from '../../stream/title.ts';
import { firstTrack, listedSegments, segmentSeconds } from '../vod/title-view.ts';

/** A segment as a playlist of one rendition lists it. */
export interface ListedSegment {
  readonly period: TitlePeriod;
  /** Undefined: the rendition has nothing in this period, and the segment is a gap as long as another's. */
  readonly own: TitleTrack | undefined;
  /** What its times are counted by: `own`, or the other rendition's. */
  readonly measure: TitleTrack;
  readonly segment: TitleSegment;
  readonly isGap: boolean;
  /** Begins a stretch whose media does not run on. */
  readonly discontinuity: boolean;
}

/** All that is listed of a rendition, in order. */
export function listedOf(title: Title, rendition: string): ListedSegment[] {
  const listed: ListedSegment[] = [];
  let broken = false;
  for (const [index, period] of title.periods.entries()) {
    broken ||= index > 0 && !period.continues;
    const own = period.tracks.get(rendition);
    const source = own ? rendition : leading(title, period);
    const measure = source === undefined ? undefined : period.tracks.get(source);
    if (source === undefined || !measure) continue;
    for (const segment of listedSegments(title, period, source)) {
      listed.push({
        period,
        own,
        measure,
        segment,
        isGap: !own || segment.isGap,
        discontinuity: broken && listed.length > 0,
      });
      broken = false;
    }
  }
  return listed;
}

/** The rendition whose segments tell what there is in a period. */
function leading({ renditions }: Title, { tracks }: TitlePeriod): string | undefined {
  return renditions.find(({ id }) => tracks.has(id))?.id;
}

/**
 * The period whose initialization segment a segment is listed under: a gap of a rendition that its period does not have is
 * listed under that of another.
 */
export function initPeriod(title: Title, rendition: string, { period, own }: ListedSegment): TitlePeriod {
  if (own) return period;
  const before = title.periods.slice(0, title.periods.indexOf(period));
  const has = ({ tracks }: TitlePeriod): boolean => tracks.has(rendition);
  return before.findLast(has) ?? title.periods.find(has) ?? period;
}

/** EXT-X-TARGETDURATION of all playlists of media: never changed, for packagers cut segments at what is nominal. */
export function targetSeconds(title: Title): number {
  let most = Math.max(1, Math.round(title.segmentMs / 1000));
  for (const period of title.periods) {
    for (const [id, own] of period.tracks) {
      for (const segment of listedSegments(title, period, id)) {
        most = Math.max(most, Math.round(segmentSeconds(own, segment)));
      }
    }
  }
  return most;
}

/** First lines of every playlist of a title. */
export function headLines(
  title: Title,
  { version, targetDuration, sequence }: { version: number; targetDuration: number; sequence: number },
): string[] {
  const isGrowing = title.state === 'growing';
  return [
    '#EXTM3U',
    `#EXT-X-VERSION:${version}`,
    `#EXT-X-TARGETDURATION:${targetDuration}`,
    `#EXT-X-MEDIA-SEQUENCE:${sequence}`,
    `#EXT-X-PLAYLIST-TYPE:${isGrowing ? 'EVENT' : 'VOD'}`,
    // Players take what still grows for live and would begin at its end.
    ...(isGrowing ? ['#EXT-X-START:TIME-OFFSET=0'] : []),
  ];
}

/** Last lines: of a title that is complete, that nothing follows. */
export function tailLines({ state }: Title): string[] {
  return state === 'complete' ? ['#EXT-X-ENDLIST', ''] : [''];
}

export function hasTrack(title: Title, rendition: string): boolean {
  return firstTrack(title, rendition) !== undefined;
}
