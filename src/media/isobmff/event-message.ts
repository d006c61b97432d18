import { type Box, BoxCursor } from './box-reader.ts';

/** An event message box (ISO/IEC 23009-1 5.10.3.3). */
export interface EventMessage {
  readonly schemeIdUri: string;
  readonly value: string;
  /** Ticks a second of `time` and `durationTicks`; never 0. */
  readonly timescale: number;
  /** Version 1: on the media's presentation time. Version 0: behind the start of the segment that follows. */
  readonly time: { readonly kind: 'presentation' | 'delta'; readonly ticks: bigint };
  /** 0xffffffff: unknown. */
  readonly durationTicks: number;
  readonly id: number;
  /** A copy. */
  readonly data: Uint8Array;
}

/** A scheme or value longer than this is damage. */
const MAX_TEXT_BYTES = 1024;

/** Reads the `emsg` box `box` of `bytes`; undefined when it cannot be read or has another version than 0 or 1. */
export function readEventMessage(bytes: Uint8Array, box: Box): EventMessage | undefined {
  const cursor = new BoxCursor(bytes, box);
  const version = cursor.u8();
  cursor.skip(3);
  const message =
    version === 0 ? readVersion0(bytes, cursor) : version === 1 ? readVersion1(bytes, cursor) : undefined;
  if (!message || cursor.overrun || message.timescale === 0) return undefined;
  return { ...message, data: bytes.slice(cursor.offset, box.end) };
}

type Fields = Omit<EventMessage, 'data'>;

function readVersion0(bytes: Uint8Array, cursor: BoxCursor): Fields | undefined {
  const schemeIdUri = readText(bytes, cursor);
  const value = readText(bytes, cursor);
  if (schemeIdUri === undefined || value === undefined) return undefined;
  const timescale = cursor.u32();
  const time = { kind: 'delta' as const, ticks: BigInt(cursor.u32()) };
  return { schemeIdUri, value, timescale, time, durationTicks: cursor.u32(), id: cursor.u32() };
}

function readVersion1(bytes: Uint8Array, cursor: BoxCursor): Fields | undefined {
  const timescale = cursor.u32();
  const ticks = (BigInt(cursor.u32()) << 32n) | BigInt(cursor.u32());
  const durationTicks = cursor.u32();
  const id = cursor.u32();
  const schemeIdUri = readText(bytes, cursor);
  const value = readText(bytes, cursor);
  if (schemeIdUri === undefined || value === undefined) return undefined;
  return { schemeIdUri, value, timescale, time: { kind: 'presentation', ticks }, durationTicks, id };
}

/** A text that ends with a zero byte. */
function readText(bytes: Uint8Array, cursor: BoxCursor): string | undefined {
  const start = cursor.offset;
  const most = Math.min(cursor.remaining, MAX_TEXT_BYTES);
  for (let length = 0; length < most; length++) {
    if (bytes[start + length] !== 0) continue;
    cursor.skip(length + 1);
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('utf8');
  }
  return undefined;
}
