import { type DocumentRule, repeated, when } from './document-rule.ts';
import type { AdaptationSet, Period } from './mpd-model.ts';
import { placeOf } from './mpd-query.ts';

const CONTINUITY = 'urn:mpeg:dash:period-continuity:2015';
const CONNECTIVITY = 'urn:mpeg:dash:period-connectivity:2015';
/** Rounding of an xs:duration and of ticks. */
const ROUNDING_SECONDS = 0.002;

/** Rules about Periods. */
export const PERIOD_RULES: readonly DocumentRule[] = [
  {
    rule: 'dash-period-id-missing',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.2',
    find: ({ dynamic, periods }) =>
      periods
        .filter((period) => dynamic && period.id === undefined)
        .map((period) => `${placeOf(period)} of a dynamic MPD has no id`),
  },
  {
    rule: 'dash-period-id-twice',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.2',
    find: ({ periods }) => repeated(periods.map(({ id }) => id)).map((id) => `two Periods with the id ${id}`),
  },
  {
    rule: 'dash-period-start-unknown',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.1',
    find: ({ periods }) =>
      periods
        .filter(({ start }) => start === undefined)
        .map((period) => `${placeOf(period)} has no start, and none follows from the Period before it`),
  },
  {
    rule: 'dash-period-order',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.1',
    find: ({ periods }) =>
      pairs(periods).flatMap(([before, period]) =>
        when(
          before.start !== undefined && period.start !== undefined && period.start <= before.start,
          `${placeOf(period)} starts at ${period.start} s, ${placeOf(before)} before it at ${before.start} s`,
        ),
      ),
  },
  {
    rule: 'dash-period-overlap',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.1',
    find: ({ periods }) =>
      pairs(periods).flatMap(([before, period]) =>
        when(
          before.declaredDuration !== undefined &&
            before.end !== undefined &&
            period.start !== undefined &&
            before.end > period.start + ROUNDING_SECONDS,
          `${placeOf(before)} ends at ${before.end} s, ${placeOf(period)} starts at ${period.start} s`,
        ),
      ),
  },
  {
    rule: 'dash-static-start',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.1',
    find: ({ dynamic, periods: [first] }) =>
      when(
        !dynamic && (first?.start ?? 0) !== 0,
        `a static presentation starts at ${first?.start} s instead of 0`,
      ),
  },
  {
    rule: 'dash-period-empty',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.2',
    find: ({ periods }) =>
      periods
        .filter(({ adaptationSets, remote, declaredDuration }) => {
          return adaptationSets.length === 0 && !remote && declaredDuration !== 0;
        })
        .map((period) => `${placeOf(period)} has no AdaptationSet`),
  },
  {
    rule: 'dash-period-continuity',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.3.2.4',
    find: ({ periods }) => {
      // Of several with one id, the first.
      const named = new Map(periods.toReversed().map((period) => [period.id, period]));
      return periods.flatMap((period) => findContinuity(named, period));
    },
  },
];

function pairs(periods: readonly Period[]): [Period, Period][] {
  return periods.slice(1).map((period, index) => [periods[index] as Period, period]);
}

/** What a Period claims of the one before it, set by set. */
function findContinuity(named: ReadonlyMap<string | undefined, Period>, period: Period): string[] {
  return period.adaptationSets.flatMap((set) =>
    set.properties
      .filter(({ scheme }) => scheme === CONTINUITY || scheme === CONNECTIVITY)
      .flatMap(({ scheme, value }) => {
        const place = `${placeOf(period)} / AdaptationSet ${set.id}`;
        const before = named.get(value);
        // The one it ran on from may have left the MPD.
        if (!before) return when(value === '', `${place} goes on from a Period without a name`);
        if (before.index >= period.index)
          return [`${place} goes on from ${value}, which does not lie before it`];
        return findBrokenSet(before, period, set, place, scheme === CONTINUITY);
      }),
  );
}

/** Same set, same Representations and, when it is continuity, media time that runs on. */
function findBrokenSet(
  before: Period,
  period: Period,
  set: AdaptationSet,
  place: string,
  continuous: boolean,
): string[] {
  const former = before.adaptationSets.find(({ id }) => id === set.id);
  if (!former) return [`${place} goes on from ${before.id}, which has no such set`];
  if (representationIds(former) !== representationIds(set)) {
    return [
      `${place} goes on from ${before.id} with Representations ${representationIds(set)} for ${representationIds(former)}`,
    ];
  }
  return continuous ? findTimeJump(before, period, former, set, place) : [];
}

function representationIds({ representations }: AdaptationSet): string {
  const ids = representations.map(({ id }) => id ?? '');
  return ids.sort((a, b) => (a < b ? -1 : 1)).join(' ');
}

function findTimeJump(
  before: Period,
  period: Period,
  former: AdaptationSet,
  set: AdaptationSet,
  place: string,
): string[] {
  if (before.start === undefined || period.start === undefined) return [];
  const [old, now] = [former.representations[0]?.addressing, set.representations[0]?.addressing];
  if (!old?.timescale || !now?.timescale) return [];
  const media = now.presentationTimeOffset / now.timescale - old.presentationTimeOffset / old.timescale;
  const elapsed = period.start - before.start;
  return when(
    Math.abs(media - elapsed) > ROUNDING_SECONDS,
    `${place} claims continuity: ${elapsed.toFixed(3)} s between the Periods, ${media.toFixed(3)} s of media time`,
  );
}
