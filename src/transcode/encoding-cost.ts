import type { EncoderName, Preset } from './ladder-options.ts';

/** The parts of a ladder that cost anything. */
export interface CostInput {
  readonly encoder: EncoderName;
  readonly preset: Preset;
  readonly frameRate: number;
}

/** Frame rate the figures below were measured at. */
const MEASURED_RATE = 30;

/** Pixels of the pictures whose encoding was measured: 240p, 360p, 480p, 720p, 1080p at 16:9. */
const MEASURED_PIXELS = [426 * 240, 640 * 360, 854 * 480, 1280 * 720, 1920 * 1080] as const;

/**
 * CPU seconds a second of media at 30 frames a second, net of decoding, one figure a size above: libx264 with
 * zerolatency on a 2.x GHz server core. Rough by nature: they only decide what is tried; what does not hold is shed.
 */
const X264_CORES: Readonly<Record<Preset, readonly number[]>> = {
  ultrafast: [0.02, 0.06, 0.1, 0.12, 0.27],
  superfast: [0.03, 0.1, 0.17, 0.23, 0.52],
  veryfast: [0.05, 0.14, 0.23, 0.395, 0.89],
  faster: [0.08, 0.2, 0.33, 0.64, 1.44],
  fast: [0.1, 0.26, 0.43, 0.83, 1.87],
  medium: [0.12, 0.31, 0.51, 1, 2.25],
};

/** A hardware encoder leaves the CPU the scaling and the upload. */
const HARDWARE_CORES = [0.01, 0.015, 0.02, 0.04, 0.09];

/** 720p30 takes 0.11 of a core to decode, and decoding goes by the pixel. */
const DECODE_CORES_PER_PIXEL_RATE = 0.11 / (1280 * 720 * MEASURED_RATE);
const SCALE_CORES = 0.01;
/**
 * Bringing HDR down to SDR at 720p30 takes 0.2 of a core more than the smaller rungs save that are then made of it, 0.4 with
 * a table instead of zscale; it goes by the pixel.
 */
const TONE_MAP_CORES_PER_PIXEL_RATE = 0.3 / (1280 * 720 * MEASURED_RATE);

/** Cores that decoding the source takes. */
export function decodeCost(pixels: number, frameRate: number): number {
  return pixels * frameRate * DECODE_CORES_PER_PIXEL_RATE;
}

/** Cores that bringing pictures of this size from HDR to SDR takes. */
export function toneMapCost(pixels: number, frameRate: number): number {
  return pixels * frameRate * TONE_MAP_CORES_PER_PIXEL_RATE;
}

/** Cores that scaling to one rung and encoding it take. */
export function rungCost(pixels: number, input: CostInput): number {
  const figures = input.encoder === 'libx264' ? X264_CORES[input.preset] : HARDWARE_CORES;
  return ((interpolate(pixels, figures) + SCALE_CORES) * input.frameRate) / MEASURED_RATE;
}

/** Straight lines between the measured sizes; by the pixel outside of them. */
function interpolate(pixels: number, figures: readonly number[]): number {
  const last = MEASURED_PIXELS.length - 1;
  const above = MEASURED_PIXELS.findIndex((measured) => pixels <= measured);
  const high = above === -1 ? last : above;
  const highPixels = MEASURED_PIXELS[high] ?? 1;
  const highCores = figures[high] ?? 0;
  if (above === -1 || high === 0) return (highCores * pixels) / highPixels;
  const lowPixels = MEASURED_PIXELS[high - 1] ?? 0;
  const lowCores = figures[high - 1] ?? 0;
  return lowCores + ((highCores - lowCores) * (pixels - lowPixels)) / (highPixels - lowPixels);
}
