import { type DocumentRule, repeated, when } from './document-rule.ts';
import type { AdaptationSet, Mpd, Representation } from './mpd-model.ts';
import {
  CMAF_PROFILE,
  hasProfile,
  LIVE_PROFILE,
  nominalSegmentSeconds,
  placedRepresentations,
  placedSets,
  placeOf,
} from './mpd-query.ts';
import { parseFrameRate } from './time-values.ts';

/** Rules about AdaptationSets and Representations. */
export const SET_RULES: readonly DocumentRule[] = [
  {
    rule: 'dash-set-id-twice',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.3.2',
    find: ({ periods }) =>
      periods.flatMap((period) =>
        repeated(period.adaptationSets.map(({ id }) => id)).map(
          (id) => `${placeOf(period)} has two AdaptationSets with the id ${id}`,
        ),
      ),
  },
  {
    rule: 'dash-set-empty',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.3.2',
    find: (mpd) =>
      placedSets(mpd)
        .filter(({ set }) => set.representations.length === 0 && !set.element.attributes.has('xlink:href'))
        .map(({ place }) => `${place} has no Representation`),
  },
  {
    rule: 'dash-representation-id',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.5.2',
    find: (mpd) => [
      ...placedRepresentations(mpd)
        .filter(({ representation: { id } }) => id === undefined || id === '' || /\s/.test(id))
        .map(({ representation: { place } }) => `${place} has no id, or one with white space`),
      ...mpd.periods.flatMap((period) =>
        repeated(period.adaptationSets.flatMap((set) => set.representations.map(({ id }) => id))).map(
          (id) => `${placeOf(period)} has two Representations with the id ${id}`,
        ),
      ),
    ],
  },
  {
    rule: 'dash-bandwidth-missing',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.5.2',
    find: (mpd) => placesWhere(mpd, ({ bandwidth }) => !bandwidth, 'has no bandwidth above 0'),
  },
  {
    rule: 'dash-mime-type',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.7.2',
    find: (mpd) =>
      placesWhere(mpd, ({ mimeType }) => mimeType === undefined, 'has no mimeType, nor has its set'),
  },
  {
    rule: 'dash-codecs-missing',
    severity: 'warning',
    clause: 'DASH-IF IOP 4.3 3.2.4; ISO/IEC 23009-1 5.3.7.2',
    find: (mpd) =>
      placedRepresentations(mpd)
        .filter(({ set, representation }) => isAudioOrVideo(set) && representation.codecs.length === 0)
        .map(({ representation: { place } }) => `${place} has no codecs, nor has its set`),
  },
  {
    rule: 'dash-content-type-mismatch',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.3.2',
    find: (mpd) =>
      placedRepresentations(mpd).flatMap(({ set, representation: { mimeType, place } }) => {
        const contentType = set.element.attributes.get('contentType');
        const top = mimeType?.split('/')[0];
        const different =
          (top === 'video' || top === 'audio') && contentType !== undefined && contentType !== top;
        return when(different, `${place} is ${mimeType} in a set of contentType ${contentType}`);
      }),
  },
  {
    rule: 'dash-video-size',
    severity: 'warning',
    clause: 'DASH-IF IOP 4.3 3.2.4',
    find: (mpd) =>
      placedRepresentations(mpd)
        .filter(({ set, representation: { width, height } }) => set.kind === 'video' && !(width && height))
        .map(({ representation: { place } }) => `${place} has no width and height, nor has its set`),
  },
  {
    rule: 'dash-audio-attributes',
    severity: 'warning',
    clause: 'DASH-IF IOP 4.3 3.2.4; ISO/IEC 23009-1 5.3.7.2',
    find: (mpd) =>
      placedRepresentations(mpd)
        .filter(
          ({ set, representation }) =>
            set.kind === 'audio' &&
            (representation.audioSamplingRate === undefined || !representation.hasChannelConfiguration),
        )
        .map(
          ({ representation: { place } }) => `${place} lacks audioSamplingRate or AudioChannelConfiguration`,
        ),
  },
  {
    rule: 'dash-set-bounds',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.3.2',
    find: (mpd) => placedSets(mpd).flatMap(({ set, place }) => outOfBounds(set, place)),
  },
  {
    rule: 'dash-segment-alignment',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 8.4.2',
    find: (mpd) =>
      switchingSets(mpd)
        .filter(({ set }) => hasProfile(mpd, LIVE_PROFILE) && !set.segmentAlignment)
        .map(({ place }) => `${place} has several Representations without segmentAlignment`),
  },
  {
    rule: 'dash-start-with-sap',
    severity: 'warning',
    clause: 'ISO/IEC 23009-1 5.3.7.2; DASH-IF IOP 4.3 3.2.4',
    find: (mpd) =>
      switchingSets(mpd)
        .filter(
          ({ set }) => set.kind === 'video' && set.representations.some((each) => !startsWithSap(set, each)),
        )
        .map(({ place }) => `${place}: startWithSAP does not say that players may switch at segments`),
  },
  {
    rule: 'dash-switching-segments',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.3.2',
    find: (mpd) =>
      switchingSets(mpd)
        .filter(({ set }) => set.segmentAlignment && new Set(set.representations.map(segmentGrid)).size > 1)
        .map(({ place, set }) => {
          const grids = set.representations.map((each) => `${each.id}: ${segmentGrid(each)}`);
          return `${place} claims aligned segments of different grids (${grids.join(', ')})`;
        }),
  },
  {
    rule: 'dash-switching-timescale',
    severity: 'error',
    clause: 'ISO/IEC 23000-19 7.3.4',
    find: (mpd) =>
      switchingSets(mpd)
        .filter(({ set }) => hasProfile(mpd, CMAF_PROFILE) && timescales(set).length > 1)
        .map(({ place, set }) => `${place} has the timescales ${timescales(set).join(' and ')}`),
  },
  {
    rule: 'dash-reference-time-attributes',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.12.2',
    find: (mpd) =>
      placedSets(mpd).flatMap(({ set, place }) =>
        [...set.references, ...set.representations.flatMap(({ references }) => references)]
          .filter(
            ({ id, wallClockMs, presentationTicks }) =>
              id === undefined || wallClockMs === undefined || presentationTicks === undefined,
          )
          .map(() => `${place}: a ProducerReferenceTime lacks id, wallClockTime or presentationTime`),
      ),
  },
];

function placesWhere(mpd: Mpd, wrong: (each: Representation) => boolean, what: string): string[] {
  return placedRepresentations(mpd)
    .filter(({ representation }) => wrong(representation))
    .map(({ representation }) => `${representation.place} ${what}`);
}

function isAudioOrVideo({ kind }: AdaptationSet): boolean {
  return kind === 'audio' || kind === 'video';
}

/** Sets with something to switch between. */
function switchingSets(mpd: Mpd) {
  return placedSets(mpd).filter(({ set }) => isAudioOrVideo(set) && set.representations.length > 1);
}

/** SAP types 1 to 3: players may switch at the start of a segment. */
function startsWithSap(set: AdaptationSet, representation: Representation): boolean {
  const type = representation.startWithSap ?? set.startWithSap ?? 0;
  return type >= 1 && type <= 3;
}

function timescales(set: AdaptationSet): number[] {
  return [...new Set(set.representations.map(({ addressing }) => addressing?.timescale ?? 1))];
}

/** Duration and first number, in which aligned Representations must agree. */
function segmentGrid({ addressing }: Representation): string {
  if (!addressing) return 'none';
  const seconds = nominalSegmentSeconds(addressing);
  return seconds === undefined || addressing.timeline ? addressing.kind : `${Number(seconds.toFixed(6))} s`;
}

const BOUNDS = [
  ['Width', 'width'],
  ['Height', 'height'],
  ['FrameRate', 'frameRate'],
  ['Bandwidth', 'bandwidth'],
] as const;

/** Representations above @maxX or below @minX of their set. */
function outOfBounds(set: AdaptationSet, place: string): string[] {
  return BOUNDS.flatMap(([name, field]) => {
    const bound = (which: 'min' | 'max'): number | undefined => {
      const text = set.element.attributes.get(`${which}${name}`);
      return text === undefined ? undefined : parseFrameRate(text);
    };
    const [least, most] = [bound('min'), bound('max')];
    return set.representations.flatMap((representation) => {
      const value = representation[field];
      if (value === undefined) return [];
      return [
        ...when(most !== undefined && value > most, `${place}: ${field} ${value} above max${name} ${most}`),
        ...when(
          least !== undefined && value < least,
          `${place}: ${field} ${value} below min${name} ${least}`,
        ),
      ];
    });
  });
}
