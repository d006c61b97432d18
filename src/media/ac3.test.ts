import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ac3ChannelMask, parseAc3AccessUnit, parseAc3Frame, parseDac3, parseDec3 } from './ac3.ts';

/** What begins frames of ffmpeg's encoders, and the configurations its MP4 muxer made of them. */
const STEREO_192K = { head: '0b77fe95144043e106f46370', config: '101140', bytes: 768 };
const SURROUND_44K = { head: '0b770dce5e40ebf8403eff9d', config: '503de0', bytes: 1950 };
/** At 48 kHz both sizes of a bit rate are the same. */
const STEREO_ODD = STEREO_192K.head.replace('fe9514', 'fe9515');
const EAC3_51 = { head: '0b7701ff3f87c00020802000', config: '0800200f00', bytes: 1024 };

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function whole(head: string, sizeBytes: number): Uint8Array {
  const frame = new Uint8Array(sizeBytes);
  frame.set(bytes(head));
  return frame;
}

/** An E-AC-3 frame of 64 bytes: type, substream, blocks code, acmod and, of a dependent one, its chanmap. */
function eac3(type: number, substream: number, blocks: number, acmod: number, map?: number): Uint8Array {
  const frame = new Uint8Array(64);
  let bits = '';
  const put = (value: number, count: number): void => {
    bits += value.toString(2).padStart(count, '0');
  };
  put(0x0b77, 16);
  put(type, 2);
  put(substream, 3);
  put(31, 11);
  put(0, 2);
  put(blocks, 2);
  put(acmod, 3);
  put(0, 1);
  put(16, 5);
  put(0, 5);
  put(0, 1);
  if (map !== undefined) put(0x10000 + map, 17);
  for (let at = 0; at < bits.length; at += 8)
    frame[at / 8] = Number.parseInt(bits.slice(at, at + 8).padEnd(8, '0'), 2);
  return frame;
}

function join(...frames: Uint8Array[]): Uint8Array {
  return Uint8Array.from(frames.flatMap((frame) => [...frame]));
}

describe('a syncframe', () => {
  test.each([
    ['AC-3 stereo of 48 kHz', STEREO_192K, 'ac-3', 48_000, 2],
    ['AC-3 5.1 of 44.1 kHz', SURROUND_44K, 'ac-3', 44_100, 6],
    ['E-AC-3 5.1', EAC3_51, 'ec-3', 48_000, 6],
  ])('tells its length, rate, channels and configuration: %s', (_what, made, codec, sampleRate, channels) => {
    expect(parseAc3Frame(bytes(made.head))).toEqual({
      codec,
      config: bytes(made.config),
      frameBytes: made.bytes,
      sampleRate,
      channels,
      frameSamples: 1536,
      dependent: false,
      substream: 0,
    });
  });

  test.each([
    ['no sync word', '0b76fe95144043e1'],
    ['a reserved rate', '0b77fe95d44043e1'],
    ['a reserved size', '0b77fe95264043e1'],
    ['a bit stream that is neither', '0b77fe951450ffff'],
    ['too few bytes', '0b77fe951440'],
  ])('is refused with %s', (_what, hex) => {
    expect(parseAc3Frame(bytes(hex))).toBeUndefined();
  });

  test('of 44.1 kHz is a word longer where its size says so', () => {
    expect(parseAc3Frame(bytes(SURROUND_44K.head.replace('0dce5e', '0dce5f')))?.frameBytes).toBe(1952);
    expect(parseAc3Frame(bytes(STEREO_ODD))?.frameBytes).toBe(768);
  });

  test('of E-AC-3 counts its blocks, and none when it is dependent', () => {
    expect(parseAc3Frame(eac3(0, 0, 0, 2))?.frameSamples).toBe(256);
    expect(parseAc3Frame(eac3(0, 0, 2, 2))?.frameSamples).toBe(768);
    expect(parseAc3Frame(eac3(1, 0, 3, 2, 0))).toMatchObject({ frameSamples: 0, dependent: true });
  });
});

describe('an access unit', () => {
  test('of AC-3 is whole frames', () => {
    const frame = whole(STEREO_192K.head, STEREO_192K.bytes);
    expect(parseAc3AccessUnit(frame)?.frameSamples).toBe(1536);
    expect(parseAc3AccessUnit(join(frame, frame))?.frameSamples).toBe(3072);
    expect(parseAc3AccessUnit(frame.subarray(1))).toBeUndefined();
    expect(parseAc3AccessUnit(join(frame, bytes('00')))).toBeUndefined();
  });

  test('of E-AC-3 adds up short frames of the main programme', () => {
    const short = eac3(0, 0, 1, 2);
    const other = eac3(0, 1, 1, 2);
    expect(parseAc3AccessUnit(join(short, other, short, other, short, other))?.frameSamples).toBe(3 * 512);
  });

  test('of E-AC-3 7.1 tells the channels that a dependent substream adds', () => {
    // acmod 7 without LFE is 5 channels; chanmap bit 6 adds Lrs and Rrs.
    const unit = parseAc3AccessUnit(join(eac3(0, 0, 3, 7), eac3(1, 0, 3, 2, 0x0200)));
    expect(unit).toMatchObject({ codec: 'ec-3', channels: 7, frameSamples: 1536 });
    // num_dep_sub 1, chan_loc bit 1.
    expect(unit?.config.subarray(4)).toEqual(Uint8Array.of(0x02, 0x02));
    expect(unit && parseDec3(unit.config)?.channels).toBe(7);
  });

  test('does not begin with a dependent substream', () => {
    expect(parseAc3AccessUnit(eac3(1, 0, 3, 2, 0))).toBeUndefined();
  });
});

describe('the configuration', () => {
  test.each([
    ['ac-3', STEREO_192K.config, 48_000, 2, 0xa000],
    ['ac-3', SURROUND_44K.config, 44_100, 6, 0xf801],
    ['ec-3', EAC3_51.config, 48_000, 6, 0xf801],
  ] as const)('of %s tells rate, channels and where they are', (codec, hex, sampleRate, channels, mask) => {
    const config = codec === 'ac-3' ? parseDac3(bytes(hex)) : parseDec3(bytes(hex));
    expect(config).toMatchObject({ codec, codecString: codec, sampleRate, channels, config: bytes(hex) });
    expect(ac3ChannelMask(codec, bytes(hex))).toBe(mask);
  });

  test('of other codecs has no such channels', () => {
    expect(ac3ChannelMask('mp4a', bytes('1190'))).toBeUndefined();
  });

  test('any bytes never throw', () => {
    const mutated = fc.array(fc.tuple(fc.nat(130), fc.nat(255)), { maxLength: 5 }).map((edits) => {
      const data = join(eac3(0, 0, 3, 7), eac3(1, 0, 3, 2, 0x0200));
      for (const [at, value] of edits) data[at % data.length] = value;
      return data;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), mutated), (data) => {
        parseDac3(data);
        parseDec3(data);
        parseAc3Frame(data);
        const unit = parseAc3AccessUnit(data);
        if (unit) expect(unit.frameSamples).toBeGreaterThan(0);
      }),
      { numRuns: 2000 },
    );
  });
});
