import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inspectVp9Frame, parseVp9Config, vp9CodecString, vp9LevelFor, writeVp9Config } from './vp9.ts';

/** Bodies of `vpcC` with version and flags, as ffmpeg's MP4 muxer wrote them, and what begins their first frames. */
const STREAMS = {
  profile0: { record: '01000000000b820202020000', key: '824983420013f00b360638241c184a000ce05fcd' },
  profile3: { record: '01000000030ba70202020000', key: 'b124c1a104009f8059b031c120e0c2c00071005f' },
};

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

/** Two frames and their index (annex B). */
function superframe(first: Uint8Array, second: Uint8Array): Uint8Array {
  const marker = 0b11001001;
  return Uint8Array.of(
    ...[...first, ...second, marker],
    ...[first.length & 0xff, first.length >> 8, second.length & 0xff, second.length >> 8, marker],
  );
}

/** An inter frame that takes its size from its first reference. */
const INTER = Uint8Array.of(0b1000_0110, 0, 0, 0b0000_0010, 0);

describe('VPCodecConfigurationRecord', () => {
  test.each([
    ['profile0', 'vp09.00.11.08', { profile: 0, level: 11, bitDepth: 8, chromaSubsampling: 1 }],
    ['profile3', 'vp09.03.11.10.03.01.01.01.01', { profile: 3, bitDepth: 10, chromaSubsampling: 3 }],
  ] as const)('%s is read and written', (name, codec, facts) => {
    const record = bytes(STREAMS[name].record);
    const config = parseVp9Config(record);
    expect(config).toMatchObject(facts);
    expect(config && vp9CodecString(config)).toBe(codec);
    expect(config && writeVp9Config(config)).toEqual(record);
  });

  test.each([
    ['no bytes', ''],
    ['version 0', '00000000000b820202020000'],
    ['a body without version and flags', '000b820202020000'],
    ['an impossible depth', '01000000000b920202020000'],
    ['an unknown profile', '01000000040b820202020000'],
  ])('is refused with %s', (_what, hex) => {
    expect(parseVp9Config(bytes(hex))).toBeUndefined();
  });

  test.each([
    [320, 180, 60, 20],
    [1280, 720, 30, 31],
    [1920, 1080, 60, 41],
    [3840, 2160, 60, 51],
  ])('%ix%i at %i frames a second needs level %i', (width, height, rate, level) => {
    expect(vp9LevelFor(width, height, rate)).toBe(level);
  });
});

describe('VP9 frames', () => {
  test.each([
    ['profile0', { profile: 0, bitDepth: 8, chromaSubsampling: 1, fullRange: false }],
    ['profile3', { profile: 3, bitDepth: 10, chromaSubsampling: 3, fullRange: true }],
  ] as const)('the key frame of %s tells its format and size', (name, format) => {
    expect(inspectVp9Frame(bytes(STREAMS[name].key))).toEqual({
      key: true,
      picture: true,
      keyFacts: { ...format, width: 320, height: 180 },
      pixels: 320 * 180,
    });
  });

  test('an inter frame is no key frame and has the size of its references', () => {
    expect(inspectVp9Frame(INTER)).toEqual({ key: false, picture: true, keyFacts: undefined, pixels: 0 });
  });

  test('an inter frame that gives itself a size tells it', () => {
    // No reference's size is taken: width 65536, height 65536 follow.
    const bomb = Uint8Array.of(0b1000_0110, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff);
    expect(inspectVp9Frame(bomb)?.pixels).toBe(2 ** 32);
  });

  test('a superframe is what its first frame is, and as large as its largest', () => {
    const key = bytes(STREAMS.profile0.key);
    expect(inspectVp9Frame(superframe(key, INTER))).toMatchObject({ key: true, pixels: 320 * 180 });
    expect(inspectVp9Frame(superframe(INTER, key))).toMatchObject({ key: false, pixels: 320 * 180 });
  });

  test('without bytes is no picture; without the frame marker or the sync code it is malformed', () => {
    expect(inspectVp9Frame(new Uint8Array())?.picture).toBe(false);
    expect(inspectVp9Frame(Uint8Array.of(0x02, 0x49))).toBeUndefined();
    expect(inspectVp9Frame(bytes(STREAMS.profile0.key.replace('498342', '498343')))).toBeUndefined();
    expect(inspectVp9Frame(bytes(STREAMS.profile0.key).subarray(0, 7))).toBeUndefined();
  });

  test('of any bytes never throw', () => {
    const mutated = fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 5 }).map((edits) => {
      const data = superframe(bytes(STREAMS.profile0.key), INTER);
      for (const [at, value] of edits) data[at % data.length] = value;
      return data;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated), (data) => {
        const facts = inspectVp9Frame(data);
        parseVp9Config(data);
        if (facts) expect(facts.pixels).toBeLessThanOrEqual(2 ** 32);
      }),
      { numRuns: 3000 },
    );
  });
});
