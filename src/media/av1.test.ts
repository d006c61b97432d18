import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  av1ConfigOf,
  buildAv1Config,
  inspectAv1TemporalUnit,
  isBareAv1Config,
  parseAv1Config,
  withoutTemporalDelimiters,
} from './av1.ts';

/** `av1C` bodies that ffmpeg's MP4 muxer wrote. */
const RECORDS = {
  svt180p: '81000c000a0b000000043cfecc02f80040',
  aom10BitPq: '81004c000a0e000000043cfeccdaf95091009040',
};

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

const DELIMITER = [0x12, 0x00];
const SEQUENCE = [...bytes('0a0b000000043cfecc02f80040')];
/** show_existing_frame 0, frame_type, show_frame. */
const frame = (type: number, shown: number): number[] => [0x32, 2, (type << 5) | (shown << 4), 0];
const KEY = frame(0, 1);
const INTER = frame(1, 1);
const TILE_LIST = [0x42, 0x01, 0xff];

function unit(...obus: number[][]): Uint8Array {
  return Uint8Array.from(obus.flat());
}

describe('AV1CodecConfigurationRecord', () => {
  test.each([
    ['svt180p', 'av01.0.00M.08', 8, 2],
    ['aom10BitPq', 'av01.0.00M.10.0.110.09.16.09.0', 10, 16],
  ] as const)('%s is read, and built again from its sequence header', (name, codec, bitDepth, transfer) => {
    const record = bytes(RECORDS[name]);
    const config = parseAv1Config(record);
    expect(config).toMatchObject({ codec: 'av01', codecString: codec, record });
    expect(config?.picture).toMatchObject({ width: 320, height: 180, bitDepth, level: 0, highTier: false });
    expect(config?.picture.colour.transfer).toBe(transfer);
    expect(buildAv1Config(record.subarray(4))).toEqual(record);
  });

  test('tells tier and frame rate where the sequence header does', () => {
    // Level 4.1, high tier, timing info of 60000/1001 with equal intervals, 1920x1080, written by hand.
    const writer = new BitWriter();
    writer
      .put(0, 3)
      .put(0, 1)
      .put(0, 1)
      .put(1, 1)
      .put(1001, 32)
      .put(60_000, 32)
      .put(1, 1)
      .put(1, 1)
      .put(0, 1);
    writer.put(0, 1).put(0, 5).put(0, 12).put(9, 5).put(1, 1);
    writer.put(10, 4).put(10, 4).put(1919, 11).put(1079, 11).put(0, 1).put(0, 3);
    writer.put(0, 4).put(0, 1).put(1, 1).put(1, 1).put(0, 3);
    writer.put(0, 1).put(0, 1).put(0, 1).put(0, 1).put(0, 2).put(0, 1).put(0, 1).put(0x80, 8);
    const payload = writer.bytes();
    const config = av1ConfigOf(Uint8Array.of(0x0a, payload.length, ...payload));
    expect(config?.codecString).toBe('av01.0.09H.08');
    expect(config?.picture).toMatchObject({
      width: 1920,
      height: 1080,
      frameRate: { numerator: 60_000, denominator: 1001 },
    });
  });

  test('of a sequence header without a size field gets one', () => {
    const withoutSize = Uint8Array.of(0x08, ...SEQUENCE.slice(2));
    expect(buildAv1Config(withoutSize)).toEqual(bytes(RECORDS.svt180p));
  });

  test('without a sequence header is bare: the first key frame will tell', () => {
    const bare = bytes('81000c00');
    expect(parseAv1Config(bare)).toBeUndefined();
    expect(isBareAv1Config(bare)).toBe(true);
    expect(isBareAv1Config(bytes('80000c00'))).toBe(false);
  });

  test.each([
    ['no bytes', ''],
    ['another version', RECORDS.svt180p.replace(/^81/, '82')],
    ['an OBU that runs past the end', RECORDS.svt180p.slice(0, -2)],
    ['a sequence header cut short', '81000c000a04000000043c'],
  ])('is refused with %s', (_what, hex) => {
    expect(parseAv1Config(bytes(hex))).toBeUndefined();
  });
});

describe('AV1 temporal units', () => {
  test.each([
    ['a key frame with its sequence header', [SEQUENCE, KEY], true, true],
    ['a key frame without one', [KEY], false, true],
    ['a key frame that is not shown yet', [SEQUENCE, frame(0, 0)], false, true],
    ['an intra-only frame', [SEQUENCE, frame(2, 1)], false, true],
    ['a frame inside', [INTER], false, true],
    ['a sequence header alone', [SEQUENCE], false, false],
  ])('%s', (_what, obus, key, picture) => {
    const facts = inspectAv1TemporalUnit(unit(DELIMITER, ...obus));
    expect(facts).toMatchObject({ key, picture, delimiters: true });
    expect(facts?.sequenceHeader).toEqual(obus.includes(SEQUENCE) ? unit(SEQUENCE) : undefined);
  });

  test('lose their temporal delimiters and nothing else', () => {
    expect(withoutTemporalDelimiters(unit(DELIMITER, SEQUENCE, TILE_LIST, KEY))).toEqual(
      unit(SEQUENCE, TILE_LIST, KEY),
    );
  });

  test('may leave out the size of the last OBU', () => {
    expect(inspectAv1TemporalUnit(unit(SEQUENCE, [0x30, 0x10, 0]))?.key).toBe(true);
  });

  test.each([
    ['a size that runs past the end', [0x32, 9, 0x10]],
    ['the forbidden bit', [0xb2, 1, 0x10]],
    ['a size that never ends', [0x32, ...Array.from({ length: 9 }, () => 0x80)]],
  ])('are refused with %s', (_what, data) => {
    expect(inspectAv1TemporalUnit(unit(data))).toBeUndefined();
  });

  test('of any bytes never throw, and what remains walks again', () => {
    const mutated = fc.array(fc.tuple(fc.nat(40), fc.nat(255)), { maxLength: 5 }).map((edits) => {
      const data = unit(DELIMITER, SEQUENCE, KEY, INTER);
      for (const [at, value] of edits) data[at % data.length] = value;
      return data;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated), (data) => {
        parseAv1Config(data);
        parseAv1Config(Uint8Array.of(0x81, 0, 0, 0, ...data));
        const facts = inspectAv1TemporalUnit(data);
        if (!facts) return;
        const rest = withoutTemporalDelimiters(data);
        expect(rest.length).toBeLessThanOrEqual(data.length);
        expect(inspectAv1TemporalUnit(rest)).toEqual({ ...facts, delimiters: false });
      }),
      { numRuns: 3000 },
    );
  });
});

class BitWriter {
  readonly #bits: number[] = [];

  put(value: number, count: number): this {
    for (let bit = count - 1; bit >= 0; bit--) this.#bits.push(Math.floor(value / 2 ** bit) % 2);
    return this;
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(Math.ceil(this.#bits.length / 8));
    this.#bits.forEach((bit, at) => {
      out[at >> 3] = (out[at >> 3] ?? 0) | (bit << (7 - (at & 7)));
    });
    return out;
  }
}
