/** Frames a second as a fraction, e.g. 30000/1001. */
export interface FrameRate {
  readonly numerator: number;
  readonly denominator: number;
}

/** What the first seconds of a video track say of its frames. */
export interface MeasuredCadence {
  /** Undefined when frames are not evenly spaced. */
  readonly frameRate: FrameRate | undefined;
  /** Frames from key frame to key frame, when the rate is constant and the key frames are evenly spaced. */
  readonly gopFrames: number | undefined;
}

/** A frame's times on the source's clock. */
export interface FrameTime {
  readonly dtsMs: number;
  /** When it is shown; left out where that tells nothing more. */
  readonly ptsMs?: number;
  readonly key: boolean;
}

/** The rates encoders really use, tried before anything is measured. */
const KNOWN_RATES: readonly FrameRate[] = [
  { numerator: 24000, denominator: 1001 },
  { numerator: 30000, denominator: 1001 },
  { numerator: 48000, denominator: 1001 },
  { numerator: 60000, denominator: 1001 },
  { numerator: 15000, denominator: 1001 },
  ...[5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 40, 48, 50, 60, 90, 100, 120].map(integerRate),
  { numerator: 25, denominator: 2 },
];
/** With fewer frames nothing is said. */
const MIN_FRAMES = 5;
/** Rounding a constant rate to the source's ticks spreads its frames by less than one tick; this much more is noise. */
const STRICT_NOISE_MS = 0.06;
/** Spread above the rounding that still counts as constant: senders that round twice. */
const LOOSE_NOISE_MS = 1;
/** A hint from the bitstream wins over a rate that fits better by no more than this. */
const HINT_BONUS_MS = 0.25;
const VIDEO_TIMESCALE = 90_000;

function integerRate(fps: number): FrameRate {
  return { numerator: fps, denominator: 1 };
}

/** Ticks of 90 kHz a frame lasts; a fraction at some rates. */
export function frameTicksOf(rate: FrameRate): number {
  return (VIDEO_TIMESCALE * rate.denominator) / rate.numerator;
}

/**
 * Finds how frames are spaced. `quantumMs` is the length of one source tick (1 ms for RTMP), `hint` the rate that
 * the bitstream claims. A known rate is taken exactly when every frame seen fits it within rounding noise.
 */
export function measureCadence(
  frames: readonly FrameTime[],
  quantumMs: number,
  hint: FrameRate | undefined,
): MeasuredCadence {
  const medianMs = medianStep(frames);
  if (medianMs === undefined) return { frameRate: undefined, gopFrames: undefined };
  const candidates = hint ? [...KNOWN_RATES, hint] : KNOWN_RATES;
  const near = candidates.filter((rate) => Math.abs(frameMs(rate) - medianMs) <= quantumMs * 1.01);
  const found = bestFit(frames, near, hint, quantumMs) ?? measuredRate(frames, medianMs, quantumMs);
  return { frameRate: found, gopFrames: found && evenGop(frames, frameMs(found)) };
}

function frameMs(rate: FrameRate): number {
  return (1000 * rate.denominator) / rate.numerator;
}

function medianStep(frames: readonly FrameTime[]): number | undefined {
  if (frames.length < MIN_FRAMES) return undefined;
  const steps = frames.slice(1).map((frame, index) => frame.dtsMs - (frames[index]?.dtsMs ?? 0));
  const median = steps.sort((a, b) => a - b)[steps.length >> 1] ?? 0;
  return median > 0 ? median : undefined;
}

function bestFit(
  frames: readonly FrameTime[],
  candidates: readonly FrameRate[],
  hint: FrameRate | undefined,
  quantumMs: number,
): FrameRate | undefined {
  let best: FrameRate | undefined;
  let bestSpread = quantumMs + LOOSE_NOISE_MS;
  for (const rate of candidates) {
    const spread = spreadAround(frames, frameMs(rate));
    if (spread === undefined) continue;
    const hinted = rate === hint && spread <= quantumMs + STRICT_NOISE_MS;
    const judged = hinted ? spread - HINT_BONUS_MS : spread;
    if (judged >= bestSpread) continue;
    best = rate;
    bestSpread = judged;
  }
  return best;
}

/** How far apart the frames' distances from an even grid lie; undefined when two frames fall on one place. */
function spreadAround(frames: readonly FrameTime[], stepMs: number): number | undefined {
  const firstMs = frames[0]?.dtsMs ?? 0;
  let least = 0;
  let most = 0;
  let place = -1;
  for (const frame of frames) {
    const next = Math.round((frame.dtsMs - firstMs) / stepMs);
    if (next <= place) return undefined;
    place = next;
    const offMs = frame.dtsMs - firstMs - place * stepMs;
    least = Math.min(least, offMs);
    most = Math.max(most, offMs);
  }
  return most - least;
}

/** A constant rate that is none of the known: the mean over all frames, when they really are evenly spaced. */
function measuredRate(
  frames: readonly FrameTime[],
  medianMs: number,
  quantumMs: number,
): FrameRate | undefined {
  let places = 0;
  for (let index = 1; index < frames.length; index++) {
    const stepMs = (frames[index]?.dtsMs ?? 0) - (frames[index - 1]?.dtsMs ?? 0);
    places += Math.max(1, Math.round(stepMs / medianMs));
  }
  const stepMs = ((frames.at(-1)?.dtsMs ?? 0) - (frames[0]?.dtsMs ?? 0)) / places;
  const spread = stepMs > 0 ? spreadAround(frames, stepMs) : undefined;
  if (spread === undefined || spread > quantumMs + LOOSE_NOISE_MS / 2) return undefined;
  return { numerator: 1_000_000, denominator: Math.round(stepMs * 1000) };
}

/**
 * By presentation times: the first GOP of a source of open GOPs has no leading pictures, so that its key frames are
 * not evenly spaced as they are decoded.
 */
function evenGop(frames: readonly FrameTime[], stepMs: number): number | undefined {
  const keys = frames.filter((frame) => frame.key);
  let gop: number | undefined;
  for (let index = 1; index < keys.length; index++) {
    const span = shownMs(keys[index]) - shownMs(keys[index - 1]);
    const places = Math.round(span / stepMs);
    if (gop !== undefined && gop !== places) return undefined;
    gop = places;
  }
  return gop;
}

function shownMs(frame: FrameTime | undefined): number {
  return frame?.ptsMs ?? frame?.dtsMs ?? 0;
}
