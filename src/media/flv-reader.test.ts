import { describe, expect, it } from 'vitest';
import { parseVideoTag } from './flv.ts';
import { FlvReader, type FlvTag } from './flv-reader.ts';
import { writeFlvFrame, writeFlvStart } from './flv-writer.ts';

const CONFIG = Uint8Array.of(1, 0x42, 0xc0, 0x0d, 0xff, 0xe1);
const FRAMES = [
  { dtsMs: 0, ptsMs: 40, key: true, data: Uint8Array.of(0, 0, 0, 2, 0x65, 1) },
  { dtsMs: 33, ptsMs: 33, key: false, data: Uint8Array.of(0, 0, 0, 2, 0x41, 2) },
  { dtsMs: 0x7ffffffe, ptsMs: 0x7fffffff, key: false, data: new Uint8Array(300).fill(7) },
];

function bytesOf(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

const FILE = bytesOf([writeFlvStart({ config: CONFIG, frameRate: 29.97 }), ...FRAMES.map(writeFlvFrame)]);

function readAll(pieces: readonly Uint8Array[], maxTagBytes = 1000): { tags: FlvTag[]; reader: FlvReader } {
  const reader = new FlvReader({ maxTagBytes });
  return { tags: pieces.flatMap((piece) => reader.push(piece)), reader };
}

describe('the FLV reader', () => {
  it('reads back what the writer wrote: metadata, configuration and frames with their times', () => {
    const { tags, reader } = readAll([FILE]);
    expect(reader.fault).toBeUndefined();
    expect(tags.map(({ type, timestampMs }) => [type, timestampMs])).toEqual([
      ['script', 0],
      ['video', 0],
      ['video', 0],
      ['video', 33],
      ['video', 0x7ffffffe],
    ]);
    const [, config, ...frames] = tags.map(({ body }) => parseVideoTag(body));
    expect(config).toMatchObject({ kind: 'config', config: CONFIG });
    expect(frames).toMatchObject(
      FRAMES.map(({ dtsMs, ptsMs, key, data }) => ({
        kind: 'frame',
        key,
        compositionOffsetMs: ptsMs - dtsMs,
        data,
      })),
    );
  });

  it('writes the frame rate as AMF0 metadata', () => {
    const [metadata] = readAll([FILE]).tags;
    const body = Buffer.from(metadata?.body ?? []);
    expect(body.toString('latin1', 3, 13)).toBe('onMetaData');
    expect(body.toString('latin1', 20, 29)).toBe('framerate');
    expect(body.readDoubleBE(30)).toBe(29.97);
    expect([...body.subarray(38)]).toEqual([0, 0, 9]);
  });

  it('writes no metadata when the frame rate is not known', () => {
    const { tags } = readAll([writeFlvStart({ config: CONFIG, frameRate: undefined })]);
    expect(tags.map(({ type }) => type)).toEqual(['video']);
  });

  it('gives the same tags when the bytes come one by one', () => {
    const { tags, reader } = readAll([...FILE].map((byte) => Uint8Array.of(byte)));
    expect(tags).toEqual(readAll([FILE]).tags);
    expect(reader.fault).toBeUndefined();
  });

  it('gives bodies that do not change when the pushed buffer is used again', () => {
    const buffer = FILE.slice();
    const { tags } = readAll([buffer]);
    buffer.fill(0);
    expect(tags).toEqual(readAll([FILE]).tags);
  });

  it('names tags of other kinds, and encrypted ones, without understanding them', () => {
    const other = writeFlvFrame({ dtsMs: 5, ptsMs: 5, key: true, data: new Uint8Array(1) });
    other[0] = 9 | 0x20;
    const { tags, reader } = readAll([FILE, other]);
    expect(reader.fault).toBeUndefined();
    expect(tags.at(-1)?.type).toBe('other');
  });

  it('knows a file that stops inside a tag from one that stops between tags', () => {
    expect(readAll([FILE]).reader.atTagBoundary).toBe(true);
    expect(readAll([FILE.subarray(0, FILE.length - 4)]).reader.atTagBoundary).toBe(true);
    expect(readAll([FILE.subarray(0, FILE.length - 40)]).reader.atTagBoundary).toBe(false);
  });

  it('skips the rest of a longer file header', () => {
    const long = bytesOf([FILE.subarray(0, 9), new Uint8Array(7), FILE.subarray(9)]);
    long[8] = 16;
    expect(readAll([long.subarray(0, 12), long.subarray(12)]).tags).toEqual(readAll([FILE]).tags);
  });

  it.each([
    ['another signature', 0, 0x47, 'not_flv'],
    ['a header shorter than a header is', 8, 8, 'not_flv'],
    ['a header of megabytes', 6, 0x40, 'not_flv'],
    ['a tag over the limit', 14, 0xff, 'tag_too_large'],
    ['a size behind a tag that is not its size', 16, 99, 'size_mismatch'],
  ] as const)('stops at %s and says so', (_what, at, value, fault) => {
    const file = FILE.slice();
    file[at] = value;
    const { reader } = readAll([file]);
    expect(reader.fault).toBe(fault);
    expect(reader.push(FILE)).toEqual([]);
  });
});
