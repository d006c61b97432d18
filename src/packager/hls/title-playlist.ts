import type { TrackProtection } from '../../media/protection.ts';
import type { Title } from '../../stream/title.ts';
import { isoTime } from '../iso-time.ts';
import { THUMBNAILS_ID } from '../media-path.ts';
import { segmentStartMs } from '../vod/title-view.ts';
import { seconds } from './format.ts';
import { type KeyFormatChoice, keyTags } from './key-format.ts';
import {
  hasTrack,
  headLines,
  initPeriod,
  type ListedSegment,
  listedOf,
  tailLines,
  targetSeconds,
} from './title-listing.ts';
import { MediaNames } from './title-media-names.ts';
import { renderTextPlaylist } from './title-text.ts';
import { renderImagePlaylist } from './title-thumbnails.ts';

export interface TitlePlaylistOptions {
  /** The KEYFORMAT that was asked for. */
  readonly keyFormat?: KeyFormatChoice | undefined;
  /** Media is named as byte ranges of one file for each rendition and period. Only of a title that is complete. */
  readonly single?: boolean | undefined;
}

/** EXT-X-MAP needs it. */
const VERSION = 6;

/**
 * The playlist called `<id>.m3u8`: of a rendition, a text or the small pictures (RFC 8216bis 4.4.3, 4.4.4). A title that
 * grows has an EVENT playlist, one that is complete a VOD playlist under the same URL. Undefined: there is none so called.
 */
export function renderTitlePlaylist(
  title: Title,
  id: string,
  options: TitlePlaylistOptions = {},
): string | undefined {
  if (options.single && title.state !== 'complete') return undefined;
  if (hasTrack(title, id)) return renderMediaPlaylist(title, id, options);
  if (options.single) return undefined;
  return id === THUMBNAILS_ID ? renderImagePlaylist(title) : renderTextPlaylist(title, id);
}

function renderMediaPlaylist(title: Title, id: string, options: TitlePlaylistOptions): string {
  const listed = listedOf(title, id);
  const lines = headLines(title, {
    version: VERSION,
    targetDuration: targetSeconds(title),
    sequence: listed[0]?.segment.number ?? 0,
  });
  const names = new MediaNames(id, options.single ?? false);
  const opening = new Opening(title, id, names, options.keyFormat);
  for (const each of listed) {
    const { period, measure, segment, isGap } = each;
    opening.push(lines, each);
    pushDate(lines, each);
    if (isGap) lines.push('#EXT-X-GAP');
    lines.push(`#EXTINF:${seconds(segment.durationTicks, measure.track.timescale)},`);
    lines.push(...names.segment(period, segment));
  }
  lines.push(...tailLines(title));
  return lines.join('\n');
}

/** The tags before a segment that hold for those after it, too: each is written where it changes. */
export class Opening {
  readonly #title: Title;
  readonly #id: string;
  readonly #names: MediaNames;
  readonly #keyFormat: KeyFormatChoice | undefined;
  #map: string | undefined;
  #protection: TrackProtection | undefined;

  constructor(title: Title, rendition: string, names: MediaNames, keyFormat: KeyFormatChoice | undefined) {
    this.#title = title;
    this.#id = rendition;
    this.#names = names;
    this.#keyFormat = keyFormat;
  }

  /** A KEY stands before the MAP: it applies to that, too. */
  push(lines: string[], listed: ListedSegment): void {
    if (listed.discontinuity) lines.push('#EXT-X-DISCONTINUITY');
    const period = initPeriod(this.#title, this.#id, listed);
    const protection = period.tracks.get(this.#id)?.protection;
    if (!sameKey(protection, this.#protection)) lines.push(...keyTags(protection, this.#keyFormat));
    const map = this.#names.map(period);
    if (map !== this.#map) lines.push(map);
    this.#map = map;
    this.#protection = protection;
  }
}

function sameKey(one: TrackProtection | undefined, other: TrackProtection | undefined): boolean {
  if (one === other) return true;
  return one !== undefined && other !== undefined && Buffer.compare(one.kid, other.kid) === 0;
}

/** When it was live, of a recording that says so: all of its playlists have dates, or none (6.2.4). */
export function pushDate(lines: string[], { period, measure, segment }: ListedSegment): void {
  if (period.liveMs === undefined) return;
  const dateMs = period.liveMs + segmentStartMs(period, measure, segment.startTicks) - period.startMs;
  lines.push(`#EXT-X-PROGRAM-DATE-TIME:${isoTime(dateMs)}`);
}
