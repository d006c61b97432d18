import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flacConfigFromStreamInfo, flacFrameSamples, parseFlacConfig } from './flac.ts';

/** STREAMINFO that ffmpeg's encoder wrote. */
const STEREO_48K = '1200120000025800051b0bb802f00000bb80a316b305f13b13fe767b3d0d068f95bc';
const MONO_96K = '200020000006500008961770017000017700f83918ce0ebd6a144bbce9bbd7313a0e';
const MAGIC = '664c6143';
const HEADER = '80000022';

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

describe('FLACSpecificBox', () => {
  test.each([
    ['STREAMINFO alone', STEREO_48K],
    ['a metadata block', `${HEADER}${STEREO_48K}`],
    ['the start of a file', `${MAGIC}${HEADER}${STEREO_48K}`],
    ['a file with further blocks', `${MAGIC}00000022${STEREO_48K}84000004deadbeef`],
  ])('is made of %s', (_what, hex) => {
    expect(flacConfigFromStreamInfo(bytes(hex))).toEqual(bytes(`00000000${HEADER}${STEREO_48K}`));
  });

  test.each([
    [STEREO_48K, { sampleRate: 48_000, channels: 2, bitsPerSample: 16, maxBlockSamples: 4608 }],
    [MONO_96K, { sampleRate: 96_000, channels: 1, bitsPerSample: 24, maxBlockSamples: 8192 }],
  ])('tells rate, channels and depth', (info, facts) => {
    const body = bytes(`00000000${HEADER}${info}`);
    expect(parseFlacConfig(body)).toEqual({ codec: 'fLaC', codecString: 'fLaC', ...facts, config: body });
  });

  test.each([
    ['nothing', ''],
    ['another block first', `84000022${STEREO_48K}`],
    ['a block cut short', `${HEADER}${STEREO_48K.slice(2)}`],
    ['no sample rate', STEREO_48K.replace('0bb802f0', '000002f0')],
    ['blocks of no samples', STEREO_48K.replace(/^12001200/, '00000000')],
  ])('is refused of %s', (_what, hex) => {
    expect(flacConfigFromStreamInfo(bytes(hex))).toBeUndefined();
  });
});

describe('the length of a FLAC frame', () => {
  test.each([
    ['a code of the table', 'fff8c9180000', 4096],
    ['576 × 2³', 'fff85a8800374e', 4608],
    ['192', 'fff811180000', 192],
    ['8 bits behind the number', 'fff8681805bf00', 192],
    ['16 bits behind a number of two bytes', 'fff87818c2801fff00', 8192],
  ])('%s', (_what, hex, samples) => {
    expect(flacFrameSamples(bytes(hex))).toBe(samples);
  });

  test.each([
    ['no bytes', ''],
    ['no sync code', 'fef85a8800374e'],
    ['a reserved code', 'fff80a8800374e'],
    ['a size cut off', 'fff87818c280'],
  ])('is not told of %s', (_what, hex) => {
    expect(flacFrameSamples(bytes(hex))).toBeUndefined();
  });

  test('any bytes are 1 to 65536 samples, or nothing', () => {
    const framed = fc.uint8Array({ maxLength: 20 }).map((rest) => Uint8Array.of(0xff, 0xf8, ...rest));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), framed), (data) => {
        parseFlacConfig(data);
        flacConfigFromStreamInfo(data);
        const samples = flacFrameSamples(data);
        if (samples === undefined) return;
        expect(samples).toBeGreaterThan(0);
        expect(samples).toBeLessThanOrEqual(65_536);
      }),
      { numRuns: 2000 },
    );
  });
});
