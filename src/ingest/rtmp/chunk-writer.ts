import type { RtmpMessage } from './protocol.ts';

const TYPE_0 = 0 << 6;
const TYPE_3 = 3 << 6;
const EXTENDED = 0xffffff;

/** Largest chunk stream id the 1-, 2- and 3-byte basic headers reach (Adobe RTMP 1.0, 5.3.1.1). */
const MAX_ID_1_BYTE = 63;
const MAX_ID_2_BYTES = 64 + 0xff;

/** Writes one message as chunks: a type 0 header, then type 3 continuations. `chunkStreamId` is 2 to 65599. */
export function writeChunks(message: RtmpMessage, chunkStreamId: number, chunkBytes: number): Buffer {
  const { payload, timestamp } = message;
  const extended = timestamp >= EXTENDED;
  const basicBytes = chunkStreamId <= MAX_ID_1_BYTE ? 1 : chunkStreamId <= MAX_ID_2_BYTES ? 2 : 3;
  const continuations = Math.max(0, Math.ceil(payload.length / chunkBytes) - 1);
  const extendedBytes = extended ? 4 : 0;
  const sizeBytes =
    basicBytes + 11 + extendedBytes + payload.length + continuations * (basicBytes + extendedBytes);
  const out = Buffer.allocUnsafe(sizeBytes);
  let offset = writeBasicHeader(out, 0, TYPE_0, chunkStreamId);
  offset = out.writeUIntBE(extended ? EXTENDED : timestamp, offset, 3);
  offset = out.writeUIntBE(payload.length, offset, 3);
  offset = out.writeUInt8(message.type, offset);
  offset = out.writeUInt32LE(message.streamId, offset);
  if (extended) offset = out.writeUInt32BE(timestamp, offset);
  offset += payload.copy(out, offset, 0, chunkBytes);
  for (let start = chunkBytes; start < payload.length; start += chunkBytes) {
    offset = writeBasicHeader(out, offset, TYPE_3, chunkStreamId);
    if (extended) offset = out.writeUInt32BE(timestamp, offset);
    offset += payload.copy(out, offset, start, start + chunkBytes);
  }
  return out;
}

function writeBasicHeader(out: Buffer, offset: number, format: number, id: number): number {
  if (id <= MAX_ID_1_BYTE) return out.writeUInt8(format | id, offset);
  if (id <= MAX_ID_2_BYTES) return out.writeUInt8(id - 64, out.writeUInt8(format, offset));
  return out.writeUInt16LE(id - 64, out.writeUInt8(format | 1, offset));
}
