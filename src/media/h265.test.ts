import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  buildHevcConfig,
  hevcConfigAfter,
  inspectHevcAccessUnit,
  normalizeHevcAccessUnit,
  parseHevcConfig,
} from './h265.ts';
import { parseHevcSps } from './h265-sps.ts';

/** Parameter sets that x265 wrote, each with the record that ffmpeg's MP4 muxer made of them, SEI left out. */
const STREAMS = {
  main180p30: {
    vps: '40010c01ffff01600000030090000003000003003c959009',
    sps: '42010101600000030090000003000003003ca00a080c1f3e595912930bc05a020000030002000003003c10',
    pps: '4401c073c18927',
    record:
      '0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003c959009' +
      'a10001002b42010101600000030090000003000003003ca00a080c1f3e595912930bc05a020000030002000003003c10' +
      'a2000100074401c073c18927',
  },
  /** High tier, 10 bits, BT.2020 PQ, default scaling lists. */
  main10Hdr: {
    vps: '40010c01ffff22200000030090000003000003007b959409',
    sps: '42010122200000030090000003000003007ba00a080c1f3b65959529385e02d424402410000003001000000301e080',
    pps: '4401c073c18927',
    record:
      '0122200000009000000000007bf000fcfdfafa00000f03a00001001840010c01ffff22200000030090000003000003007b959409' +
      'a10001002f42010122200000030090000003000003007ba00a080c1f3b65959529385e02d424402410000003001000000301e080' +
      'a2000100074401c073c18927',
  },
  /** Range extensions, 4:4:4, a size that is no multiple of a coding block, B-frames of several depths. */
  rext444: {
    vps: '40010c01ffff0408000003009e0800000300003c959809',
    sps: '4201010408000003009e0800000300003c90014901739ef2cacd24995e02d010000003001000000301e080',
    pps: '4401c172860c462427',
    record:
      '0104080000009e08000000003cf000fcfff8f800000f03a00001001740010c01ffff0408000003009e0800000300003c959809' +
      'a10001002b4201010408000003009e0800000300003c90014901739ef2cacd24995e02d010000003001000000301e080' +
      'a2000100094401c172860c462427',
  },
};

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

const NAMES = Object.keys(STREAMS) as (keyof typeof STREAMS)[];

describe('HEVCDecoderConfigurationRecord', () => {
  test.each(NAMES)('of %s is built as ffmpeg builds it, and read back', (name) => {
    const { vps, sps, pps, record } = STREAMS[name];
    expect(buildHevcConfig([bytes(vps)], [bytes(sps)], [bytes(pps)])).toEqual(bytes(record));
    const config = parseHevcConfig(bytes(record));
    expect(config).toMatchObject({ codec: 'hvc1', lengthSize: 4, record: bytes(record) });
    expect(config?.vps).toEqual([bytes(vps)]);
    expect(config?.sps).toEqual([bytes(sps)]);
    expect(config?.pps).toEqual([bytes(pps)]);
  });

  const told = [
    ['main180p30', 'hvc1.1.6.L60.90', { width: 320, height: 180, chromaFormat: 1, bitDepthLuma: 8 }],
    ['main10Hdr', 'hvc1.2.4.H123.90', { width: 320, height: 180, chromaFormat: 1, bitDepthLuma: 10 }],
    ['rext444', 'hvc1.4.10.L60.9E.8', { width: 322, height: 182, chromaFormat: 3, bitDepthLuma: 8 }],
  ] as const;

  test.each(told)('%s tells codec, cropped size, format and rate', (name, codec, facts) => {
    const config = parseHevcConfig(bytes(STREAMS[name].record));
    expect(config?.codecString).toBe(codec);
    expect(config?.picture).toMatchObject({
      ...facts,
      maxReorderFrames: 2,
      frameRate: { numerator: 30, denominator: 1 },
    });
  });

  test('tells the colour where there is one', () => {
    const colour = (name: keyof typeof STREAMS) =>
      parseHevcConfig(bytes(STREAMS[name].record))?.picture.colour;
    expect(colour('main10Hdr')).toEqual({ primaries: 9, transfer: 16, matrix: 9, fullRange: false });
    expect(colour('main180p30')).toBeUndefined();
  });

  test('declares arrays complete and 4-byte lengths whatever it came with', () => {
    const record = bytes(STREAMS.main180p30.record);
    record[21] = 0x0d;
    for (const at of [23, 23 + 3 + 2 + 24]) record[at] = (record[at] ?? 0) & 0x3f;
    const config = parseHevcConfig(record);
    expect(config?.lengthSize).toBe(2);
    expect(config?.record).toEqual(bytes(STREAMS.main180p30.record));
  });

  test.each([
    ['no bytes', ''],
    ['another version', STREAMS.main180p30.record.replace(/^01/, '02')],
    ['3-byte NAL lengths', STREAMS.main180p30.record.replace(/0f03a0/, '0e03a0')],
    ['no PPS', STREAMS.main180p30.record.replace(/0f03a0/, '0f02a0')],
    ['an array that runs past the end', STREAMS.main180p30.record.slice(0, -2)],
  ])('is refused with %s', (_what, hex) => {
    expect(parseHevcConfig(bytes(hex))).toBeUndefined();
  });

  test('random and mutated records and parameter sets never throw, and sizes stay within the level table', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(...NAMES),
        fc.array(fc.tuple(fc.nat(130), fc.nat(255)), { maxLength: 6 }),
        fc.nat(130),
      )
      .map(([name, edits, cut]) => {
        const record = bytes(STREAMS[name].record);
        for (const [at, value] of edits) record[at % record.length] = value;
        return cut > 100 ? record.subarray(0, cut) : record;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 120 }), mutated), (record) => {
        const picture = parseHevcConfig(record)?.picture;
        parseHevcSps(Uint8Array.of(0x42, 1, ...record));
        buildHevcConfig([record], [record], [record]);
        if (!picture) return;
        expect(picture.width).toBeGreaterThan(0);
        expect(picture.height).toBeGreaterThan(0);
        expect(Math.max(picture.width, picture.height)).toBeLessThanOrEqual(16_888);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('HEVC access units', () => {
  const aud = [0x46, 1, 0x50];
  const idr = [0x28, 1, 0xaf];
  const cra = [0x2a, 1, 0xaf];
  const trail = [0x02, 1, 0xd0];
  const rasl = [0x10, 1, 0xe0];
  const { vps, sps, pps } = STREAMS.main180p30;
  const sets = [vps, sps, pps].map((hex) => [...bytes(hex)]);

  function unit(lengthSize: number, ...nals: number[][]): Uint8Array {
    return Uint8Array.from(
      nals.flatMap((nal) => [...Array.from({ length: lengthSize - 1 }, () => 0), nal.length, ...nal]),
    );
  }

  const NOTHING = { key: false, cra: false, rasl: false, parameterSets: false, emptyUnits: false };

  test.each([
    ['an IDR picture', [aud, idr], { key: true, picture: true }],
    ['a CRA picture', [cra], { key: true, cra: true, picture: true }],
    ['a picture inside', [trail], { picture: true }],
    ['a skipped leading picture', [rasl], { rasl: true, picture: true }],
    ['parameter sets alone', sets, { parameterSets: true, picture: false }],
    ['a NAL unit of no bytes', [[], trail], { picture: true, emptyUnits: true }],
  ])('%s is known', (_what, nals, facts) => {
    const units = nals.filter(({ length }) => length > 0).length;
    expect(inspectHevcAccessUnit(unit(4, ...nals), 4)).toEqual({ ...NOTHING, units, ...facts });
  });

  test.each([1, 2, 4])('with %i-byte lengths lose their parameter sets, as hvc1 has it', (lengthSize) => {
    const data = unit(lengthSize, aud, ...sets, [], idr);
    const facts = inspectHevcAccessUnit(data, lengthSize);
    expect(facts && normalizeHevcAccessUnit(data, lengthSize, facts)).toEqual(unit(4, aud, idr));
  });

  test('lose their parameter sets when nothing else is to be changed', () => {
    const data = unit(4, aud, ...sets, idr);
    const facts = inspectHevcAccessUnit(data, 4);
    expect(facts && normalizeHevcAccessUnit(data, 4, facts)).toEqual(unit(4, aud, idr));
  });

  test('that need no change are not copied', () => {
    const data = unit(4, aud, trail);
    const facts = inspectHevcAccessUnit(data, 4);
    expect(facts && normalizeHevcAccessUnit(data, 4, facts)).toBe(data);
  });

  test('whose lengths run past the end are refused', () => {
    expect(inspectHevcAccessUnit(Uint8Array.of(0, 0, 0, 9, 0x28), 4)).toBeUndefined();
    expect(inspectHevcAccessUnit(Uint8Array.of(0, 0, 0), 4)).toBeUndefined();
  });

  test('that repeat the parameter sets change nothing; one that differs replaces the one of its id', () => {
    const config = parseHevcConfig(bytes(STREAMS.main180p30.record));
    if (!config) throw new Error('no configuration');
    expect(hevcConfigAfter(config, unit(4, ...sets, idr))).toBe(config);
    const other = [...bytes(STREAMS.main10Hdr.sps)];
    const after = hevcConfigAfter(config, unit(4, other, idr));
    expect(after?.sps).toEqual([bytes(STREAMS.main10Hdr.sps)]);
    expect(after?.codecString).toBe('hvc1.2.4.H123.90');
    // pps_pic_parameter_set_id 1 stands beside 0.
    const second = [0x44, 1, 0x40, 0x73, 0xc1];
    expect(hevcConfigAfter(config, unit(4, second, idr))?.pps).toHaveLength(2);
  });

  test('of any bytes are refused or rewritten to units that walk again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(1, 2, 4), (data, lengthSize) => {
        const facts = inspectHevcAccessUnit(data, lengthSize);
        if (!facts) return;
        const again = inspectHevcAccessUnit(normalizeHevcAccessUnit(data, lengthSize, facts), 4);
        expect(again).toMatchObject({
          ...facts,
          units: expect.any(Number),
          emptyUnits: false,
          parameterSets: false,
        });
        const config = parseHevcConfig(bytes(STREAMS.main180p30.record));
        if (config) hevcConfigAfter({ ...config, lengthSize }, data);
      }),
      { numRuns: 2000 },
    );
  });
});
