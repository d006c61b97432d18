import { BitReader } from './bit-reader.ts';
import { withoutEmulationPrevention } from './nal-units.ts';

/**
 * Where the headers of slices end, for a track whose slices are encrypted behind them. Keeps the parameter sets that
 * it is shown, a bounded number by their ids.
 */
export interface SliceHeaders {
  /** Bytes of a NAL unit's own header. */
  readonly nalHeaderBytes: number;
  /**
   * How many bytes of a NAL unit (with its header) must stay clear: all of a unit that is no slice, the header of a
   * slice up to the byte in which it ends. Undefined: a slice whose header cannot be read. To be called for each unit in
   * decode order. Never throws.
   */
  clearBytes(unit: Uint8Array): number | undefined;
}

/** Reads a header; false when it is malformed. What it has read when it returns is the header. */
type HeaderParser = (reader: BitReader) => boolean;

/**
 * Enough for nearly every slice header; and for the longest that can be: 440 entry points of 4 bytes, an extension of
 * 256 bytes, weights of 32 pictures.
 */
const WINDOWS_BYTES = [32, 4096] as const;

/**
 * Reads a header that begins at `start` of a NAL unit and gives the offset in the unit behind the byte that it ends in,
 * emulation prevention bytes counted. Undefined when it is malformed, longer than 4096 bytes, or cut short.
 */
export function headerEnd(unit: Uint8Array, start: number, parse: HeaderParser): number | undefined {
  for (const windowBytes of WINDOWS_BYTES) {
    const rbsp = withoutEmulationPrevention(unit.subarray(start, start + windowBytes));
    const reader = new BitReader(rbsp);
    const ok = parse(reader);
    if (!reader.overrun) return ok ? start + escapedBytes(unit, start, usedBytes(rbsp, reader)) : undefined;
    if (start + windowBytes >= unit.length) return undefined;
  }
  return undefined;
}

function usedBytes(rbsp: Uint8Array, reader: BitReader): number {
  return rbsp.length - (reader.remainingBits >> 3);
}

/** How many bytes from `start` on hold the first `rbspBytes` bytes without emulation prevention. */
function escapedBytes(unit: Uint8Array, start: number, rbspBytes: number): number {
  let zeros = 0;
  let at = start;
  for (let left = rbspBytes; left > 0; at++) {
    const byte = unit[at];
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    left--;
  }
  return at - start;
}

/** Ceil(Log2(count)): bits of a number below `count`. */
export function bitsBelow(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}
