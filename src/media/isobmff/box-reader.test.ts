import { describe, expect, it } from 'vitest';
import { audioTrack, videoTrack } from '../../../test/support/sample-source.ts';
import { readBoxes } from './box-reader.ts';
import { writeChunk } from './chunk.ts';
import { readFragments } from './fragment-reader.ts';
import { writeInitSegment } from './init-segment.ts';

function box(type: string, body: Uint8Array = new Uint8Array(0), size = 8 + body.length): Uint8Array {
  const bytes = new Uint8Array(8 + body.length);
  new DataView(bytes.buffer).setUint32(0, size);
  bytes.set(Buffer.from(type, 'latin1'), 4);
  bytes.set(body, 8);
  return bytes;
}

describe('readBoxes', () => {
  it('reads boxes inside boxes', () => {
    const { boxes, fault } = readBoxes(box('moof', box('traf', box('tfdt'))));
    expect(fault).toBeUndefined();
    expect(boxes[0]?.children[0]?.children[0]).toMatchObject({
      type: 'tfdt',
      start: 16,
      bodyStart: 24,
      end: 24,
    });
  });

  it('reads 64-bit sizes, and size 0 as to the end', () => {
    const large = new Uint8Array(20);
    const view = new DataView(large.buffer);
    view.setUint32(0, 1);
    large.set(Buffer.from('mdat'), 4);
    view.setUint32(12, 20);
    expect(readBoxes(large).boxes).toMatchObject([{ type: 'mdat', bodyStart: 16, end: 20 }]);
    expect(readBoxes(box('mdat', new Uint8Array(5), 0)).boxes).toMatchObject([{ end: 13 }]);
  });

  it.each([
    ['a box larger than what is there', box('mdat', new Uint8Array(4), 13), 'truncated'],
    ['a header cut short', Uint8Array.of(0, 0, 0, 8, 1), 'truncated'],
    ['a size smaller than the header', box('free', new Uint8Array(0), 7), 'bad-size'],
    ['a child larger than its parent', box('moof', box('traf', new Uint8Array(0), 9)), 'truncated'],
  ])('stops at %s', (_, bytes, fault) => {
    expect(readBoxes(bytes).fault).toBe(fault);
  });

  it('stops at boxes nested too deep', () => {
    let nested = box('free');
    for (let n = 0; n < 50; n++) nested = box('moof', nested);
    expect(readBoxes(nested).fault).toBe('too-deep');
  });

  it('stops at too many boxes', () => {
    const many = new Uint8Array(8 * 100_001);
    for (let n = 0; n <= 100_000; n++) many.set(box('free'), 8 * n);
    expect(readBoxes(many).fault).toBe('too-many');
  });
});

describe('hostile bytes', () => {
  const key = { dts: 9e13, pts: 9e13 + 10, duration: 3000, key: true, data: new Uint8Array(20) };
  const seeds = [
    writeInitSegment(videoTrack()),
    writeInitSegment(audioTrack()),
    writeChunk({
      sequence: 1,
      samples: [key, { ...key, key: false }],
      position: 'segment-start',
      reference: undefined,
    }),
  ];

  it('do not make it read a sample outside the buffer', () => {
    const bytes = Uint8Array.from(seeds[2] ?? []);
    const at = Buffer.from(bytes).indexOf('trun') + 4 + 4 + 4;
    new DataView(bytes.buffer).setInt32(at, 1_000_000);
    expect(readFragments(bytes)).toBeUndefined();
    new DataView(bytes.buffer).setInt32(at, -1_000_000);
    expect(readFragments(bytes)).toBeUndefined();
  });
});
