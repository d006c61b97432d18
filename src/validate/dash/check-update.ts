import { periodStartMs } from './availability.ts';
import type { BehaviourRule } from './behaviour-rules.ts';
import type { AdaptationSet, Addressing, Mpd, Period } from './mpd-model.ts';
import { placeOf } from './mpd-query.ts';
import { canonicalText } from './xml.ts';

/** One thing that an update of the MPD may not do. */
export interface UpdateFault {
  readonly rule: BehaviourRule;
  readonly message: string;
}

/** What writing times as text may round away. */
const ROUNDING_SECONDS = 0.001;

/** Judges what became of the MPD from one state to the next. `nowMs`: presentation time of the second. */
export function checkUpdate(before: Mpd, after: Mpd, nowMs: number): UpdateFault[] {
  // What was live may become a recording with another shape.
  if (!after.dynamic) return checkHead(before, after);
  return [...checkHead(before, after), ...checkPeriods(before, after, nowMs)];
}

function checkHead(before: Mpd, after: Mpd): UpdateFault[] {
  const faults: UpdateFault[] = [];
  const say = (rule: BehaviourRule, message: string): void => void faults.push({ rule, message });
  if (before.id !== after.id) say('dash-update-id', `MPD@id went from ${before.id} to ${after.id}`);
  if (!before.dynamic && after.dynamic) say('dash-update-type', 'MPD@type went from static to dynamic');
  if (after.dynamic && before.availabilityStartMs !== after.availabilityStartMs) {
    const [from, to] = [before, after].map(({ element }) => element.attributes.get('availabilityStartTime'));
    say('dash-update-availability-start', `availabilityStartTime went from ${from} to ${to}`);
  }
  const [old, now] = [before.publishTimeMs, after.publishTimeMs];
  if (old === undefined || now === undefined) return faults;
  const texts = [before, after].map(({ element }) => element.attributes.get('publishTime'));
  if (now < old) say('dash-update-publish-time', `publishTime went back from ${texts[0]} to ${texts[1]}`);
  else if (now === old && canonicalText(before.element) !== canonicalText(after.element)) {
    say('dash-update-publish-time', `the MPD changed, its publishTime stayed ${texts[0]}`);
  }
  return faults;
}

function checkPeriods(before: Mpd, after: Mpd, nowMs: number): UpdateFault[] {
  const periods = byId(after.periods);
  return before.periods.flatMap((old) =>
    old.id === undefined ? [] : checkPeriod(before, old, periods.get(old.id), nowMs),
  );
}

/** Of several with one id, the first. */
function byId<T extends { readonly id: string | undefined }>(all: readonly T[]): Map<string | undefined, T> {
  return new Map(all.toReversed().map((one) => [one.id, one]));
}

function checkPeriod(before: Mpd, old: Period, now: Period | undefined, nowMs: number): UpdateFault[] {
  if (!now) return stillNeeded(before, old, nowMs) ? [removed(old)] : [];
  return [...checkTimes(before, old, now, nowMs), ...checkSets(old, now), ...checkAddressing(old, now)];
}

function removed(period: Period): UpdateFault {
  return {
    rule: 'dash-update-period-removed',
    message: `${placeOf(period)} is gone, though its media are still in the time shift buffer`,
  };
}

/** Some of the Period lies between the start of the time shift buffer and this moment. */
function stillNeeded(mpd: Mpd, period: Period, nowMs: number): boolean {
  const startMs = periodStartMs(mpd, period);
  if (startMs === undefined || startMs > nowMs) return false;
  if (period.end === undefined || mpd.timeShiftBufferDepth === undefined) return mpd.dynamic;
  const endMs = startMs + (period.end - (period.start ?? 0)) * 1000;
  return endMs - ROUNDING_SECONDS * 1000 > nowMs - mpd.timeShiftBufferDepth * 1000;
}

function checkTimes(mpd: Mpd, old: Period, now: Period, nowMs: number): UpdateFault[] {
  const faults: UpdateFault[] = [];
  const change = (message: string): void =>
    void faults.push({ rule: 'dash-update-period-changed', message: `${placeOf(old)}: ${message}` });
  const startMs = periodStartMs(mpd, old);
  // A Period that has not begun may still be moved.
  if (startMs !== undefined && startMs > nowMs) {
    if (!differs(old.start, now.start)) return faults;
    const message = `${placeOf(old)} was announced for ${old.start} s, now it starts at ${now.start ?? 'no time'}`;
    return [{ rule: 'dash-update-period-moved', message }];
  }
  if (differs(old.start, now.start)) change(`its start went from ${old.start} to ${now.start} s`);
  const endMs =
    startMs !== undefined && old.end !== undefined
      ? startMs + (old.end - (old.start ?? 0)) * 1000
      : undefined;
  if (endMs !== undefined && endMs <= nowMs && differs(old.end, now.end)) {
    change(`it had ended at ${old.end} s, now it ends at ${now.end ?? 'no time'}`);
  }
  return faults;
}

function differs(a: number | undefined, b: number | undefined): boolean {
  if (a === undefined || b === undefined) return a !== b;
  return Math.abs(a - b) > ROUNDING_SECONDS;
}

function checkSets(old: Period, now: Period): UpdateFault[] {
  const [before, after] = [old, now].map(({ adaptationSets }) =>
    adaptationSets.map(setName).sort(byText).join(' '),
  );
  if (before === after) return [];
  const message = `${placeOf(old)}: its sets and Representations went from ${before} to ${after}`;
  return [{ rule: 'dash-update-sets', message }];
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function setName(set: AdaptationSet): string {
  const ids = set.representations.map(({ id }) => id ?? '?').sort(byText);
  return `${set.id ?? '?'}(${ids.join(',')})`;
}

function checkAddressing(old: Period, now: Period): UpdateFault[] {
  const known = byId(now.adaptationSets.flatMap(({ representations }) => representations));
  return old.adaptationSets
    .flatMap(({ representations }) => representations)
    .flatMap((representation) => {
      const same = representation.id === undefined ? undefined : known.get(representation.id);
      const [before, after] = [representation.addressing, same?.addressing];
      if (!before || !after) return [];
      const place = `${placeOf(old)} / Representation ${representation.id}`;
      return [...checkConstants(before, after, place), ...checkTimeline(before, after, place)];
    });
}

const CONSTANTS = [
  'kind',
  'timescale',
  'duration',
  'presentationTimeOffset',
  'initialization',
  'media',
] as const;

function checkConstants(before: Addressing, after: Addressing, place: string): UpdateFault[] {
  return CONSTANTS.filter((name) => before[name] !== after[name]).map((name) => ({
    rule: 'dash-update-addressing',
    message: `${place}: ${name} went from ${before[name]} to ${after[name]}`,
  }));
}

/** Segments in both timelines must be the same ones, with the same numbers. */
function checkTimeline(before: Addressing, after: Addressing, place: string): UpdateFault[] {
  const [old, now] = [before.timeline?.segments, after.timeline?.segments];
  if (!old || !now) {
    const moved = before.duration !== undefined && before.startNumber !== after.startNumber;
    return moved
      ? [
          {
            rule: 'dash-update-addressing',
            message: `${place}: startNumber went from ${before.startNumber} to ${after.startNumber}`,
          },
        ]
      : [];
  }
  const known = new Map(
    old.map((segment, index) => [segment.start, { ...segment, number: before.startNumber + index }]),
  );
  const first = now[0]?.start ?? Number.POSITIVE_INFINITY;
  const end = old.at(-1);
  for (const [index, segment] of now.entries()) {
    const was = known.get(segment.start);
    const number = after.startNumber + index;
    if (was && was.duration === segment.duration && was.number === number) continue;
    // What comes behind the start of the newest is open: its duration is a plan as long as it is being made.
    const inside = end !== undefined && segment.start < end.start && segment.start >= (old[0]?.start ?? 0);
    if (!was && !inside) continue;
    if (was?.start === end?.start && was?.number === number) continue;
    const then = was ? `number ${was.number} of ${was.duration} ticks` : 'not there';
    const message = `${place}: the segment at ${segment.start} is number ${number} of ${segment.duration} ticks, it was ${then}`;
    return [{ rule: 'dash-update-timeline', message }];
  }
  const starts = new Set(now.map(({ start }) => start));
  const dropped = old.find(({ start }) => start > first && !starts.has(start));
  if (!dropped) return [];
  return [
    {
      rule: 'dash-update-timeline',
      message: `${place}: the segment at ${dropped.start} has left the timeline before older ones`,
    },
  ];
}
