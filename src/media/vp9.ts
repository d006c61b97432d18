import { BitReader } from './bit-reader.ts';
import { type Colour, colourFields, twoDigits } from './colour.ts';

/**
 * A parsed VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding 2.2). It tells no picture size: the key
 * frames do.
 */
export interface Vp9Config {
  readonly codec: 'vp09';
  readonly profile: number;
  /** Ten times the level; 0 when the source does not say. */
  readonly level: number;
  readonly bitDepth: number;
  /** 0 and 1: 4:2:0 (vertical, co-located), 2: 4:2:2, 3: 4:4:4. */
  readonly chromaSubsampling: number;
  readonly colour: Colour;
}

const FULL_BOX_BYTES = 4;
const RECORD_BYTES = 12;
const MAX_PROFILE = 3;

/** Parses the body of `vpcC` with its version (1) and flags. Undefined when malformed. */
export function parseVp9Config(bytes: Uint8Array): Vp9Config | undefined {
  if (bytes.length < RECORD_BYTES || bytes[0] !== 1) return undefined;
  const reader = new BitReader(bytes.subarray(FULL_BOX_BYTES, RECORD_BYTES));
  const profile = reader.bits(8);
  const level = reader.bits(8);
  const bitDepth = reader.bits(4);
  const chromaSubsampling = reader.bits(3);
  const fullRange = reader.flag();
  const colour = { primaries: reader.bits(8), transfer: reader.bits(8), matrix: reader.bits(8), fullRange };
  if (profile > MAX_PROFILE || ![8, 10, 12].includes(bitDepth) || chromaSubsampling > 3) return undefined;
  return { codec: 'vp09', profile, level, bitDepth, chromaSubsampling, colour };
}

/** Writes the body of `vpcC` with its version and flags. */
export function writeVp9Config(config: Vp9Config): Uint8Array {
  const { profile, level, bitDepth, chromaSubsampling, colour } = config;
  const format = (bitDepth << 4) | (chromaSubsampling << 1) | Number(colour.fullRange);
  const { primaries, transfer, matrix } = colour;
  return Uint8Array.of(1, 0, 0, 0, profile, level, format, primaries, transfer, matrix, 0, 0);
}

const DEFAULT_OPTIONS = '01.01.01.01.00';

/** RFC 6381 by the binding's clause 6, e.g. `vp09.00.31.08`; the optional fields where one is not the default. */
export function vp9CodecString(config: Vp9Config): string {
  const { profile, level, bitDepth, chromaSubsampling, colour } = config;
  const base = `vp09.${twoDigits(profile)}.${twoDigits(level)}.${twoDigits(bitDepth)}`;
  // Where the chroma samples of 4:2:0 lie changes nothing for a decoder.
  const chroma = chromaSubsampling === 0 ? 1 : chromaSubsampling;
  const range = twoDigits(Number(colour.fullRange));
  const options = [twoDigits(chroma), ...colourFields(colour), range].join('.');
  return options === DEFAULT_OPTIONS ? base : `${base}.${options}`;
}

/** Level, luma samples a second, luma samples a picture (VP9 specification, annex A). */
const LEVELS = [
  [10, 829_440, 36_864],
  [11, 2_764_800, 73_728],
  [20, 4_608_000, 122_880],
  [21, 9_216_000, 245_760],
  [30, 20_736_000, 552_960],
  [31, 36_864_000, 983_040],
  [40, 83_558_400, 2_228_224],
  [41, 160_432_128, 2_228_224],
  [50, 311_951_360, 8_912_896],
  [51, 588_251_136, 8_912_896],
  [52, 1_176_502_272, 8_912_896],
  [60, 1_176_502_272, 35_651_584],
  [61, 2_353_004_544, 35_651_584],
  [62, 4_706_009_088, 35_651_584],
] as const;

/** The least level for a picture at a frame rate. A level that is too high costs a player nothing. */
export function vp9LevelFor(width: number, height: number, framesPerSecond: number): number {
  const pixels = width * height;
  const found = LEVELS.find(([, rate, size]) => pixels <= size && pixels * framesPerSecond <= rate);
  return found?.[0] ?? 62;
}

/** True for a level that the binding knows. */
export function isVp9Level(level: number): boolean {
  return LEVELS.some(([known]) => known === level);
}

/** What a key frame's header says of the stream. */
export interface Vp9KeyFacts {
  readonly profile: number;
  readonly bitDepth: 8 | 10 | 12;
  readonly chromaSubsampling: number;
  readonly fullRange: boolean;
  readonly width: number;
  readonly height: number;
}

/** What one sample holds; see {@link inspectVp9Frame}. */
export interface Vp9FrameFacts {
  /** The first frame is a key frame: decoding may start here. */
  readonly key: boolean;
  /** Has a frame. */
  readonly picture: boolean;
  /** Of the first key frame. */
  readonly keyFacts: Vp9KeyFacts | undefined;
  /** The largest frame size that any of its frames gives itself; 0 when all take theirs from references. */
  readonly pixels: number;
}

/** Inspects a frame or superframe by its uncompressed headers (VP9 specification 6.2). Undefined when malformed. */
export function inspectVp9Frame(data: Uint8Array): Vp9FrameFacts | undefined {
  const frames = splitSuperframe(data);
  if (!frames) return undefined;
  let pixels = 0;
  let keyFacts: Vp9KeyFacts | undefined;
  for (const [index, frame] of frames.entries()) {
    const header = readHeader(frame);
    if (!header) return undefined;
    pixels = Math.max(pixels, header.pixels);
    if (index === 0) keyFacts = header.keyFacts;
  }
  return { key: keyFacts !== undefined, picture: frames.length > 0, keyFacts, pixels };
}

/** Annex B: an index at the end, between two marker bytes, says how long each frame is. */
function splitSuperframe(data: Uint8Array): Uint8Array[] | undefined {
  const marker = data.at(-1);
  if (marker === undefined) return [];
  if (marker >> 5 !== 0b110) return [data];
  const count = (marker & 7) + 1;
  const sizeBytes = ((marker >> 3) & 3) + 1;
  const indexStart = data.length - (2 + count * sizeBytes);
  if (indexStart < 0 || data[indexStart] !== marker) return [data];
  const frames: Uint8Array[] = [];
  let at = 0;
  for (let frame = 0; frame < count; frame++) {
    const size = readLittleEndian(data, indexStart + 1 + frame * sizeBytes, sizeBytes);
    if (at + size > indexStart) return undefined;
    if (size > 0) frames.push(data.subarray(at, at + size));
    at += size;
  }
  return frames;
}

function readLittleEndian(data: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let index = size - 1; index >= 0; index--) value = value * 256 + (data[at + index] ?? 0);
  return value;
}

interface Header {
  readonly pixels: number;
  readonly keyFacts: Vp9KeyFacts | undefined;
}

const FRAME_MARKER = 2;
const SYNC_CODE = 0x498342;
const COLOUR_SPACE_RGB = 7;
const NO_SIZE: Header = { pixels: 0, keyFacts: undefined };

function readHeader(frame: Uint8Array): Header | undefined {
  const reader = new BitReader(frame.subarray(0, 32));
  if (reader.bits(2) !== FRAME_MARKER) return undefined;
  const low = reader.bits(1);
  const profile = reader.bits(1) * 2 + low;
  if (profile === MAX_PROFILE && reader.flag()) return undefined;
  if (reader.flag()) return NO_SIZE;
  const inter = reader.flag();
  const shown = reader.flag();
  const errorResilient = reader.flag();
  const header = inter
    ? readInterHeader(reader, profile, shown, errorResilient)
    : readKeyHeader(reader, profile);
  return reader.overrun ? undefined : header;
}

function readKeyHeader(reader: BitReader, profile: number): Header | undefined {
  if (reader.bits(24) !== SYNC_CODE) return undefined;
  const format = readFormat(reader, profile);
  const { width, height } = readSize(reader);
  return { pixels: width * height, keyFacts: { profile, ...format, width, height } };
}

function readInterHeader(
  reader: BitReader,
  profile: number,
  shown: boolean,
  errorResilient: boolean,
): Header | undefined {
  const intraOnly = !shown && reader.flag();
  if (!errorResilient) reader.skip(2);
  if (intraOnly) {
    if (reader.bits(24) !== SYNC_CODE) return undefined;
    if (profile > 0) readFormat(reader, profile);
    reader.skip(8);
  } else {
    reader.skip(8 + 3 * 4);
    for (let reference = 0; reference < 3; reference++) if (reader.flag()) return NO_SIZE;
  }
  const { width, height } = readSize(reader);
  return { pixels: width * height, keyFacts: undefined };
}

function readSize(reader: BitReader): { width: number; height: number } {
  return { width: reader.bits(16) + 1, height: reader.bits(16) + 1 };
}

/** color_config (7.2.2). */
function readFormat(
  reader: BitReader,
  profile: number,
): Pick<Vp9KeyFacts, 'bitDepth' | 'chromaSubsampling' | 'fullRange'> {
  const bitDepth = profile < 2 ? 8 : reader.flag() ? 12 : 10;
  const rgb = reader.bits(3) === COLOUR_SPACE_RGB;
  const fullRange = rgb || reader.flag();
  if (profile !== 1 && profile !== 3) return { bitDepth, chromaSubsampling: 1, fullRange };
  if (rgb) {
    reader.skip(1);
    return { bitDepth, chromaSubsampling: 3, fullRange };
  }
  const x = reader.flag();
  const y = reader.flag();
  reader.skip(1);
  return { bitDepth, chromaSubsampling: x ? (y ? 1 : 2) : 3, fullRange };
}
