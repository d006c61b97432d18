import type { Title, TitleText, TitleThumbnails } from '../../stream/title.ts';
import { isoTime } from '../iso-time.ts';
import { textPath, THUMBNAILS_ID } from '../media-path.ts';
import type { TierScope } from '../tier-scope.ts';
import { wholeRate } from '../vod/title-view.ts';
import { CLOCK_SCHEME, CLOCK_SCHEME_ISO, duration, MPD_NAMESPACE, PROFILES, utcTiming } from './mpd.ts';
import { isSingleFiles } from './title-segment-base.ts';
import { mediaSet, mediaSets, type MediaSet, trickSet } from './title-sets.ts';
import { endsEarly, longestSeconds, type Stretch, stretchesOf } from './title-stretches.ts';
import { element, writeDocument, type XmlElement } from './xml.ts';

/** What the MPD says beyond what the title knows. */
export interface TitleMpdOptions {
  /** Our clock for UTCTiming of a title that grows, answering an xs:dateTime; absolute, or relative to the MPD. */
  readonly clockUrl: string;
  /** What may be named; default: all. */
  readonly tiers?: TierScope;
}

/** One file for each Representation and Period, with a Segment Index. */
const PROFILES_SINGLE = 'urn:mpeg:dash:profile:isoff-on-demand:2011';
const FIRST_TEXT_SET = 200;
const THUMBNAILS_SET = 300;
const ROLE_SCHEME = 'urn:mpeg:dash:role:2011';
const TILE_SCHEME = 'http://dashif.org/guidelines/thumbnail_tile';
/** Least time between two looks at a title that grows, seconds. */
const MIN_UPDATE_SECONDS = 2;

/**
 * The MPD of a title (ISO/IEC 23009-1): dynamic while it grows, though its length is known, then static under the same
 * URL. Segments of a title that grows become available at the pace of their media counted from when it was made, or
 * later, when they are listed: so that players who know of no recording in progress find no end that is not there.
 */
export function renderTitleMpd(title: Title, options: TitleMpdOptions): string {
  return render(title, stretchesOf(title), options, false);
}

/**
 * The MPD of a title whose Representations are one file each, with an index. Undefined: the title still grows, or has gaps,
 * which such an index cannot tell of.
 */
export function renderSingleTitleMpd(title: Title, options: TitleMpdOptions): string | undefined {
  const stretches = stretchesOf(title);
  const canBe = title.state === 'complete' && stretches.every(isSingleFiles);
  return canBe ? render(title, stretches, options, true) : undefined;
}

function render(
  title: Title,
  stretches: readonly Stretch[],
  options: TitleMpdOptions,
  single: boolean,
): string {
  const isGrowing = title.state === 'growing';
  const longest = Math.max(longestSeconds(stretches), title.segmentMs / 1000);
  const sets = stretches.map((stretch) => mediaSets(title, stretch, options.tiers));
  const root = element(
    'MPD',
    {
      xmlns: MPD_NAMESPACE,
      id: title.id,
      profiles: single ? PROFILES_SINGLE : PROFILES,
      type: isGrowing ? 'dynamic' : 'static',
      availabilityStartTime: isGrowing ? isoTime(title.createdMs) : undefined,
      publishTime: isoTime(title.updatedMs),
      mediaPresentationDuration: duration(title.durationMs / 1000),
      minimumUpdatePeriod: isGrowing ? duration(Math.max(MIN_UPDATE_SECONDS, longest)) : undefined,
      // What is declared of each Representation are rates over a segment: so much is to be there before they hold.
      minBufferTime: duration(longest),
    },
    [
      ...stretches.map((_, index) => period(title, stretches, index, sets, single)),
      ...(isGrowing
        ? [utcTiming(CLOCK_SCHEME, options.clockUrl), utcTiming(CLOCK_SCHEME_ISO, options.clockUrl)]
        : []),
    ],
  );
  return writeDocument(root);
}

function period(
  title: Title,
  stretches: readonly Stretch[],
  index: number,
  sets: readonly (readonly MediaSet[])[],
  single: boolean,
): XmlElement | undefined {
  const stretch = stretches[index];
  if (!stretch) return undefined;
  const all = sets[index] ?? [];
  const previous = stretch.continues ? stretches[index - 1] : undefined;
  const before = previous && { id: previous.id, sets: sets[index - 1] ?? [] };
  const { startMs, mediaEndMs } = stretch;
  return element(
    'Period',
    {
      id: stretch.id,
      start: duration(startMs / 1000),
      duration: endsEarly(stretch, stretches[index + 1])
        ? duration((mediaEndMs - startMs) / 1000)
        : undefined,
    },
    [
      ...all.map((set) => mediaSet(set, { stretch, all, before, single })),
      // Ranges of small files, which that profile does not know.
      single ? undefined : trickSet(all, stretch),
      // One file each, of the whole title: there is a place for them where it is one Period.
      ...(stretches.length === 1 ? wholeSets(title) : []),
    ],
  );
}

function wholeSets(title: Title): XmlElement[] {
  const { texts, thumbnails } = title;
  const id = title.periods[0]?.id ?? '';
  return [
    ...texts.map((text, index) => textSet(title, text, FIRST_TEXT_SET + index, id)),
    // dash.js takes the wrong ones while a title grows.
    ...(thumbnails && title.state === 'complete' && thumbnails.sheetBytes.length > 0
      ? [thumbnailSet(title, thumbnails, id)]
      : []),
  ];
}

/** WebVTT beside the media, as one file (DASH-IF IOP 4.3 6.4.5). */
function textSet(title: Title, text: TitleText, id: number, periodId: string): XmlElement {
  const roles = [text.isForced ? 'forced-subtitle' : 'subtitle', ...(text.isDefault ? ['main'] : [])];
  return element('AdaptationSet', { id, contentType: 'text', lang: text.language, mimeType: 'text/vtt' }, [
    element('Label', {}, text.label),
    ...roles.map((value) => element('Role', { schemeIdUri: ROLE_SCHEME, value })),
    element(
      'Representation',
      { id: text.id, bandwidth: wholeRate((text.sizeBytes * 8000) / Math.max(1, title.durationMs)) },
      [element('BaseURL', {}, textPath(text.id, periodId))],
    ),
  ]);
}

/** Sheets of small pictures (DASH-IF IOP 4.3 6.2.6). */
function thumbnailSet({ durationMs }: Title, thumbnails: TitleThumbnails, periodId: string): XmlElement {
  const { columns, rows, width, height, intervalMs, sheetBytes } = thumbnails;
  const sheetMs = intervalMs * columns * rows;
  const heaviest = sheetBytes.reduce((most, bytes) => Math.max(most, bytes), 0);
  return element('AdaptationSet', { id: THUMBNAILS_SET, contentType: 'image', mimeType: 'image/jpeg' }, [
    element('SegmentTemplate', {
      timescale: 1000,
      duration: Math.round(sheetMs),
      startNumber: 0,
      endNumber: sheetBytes.length - 1,
      media: `${THUMBNAILS_ID}/${periodId}/$Number$.jpg`,
    }),
    element(
      'Representation',
      {
        id: THUMBNAILS_ID,
        bandwidth: wholeRate((heaviest * 8000) / Math.max(1, Math.min(sheetMs, durationMs))),
        width: width * columns,
        height: height * rows,
      },
      [element('EssentialProperty', { schemeIdUri: TILE_SCHEME, value: `${columns}x${rows}` })],
    ),
  ]);
}
