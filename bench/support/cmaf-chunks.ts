/** One CMAF chunk of a segment. */
export interface ChunkPlace {
  /** Offset of the byte behind it. */
  readonly endByte: number;
  /** When its first picture was made by the server's clock, ms since the Unix epoch: its `prft` (ISO/IEC 14496-12 8.16.5). */
  readonly producedMs: number;
}

/** Seconds from the NTP epoch (1900) to the Unix epoch. */
const NTP_TO_UNIX_SECONDS = 2_208_988_800;

/** Finds the chunks of a whole segment: each ends with its `mdat`. */
export function chunkPlaces(segment: Uint8Array): ChunkPlace[] {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  const places: ChunkPlace[] = [];
  let producedMs = Number.NaN;
  for (let at = 0; at + 8 <= segment.length; at += view.getUint32(at)) {
    const type = String.fromCharCode(...segment.subarray(at + 4, at + 8));
    if (type === 'prft') {
      // Behind size, type, version with flags, and the track's id.
      producedMs = (view.getUint32(at + 16) - NTP_TO_UNIX_SECONDS + view.getUint32(at + 20) / 2 ** 32) * 1000;
    }
    if (type === 'mdat') places.push({ endByte: at + view.getUint32(at), producedMs });
  }
  return places;
}
