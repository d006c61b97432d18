import type { AdaptationSet, Addressing, Mpd, Period, Representation } from './mpd-model.ts';

/** A Representation with all that it stands in. */
export interface Placed {
  readonly period: Period;
  readonly set: AdaptationSet;
  readonly representation: Representation;
}

/** Every Representation of the MPD. */
export function placedRepresentations(mpd: Mpd): Placed[] {
  return mpd.periods.flatMap(placedIn);
}

/** Every Representation of a Period. */
export function placedIn(period: Period): Placed[] {
  return period.adaptationSets.flatMap((set) =>
    set.representations.map((representation) => ({ period, set, representation })),
  );
}

/** A set of key frames for fast-forward (DASH-IF IOP 4.3 3.2.9). */
export function isTrickMode({ properties }: AdaptationSet): boolean {
  return properties.some(({ scheme }) => scheme === 'http://dashif.org/guidelines/trickmode');
}

/** Every AdaptationSet of the MPD with its Period, and where it is for people. */
export function placedSets(mpd: Mpd): { period: Period; set: AdaptationSet; place: string }[] {
  return mpd.periods.flatMap((period) =>
    period.adaptationSets.map((set, index) => ({
      period,
      set,
      place: `${placeOf(period)} / AdaptationSet ${set.id ?? `#${index + 1}`}`,
    })),
  );
}

/** A Period for people. */
export function placeOf(period: Period): string {
  return `Period ${period.id ?? `#${period.index + 1}`}`;
}

/** Longest segment that the addressing promises, seconds; undefined when it does not tell. */
export function nominalSegmentSeconds(addressing: Addressing): number | undefined {
  const { timeline, duration, timescale } = addressing;
  if (timescale === 0) return undefined;
  if (!timeline) return duration === undefined ? undefined : duration / timescale;
  const longest = timeline.segments.reduce((most, segment) => Math.max(most, segment.duration), 0);
  return longest / timescale;
}

/** Segments are offered before they are complete: LL-DASH. */
export function isLowLatency({ dynamic }: Mpd, { addressing }: Representation): boolean {
  if (!dynamic || !addressing) return false;
  return !addressing.availabilityTimeComplete || addressing.availabilityTimeOffset > 0;
}

/** Any of its segments is. */
export function hasLowLatency(mpd: Mpd): boolean {
  return placedRepresentations(mpd).some(({ representation }) => isLowLatency(mpd, representation));
}

/** One of the MPD's profiles begins so. */
export function hasProfile(mpd: Mpd, prefix: string): boolean {
  return mpd.profiles.some((profile) => profile.startsWith(prefix));
}

export const CMAF_PROFILE = 'urn:mpeg:dash:profile:cmaf:';
export const LIVE_PROFILE = 'urn:mpeg:dash:profile:isoff-live:';
