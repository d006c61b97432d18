import type { Ratio } from './title-plan.ts';

/** The packets are so many of each of so many places, and the rest of one more. */
export interface Samples {
  readonly length: number;
  readonly places: number;
}

/** What is known of one packet of pictures, seconds on the file's clock. */
export interface PictureTime {
  readonly pts: number | undefined;
  readonly dts: number | undefined;
}

/** What a master's pictures come at. */
export interface FrameRate {
  readonly rate: Ratio;
  /** They do not all come at the same distance. */
  readonly isVariable: boolean;
}

export interface RateHints {
  /** What the container says, and what ffmpeg finds; undefined: nothing usable. */
  readonly rates: readonly Ratio[];
  /** Length of a tick of the container's clock, seconds. */
  readonly tickSeconds: number;
  /** Undefined: the packets are all of one place. */
  readonly samples: Samples | undefined;
}

/** What is encoded and played everywhere. */
const COMMON_RATES: readonly Ratio[] = [
  ...[10, 12, 15].map((rate) => ({ numerator: rate, denominator: 1 })),
  ...[24, 30, 60].flatMap((rate) => [
    { numerator: rate * 1000, denominator: 1001 },
    { numerator: rate, denominator: 1 },
    ...(rate === 24 ? [{ numerator: 25, denominator: 1 }] : []),
    ...(rate === 30
      ? [
          { numerator: 48, denominator: 1 },
          { numerator: 50, denominator: 1 },
        ]
      : []),
  ]),
];
/** Those only cameras and screens make; they are found, and halved by the plan. */
const HIGH_RATES: readonly Ratio[] = [
  { numerator: 100, denominator: 1 },
  { numerator: 120_000, denominator: 1001 },
  { numerator: 120, denominator: 1 },
  { numerator: 240, denominator: 1 },
];
/** A rate the container gives is taken as a common one that is so near: 29.97 is 30000/1001. */
const SAME_RATE = 0.0005;
/** Time stamps are rounded to ticks, so that a frame may be off by one; a little more is for the microseconds we see. */
const TICKS_OFF = 1.1;
const SECONDS_OFF = 0.0001;
/** Longer than that between pictures: another stretch of the sample. */
const STRETCH_SECONDS = 2;
/** Pictures at the end of a stretch whose order is not known to be whole. */
const REORDERED = 16;
/** Of a free-running clock one frame in so many may fall on another's place: the rest keeps the rate it was shot at. */
const ALLOWED_COLLISIONS = 0.01;
/** Of so few pictures many a rate would be nearly right. */
const MANY_PICTURES = 24;
/** Frames. */
const NEARLY = 0.9;
const UNKNOWN_RATE: Ratio = { numerator: 25, denominator: 1 };

/**
 * The rate at which a master's frames are to be encoded. Pictures at even distances: their own rate. At nearly even
 * ones: the common rate they are nearly at. Others: the smallest common one on whose grid they all lie, else the smallest
 * one at which (but for one in a hundred, where a clock runs freely) no two fall on the same place.
 */
export function findFrameRate(packets: readonly PictureTime[], hints: RateHints): FrameRate {
  const stretches = splitStretches(packets, hints.samples);
  const rates = hints.rates.map(tidy);
  if (stretches.length === 0) return { rate: rates[0] ?? UNKNOWN_RATE, isVariable: false };
  const allowed = TICKS_OFF * hints.tickSeconds + SECONDS_OFF;
  const even = bestEven(stretches, [...rates, ...COMMON_RATES, ...HIGH_RATES], allowed);
  if (even) return { rate: even, isVariable: false };
  const rate =
    nearlyEven(stretches) ??
    COMMON_RATES.find((each) => lieOnGrid(stretches, each, allowed)) ??
    ofFreeClock(stretches);
  return { rate, isVariable: true };
}

/** The smallest rate that loses next to nothing, or the next one where that is nearer to what was shot. */
function ofFreeClock(stretches: readonly (readonly number[])[]): Ratio {
  const at = COMMON_RATES.findIndex((each) => collisions(stretches, each) <= ALLOWED_COLLISIONS);
  const candidates = at < 0 ? COMMON_RATES.slice(-1) : COMMON_RATES.slice(at, at + 2);
  const mean = meanRate(stretches);
  const off = (rate: Ratio): number => Math.abs(perSecond(rate) - mean);
  return candidates.toSorted((a, b) => off(a) - off(b))[0] ?? UNKNOWN_RATE;
}

function meanRate(stretches: readonly (readonly number[])[]): number {
  const frames = stretches.reduce((sum, times) => sum + times.length - 1, 0);
  const seconds = stretches.reduce((sum, times) => sum + (times.at(-1) ?? 0) - (times[0] ?? 0), 0);
  return seconds > 0 ? frames / seconds : 0;
}

/** Frames a second. */
export function perSecond({ numerator, denominator }: Ratio): number {
  return numerator / denominator;
}

/** The common rate that is meant, else the same. */
function tidy(rate: Ratio): Ratio {
  const common = [...COMMON_RATES, ...HIGH_RATES].find(
    (each) => Math.abs(perSecond(each) / perSecond(rate) - 1) < SAME_RATE,
  );
  return common ?? rate;
}

/**
 * The times of pictures that follow each other, in the order of display; only as far as the sample is sure to have all
 * of them: what is decoded later may be shown earlier, but never before its own decode time.
 */
export function splitStretches(packets: readonly PictureTime[], samples: Samples | undefined): number[][] {
  return stretchesOf(packets, samples)
    .map(displayTimes)
    .filter((times) => times.length > 1);
}

/** Packets that follow each other in the file, in its order; those without a time are left out. */
export function stretchesOf<T extends PictureTime>(
  packets: readonly T[],
  samples: Samples | undefined,
): T[][] {
  const stretches: T[][] = [];
  let last: T | undefined;
  for (const packet of packets) {
    if (packet.pts === undefined && packet.dts === undefined) continue;
    const isWhole =
      samples !== undefined &&
      stretches.length <= samples.places &&
      stretches.at(-1)?.length === samples.length;
    if (last === undefined || isWhole || !follows(packet, last)) stretches.push([]);
    stretches.at(-1)?.push(packet);
    last = packet;
  }
  return stretches;
}

/** A sample that begins anew where another ended is decoded from an earlier key frame, whose decode time nobody may know. */
function follows(packet: PictureTime, last: PictureTime): boolean {
  const isKnown = last.dts === undefined || (packet.dts !== undefined && packet.dts > last.dts);
  const distance = (packet.dts ?? packet.pts ?? 0) - (last.dts ?? last.pts ?? 0);
  return isKnown && Math.abs(distance) < STRETCH_SECONDS;
}

/** Those before and after which nothing can be missing: what was decoded before the sample began may be shown within it. */
function displayTimes(stretch: readonly PictureTime[], index: number): number[] {
  const times = stretch.flatMap(({ pts, dts }) => pts ?? dts ?? []).sort((a, b) => a - b);
  const decoded = stretch.flatMap(({ dts }) => dts ?? []);
  const [firstDecoded] = decoded;
  const lastDecoded = stretch.at(-1)?.dts;
  if (firstDecoded === undefined || lastDecoded === undefined) {
    return atLeastTwo(times.slice(index === 0 ? 0 : REORDERED, -REORDERED), times);
  }
  const delay = stretch.reduce((most, { pts, dts }) => Math.max(most, (pts ?? 0) - (dts ?? pts ?? 0)), 0);
  // The file itself begins with a picture that needs no other.
  const from = index === 0 ? Number.NEGATIVE_INFINITY : firstDecoded + delay;
  return atLeastTwo(
    times.filter((time) => time >= from && time <= lastDecoded),
    times,
  );
}

function atLeastTwo(sure: number[], all: number[]): number[] {
  return sure.length > 1 ? sure : all;
}

/** The rate at which the `i`th picture of every stretch is shown at `i / rate`, the nearest; undefined: there is none. */
function bestEven(
  stretches: readonly (readonly number[])[],
  rates: readonly Ratio[],
  allowed: number,
): Ratio | undefined {
  let best: Ratio | undefined;
  let bestSpread = allowed * 2;
  for (const rate of rates) {
    const spread = worstSpread(stretches, rate);
    // The first that is as good wins: what the container says comes first.
    if (spread < bestSpread - SECONDS_OFF / 10 && spread <= allowed * 2) {
      best = rate;
      bestSpread = spread;
    }
  }
  return best;
}

/** The rate at which no picture is ever a frame early or late, the best: film in the fields of video, a clock that trembles. */
function nearlyEven(stretches: readonly (readonly number[])[]): Ratio | undefined {
  if (stretches.some((times) => times.length < MANY_PICTURES)) return undefined;
  let best: Ratio | undefined;
  let least = NEARLY;
  for (const rate of COMMON_RATES) {
    const frames = worstSpread(stretches, rate) * perSecond(rate);
    if (frames >= least) continue;
    best = rate;
    least = frames;
  }
  return best;
}

/** Every picture lies on a place of the grid, and no two on the same. */
function lieOnGrid(stretches: readonly (readonly number[])[], rate: Ratio, allowed: number): boolean {
  return stretches.every((times) => {
    const first = times[0] ?? 0;
    const place = (time: number): number => Math.round((time - first) * perSecond(rate));
    const places = new Set(times.map(place));
    return places.size === times.length && spreadOf(times, rate, place) <= allowed * 2;
  });
}

/** Of the stretches, when the pictures of each are taken for even. */
function worstSpread(stretches: readonly (readonly number[])[], rate: Ratio): number {
  return stretches.reduce(
    (worst, times) =>
      Math.max(
        worst,
        spreadOf(times, rate, (_, index) => index),
      ),
    0,
  );
}

/** How far apart the errors are, seconds, when picture `i` is taken to stand on a place of the grid. */
function spreadOf(
  times: readonly number[],
  rate: Ratio,
  placeOf: (time: number, index: number) => number,
): number {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const [index, time] of times.entries()) {
    const error = time - placeOf(time, index) / perSecond(rate);
    least = Math.min(least, error);
    most = Math.max(most, error);
  }
  return most - least;
}

/** Share of the pictures that would be lost. */
function collisions(stretches: readonly (readonly number[])[], rate: Ratio): number {
  let lost = 0;
  let all = 0;
  for (const times of stretches) {
    const first = times[0] ?? 0;
    lost += times.length - new Set(times.map((time) => Math.round((time - first) * perSecond(rate)))).size;
    all += times.length;
  }
  return lost / Math.max(1, all);
}
