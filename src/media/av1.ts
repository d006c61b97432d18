import { type Av1Sequence, parseAv1Sequence } from './av1-sequence.ts';
import { colourFields, twoDigits } from './colour.ts';

export type { Av1Sequence } from './av1-sequence.ts';

/** A parsed AV1CodecConfigurationRecord (AV1 Codec ISO Media File Format Binding 2.3). */
export interface Av1Config {
  readonly codec: 'av01';
  /** RFC 6381 by the binding's clause 5, e.g. `av01.0.04M.08`. */
  readonly codecString: string;
  readonly picture: Av1Sequence;
  /** The sequence header OBU, with its header and size. */
  readonly sequenceHeader: Uint8Array;
  /** The record with the sequence header as its only OBU: what `av1C` holds. */
  readonly record: Uint8Array;
}

/** OBU types (AV1 specification 6.2.2). */
const OBU = { sequenceHeader: 1, temporalDelimiter: 2, frameHeader: 3, tileGroup: 4, frame: 6 } as const;

const HEADER_BYTES = 4;
/** A record larger than this is not read: real ones are below 100 bytes. */
const MAX_RECORD_BYTES = 64 * 1024;
const KEY_FRAME = 0;
/** leb128 has 8 bytes at most (4.10.5), and its value 32 bits. */
const MAX_LEB128_BYTES = 8;

interface Obu {
  readonly type: number;
  readonly start: number;
  readonly payload: number;
  readonly end: number;
}

/**
 * Parses an AV1CodecConfigurationRecord. Undefined when malformed. Also undefined without a sequence header OBU, which
 * the binding allows: then {@link inspectAv1TemporalUnit} finds it in the first key frame.
 */
export function parseAv1Config(bytes: Uint8Array): Av1Config | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_RECORD_BYTES || bytes[0] !== 0x81) return undefined;
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const obu = readObu(bytes, at);
    if (!obu) return undefined;
    if (obu.type === OBU.sequenceHeader) return av1ConfigOf(bytes.subarray(obu.start, obu.end));
    at = obu.end;
  }
  return undefined;
}

/** True for the head of a record whose stream must tell the rest in its key frames. */
export function isBareAv1Config(bytes: Uint8Array): boolean {
  return bytes.length === HEADER_BYTES && bytes[0] === 0x81;
}

/** Writes an `av1C` body of one sequence header OBU (with its OBU header). Undefined when it is malformed. */
export function buildAv1Config(sequenceHeaderObu: Uint8Array): Uint8Array | undefined {
  return av1ConfigOf(sequenceHeaderObu)?.record;
}

/** The configuration that a sequence header OBU makes. Undefined when it is none. */
export function av1ConfigOf(sequenceHeaderObu: Uint8Array): Av1Config | undefined {
  const obu = readObu(sequenceHeaderObu, 0);
  if (obu?.type !== OBU.sequenceHeader || obu.end - obu.payload > MAX_RECORD_BYTES / 2) return undefined;
  const payload = sequenceHeaderObu.subarray(obu.payload, obu.end);
  const picture = parseAv1Sequence(payload);
  if (!picture) return undefined;
  const sequenceHeader = withSize(payload);
  const record = new Uint8Array(HEADER_BYTES + sequenceHeader.length);
  record.set([0x81, (picture.profile << 5) | picture.level, colourByte(picture), 0]);
  record.set(sequenceHeader, HEADER_BYTES);
  return { codec: 'av01', codecString: av1CodecString(picture), picture, sequenceHeader, record };
}

/** OBUs of a record must have their size (2.3.3). */
function withSize(payload: Uint8Array): Uint8Array {
  const sizeBytes = payload.length < 0x80 ? 1 : 2;
  const obu = new Uint8Array(1 + sizeBytes + payload.length);
  obu[0] = (OBU.sequenceHeader << 3) | 2;
  obu[1] = (payload.length & 0x7f) | (sizeBytes === 2 ? 0x80 : 0);
  if (sizeBytes === 2) obu[2] = payload.length >> 7;
  obu.set(payload, 1 + sizeBytes);
  return obu;
}

function colourByte(sequence: Av1Sequence): number {
  return (
    (sequence.highTier ? 0x80 : 0) |
    (sequence.bitDepth > 8 ? 0x40 : 0) |
    (sequence.bitDepth === 12 ? 0x20 : 0) |
    (sequence.monochrome ? 0x10 : 0) |
    (sequence.subsamplingX ? 0x08 : 0) |
    (sequence.subsamplingY ? 0x04 : 0) |
    sequence.samplePosition
  );
}

/** The optional fields of the codec string where nothing is special: 4:2:0, BT.709, limited range. */
const DEFAULT_OPTIONS = '0.110.01.01.01.0';

function av1CodecString(sequence: Av1Sequence): string {
  const { profile, level, highTier, bitDepth } = sequence;
  const base = `av01.${profile}.${twoDigits(level)}${highTier ? 'H' : 'M'}.${twoDigits(bitDepth)}`;
  const options = codecStringOptions(sequence);
  return options === DEFAULT_OPTIONS ? base : `${base}.${options}`;
}

function codecStringOptions(sequence: Av1Sequence): string {
  const { colour, samplePosition } = sequence;
  const [x, y] = [Number(sequence.subsamplingX), Number(sequence.subsamplingY)];
  return [
    Number(sequence.monochrome),
    `${x}${y}${x && y ? samplePosition : 0}`,
    ...colourFields(colour),
    Number(colour.fullRange),
  ].join('.');
}

/** What one temporal unit holds; see {@link inspectAv1TemporalUnit}. */
export interface Av1TemporalUnitFacts {
  /** Begins with a shown key frame and has a sequence header: decoding may start here (binding 2.4). */
  readonly key: boolean;
  /** Has a frame. Without one it is no picture. */
  readonly picture: boolean;
  /** Has temporal delimiters, which a sample should not. */
  readonly delimiters: boolean;
  /** The first sequence header OBU, a view of the data. */
  readonly sequenceHeader: Uint8Array | undefined;
}

/**
 * Walks the OBUs of a temporal unit (low-overhead format). Undefined when a size runs past the end.
 * @param reduced the sequence has reduced_still_picture_header, when no header is in the data itself
 */
export function inspectAv1TemporalUnit(data: Uint8Array, reduced = false): Av1TemporalUnitFacts | undefined {
  let sequenceHeader: Uint8Array | undefined;
  let keyFrame: boolean | undefined;
  let delimiters = false;
  for (let at = 0; at < data.length; ) {
    const obu = readObu(data, at);
    if (!obu) return undefined;
    at = obu.end;
    if (obu.type === OBU.temporalDelimiter) delimiters = true;
    else if (obu.type === OBU.sequenceHeader) sequenceHeader ??= data.subarray(obu.start, obu.end);
    else if (obu.type === OBU.frame || obu.type === OBU.frameHeader) {
      keyFrame ??= isShownKey(data, obu, reduced);
    }
  }
  const key = keyFrame === true && sequenceHeader !== undefined;
  return { key, picture: keyFrame !== undefined, delimiters, sequenceHeader };
}

/** The first bits of uncompressed_header (5.9.2): show_existing_frame, frame_type, show_frame. */
function isShownKey(data: Uint8Array, obu: Obu, reduced: boolean): boolean {
  if (obu.payload >= obu.end) return false;
  if (reduced) return true;
  const first = data[obu.payload] ?? 0;
  const showExisting = first >> 7 === 1;
  const type = (first >> 5) & 3;
  return !showExisting && type === KEY_FRAME && ((first >> 4) & 1) === 1;
}

/** Removes the temporal delimiters of a temporal unit that was found well-formed. */
export function withoutTemporalDelimiters(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length);
  let length = 0;
  for (let at = 0; at < data.length; ) {
    const obu = readObu(data, at);
    if (!obu) break;
    at = obu.end;
    if (obu.type === OBU.temporalDelimiter) continue;
    out.set(data.subarray(obu.start, obu.end), length);
    length += obu.end - obu.start;
  }
  return out.subarray(0, length);
}

/** An OBU without a size reaches to the end: allowed for the last one of a sample (2.4). */
function readObu(bytes: Uint8Array, start: number): Obu | undefined {
  const header = bytes[start] ?? 0x80;
  if (header & 0x80) return undefined;
  const sizeAt = start + (header & 4 ? 2 : 1);
  const type = (header >> 3) & 0xf;
  if (!(header & 2))
    return sizeAt <= bytes.length ? { type, start, payload: sizeAt, end: bytes.length } : undefined;
  const size = readLeb128(bytes, sizeAt);
  if (!size || size.end + size.value > bytes.length) return undefined;
  return { type, start, payload: size.end, end: size.end + size.value };
}

function readLeb128(bytes: Uint8Array, start: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let index = 0; index < MAX_LEB128_BYTES; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (!(byte & 0x80)) return { value, end: start + index + 1 };
  }
  return undefined;
}
