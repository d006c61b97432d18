import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  parseVideoConfig,
  readVideoFrame,
  type VideoCodecName,
  type VideoConfig,
  videoColour,
  videoHdrRange,
  videoConfigOfFrame,
} from './video-config.ts';

const RECORDS: Record<VideoCodecName, string> = {
  avc1: '014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568ebe3cb20',
  hvc1:
    '0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003c959009' +
    'a10001002b42010101600000030090000003000003003ca00a080c1f3e595912930bc05a020000030002000003003c10' +
    'a2000100074401c073c18927',
  av01: '81000c000a0b000000043cfecc02f80040',
  vp09: '01000000000b820202020000',
};
const VP9_KEY = '824983420013f00b360638241c184a000ce05fcd';
const CODECS = Object.keys(RECORDS) as VideoCodecName[];

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function nal(...units: string[]): Uint8Array {
  return bytes(units.map((hex) => (hex.length / 2).toString(16).padStart(8, '0') + hex).join(''));
}

function config(codec: VideoCodecName): VideoConfig {
  const parsed = parseVideoConfig(codec, bytes(RECORDS[codec]));
  const whole =
    parsed === 'in-band' ? videoConfigOfFrame(codec, bytes(RECORDS[codec]), bytes(VP9_KEY)) : parsed;
  if (!whole) throw new Error(`no configuration of ${codec}`);
  return whole;
}

const AV1_KEY = '0a0b000000043cfecc02f8004032021000';

describe('a video configuration', () => {
  test.each([
    ['avc1', 'avc1.4d401f', 1280, 720],
    ['hvc1', 'hvc1.1.6.L60.90', 320, 180],
    ['av01', 'av01.0.00M.08', 320, 180],
    ['vp09', 'vp09.00.11.08', 320, 180],
  ] as const)(
    'of %s tells codec string, size and what its box holds',
    (codec, codecString, width, height) => {
      expect(config(codec)).toMatchObject({
        codec,
        codecString,
        record: bytes(RECORDS[codec]),
        picture: { width, height },
      });
    },
  );

  test('of VP9 is known with the first key frame, and of AV1 too when it has no sequence header', () => {
    expect(parseVideoConfig('vp09', bytes(RECORDS.vp09))).toBe('in-band');
    expect(videoConfigOfFrame('vp09', bytes(RECORDS.vp09), bytes('860000020000'))).toBeUndefined();
    const bare = bytes('81000c00');
    expect(parseVideoConfig('av01', bare)).toBe('in-band');
    expect(videoConfigOfFrame('av01', bare, bytes(AV1_KEY))?.record).toEqual(bytes(RECORDS.av01));
    expect(videoConfigOfFrame('av01', bare, bytes('32023000'))).toBeUndefined();
  });

  test('of VP9 that claims no level gets the one its size needs', () => {
    const none = bytes(RECORDS.vp09.replace('000b82', '000082'));
    expect(videoConfigOfFrame('vp09', none, bytes(VP9_KEY))?.codecString).toBe('vp09.00.20.08');
  });

  test('tells the colour that its own bytes have', () => {
    expect(videoColour('avc1', bytes(RECORDS.avc1))).toBeUndefined();
    expect(videoColour('hvc1', bytes(RECORDS.hvc1))).toBeUndefined();
    expect(videoColour('av01', bytes(RECORDS.av01))?.transfer).toBe(2);
    expect(videoColour('vp09', bytes(RECORDS.vp09.replace('0202020000', '0910090000')))).toEqual({
      primaries: 9,
      transfer: 16,
      matrix: 9,
      fullRange: false,
    });
  });

  test.each([
    ['16', 'pq'],
    ['18', 'hlg'],
    ['01', undefined],
  ])('of transfer %s is of the range %s', (transfer, range) => {
    const hex = Number(transfer).toString(16).padStart(2, '0');
    expect(videoHdrRange('vp09', bytes(RECORDS.vp09.replace('0202020000', `09${hex}090000`)))).toBe(range);
    expect(videoHdrRange('avc1', bytes(RECORDS.avc1))).toBeUndefined();
  });
});

describe('a frame', () => {
  test.each([
    ['avc1', nal('658880'), nal('419a')],
    ['hvc1', nal('2801af'), nal('0201d0')],
    ['av01', bytes(AV1_KEY), bytes('32023000')],
    ['vp09', bytes(VP9_KEY), bytes('8600000200')],
  ] as const)('of %s is passed on as it is when nothing is to be changed', (codec, key, inter) => {
    const known = config(codec);
    for (const [data, isKey] of [[key, true] as const, [inter, false] as const]) {
      const frame = readVideoFrame(known, data);
      expect(frame).toMatchObject({ key: isKey, picture: true, leading: false });
      expect(frame?.data).toBe(data);
      expect(frame?.config).toBe(known);
    }
  });

  test('of HEVC with other parameter sets brings a new configuration and loses them', () => {
    const known = config('hvc1');
    const sps =
      '42010122200000030090000003000003007ba00a080c1f3b65959529385e02d424402410000003001000000301e080';
    const frame = readVideoFrame(known, nal(sps, '2801af'));
    expect(frame?.config.codecString).toBe('hvc1.2.4.H123.90');
    expect(frame?.data).toEqual(nal('2801af'));
  });

  test('of AV1 with another sequence header brings a new configuration', () => {
    const known = config('av01');
    const frame = readVideoFrame(known, bytes(`12000a0e000000043cfeccdaf9509100904032021000`));
    expect(frame?.config.codecString).toBe('av01.0.00M.10.0.110.09.16.09.0');
    expect(frame?.data).toEqual(bytes('0a0e000000043cfeccdaf9509100904032021000'));
  });

  test('of VP9 with another size brings a new configuration with the level for it', () => {
    const known = config('vp09');
    // 0x013f by 0x00b3 become 0x077f by 0x0437.
    const frame = readVideoFrame(known, bytes('82498342007 7f04370638'.replaceAll(' ', '')));
    expect(frame?.config.picture).toMatchObject({ width: 1920, height: 1080 });
    expect(frame?.config.codecString).toBe('vp09.00.41.08');
  });

  test('is malformed, but never thrown on, whatever its bytes', () => {
    const configs = CODECS.map(config);
    fc.assert(
      fc.property(fc.constantFrom(...configs), fc.uint8Array({ maxLength: 64 }), (known, data) => {
        readVideoFrame(known, data);
        parseVideoConfig(known.codec, data);
        videoConfigOfFrame(known.codec, data, data);
        videoColour(known.codec, data);
      }),
      { numRuns: 3000 },
    );
  });
});
