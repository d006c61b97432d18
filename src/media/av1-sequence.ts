import { BitReader } from './bit-reader.ts';
import { type Colour, UNSPECIFIED_COLOUR } from './colour.ts';

/** What Headwater needs of a sequence header (AV1 specification 5.5). */
export interface Av1Sequence {
  readonly profile: number;
  readonly level: number;
  readonly highTier: boolean;
  readonly bitDepth: 8 | 10 | 12;
  readonly monochrome: boolean;
  readonly subsamplingX: boolean;
  readonly subsamplingY: boolean;
  /** chroma_sample_position; 0 is unknown. */
  readonly samplePosition: number;
  readonly colour: Colour;
  /** The largest frame of the sequence, pixels. */
  readonly width: number;
  readonly height: number;
  /** Frame headers have no show_existing_frame and the like: every frame is a shown key frame. */
  readonly reduced: boolean;
  readonly frameRate: { readonly numerator: number; readonly denominator: number } | undefined;
}

/** A sequence header longer than this is not read: real ones are below 50 bytes. */
const MAX_SEQUENCE_BYTES = 1024;
const PRIMARIES_BT709 = 1;
const TRANSFER_SRGB = 13;
const MATRIX_IDENTITY = 0;

/** Parses the payload of a sequence header OBU. Undefined when malformed. */
export function parseAv1Sequence(payload: Uint8Array): Av1Sequence | undefined {
  if (payload.length === 0 || payload.length > MAX_SEQUENCE_BYTES) return undefined;
  const reader = new BitReader(payload);
  const profile = reader.bits(3);
  reader.skip(1);
  const reduced = reader.flag();
  const operation = reduced
    ? { level: reader.bits(5), highTier: false, frameRate: undefined }
    : readOperation(reader);
  const size = readSize(reader);
  if (!reduced && reader.flag()) reader.skip(7);
  reader.skip(3);
  if (!reduced) skipTools(reader);
  reader.skip(3);
  const colour = readColourConfig(reader, profile);
  if (reader.overrun || profile > 2) return undefined;
  return { profile, reduced, ...operation, ...size, ...colour };
}

type Operation = Pick<Av1Sequence, 'level' | 'highTier' | 'frameRate'>;

/** Timing, decoder model and operating points; the first point is the whole stream. */
function readOperation(reader: BitReader): Operation {
  let frameRate: Av1Sequence['frameRate'];
  let delayBits = 0;
  if (reader.flag()) {
    frameRate = readTiming(reader);
    if (reader.flag()) {
      delayBits = reader.bits(5) + 1;
      reader.skip(42);
    }
  }
  const displayDelay = reader.flag();
  const points = reader.bits(5) + 1;
  let first: Omit<Operation, 'frameRate'> | undefined;
  for (let point = 0; point < points; point++) {
    reader.skip(12);
    const level = reader.bits(5);
    const highTier = level > 7 && reader.flag();
    if (delayBits > 0 && reader.flag()) reader.skip(2 * delayBits + 1);
    if (displayDelay && reader.flag()) reader.skip(4);
    first ??= { level, highTier };
  }
  return { level: 0, highTier: false, ...first, frameRate };
}

/** timing_info (5.5.3). Without equal_picture_interval the ticks say nothing of the frame rate. */
function readTiming(reader: BitReader): Av1Sequence['frameRate'] {
  const unitsInTick = reader.bits(32);
  const timeScale = reader.bits(32);
  if (!reader.flag()) return undefined;
  // uvlc() (4.10.3) has the form of ue(v).
  const denominator = unitsInTick * (reader.unsignedExpGolomb() + 1);
  return denominator > 0 && timeScale > 0 ? { numerator: timeScale, denominator } : undefined;
}

function readSize(reader: BitReader): { width: number; height: number } {
  const widthBits = reader.bits(4) + 1;
  const heightBits = reader.bits(4) + 1;
  return { width: reader.bits(widthBits) + 1, height: reader.bits(heightBits) + 1 };
}

/** Which coding tools a sequence has: walked only to get behind them. */
function skipTools(reader: BitReader): void {
  reader.skip(4);
  const orderHint = reader.flag();
  if (orderHint) reader.skip(2);
  const chooses = reader.flag();
  const screenContent = chooses || reader.flag();
  if (screenContent && !reader.flag()) reader.skip(1);
  if (orderHint) reader.skip(3);
}

type ColourConfig = Pick<
  Av1Sequence,
  'bitDepth' | 'monochrome' | 'subsamplingX' | 'subsamplingY' | 'samplePosition' | 'colour'
>;

/** color_config (5.5.2). */
function readColourConfig(reader: BitReader, profile: number): ColourConfig {
  const highDepth = reader.flag();
  const twelve = profile === 2 && highDepth && reader.flag();
  const bitDepth = twelve ? 12 : highDepth ? 10 : 8;
  const monochrome = profile !== 1 && reader.flag();
  const described = reader.flag();
  const [primaries, transfer, matrix] = described
    ? [reader.bits(8), reader.bits(8), reader.bits(8)]
    : [UNSPECIFIED_COLOUR, UNSPECIFIED_COLOUR, UNSPECIFIED_COLOUR];
  const isSrgb = primaries === PRIMARIES_BT709 && transfer === TRANSFER_SRGB && matrix === MATRIX_IDENTITY;
  if (isSrgb && !monochrome) {
    const colour = { primaries, transfer, matrix, fullRange: true };
    return { bitDepth, monochrome, subsamplingX: false, subsamplingY: false, samplePosition: 0, colour };
  }
  const colour = { primaries, transfer, matrix, fullRange: reader.flag() };
  if (monochrome) {
    return { bitDepth, monochrome, subsamplingX: true, subsamplingY: true, samplePosition: 0, colour };
  }
  const [subsamplingX, subsamplingY] = readSubsampling(reader, profile, bitDepth);
  const samplePosition = subsamplingX && subsamplingY ? reader.bits(2) : 0;
  return { bitDepth, monochrome, subsamplingX, subsamplingY, samplePosition, colour };
}

function readSubsampling(reader: BitReader, profile: number, bitDepth: number): [boolean, boolean] {
  if (profile === 0) return [true, true];
  if (profile === 1) return [false, false];
  if (bitDepth !== 12) return [true, false];
  const x = reader.flag();
  return [x, x && reader.flag()];
}
