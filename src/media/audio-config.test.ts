import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AudioCodecName, audioFrameTicks, parseAudioConfig } from './audio-config.ts';

const STREAMINFO = '1200120000025800051b0bb802f00000bb80a316b305f13b13fe767b3d0d068f95bc';
const CONFIGS: Record<AudioCodecName, string> = {
  mp4a: '1190',
  'ac-3': '101140',
  'ec-3': '0800200f00',
  Opus: '000201380000bb80000000',
  fLaC: `0000000080000022${STREAMINFO}`,
};
const CODECS = Object.keys(CONFIGS) as AudioCodecName[];

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

describe('an audio configuration', () => {
  test.each([
    ['mp4a', 'mp4a.40.2', 48_000, 2, 1024],
    ['ac-3', 'ac-3', 48_000, 2, 1536],
    ['ec-3', 'ec-3', 48_000, 6, 1536],
    ['Opus', 'Opus', 48_000, 2, 960],
    ['fLaC', 'fLaC', 48_000, 2, 4608],
  ] as const)('of %s', (codec, codecString, sampleRate, channels, frameTicks) => {
    const config = bytes(CONFIGS[codec]);
    expect(parseAudioConfig(codec, config)).toEqual({
      codec,
      codecString,
      sampleRate,
      channels,
      frameTicks,
      config,
    });
  });

  test('of one codec is none of another', () => {
    expect(parseAudioConfig('Opus', bytes(CONFIGS.fLaC))).toBeUndefined();
    expect(parseAudioConfig('ec-3', bytes(CONFIGS['ac-3']))).toBeUndefined();
  });
});

describe('the length of a frame', () => {
  test.each([
    ['mp4a', 'any', '01', 1024],
    ['Opus', 'of 10 ms', 'f0', 480],
    ['fLaC', 'by its header', 'fff8c9180000', 4096],
  ] as const)('of %s: %s', (codec, _what, hex, ticks) => {
    const config = parseAudioConfig(codec, bytes(CONFIGS[codec]));
    expect(config && audioFrameTicks(config, bytes(hex))).toBe(ticks);
  });

  test('is not told of no bytes, nor of any that are no frame', () => {
    for (const codec of CODECS) {
      const config = parseAudioConfig(codec, bytes(CONFIGS[codec]));
      expect(config && audioFrameTicks(config, new Uint8Array())).toBeUndefined();
      if (config && codec !== 'mp4a') expect(audioFrameTicks(config, bytes('ff00'))).toBeUndefined();
    }
  });

  test('never throws, whatever the bytes', () => {
    const configs = CODECS.flatMap((codec) => parseAudioConfig(codec, bytes(CONFIGS[codec])) ?? []);
    fc.assert(
      fc.property(fc.constantFrom(...configs), fc.uint8Array({ maxLength: 50 }), (config, data) => {
        parseAudioConfig(config.codec, data);
        audioFrameTicks(config, data);
      }),
      { numRuns: 2000 },
    );
  });
});
