import { describe, expect, it } from 'vitest';
import { videoInit, videoSegment } from '../../../test/support/media-bytes.ts';
import { checkTransportStream } from './check-transport-stream.ts';
import { sniffMedia } from './sniff-media.ts';

/** Packets of one PID each; a section starts in those that name a table. */
function transportStream(...packets: { pid: number; table?: number; pointer?: number }[]): Uint8Array {
  const bytes = new Uint8Array(packets.length * 188).fill(0xff);
  for (const [i, { pid, table, pointer = 0 }] of packets.entries()) {
    const start = i * 188;
    bytes.set([0x47, (table === undefined ? 0 : 0x40) | (pid >> 8), pid & 0xff, 0x10], start);
    if (table === undefined) continue;
    bytes[start + 4] = pointer;
    bytes[start + 5 + pointer] = table;
  }
  return bytes;
}

const GOOD = [{ pid: 0, table: 0 }, { pid: 4096, table: 2, pointer: 3 }, { pid: 256 }];

function rulesOf(bytes: Uint8Array, hasMap = false): string[] {
  const rules: string[] = [];
  checkTransportStream(bytes, hasMap, ({ rule }) => rules.push(rule));
  return rules;
}

describe('the container of a segment', () => {
  it.each([
    ['an initialization segment', videoInit(), 'isobmff'],
    ['a media segment', videoSegment({ startTicks: 0 }), 'isobmff'],
    ['a transport stream', transportStream(...GOOD), 'mpeg-ts'],
    ['one packet of a transport stream', transportStream({ pid: 0 }), 'mpeg-ts'],
    ['AAC behind an ID3 tag', Buffer.from('ID3\x04\x00'), 'packed-audio'],
    ['bare ADTS', Uint8Array.of(0xff, 0xf1, 0x50), 'packed-audio'],
    ['WebVTT', Buffer.from('WEBVTT\n\n'), 'webvtt'],
    ['WebVTT with a byte order mark', Buffer.from('\ufeffWEBVTT\n'), 'webvtt'],
    ['an error page that begins with a G', Buffer.from('Gone, alas'), 'unknown'],
    ['nothing', new Uint8Array(), 'unknown'],
  ])('of %s is told', (_, bytes, container) => {
    expect(sniffMedia(bytes)).toBe(container);
  });
});

describe('a transport stream segment', () => {
  it('with its tables at the front is without a finding', () => {
    expect(rulesOf(transportStream(...GOOD))).toEqual([]);
  });

  it('that loses sync, or ends inside a packet, is found out', () => {
    const bytes = transportStream(...GOOD);
    bytes[376] = 0;
    expect(rulesOf(bytes)).toEqual(['media-ts-sync']);
    expect(rulesOf(transportStream(...GOOD).slice(0, -20))).toEqual(['media-ts-sync']);
  });

  it('without PAT or PMT is found out, unless an EXT-X-MAP has them', () => {
    expect(rulesOf(transportStream({ pid: 256 }, { pid: 256 }))).toEqual(['media-ts-tables']);
    expect(rulesOf(transportStream({ pid: 0, table: 0 }))).toEqual(['media-ts-tables']);
    expect(rulesOf(transportStream({ pid: 256 }), true)).toEqual([]);
  });
});
