import { readLength } from '../nal-units.ts';
import type { ProtectionScheme } from '../protection.ts';
import type { SliceHeaders } from '../slice-window.ts';
import type { Subsample } from './sample-protection.ts';

/** Which bytes of a sample of NAL units are clear, and what could not be done as it should. */
export interface NalSubsamples {
  readonly subsamples: readonly Subsample[];
  /** Slices whose header could not be read; see {@link mapNalUnits}. */
  readonly unreadSlices: number;
}

/** Samples have 4-byte NAL lengths everywhere behind the ingest. */
const LENGTH_BYTES = 4;
const BLOCK_BYTES = 16;
const MAX_CLEAR_BYTES = 0xffff;

/**
 * In `cenc`, what stays clear of a slice whose header cannot be read: far more than a header without weights has, and
 * what packagers that read no headers leave clear.
 */
const UNREAD_CLEAR_BYTES = 96;

/**
 * Divides a sample of H.264 or HEVC into clear and protected bytes (ISO/IEC 23001-7 9.5): lengths, NAL headers, slice
 * headers and all units that are no slices stay clear. `cenc` protects whole blocks only and leaves the rest in front of
 * them clear; `cbcs` protects up to the end of the unit. Less than a block stays clear.
 *
 * A slice whose header cannot be read is never left clear, as far as a block fits: it is protected right behind its NAL
 * header, in `cenc` behind 96 bytes where it is longer than that. What a player decrypts is right in both cases; only a
 * decoder that reads slice headers in front of decryption cannot read this one.
 */
export function mapNalUnits(
  sample: Uint8Array,
  headers: SliceHeaders,
  scheme: ProtectionScheme,
): NalSubsamples {
  const subsamples: Subsample[] = [];
  let unreadSlices = 0;
  let clearFrom = 0;
  for (let at = 0; at < sample.length; ) {
    const start = at + LENGTH_BYTES;
    // A length that runs past the end: what is there is taken for the unit.
    const end = Math.min(sample.length, start + readLength(sample, at, LENGTH_BYTES));
    at = Math.max(end, start);
    if (end <= start) continue;
    const unit = sample.subarray(start, end);
    const clear = headers.clearBytes(unit);
    if (clear === undefined) unreadSlices++;
    const clearBytes = clear ?? unreadClearBytes(unit, headers.nalHeaderBytes, scheme);
    const rest = unit.length - clearBytes;
    if (rest < BLOCK_BYTES) continue;
    const protectedBytes = scheme === 'cenc' ? rest - (rest % BLOCK_BYTES) : rest;
    pushSubsample(subsamples, end - protectedBytes - clearFrom, protectedBytes);
    clearFrom = end;
  }
  if (clearFrom < sample.length || subsamples.length === 0) {
    pushSubsample(subsamples, sample.length - clearFrom, 0);
  }
  return { subsamples, unreadSlices };
}

function unreadClearBytes(unit: Uint8Array, nalHeaderBytes: number, scheme: ProtectionScheme): number {
  const roomy = unit.length >= UNREAD_CLEAR_BYTES + BLOCK_BYTES;
  return scheme === 'cenc' && roomy ? UNREAD_CLEAR_BYTES : nalHeaderBytes;
}

/** A clear run is told in 16 bits: a longer one is several subsamples. */
function pushSubsample(subsamples: Subsample[], clearBytes: number, protectedBytes: number): void {
  let clear = clearBytes;
  for (; clear > MAX_CLEAR_BYTES; clear -= MAX_CLEAR_BYTES) {
    subsamples.push({ clearBytes: MAX_CLEAR_BYTES, protectedBytes: 0 });
  }
  subsamples.push({ clearBytes: clear, protectedBytes });
}
