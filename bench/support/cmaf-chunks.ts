import { readBoxes } from '../../src/media/isobmff/box-reader.ts';

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
  for (const { type, bodyStart, end } of readBoxes(segment).boxes) {
    if (type === 'prft') {
      // Behind version with flags, and the track's id.
      const seconds = view.getUint32(bodyStart + 8) - NTP_TO_UNIX_SECONDS;
      producedMs = (seconds + view.getUint32(bodyStart + 12) / 2 ** 32) * 1000;
    }
    if (type === 'mdat') places.push({ endByte: end, producedMs });
  }
  return places;
}

/** A chunk that was read from a body as it grew. */
export interface ReceivedChunk {
  readonly bytes: Buffer;
  /** performance.now() when it was complete here. */
  readonly receivedMs: number;
}

/** Reads a body that grows, chunk by chunk. */
export async function* receiveChunks(body: AsyncIterable<Uint8Array>): AsyncGenerator<ReceivedChunk> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const piece of body) {
    const receivedMs = performance.now();
    pending = pending.length === 0 ? Buffer.from(piece) : Buffer.concat([pending, piece]);
    for (let end = chunkEnd(pending); end !== undefined; end = chunkEnd(pending)) {
      yield { bytes: pending.subarray(0, end), receivedMs };
      pending = pending.subarray(end);
    }
  }
}

/** Where the first whole chunk ends: behind its mdat. */
function chunkEnd(bytes: Buffer): number | undefined {
  for (let at = 0; at + 8 <= bytes.length; ) {
    const sizeBytes = bytes.readUInt32BE(at);
    if (sizeBytes < 8 || at + sizeBytes > bytes.length) return undefined;
    at += sizeBytes;
    if (bytes.toString('latin1', at - sizeBytes + 4, at - sizeBytes + 8) === 'mdat') return at;
  }
  return undefined;
}
