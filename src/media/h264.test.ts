import { describe, expect, test } from 'vitest';
import { buildAvcConfig, inspectAccessUnit, normalizeAccessUnit, parseAvcConfig } from './h264.ts';

/** Sequence headers that ffmpeg's FLV muxer wrote for x264. */
const RECORDS = {
  ultrafast360p30: '0142c01effe100196742c01eda0280bfe5c044000003000400000300f23c58ba8001000468ce0fc8',
  high1080p2997:
    '01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800',
  main720p25: '014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568ebe3cb20',
  interlaced576: '0164001effe100186764001eacd940b424d8088000000300800000190f8a14cb01000668fba3cb22c0fdf8f800',
  yuv444p60: '01f4001fffe1001a67f4001f919640360f78bf0110000003001000000780f183248001000668ebc3c44844fff8f800',
};

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

describe('AVCDecoderConfigurationRecord', () => {
  test.each([
    ['ultrafast360p30', 'avc1.42c01e', 640, 360, 30, undefined],
    ['high1080p2997', 'avc1.640028', 1920, 1080, 30000 / 1001, 2],
    ['main720p25', 'avc1.4d401f', 1280, 720, 25, 2],
    ['interlaced576', 'avc1.64001e', 720, 576, 25, 2],
    ['yuv444p60', 'avc1.f4001f', 854, 480, 60, 0],
  ] as const)('%s tells codec, cropped size and frame rate', (name, codec, width, height, fps, reorder) => {
    const config = parseAvcConfig(bytes(RECORDS[name]));
    expect(config?.codecString).toBe(codec);
    expect(config?.picture).toMatchObject({ width, height });
    const rate = config?.picture.frameRate;
    expect(rate && rate.numerator / rate.denominator).toBeCloseTo(fps, 9);
    if (reorder !== undefined) expect(config?.picture.maxReorderFrames).toBe(reorder);
    expect(config?.lengthSize).toBe(4);
    expect(config?.sps).toHaveLength(1);
    expect(config?.pps).toHaveLength(1);
  });

  test('a record with 2-byte NAL lengths comes back declaring 4', () => {
    const record = bytes(RECORDS.main720p25);
    record[4] = 0xfd;
    const config = parseAvcConfig(record);
    expect(config?.lengthSize).toBe(2);
    expect(config?.record).toEqual(bytes(RECORDS.main720p25));
  });

  test.each(Object.entries(RECORDS))(
    '%s is built of its parameter sets as ffmpeg builds it',
    (_name, hex) => {
      const config = parseAvcConfig(bytes(hex));
      expect(config && buildAvcConfig(config.sps, config.pps)).toEqual(bytes(hex));
    },
  );

  test('is not built without a readable SPS, or without a PPS', () => {
    const config = parseAvcConfig(bytes(RECORDS.main720p25));
    expect(buildAvcConfig([], config?.pps ?? [])).toBeUndefined();
    expect(buildAvcConfig(config?.sps ?? [], [])).toBeUndefined();
    expect(buildAvcConfig([Uint8Array.of(0x67, 1)], config?.pps ?? [])).toBeUndefined();
  });

  test.each([
    ['no bytes', ''],
    ['another version', RECORDS.main720p25.replace(/^01/, '02')],
    ['3-byte NAL lengths', RECORDS.main720p25.replace(/^(.{8})ff/, '$1fe')],
    ['no SPS', '014d401fffe001000568ebe3cb20'],
    ['no PPS', RECORDS.main720p25.replace(/01000568ebe3cb20$/, '00')],
    ['an SPS cut before the picture size', '014d401fffe10006674d401feca001000568ebe3cb20'],
  ])('is refused with %s', (_what, hex) => {
    expect(parseAvcConfig(bytes(hex))).toBeUndefined();
  });

  test('every truncation is refused or understood, never thrown on', () => {
    const whole = bytes(RECORDS.high1080p2997);
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseAvcConfig(whole.subarray(0, length))).not.toThrow();
    }
    expect(parseAvcConfig(whole.subarray(0, 30))).toBeUndefined();
  });
});

describe('access units', () => {
  const idr = [0x65, 0x88, 0x80];
  const slice = [0x41, 0x9a];
  const sei = [0x06, 0x05, 0x01];

  function unit(lengthSize: number, ...nals: number[][]): Uint8Array {
    return Uint8Array.from(
      nals.flatMap((nal) => [...Array.from({ length: lengthSize - 1 }, () => 0), nal.length, ...nal]),
    );
  }

  test.each([1, 2, 4])('with %i-byte lengths are walked and rewritten to 4 bytes', (lengthSize) => {
    const data = unit(lengthSize, sei, idr);
    const facts = inspectAccessUnit(data, lengthSize);
    expect(facts).toEqual({ idr: true, picture: true, units: 2, emptyUnits: false });
    expect(facts && normalizeAccessUnit(data, lengthSize, facts)).toEqual(unit(4, sei, idr));
  });

  test('that need no change are not copied', () => {
    const data = unit(4, slice);
    const facts = inspectAccessUnit(data, 4);
    expect(facts && normalizeAccessUnit(data, 4, facts)).toBe(data);
  });

  test('lose NAL units of no bytes', () => {
    const data = unit(4, [], slice, []);
    const facts = inspectAccessUnit(data, 4);
    expect(facts?.emptyUnits).toBe(true);
    expect(facts && normalizeAccessUnit(data, 4, facts)).toEqual(unit(4, slice));
  });

  test('without a slice are no picture', () => {
    expect(inspectAccessUnit(unit(4, sei, [0x67, 1, 2]), 4)?.picture).toBe(false);
    expect(inspectAccessUnit(new Uint8Array(0), 4)?.picture).toBe(false);
  });

  test('whose lengths run past the end are refused', () => {
    expect(inspectAccessUnit(Uint8Array.of(0, 0, 0, 9, 0x65), 4)).toBeUndefined();
    expect(inspectAccessUnit(Uint8Array.of(0, 0, 0), 4)).toBeUndefined();
    expect(inspectAccessUnit(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x65), 4)).toBeUndefined();
  });
});
