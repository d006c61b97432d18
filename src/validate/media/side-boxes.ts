import { type Box, BoxCursor } from '../../media/isobmff/box-reader.ts';

/** `prft` as it stands (ISO/IEC 14496-12 8.16.5). */
export interface ReferenceTimeBox {
  readonly trackId: number;
  readonly wallMs: number;
  readonly mediaTicks: number;
}

/** 1900 to 1970, seconds, and the length of an NTP era. */
const NTP_EPOCH_SECONDS = 2_208_988_800;
const TWO_32 = 2 ** 32;

/** Reads a prft; undefined when it is too short. */
export function readReferenceTime(bytes: Uint8Array, box: Box): ReferenceTimeBox | undefined {
  const cursor = new BoxCursor(bytes, box);
  const version = cursor.u8();
  cursor.skip(3);
  const trackId = cursor.u32();
  const ntpSeconds = cursor.u32();
  const fraction = cursor.u32() / TWO_32;
  const mediaTicks = version === 0 ? cursor.u32() : cursor.u64();
  if (cursor.overrun) return undefined;
  // Seconds before 1970 are those of the era that begins in 2036.
  const era = ntpSeconds < NTP_EPOCH_SECONDS ? TWO_32 : 0;
  return { trackId, wallMs: (ntpSeconds + era - NTP_EPOCH_SECONDS + fraction) * 1000, mediaTicks };
}

/** `emsg` as far as it is judged (ISO/IEC 23009-1 5.10.3.3). */
export interface EventMessageBox {
  readonly version: number;
  readonly scheme: string;
  readonly timescale: number;
}

/** Longest scheme or value read. */
const MAX_TEXT = 2048;

/** Reads an emsg of version 0 or 1; undefined when it is another or too short. */
export function readEventMessage(bytes: Uint8Array, box: Box): EventMessageBox | undefined {
  const cursor = new BoxCursor(bytes, box);
  const version = cursor.u8();
  cursor.skip(3);
  if (version > 1) return undefined;
  if (version === 0) {
    const scheme = readText(cursor);
    readText(cursor);
    const timescale = cursor.u32();
    cursor.skip(12);
    return cursor.overrun ? undefined : { version, scheme, timescale };
  }
  const timescale = cursor.u32();
  cursor.skip(16);
  const scheme = readText(cursor);
  readText(cursor);
  return cursor.overrun ? undefined : { version, scheme, timescale };
}

function readText(cursor: BoxCursor): string {
  let text = '';
  while (text.length < MAX_TEXT) {
    const code = cursor.u8();
    if (code === 0) break;
    text += String.fromCharCode(code);
  }
  return text;
}

/** `sidx` as far as it is judged (ISO/IEC 14496-12 8.16.3). */
export interface SegmentIndexBox {
  readonly referenceId: number;
  readonly timescale: number;
  readonly firstOffset: number;
  readonly references: readonly {
    readonly toIndex: boolean;
    readonly sizeBytes: number;
    readonly durationTicks: number;
  }[];
}

/** Reads a sidx; undefined when it is too short. */
export function readSegmentIndex(bytes: Uint8Array, box: Box): SegmentIndexBox | undefined {
  const cursor = new BoxCursor(bytes, box);
  const version = cursor.u8();
  cursor.skip(3);
  const referenceId = cursor.u32();
  const timescale = cursor.u32();
  cursor.skip(version === 0 ? 4 : 8);
  const firstOffset = version === 0 ? cursor.u32() : cursor.u64();
  cursor.skip(2);
  const count = cursor.u16();
  const references: { toIndex: boolean; sizeBytes: number; durationTicks: number }[] = [];
  for (let i = 0; i < count && !cursor.overrun; i++) {
    const first = cursor.u32();
    const durationTicks = cursor.u32();
    cursor.skip(4);
    references.push({ toIndex: first >= 0x80000000, sizeBytes: first % 0x80000000, durationTicks });
  }
  return cursor.overrun ? undefined : { referenceId, timescale, firstOffset, references };
}
