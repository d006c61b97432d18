import { describe, expect, it } from 'vitest';
import { parseAudioTag, parseVideoTag } from './flv.ts';

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function fourCc(first: number, name: string): Uint8Array {
  return Buffer.concat([bytes(first), Buffer.from(name, 'latin1'), bytes(1, 2, 3)]);
}

describe('parseVideoTag', () => {
  it('reads the H.264 configuration', () => {
    expect(parseVideoTag(bytes(0x17, 0, 0, 0, 0, 1, 0x64))).toEqual({
      kind: 'config',
      track: 0,
      codec: 'avc1',
      config: bytes(1, 0x64),
    });
  });

  it.each([
    [0x17, [0, 0, 80], true, 80],
    [0x27, [0x7f, 0xff, 0xff], false, 8388607],
    [0x27, [0x80, 0, 0], false, -8388608],
    [0x27, [0xff, 0xff, 0xd8], false, -40],
  ])('reads a frame: first byte %i, composition time %j', (first, cts, key, compositionOffsetMs) => {
    const tag = parseVideoTag(bytes(first, 1, ...cts, 9, 8, 7));
    expect(tag).toEqual({
      ...{ kind: 'frame', track: 0, codec: 'avc1', key, compositionOffsetMs, offsetNs: 0 },
      data: bytes(9, 8, 7),
    });
  });

  it('reads HEVC by the number that senders gave it before Enhanced RTMP', () => {
    expect(parseVideoTag(bytes(0x1c, 0, 0, 0, 0, 1))).toMatchObject({ kind: 'config', codec: 'hvc1' });
    expect(parseVideoTag(bytes(0x2c, 1, 0, 0, 40, 5))).toMatchObject({
      ...{ kind: 'frame', codec: 'hvc1', key: false, compositionOffsetMs: 40 },
    });
  });

  it.each([
    ['an empty body', bytes()],
    ['an end of sequence', bytes(0x17, 2)],
    ['an end of sequence with its zeros', bytes(0x17, 2, 0, 0, 0)],
    ['a seek marker', bytes(0x57, 0)],
    ['a frame without NAL units', bytes(0x27, 1, 0, 0, 0)],
  ])('passes over %s', (_what, body) => {
    expect(parseVideoTag(body)).toEqual({ kind: 'ignored' });
  });

  it.each([
    ['an H.264 body of one byte', bytes(0x17)],
    ['a composition time cut short', bytes(0x17, 1, 0, 0)],
    ['an empty configuration', bytes(0x17, 0, 0, 0, 0)],
    ['an unknown packet type', bytes(0x17, 3, 0, 0, 0, 1)],
    ['a FourCC cut short', bytes(0x90, 0x68, 0x76)],
  ])('calls %s malformed', (_what, body) => {
    expect(parseVideoTag(body)).toEqual({ kind: 'malformed' });
  });

  it.each([
    [bytes(0x12, 1, 2), 'Sorenson H.263'],
    [bytes(0x1d, 1, 2), 'AV1'],
    [bytes(0x10, 1, 2), 'other'],
  ])('names the codec it cannot take: %j is %s', (body, codec) => {
    expect(parseVideoTag(body)).toEqual({ kind: 'unsupported', track: 0, codec });
  });
});

describe('parseAudioTag', () => {
  it('reads the AAC configuration and raw frames', () => {
    expect(parseAudioTag(bytes(0xaf, 0, 0x12, 0x10))).toEqual({
      ...{ kind: 'config', track: 0, codec: 'mp4a' },
      config: bytes(0x12, 0x10),
    });
    expect(parseAudioTag(bytes(0xaf, 1, 5, 6))).toEqual({
      ...{ kind: 'frame', track: 0, codec: 'mp4a', offsetNs: 0 },
      data: bytes(5, 6),
    });
  });

  it('passes over empty bodies and empty frames', () => {
    expect(parseAudioTag(bytes())).toEqual({ kind: 'ignored' });
    expect(parseAudioTag(bytes(0xaf, 1))).toEqual({ kind: 'ignored' });
  });

  it.each([[bytes(0xaf)], [bytes(0xaf, 0)], [bytes(0xaf, 7, 1)], [bytes(0x90, 1)]])(
    'calls %j malformed',
    (body) => {
      expect(parseAudioTag(body)).toEqual({ kind: 'malformed' });
    },
  );

  it.each([
    [bytes(0x2f, 1), 'MP3'],
    [bytes(0xb2, 1), 'Speex'],
    [bytes(0xd2, 1), 'Opus'],
    [fourCc(0x90, 'nope'), 'other'],
  ])('names the codec it cannot take: %j is %s', (body, codec) => {
    expect(parseAudioTag(body)).toEqual({ kind: 'unsupported', track: 0, codec });
  });
});
