import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { opusConfigFromHead, opusPacketSamples, parseOpusConfig } from './opus.ts';

const MAGIC = '4f70757348656164';
/** OpusHead of libopus through ffmpeg, and the `dOps` body that its MP4 muxer made of it. */
const STEREO = { head: `${MAGIC}0102380180bb0000000000`, body: '000201380000bb80000000' };
const SURROUND = {
  head: `${MAGIC}0106380180bb00000000010402000401020305`,
  body: '000601380000bb800000010402000401020305',
};

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

describe('OpusSpecificBox', () => {
  test.each([
    ['stereo', STEREO, 2],
    ['5.1', SURROUND, 6],
  ])('is made of the OpusHead as ffmpeg makes it: %s', (_what, { head, body }, channels) => {
    expect(opusConfigFromHead(bytes(head))).toEqual(bytes(body));
    expect(parseOpusConfig(bytes(body))).toEqual({
      codec: 'Opus',
      codecString: 'Opus',
      sampleRate: 48_000,
      channels,
      preSkip: 312,
      config: bytes(body),
    });
  });

  test('keeps a negative output gain', () => {
    const head = bytes(STEREO.head);
    head.set([0x00, 0xff], 16);
    expect(opusConfigFromHead(head)?.subarray(8, 10)).toEqual(Uint8Array.of(0xff, 0x00));
  });

  test.each([
    ['another magic', STEREO.head.replace(/^4f/, '4e')],
    ['another major version', STEREO.head.replace(`${MAGIC}01`, `${MAGIC}11`)],
    ['a mapping table cut short', SURROUND.head.slice(0, -2)],
    ['no channels', STEREO.head.replace('0102', '0100')],
    ['three channels without a table', STEREO.head.replace('0102', '0103')],
    ['channels that nobody can place', SURROUND.head.replace('0000010402', '0000ff0402')],
    ['a channel of no stream', SURROUND.head.replace(/05$/, '06')],
  ])('is refused with %s', (_what, hex) => {
    expect(opusConfigFromHead(bytes(hex))).toBeUndefined();
  });
});

describe('the length of an Opus packet', () => {
  test.each([
    ['20 ms of CELT', 'fc', 960],
    ['60 ms as three frames, as libopus sends it', 'ff83', 2880],
    ['2.5 ms of CELT', '80', 120],
    ['60 ms of SILK', '18', 2880],
    ['20 ms of hybrid', '68', 960],
    ['two frames of 10 ms', 'f1', 960],
    ['120 ms, the most there is', 'ff06', 5760],
  ])('%s', (_what, hex, samples) => {
    expect(opusPacketSamples(bytes(hex))).toBe(samples);
  });

  test.each([
    ['no bytes', ''],
    ['no frames', 'ff00'],
    ['a frame count cut off', 'ff'],
    ['140 ms', 'ff07'],
  ])('is not told of %s', (_what, hex) => {
    expect(opusPacketSamples(bytes(hex))).toBeUndefined();
  });

  test('any bytes are a whole number of 2.5 ms up to 120 ms, or nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        parseOpusConfig(data);
        opusConfigFromHead(Uint8Array.of(...bytes(MAGIC), ...data));
        const samples = opusPacketSamples(data);
        if (samples === undefined) return;
        expect(samples % 120).toBe(0);
        expect(samples).toBeLessThanOrEqual(5760);
      }),
      { numRuns: 2000 },
    );
  });
});
