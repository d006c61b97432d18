import { AppError } from '../../base/errors.ts';
import { findKeyFrames } from './master-key-frames.ts';
import { findFrameRate, perSecond, type Samples } from './master-frame-rate.ts';
import type { ProbedFrame, ProbedPacket, ProbedStream } from './probe-report.ts';
import type { MasterVideo, Ratio } from './title-plan.ts';

/** What was seen of the pictures, besides what the container says. */
export interface PictureSample {
  /** Decoded ones from the beginning on, in the order of display. */
  readonly frames: readonly ProbedFrame[];
  readonly packets: readonly ProbedPacket[];
  /** See `RateHints.samples`. */
  readonly samples: Samples | undefined;
}

export interface PictureLimits {
  readonly maxPixels: number;
  readonly maxFrameRate: number;
}

/** Longest side, and shortest, of what can be encoded. */
const MAX_SIDE = 16_384;
const MIN_SIDE = 16;
const INTERLACED_ORDERS = new Set(['tt', 'bb', 'tb', 'bt']);
const TRANSFERS: Readonly<Record<string, MasterVideo['range']>> = { smpte2084: 'pq', 'arib-std-b67': 'hlg' };
/** Base layers of Dolby Vision that no other decoder shows in the right colours. */
const NO_BASE_LAYER = 0;
const DEFAULT_TICK_SECONDS = 0.001;
/** Frames a second that a container may mean. Slower ones are slides: they are shown on a grid like any variable rate. */
const HIGHEST_RATE = 1000;
const LOWEST_RATE = 1;

/**
 * What the pictures of a master are.
 * @throws AppError VOD_MASTER_TOO_LARGE, VOD_MASTER_REFUSED, VOD_MASTER_UNREADABLE
 */
export function describeVideo(
  stream: ProbedStream,
  sample: PictureSample,
  limits: PictureLimits,
): MasterVideo {
  const first = sample.frames[0];
  const packets = sample.packets.filter(({ isDiscarded }) => !isDiscarded);
  if (packets.some(({ isEncrypted }) => isEncrypted)) throw refused('The pictures are encrypted.');
  if (first === undefined) throw unreadable('No picture can be decoded.');
  const isInterlaced =
    INTERLACED_ORDERS.has(stream.fieldOrder ?? '') || sample.frames.some((frame) => frame.isInterlaced);
  const { rate, isVariable } = rateOf(stream, sample, packets, isInterlaced);
  if (perSecond(rate) > limits.maxFrameRate) {
    throw tooLarge(
      `It has ${Math.round(perSecond(rate))} pictures a second; ${limits.maxFrameRate} are allowed.`,
    );
  }
  const start = first.time ?? stream.start ?? 0;
  const end = endOf(packets, rate, isVariable);
  if (!Number.isFinite(end)) throw unreadable('Its pictures have no time stamps.');
  return {
    index: stream.index,
    codec: stream.codec,
    ...shownSize(stream, limits),
    frameRate: rate,
    isVariableRate: isVariable,
    isInterlaced,
    range: rangeOf(stream, first),
    matrix: stream.matrix ?? first.matrix,
    startMs: milliseconds(start),
    durationMs: milliseconds(
      isVariable ? Math.max(end - start, 1 / perSecond(rate)) : wholeFrames(end - start, rate),
    ),
    keyFrames: findKeyFrames(packets, milliseconds(start), sample.samples),
  };
}

/** Refuses what is too large before anything is decoded. */
export function checkPictureSize(stream: ProbedStream, limits: PictureLimits): void {
  const { width = 0, height = 0 } = stream;
  const large = width * height > limits.maxPixels || Math.max(width, height) > MAX_SIDE;
  if (large) {
    throw tooLarge(
      `Its pictures are ${width}x${height}; ${limits.maxPixels} pixels and sides of ${MAX_SIDE} are allowed.`,
    );
  }
  if (Math.min(width, height) < MIN_SIDE) {
    throw refused(`Its pictures are ${width}x${height}: a side of less than ${MIN_SIDE} cannot be encoded.`);
  }
}

/** Turned, with square pixels, even. */
function shownSize(stream: ProbedStream, limits: PictureLimits): { width: number; height: number } {
  const { width = 0, height = 0, sampleAspectRatio } = stream;
  const shape = sampleAspectRatio ? sampleAspectRatio.numerator / sampleAspectRatio.denominator : 1;
  // The lines stay as they are: it is the width that anamorphic formats squeeze.
  const square = { width: even(width * shape), height: even(height) };
  const quarters = Math.abs(Math.round(stream.rotation / 90)) % 2;
  const isTurned = quarters === 1 && Math.abs(Math.abs(stream.rotation % 180) - 90) < 1;
  const shown = isTurned ? { width: square.height, height: square.width } : square;
  const longest = Math.max(shown.width, shown.height);
  if (longest > MAX_SIDE || shown.width * shown.height > limits.maxPixels || square.width < MIN_SIDE) {
    throw refused(
      `Its pictures would be shown as ${shown.width}x${shown.height} (by the shape of its pixels).`,
    );
  }
  return shown;
}

function even(side: number): number {
  return Math.max(2, 2 * Math.round(side / 2));
}

function rateOf(
  stream: ProbedStream,
  sample: PictureSample,
  packets: readonly ProbedPacket[],
  isInterlaced: boolean,
): { readonly rate: Ratio; readonly isVariable: boolean } {
  const rates = [stream.baseRate, stream.meanRate].flatMap((rate) =>
    rate !== undefined && perSecond(rate) <= HIGHEST_RATE && perSecond(rate) >= LOWEST_RATE ? [rate] : [],
  );
  const found = findFrameRate(packets, {
    rates,
    tickSeconds: stream.tickSeconds ?? DEFAULT_TICK_SECONDS,
    samples: sample.samples,
  });
  // A picture that stands as long as its one packet says.
  if (packets.length === 1) return { ...found, isVariable: true };
  // Fields in packets of their own: two of them make a frame.
  const isHalved = isInterlaced && framesPerPacket(sample.frames, packets) < 0.75;
  if (!isHalved) return found;
  return { ...found, rate: { ...found.rate, denominator: found.rate.denominator * 2 } };
}

/** Frames decoded a packet, by how far apart they are. */
function framesPerPacket(frames: readonly ProbedFrame[], packets: readonly ProbedPacket[]): number {
  const frameStep = typicalStep(frames.flatMap(({ time }) => time ?? []));
  const packetStep = typicalStep(packets.slice(0, 4 * frames.length).flatMap(({ pts }) => pts ?? []));
  return frameStep > 0 && packetStep > 0 ? packetStep / frameStep : 1;
}

/** The median distance. */
function typicalStep(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  const steps = sorted.slice(1).map((time, index) => time - (sorted[index] ?? 0));
  return steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
}

function rangeOf(stream: ProbedStream, first: ProbedFrame): MasterVideo['range'] {
  const { dolbyVision } = stream;
  if (dolbyVision && dolbyVision.compatibility === NO_BASE_LAYER) {
    throw refused(
      `It is Dolby Vision of profile ${dolbyVision.profile}, whose colours cannot be read without a licence.`,
    );
  }
  return TRANSFERS[stream.transfer ?? first.transfer ?? ''] ?? 'sdr';
}

/** When the last picture is over, whatever the container says. */
function endOf(packets: readonly ProbedPacket[], rate: Ratio, isVariable: boolean): number {
  const frame = 1 / perSecond(rate);
  let last = Number.NEGATIVE_INFINITY;
  let lasts = frame;
  for (const { pts, dts, duration } of packets) {
    const time = pts ?? dts;
    if (time === undefined || time <= last) continue;
    last = time;
    lasts = isVariable ? Math.max(duration ?? frame, frame) : frame;
  }
  return last + lasts;
}

/** What so many frames take, without the rounding of a container's clock. */
function wholeFrames(seconds: number, rate: Ratio): number {
  return Math.max(1, Math.round(seconds * perSecond(rate))) / perSecond(rate);
}

/** To the microsecond. */
export function milliseconds(seconds: number): number {
  return Number.isFinite(seconds) ? Math.round(seconds * 1_000_000) / 1000 : 0;
}

function refused(message: string): AppError {
  return new AppError('VOD_MASTER_REFUSED', message);
}

function unreadable(message: string): AppError {
  return new AppError('VOD_MASTER_UNREADABLE', message);
}

function tooLarge(message: string): AppError {
  return new AppError('VOD_MASTER_TOO_LARGE', message);
}
