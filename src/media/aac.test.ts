import { expect, test } from 'vitest';
import { parseAacConfig } from './aac.ts';

/** Writes `[value, bits]` fields one after the other. */
function pack(...fields: [value: number, bits: number][]): Uint8Array {
  const bits = fields.map(([value, width]) => value.toString(2).padStart(width, '0')).join('');
  const bytes = bits.match(/.{1,8}/g) ?? [];
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte.padEnd(8, '0'), 2));
}

const NO_FLAGS: [number, number] = [0, 3];

test.each([
  ['AAC-LC 44.1 kHz stereo', pack([2, 5], [4, 4], [2, 4], NO_FLAGS), 'mp4a.40.2', 44_100, 2, 1024],
  ['AAC-LC 48 kHz mono', pack([2, 5], [3, 4], [1, 4], NO_FLAGS), 'mp4a.40.2', 48_000, 1, 1024],
  ['AAC-LC 5.1', pack([2, 5], [3, 4], [6, 4], NO_FLAGS), 'mp4a.40.2', 48_000, 6, 1024],
  ['AAC-LC in 960-sample frames', pack([2, 5], [3, 4], [2, 4], [0b100, 3]), 'mp4a.40.2', 48_000, 2, 960],
  ['an explicit rate', pack([2, 5], [15, 4], [46_875, 24], [2, 4], NO_FLAGS), 'mp4a.40.2', 46_875, 2, 1024],
  [
    'HE-AAC, told at the front',
    pack([5, 5], [6, 4], [2, 4], [3, 4], [2, 5], NO_FLAGS),
    'mp4a.40.5',
    48_000,
    2,
    2048,
  ],
  [
    'HE-AAC v2, one channel that becomes two',
    pack([29, 5], [7, 4], [1, 4], [4, 4], [2, 5], NO_FLAGS),
    'mp4a.40.29',
    44_100,
    2,
    2048,
  ],
  [
    'HE-AAC told behind the core, as old encoders do',
    pack([2, 5], [7, 4], [2, 4], NO_FLAGS, [0x2b7, 11], [5, 5], [1, 1], [4, 4]),
    'mp4a.40.5',
    44_100,
    2,
    2048,
  ],
  [
    'HE-AAC v2 told behind the core',
    pack([2, 5], [7, 4], [1, 4], NO_FLAGS, [0x2b7, 11], [5, 5], [1, 1], [4, 4], [0x548, 11], [1, 1]),
    'mp4a.40.29',
    44_100,
    2,
    2048,
  ],
  [
    'ffmpeg’s own, which says that there is no SBR',
    Uint8Array.of(0x12, 0x10, 0x56, 0xe5, 0),
    'mp4a.40.2',
    44_100,
    2,
    1024,
  ],
  [
    'channels told by a program config element',
    pack(
      [2, 5],
      [3, 4],
      [0, 4],
      NO_FLAGS,
      [0, 10],
      [1, 4],
      [1, 4],
      [0, 4],
      [1, 2],
      [0, 3],
      [0, 4],
      [0, 3],
      [1, 1],
      [0, 4],
      [0, 1],
      [0, 4],
      [0, 4],
      [0, 7],
      [0, 8],
    ),
    'mp4a.40.2',
    48_000,
    4,
    1024,
  ],
])('%s is understood', (_what, bytes, codecString, sampleRate, channels, frameTicks) => {
  expect(parseAacConfig(bytes)).toEqual({ codecString, sampleRate, channels, frameTicks, config: bytes });
});

test.each([
  ['nothing', new Uint8Array(0)],
  ['one byte', Uint8Array.of(0x12)],
  ['a reserved sample rate', pack([2, 5], [13, 4], [2, 4], NO_FLAGS)],
  ['a rate of zero', pack([2, 5], [15, 4], [0, 24], [2, 4], NO_FLAGS)],
  ['reserved channels', pack([2, 5], [4, 4], [8, 4], NO_FLAGS)],
  ['xHE-AAC, object type 42', pack([31, 5], [10, 6], [4, 4], [2, 4], NO_FLAGS)],
  ['AAC Main', pack([1, 5], [4, 4], [2, 4], NO_FLAGS)],
  ['an explicit rate cut short', pack([2, 5], [15, 4], [1, 8])],
])('%s is refused', (_what, bytes) => {
  expect(parseAacConfig(bytes)).toBeUndefined();
});
