import { type DocumentRule, when } from './document-rule.ts';
import { nominalSegmentSeconds, placedRepresentations } from './mpd-query.ts';

/** UTCTiming schemes (ISO/IEC 23009-1 5.8.5.7). */
const UTC_SCHEMES = ['ntp', 'sntp', 'http-head', 'http-xsdate', 'http-iso', 'http-ntp', 'direct'].map(
  (name) => `urn:mpeg:dash:utc:${name}:2014`,
);

/** A maxSegmentDuration written with one decimal is not held against its rounding. */
const ROUNDING_SECONDS = 0.1;

/** Rules about the MPD element. */
export const MPD_RULES: readonly DocumentRule[] = [
  {
    rule: 'dash-attribute-value',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3, schema',
    find: ({ faults }) =>
      faults.map(
        ({ place, attribute, value, wanted }) => `${place}: @${attribute}="${value}" is not ${wanted}`,
      ),
  },
  {
    rule: 'dash-profiles',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ profiles }) => when(profiles.length === 0, 'MPD@profiles is missing'),
  },
  {
    rule: 'dash-type',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ type }) =>
      when(type !== undefined && type !== 'static' && type !== 'dynamic', `MPD@type is "${type}"`),
  },
  {
    rule: 'dash-min-buffer-time',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ element }) => when(!element.attributes.has('minBufferTime'), 'MPD@minBufferTime is missing'),
  },
  {
    rule: 'dash-availability-start',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ dynamic, element }) =>
      when(
        dynamic && !element.attributes.has('availabilityStartTime'),
        'dynamic without MPD@availabilityStartTime',
      ),
  },
  {
    rule: 'dash-publish-time',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ dynamic, element }) =>
      when(dynamic && !element.attributes.has('publishTime'), 'dynamic without MPD@publishTime'),
  },
  {
    rule: 'dash-duration-unknown',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ presentationDuration, minimumUpdatePeriod, periods }) =>
      when(
        presentationDuration === undefined &&
          minimumUpdatePeriod === undefined &&
          periods.at(-1)?.declaredDuration === undefined,
        'neither mediaPresentationDuration nor minimumUpdatePeriod nor a duration of the last Period',
      ),
  },
  {
    rule: 'dash-static-update',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ dynamic, minimumUpdatePeriod }) =>
      when(!dynamic && minimumUpdatePeriod !== undefined, 'static with MPD@minimumUpdatePeriod'),
  },
  {
    rule: 'dash-presentation-delay',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ suggestedPresentationDelay: delay, timeShiftBufferDepth: depth }) =>
      when(
        delay !== undefined && depth !== undefined && delay >= depth,
        `suggestedPresentationDelay ${delay} s lies outside the timeShiftBufferDepth of ${depth} s`,
      ),
  },
  {
    rule: 'dash-update-period-too-long',
    severity: 'warning',
    clause: 'DASH-IF IOP timing model, MPD refreshes; ISO/IEC 23009-1 5.4',
    find: (mpd) => {
      const { minimumUpdatePeriod: period, dynamic } = mpd;
      if (!dynamic || period === undefined) return [];
      return placedRepresentations(mpd).flatMap(({ representation: { addressing, place } }) => {
        const longest = addressing?.timeline && nominalSegmentSeconds(addressing);
        if (!longest || period <= longest + ROUNDING_SECONDS) return [];
        return [`${place}: a timeline of segments of ${longest} s, minimumUpdatePeriod ${period} s`];
      });
    },
  },
  {
    rule: 'dash-max-segment-duration',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: (mpd) => {
      const most = mpd.maxSegmentDuration;
      if (most === undefined) return [];
      return placedRepresentations(mpd).flatMap(({ representation: { addressing, place } }) => {
        const longest = addressing && addressing.kind !== 'single' && nominalSegmentSeconds(addressing);
        if (!longest || longest <= most + ROUNDING_SECONDS) return [];
        return [`${place}: a segment of ${longest} s, maxSegmentDuration ${most} s`];
      });
    },
  },
  {
    rule: 'dash-utc-timing-missing',
    severity: 'warning',
    clause: 'DASH-IF IOP timing model, clock synchronization; ISO/IEC 23009-1 5.8.4.11',
    find: ({ dynamic, utcTimings }) =>
      when(
        dynamic && utcTimings.length === 0,
        'dynamic without UTCTiming: players trust clocks that are wrong',
      ),
  },
  {
    rule: 'dash-utc-timing-scheme',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.8.5.7',
    find: ({ utcTimings }) =>
      utcTimings
        .filter(({ scheme }) => !UTC_SCHEMES.includes(scheme))
        .map(({ scheme }) => `UTCTiming of the unknown scheme "${scheme}"`),
  },
  {
    rule: 'dash-no-period',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.1.2',
    find: ({ periods }) => when(periods.length === 0, 'no Period'),
  },
];
