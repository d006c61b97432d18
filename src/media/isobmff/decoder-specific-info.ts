import { type Box, BoxCursor } from './box-reader.ts';

/** Walks ES_Descriptor and DecoderConfigDescriptor (ISO/IEC 14496-1 7.2.6) to the DecoderSpecificInfo, which is a view. */
export function readDecoderSpecificInfo(bytes: Uint8Array, esds: Box): Uint8Array | undefined {
  const cursor = new BoxCursor(bytes, esds);
  cursor.skip(4);
  if (readDescriptor(cursor).tag !== 0x03) return undefined;
  cursor.skip(2);
  const flags = cursor.u8();
  if (flags & 0x80) cursor.skip(2);
  if (flags & 0x40) cursor.skip(cursor.u8());
  if (flags & 0x20) cursor.skip(2);
  if (readDescriptor(cursor).tag !== 0x04) return undefined;
  cursor.skip(13);
  const info = readDescriptor(cursor);
  if (info.tag !== 0x05 || cursor.overrun || info.sizeBytes > cursor.remaining) return undefined;
  return bytes.subarray(cursor.offset, cursor.offset + info.sizeBytes);
}

function readDescriptor(cursor: BoxCursor): { tag: number; sizeBytes: number } {
  const tag = cursor.u8();
  let sizeBytes = 0;
  for (let i = 0; i < 4; i++) {
    const byte = cursor.u8();
    sizeBytes = sizeBytes * 128 + (byte & 0x7f);
    if (!(byte & 0x80)) break;
  }
  return { tag, sizeBytes };
}
