import { BitReader } from '../bit-reader.ts';
import { allocate } from './allocate.ts';
import type { FrameResult, SoundFramer } from './sound-framer.ts';

const HEADER_BYTES = 3;
const MAX_FRAME_BYTES = HEADER_BYTES + 0x1fff;
const SAMPLE_RATES = [
  96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
] as const;
const EXPLICIT_RATE = 15;
const AOT_LC = 2;
const AOT_SBR = 5;
const AOT_PS = 29;
const AOT_ESCAPE = 31;
/** An AudioSpecificConfig longer than this is not read. */
const MAX_CONFIG_BITS = 512 * 8;

/** What a StreamMuxConfig tells of the frames. */
interface StreamMux {
  /** The AudioSpecificConfig, from a byte boundary on. */
  readonly config: Uint8Array;
  readonly coreRate: number;
  /** At the core's rate. */
  readonly frameSamples: number;
}

/**
 * AAC in LOAS/LATM (ISO/IEC 14496-3 1.7): one program, one layer, one frame an element, frame lengths in the payload
 * (frameLengthType 0); audioMuxVersion 0 and 1. Other forms are not carried.
 */
export class LatmFramer implements SoundFramer {
  readonly maxFrameBytes = MAX_FRAME_BYTES;
  readonly firstByte = 0x56;
  #mux: StreamMux | undefined;

  frame(bytes: Buffer, at: number): FrameResult {
    if (bytes.length - at < HEADER_BYTES) return { kind: 'more' };
    if (!isHeader(bytes, at)) return { kind: 'damaged' };
    const end = at + HEADER_BYTES + ((((bytes[at + 1] ?? 0) & 0x1f) << 8) | (bytes[at + 2] ?? 0));
    if (end > bytes.length) return { kind: 'more' };
    if (bytes.length - end >= 2 && !isHeader(bytes, end)) return { kind: 'damaged' };
    return this.#element(bytes.subarray(at + HEADER_BYTES, end), end);
  }

  /** AudioMuxElement(1). */
  #element(element: Buffer, end: number): FrameResult {
    const reader = new BitReader(element);
    const sameMux = reader.flag();
    if (!sameMux) {
      const mux = readStreamMux(element, reader);
      if (mux === undefined || reader.overrun) return { kind: 'damaged' };
      this.#mux = mux === 'unsupported' ? undefined : mux;
    }
    if (!this.#mux) return { kind: 'unsupported', end };
    let sizeBytes = 0;
    for (let part = 255; part === 255 && !reader.overrun; ) {
      part = reader.bits(8);
      sizeBytes += part;
    }
    const startBit = element.length * 8 - reader.remainingBits;
    if (reader.overrun || sizeBytes * 8 > reader.remainingBits || sizeBytes === 0) return { kind: 'damaged' };
    const { config, coreRate, frameSamples } = this.#mux;
    return {
      kind: 'frame',
      end,
      codec: 'mp4a',
      config,
      confirmed: true,
      data: copyBits(element, startBit, sizeBytes * 8),
      samples: frameSamples,
      sampleRate: coreRate,
    };
  }
}

function isHeader(bytes: Buffer, at: number): boolean {
  return bytes[at] === 0x56 && ((bytes[at + 1] ?? 0) & 0xe0) === 0xe0;
}

/** StreamMuxConfig (table 1.42). Undefined when malformed. */
function readStreamMux(element: Buffer, reader: BitReader): StreamMux | 'unsupported' | undefined {
  const version = reader.flag();
  if (version && reader.flag()) return 'unsupported';
  if (version) readLatmValue(reader);
  const sameFraming = reader.flag();
  const subFrames = reader.bits(6);
  const programs = reader.bits(4);
  const layers = reader.bits(3);
  if (!sameFraming || subFrames > 0 || programs > 0 || layers > 0) return 'unsupported';
  const sizeBits = version ? readLatmValue(reader) : undefined;
  const sound = readConfig(element, reader, sizeBits);
  if (sound === undefined || sound === 'unsupported') return sound;
  if (reader.bits(3) !== 0) return 'unsupported';
  reader.skip(8);
  // Other data lies behind the frame, where nobody needs to know its length.
  if (reader.flag()) skipOtherDataLength(reader, version);
  if (reader.flag()) reader.skip(8);
  return reader.overrun ? undefined : sound;
}

/** LatmGetValue(). */
function readLatmValue(reader: BitReader): number {
  const bytes = reader.bits(2) + 1;
  return reader.bits(8 * bytes);
}

function skipOtherDataLength(reader: BitReader, version: boolean): void {
  if (version) {
    readLatmValue(reader);
    return;
  }
  for (let more = true; more && !reader.overrun; ) {
    more = reader.flag();
    reader.skip(8);
  }
}

/** An AudioSpecificConfig, of so many bits when the mux says how many. */
function readConfig(
  element: Buffer,
  reader: BitReader,
  sizeBits: number | undefined,
): StreamMux | 'unsupported' | undefined {
  const before = reader.remainingBits;
  const peek = new BitReader(element);
  peek.skip(element.length * 8 - before);
  const form = readForm(peek);
  if (form === undefined || form === 'unsupported') return form;
  const used = before - peek.remainingBits;
  const bits = sizeBits ?? used;
  if (peek.overrun || bits < used || bits > MAX_CONFIG_BITS || bits > before) return undefined;
  return { ...form, config: readBits(reader, bits) };
}

/** The fields of an AudioSpecificConfig (1.6.2.1) as far as the core's GASpecificConfig. */
function readForm(reader: BitReader): Omit<StreamMux, 'config'> | 'unsupported' | undefined {
  const declared = readObjectType(reader);
  const coreRate = readSampleRate(reader);
  const channels = reader.bits(4);
  const extended = declared === AOT_SBR || declared === AOT_PS;
  if (extended) readSampleRate(reader);
  const core = extended ? readObjectType(reader) : declared;
  if (reader.overrun || coreRate === 0) return undefined;
  if (core !== AOT_LC || channels === 0) return 'unsupported';
  const frameSamples = reader.flag() ? 960 : 1024;
  if (reader.flag()) reader.skip(14);
  reader.skip(1);
  return { coreRate, frameSamples };
}

function readObjectType(reader: BitReader): number {
  const type = reader.bits(5);
  return type === AOT_ESCAPE ? 32 + reader.bits(6) : type;
}

/** 0 for a reserved index. */
function readSampleRate(reader: BitReader): number {
  const index = reader.bits(4);
  return index === EXPLICIT_RATE ? reader.bits(24) : (SAMPLE_RATES[index] ?? 0);
}

/** The next `count` bits from a byte boundary on, zeros behind. */
function readBits(reader: BitReader, count: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(count / 8));
  for (let at = 0; at < out.length; at++) {
    const take = Math.min(8, count - 8 * at);
    out[at] = reader.bits(take) << (8 - take);
  }
  return out;
}

/** A copy of whole bytes that begin at any bit. */
function copyBits(bytes: Buffer, startBit: number, sizeBits: number): Uint8Array {
  const from = startBit >> 3;
  const shift = startBit & 7;
  const out = allocate(sizeBits >> 3);
  if (shift === 0) {
    out.set(bytes.subarray(from, from + out.length));
    return out;
  }
  for (let at = 0; at < out.length; at++) {
    out[at] = ((bytes[from + at] ?? 0) << shift) | ((bytes[from + at + 1] ?? 0) >> (8 - shift));
  }
  return out;
}
