import { BitReader } from './bit-reader.ts';

/** A parsed FLACSpecificBox (Encapsulation of FLAC in ISO Base Media File Format 3.3.2). */
export interface FlacConfig {
  readonly codec: 'fLaC';
  readonly codecString: 'fLaC';
  readonly sampleRate: number;
  readonly channels: number;
  readonly bitsPerSample: number;
  /** Samples of the longest block; of every block but the last where the stream has a fixed block size. */
  readonly maxBlockSamples: number;
  /** Body of `dfLa`, version and flags included, with STREAMINFO as its only block. */
  readonly config: Uint8Array;
}

const MAGIC = 0x664c6143;
const STREAMINFO_BYTES = 34;
const BLOCK_HEADER_BYTES = 4;
const FULL_BOX_BYTES = 4;
/** STREAMINFO must be the first block, so no more is looked at. */
const STREAMINFO_TYPE = 0;
const LAST_BLOCK = 0x80;
const MIN_BLOCK_SAMPLES = 16;
const MAX_SAMPLE_RATE = 192_000;

/**
 * FLAC metadata → body of `dfLa` with version and flags. Takes metadata blocks, also with `fLaC` before them, or
 * STREAMINFO alone without its block header. Undefined when malformed.
 */
export function flacConfigFromStreamInfo(bytes: Uint8Array): Uint8Array | undefined {
  const info = findStreamInfo(bytes);
  if (!info) return undefined;
  const body = new Uint8Array(FULL_BOX_BYTES + BLOCK_HEADER_BYTES + STREAMINFO_BYTES);
  body[FULL_BOX_BYTES] = LAST_BLOCK | STREAMINFO_TYPE;
  body[FULL_BOX_BYTES + 3] = STREAMINFO_BYTES;
  body.set(info, FULL_BOX_BYTES + BLOCK_HEADER_BYTES);
  return parseStreamInfo(info) ? body : undefined;
}

function findStreamInfo(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length === STREAMINFO_BYTES) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = bytes.length >= 4 && view.getUint32(0) === MAGIC ? 4 : 0;
  const end = start + BLOCK_HEADER_BYTES + STREAMINFO_BYTES;
  if (bytes.length < end || ((bytes[start] ?? 0) & 0x7f) !== STREAMINFO_TYPE) return undefined;
  const sizeBytes = view.getUint32(start) % 0x1000000;
  return sizeBytes === STREAMINFO_BYTES ? bytes.subarray(start + BLOCK_HEADER_BYTES, end) : undefined;
}

/** Parses the body of `dfLa` with its version (0) and flags. Undefined when malformed. */
export function parseFlacConfig(bytes: Uint8Array): FlacConfig | undefined {
  if (bytes.length < FULL_BOX_BYTES + BLOCK_HEADER_BYTES || bytes[0] !== 0) return undefined;
  const config = flacConfigFromStreamInfo(bytes.subarray(FULL_BOX_BYTES));
  const info = config && parseStreamInfo(config.subarray(FULL_BOX_BYTES + BLOCK_HEADER_BYTES));
  return info && { codec: 'fLaC', codecString: 'fLaC', ...info, config };
}

type StreamInfo = Pick<FlacConfig, 'sampleRate' | 'channels' | 'bitsPerSample' | 'maxBlockSamples'>;

/** RFC 9639 8.2. */
function parseStreamInfo(info: Uint8Array): StreamInfo | undefined {
  const reader = new BitReader(info);
  reader.skip(16);
  const maxBlockSamples = reader.bits(16);
  reader.skip(48);
  const sampleRate = reader.bits(20);
  const channels = reader.bits(3) + 1;
  const bitsPerSample = reader.bits(5) + 1;
  if (reader.overrun || sampleRate === 0 || sampleRate > MAX_SAMPLE_RATE) return undefined;
  if (maxBlockSamples < MIN_BLOCK_SAMPLES || bitsPerSample < 4) return undefined;
  return { sampleRate, channels, bitsPerSample, maxBlockSamples };
}

/** Block sizes by their code (RFC 9639 9.1.1); 6 and 7 stand behind the frame's number. */
const SIX = 6;
const SEVEN = 7;

/** How many samples a frame holds (RFC 9639 9.1). Undefined when it is no frame. */
export function flacFrameSamples(frame: Uint8Array): number | undefined {
  const sync = (frame[0] ?? 0) * 256 + (frame[1] ?? 0);
  if (frame.length < 6 || (sync & 0xfffe) !== 0xfff8) return undefined;
  const code = (frame[2] ?? 0) >> 4;
  if (code === 0) return undefined;
  if (code === 1) return 192;
  if (code >= 8) return 256 << (code - 8);
  if (code < SIX) return 576 << (code - 2);
  const at = 4 + codedNumberBytes(frame[4] ?? 0);
  if (at + 2 > frame.length) return undefined;
  const first = frame[at] ?? 0;
  return code === SEVEN ? first * 256 + (frame[at + 1] ?? 0) + 1 : first + 1;
}

/** The frame's number is coded as UTF-8 was, up to 7 bytes: leading ones of the first byte count them. */
function codedNumberBytes(first: number): number {
  const ones = Math.clz32(~(first << 24));
  return ones === 0 ? 1 : ones;
}
