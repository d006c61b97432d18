import { decodeCost } from './encoding-cost.ts';

/** A decoder thread is given no more than this share of a core's time: what is left is for scaling and encoding. */
const DECODER_SHARE = 0.35;
const MAX_DECODER_THREADS = 4;

/**
 * Threads that decode the source. More than one work on different frames, and so hold back a frame each but one:
 * sources up to 1080p30 get one.
 */
export function decoderThreads(pixels: number, frameRate: number, cores: number): number {
  const wanted = Math.ceil(decodeCost(pixels, frameRate) / DECODER_SHARE);
  return Math.max(1, Math.min(wanted, MAX_DECODER_THREADS, cores));
}

/**
 * Threads that encode a rung on the CPU. With zerolatency each encodes a slice of the same picture: sooner done, at
 * some cost of quality.
 */
export function encoderThreads(width: number, height: number, cores: number): number {
  const shorter = Math.min(width, height);
  const useful = shorter >= 1080 ? 4 : shorter >= 360 ? 2 : 1;
  return Math.max(1, Math.min(useful, cores));
}
