/** Length-prefixed NAL units, as ISO/IEC 14496-15 stores the access units of H.264 and HEVC. */

/** Removes the 03 of every 00 00 03 (ISO/IEC 14496-10 7.4.1, ISO/IEC 23008-2 7.4.2). */
export function withoutEmulationPrevention(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length);
  let length = 0;
  let zeros = 0;
  for (const byte of bytes) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    out[length++] = byte;
  }
  return out.subarray(0, length);
}

/** A big-endian length of 1 to 4 bytes; bytes past the end count as 0. */
export function readLength(bytes: Uint8Array, at: number, size: number): number {
  let length = 0;
  for (let index = 0; index < size; index++) length = length * 256 + (bytes[at + index] ?? 0);
  return length;
}

/** What a NAL unit's length field may measure. */
export function isLengthSize(size: number): boolean {
  return size === 1 || size === 2 || size === 4;
}

/**
 * Calls `visit` with the bounds of each NAL unit that is not empty. Gives how many were empty, or undefined when a
 * length runs past the end.
 */
export function walkNalUnits(
  data: Uint8Array,
  lengthSize: number,
  visit: (start: number, end: number) => void,
): number | undefined {
  let empty = 0;
  for (let at = 0; at < data.length; ) {
    const start = at + lengthSize;
    if (start > data.length) return undefined;
    at = start + readLength(data, at, lengthSize);
    if (at > data.length) return undefined;
    if (at === start) empty++;
    else visit(start, at);
  }
  return empty;
}

/**
 * Rewrites an access unit that {@link walkNalUnits} could walk: 4-byte lengths, no empty NAL units, only those that
 * `keep` wants.
 */
export function rewriteNalUnits(
  data: Uint8Array,
  lengthSize: number,
  keep: (start: number, end: number) => boolean,
): Uint8Array {
  let size = 0;
  walkNalUnits(data, lengthSize, (start, end) => {
    if (keep(start, end)) size += 4 + end - start;
  });
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  let to = 0;
  walkNalUnits(data, lengthSize, (start, end) => {
    if (!keep(start, end)) return;
    view.setUint32(to, end - start);
    out.set(data.subarray(start, end), to + 4);
    to += 4 + end - start;
  });
  return out;
}
