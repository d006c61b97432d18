import { describe, expect, it } from 'vitest';
import { BitWriter } from '../../../test/support/bit-writer.ts';
import { parseAacConfig } from '../aac.ts';
import { parseDec3 } from '../ac3.ts';
import { Ac3Framer } from './ac3-framer.ts';
import { LatmFramer } from './latm.ts';
import { OpusFramer } from './opus-framer.ts';
import type { FrameResult, SoundFrame, SoundFramer } from './sound-framer.ts';

const FRAME = [0xde, 0xad, 0xbe, 0xef, 0x55];

interface LatmOptions {
  readonly version?: number;
  readonly sameMux?: boolean;
  readonly subFrames?: number;
  readonly programs?: number;
  readonly layers?: number;
  readonly lengthType?: number;
  readonly objectType?: number;
  /** Bits of other data the mux tells of. */
  readonly otherData?: number;
  readonly sbrRate?: number;
}

/** An AudioSyncStream frame with an AudioMuxElement, written out by ISO/IEC 14496-3 1.7.3. */
function loas(options: LatmOptions = {}): Buffer {
  const { version = 0, sameMux = false, subFrames = 0, programs = 0, layers = 0 } = options;
  const { lengthType = 0, objectType = 2, otherData, sbrRate } = options;
  const writer = new BitWriter().bits(1, sameMux ? 1 : 0);
  if (!sameMux) {
    writer.bits(1, version);
    if (version === 1) writer.bits(1, 0).bits(2, 0).bits(8, 0xff);
    writer.bits(1, 1).bits(6, subFrames).bits(4, programs).bits(3, layers);
    // In version 1 the configuration may be longer than what is read of it: a sync extension.
    if (version === 1) writer.bits(2, 0).bits(8, sbrRate === undefined ? 16 : 16 + 11 + 5 + 1 + 4);
    writer.bits(5, objectType).bits(4, 6).bits(4, 2).bits(3, 0);
    if (sbrRate !== undefined) writer.bits(11, 0x2b7).bits(5, 5).bits(1, 1).bits(4, sbrRate);
    writer.bits(3, lengthType).bits(8, 0xff);
    writer.bits(1, otherData === undefined ? 0 : 1);
    if (otherData !== undefined && version === 1) writer.bits(2, 0).bits(8, otherData);
    if (otherData !== undefined && version === 0) writer.bits(1, 1).bits(8, 0).bits(1, 0).bits(8, otherData);
    writer.bits(1, 0);
  }
  writer.bits(8, FRAME.length);
  for (const byte of FRAME) writer.bits(8, byte);
  writer.bits(otherData ?? 0, 0);
  const element = writer.bytes;
  return Buffer.from([0x56, 0xe0 | (element.length >> 8), element.length & 0xff, ...element]);
}

function soundOf(result: FrameResult): SoundFrame {
  if (result.kind !== 'frame') throw new Error(`not a frame: ${result.kind}`);
  return result;
}

function bytesOf(bytes: Buffer, { data }: SoundFrame): number[] {
  if (data instanceof Uint8Array) return [...data];
  return data.flatMap(([start, end]) => [...bytes.subarray(start, end)]);
}

function framesOf(framer: SoundFramer, bytes: Buffer): SoundFrame[] {
  const frames: SoundFrame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const frame = soundOf(framer.frame(bytes, at));
    frames.push(frame);
    at = frame.end;
  }
  return frames;
}

describe('AAC in LATM', () => {
  it.each<[string, LatmOptions]>([
    ['version 0', {}],
    ['version 1', { version: 1 }],
    ['version 0 with other data behind', { otherData: 5 }],
    ['version 1 with other data behind', { version: 1, otherData: 5 }],
  ])('of %s is cut out at any bit', (_, options) => {
    const bytes = loas(options);
    const frame = soundOf(new LatmFramer().frame(bytes, 0));
    expect(bytesOf(bytes, frame)).toEqual(FRAME);
    expect(parseAacConfig(frame.config)).toMatchObject({
      codecString: 'mp4a.40.2',
      sampleRate: 24_000,
      channels: 2,
    });
    expect([frame.samples, frame.sampleRate, frame.end]).toEqual([1024, 24_000, bytes.length]);
  });

  it('of version 1 keeps what its configuration says of SBR', () => {
    const frame = soundOf(new LatmFramer().frame(loas({ version: 1, sbrRate: 3 }), 0));
    expect(parseAacConfig(frame.config)).toMatchObject({ codecString: 'mp4a.40.5', sampleRate: 48_000 });
  });

  it('may leave out the mux when it is the same, but not before there was one', () => {
    const framer = new LatmFramer();
    const same = loas({ sameMux: true });
    expect(framer.frame(same, 0).kind).toBe('unsupported');
    framer.frame(loas(), 0);
    expect(bytesOf(same, soundOf(framer.frame(same, 0)))).toEqual(FRAME);
  });

  it.each<[string, LatmOptions]>([
    ['several frames an element', { subFrames: 1 }],
    ['several programs', { programs: 1 }],
    ['several layers', { layers: 1 }],
    ['frames of fixed length', { lengthType: 1 }],
    ['another object type', { objectType: 4 }],
  ])('with %s is refused', (_, options) => {
    expect(new LatmFramer().frame(loas(options), 0).kind).toBe('unsupported');
  });

  it('that is not followed by another frame is damaged', () => {
    const bytes = Buffer.concat([loas(), Buffer.from([1, 2, 3])]);
    expect(new LatmFramer().frame(bytes, 0).kind).toBe('damaged');
  });
});

interface Eac3Options {
  readonly type?: number;
  readonly substream?: number;
  /** 0 to 3: 1, 2, 3 or 6 blocks. */
  readonly blocks?: number;
  readonly sizeBytes?: number;
}

function eac3({ type = 0, substream = 0, blocks = 3, sizeBytes = 64 }: Eac3Options = {}): Buffer {
  const writer = new BitWriter()
    .bits(16, 0x0b77)
    .bits(2, type)
    .bits(3, substream)
    .bits(11, sizeBytes / 2 - 1);
  writer.bits(2, 0).bits(2, blocks).bits(3, 7).bits(1, 1).bits(5, 16);
  const frame = Buffer.alloc(sizeBytes, 0x20 + substream);
  frame.set(writer.bytes);
  return frame;
}

describe('E-AC-3', () => {
  it('is one sample for each six blocks of the main programme', () => {
    const bytes = Buffer.concat([...Array.from({ length: 12 }, () => eac3({ blocks: 0 })), eac3()]);
    const frames = framesOf(new Ac3Framer(), bytes);
    expect(frames.map(({ end, samples }) => [end, samples])).toEqual([
      [6 * 64, 1536],
      [12 * 64, 1536],
      [13 * 64, 1536],
    ]);
  });

  it('keeps dependent substreams with the independent one, and leaves other programmes out', () => {
    const unit = [eac3(), eac3({ type: 1, sizeBytes: 32 }), eac3({ substream: 1 }), eac3({ type: 1 })];
    const bytes = Buffer.concat([...unit, ...unit]);
    const frames = framesOf(new Ac3Framer(), bytes);
    expect(frames.map(({ end }) => end)).toEqual([bytes.length / 2, bytes.length]);
    const [first] = frames;
    expect(first && bytesOf(bytes, first)).toEqual([...Buffer.concat(unit.slice(0, 2))]);
    expect(first?.codec).toBe('ec-3');
    expect(parseDec3(first?.config ?? new Uint8Array(0))).toMatchObject({ sampleRate: 48_000 });
  });

  it('of varying data rate keeps its configuration', () => {
    const bytes = Buffer.concat([eac3(), eac3({ sizeBytes: 128 }), eac3({ sizeBytes: 32 })]);
    const [first, ...rest] = framesOf(new Ac3Framer(), bytes);
    for (const { config } of rest) expect(config).toEqual(first?.config);
  });

  it('without the independent substream they belong to, its others are passed over one by one', () => {
    const bytes = Buffer.concat([eac3({ type: 1 }), eac3({ substream: 1 }), eac3()]);
    const framer = new Ac3Framer();
    expect([0, 64].map((at) => framer.frame(bytes, at))).toEqual([
      { kind: 'skip', end: 64 },
      { kind: 'skip', end: 128 },
    ]);
    expect(soundOf(framer.frame(bytes, 128)).end).toBe(192);
  });

  it('waits for the rest of an access unit', () => {
    const bytes = Buffer.concat([eac3({ blocks: 0 }), eac3({ blocks: 0 })]);
    expect(new Ac3Framer().frame(bytes, 0).kind).toBe('more');
    expect(new Ac3Framer().frame(eac3().subarray(0, 50), 0).kind).toBe('more');
  });
});

describe('Opus', () => {
  it('is cut out behind its control header, with trims and extension passed over', () => {
    const packet = [0xfc, ...Array.from({ length: 299 }, () => 7)];
    const bytes = Buffer.from([0x7f, 0xfc, 255, 45, 0x01, 0x38, 0, 0, 2, 9, 9, ...packet]);
    const frame = soundOf(new OpusFramer(6).frame(bytes, 0));
    expect(bytesOf(bytes, frame)).toEqual(packet);
    expect([frame.samples, frame.sampleRate]).toEqual([960, 48_000]);
    // dOps: version, channels, pre-skip, rate, gain, family 1, 4 streams, 2 coupled, the map of 5.1.
    expect([...frame.config]).toEqual([0, 6, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5]);
  });
});
