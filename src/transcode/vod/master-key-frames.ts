import { type Samples, stretchesOf } from './master-frame-rate.ts';
import type { ProbedPacket } from './probe-report.ts';
import type { KeyFrames } from './title-plan.ts';

/** Clocks of containers are rounded. */
const ROUNDING_MS = 1;

/**
 * How far apart a master's key frames are, by the packets that were read of it. Undefined: there are too few to tell.
 * `startMs`: of the first picture. `samples` undefined: the packets are all of one place.
 */
export function findKeyFrames(
  packets: readonly ProbedPacket[],
  startMs: number,
  samples?: Samples,
): KeyFrames | undefined {
  const stretches = stretchesOf(
    packets.filter(({ isDiscarded }) => !isDiscarded),
    samples,
  )
    .map(picturesOf)
    .filter(({ length }) => length > 0);
  const keys = stretches.flatMap((stretch) => stretch.flatMap(({ isKey, ms }) => (isKey ? [ms] : [])));
  const longestMs = Math.round(largest(stretches.map(longestWithout)) * 1000) / 1000;
  if (keys.length < 2 || longestMs <= ROUNDING_MS) return undefined;
  const evenMs = evenDistance(keys, startMs);
  return { longestMs, ...(evenMs !== undefined && evenMs >= longestMs - ROUNDING_MS && { evenMs }) };
}

/** Between two key frames; before the first and behind the last there is none for at least so long. */
function longestWithout(stretch: readonly Picture[]): number {
  const times = stretch.map(({ ms }) => ms);
  const keys = stretch.flatMap(({ isKey, ms }) => (isKey ? [ms] : [])).sort((a, b) => a - b);
  const marks = [-largest(times.map((ms) => -ms)), ...keys, largest(times)];
  return largest(marks.slice(1).map((ms, at) => ms - (marks[at] ?? 0)));
}

/** Of any number of values. */
function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
}

/** The distance at whose multiples all key frames stand, counted from the first picture; undefined: there is none. */
function evenDistance(keys: readonly number[], startMs: number): number | undefined {
  const sorted = keys.toSorted((a, b) => a - b);
  const steps = sorted.slice(1).map((time, at) => time - (sorted[at] ?? 0));
  const least = steps.reduce(
    (best, step) => (step > ROUNDING_MS ? Math.min(best, step) : best),
    Number.POSITIVE_INFINITY,
  );
  if (!Number.isFinite(least)) return undefined;
  // Over many of them the rounding of one is seen.
  const last = (sorted.at(-1) ?? 0) - startMs;
  const count = Math.round(last / least);
  const distance = count > 0 ? last / count : least;
  return sorted.every((time) => offGrid(time - startMs, distance) <= ROUNDING_MS) ? distance : undefined;
}

/** How far a time is from the nearest multiple. */
export function offGrid(timeMs: number, distanceMs: number): number {
  return Math.abs(timeMs - Math.round(timeMs / distanceMs) * distanceMs);
}

/** When a picture is shown, and whether it needs no other. */
interface Picture {
  readonly ms: number;
  readonly isKey: boolean;
}

function picturesOf(packets: readonly ProbedPacket[]): Picture[] {
  return packets.flatMap(({ pts, isKey }) => (pts === undefined ? [] : [{ ms: pts * 1000, isKey }]));
}
