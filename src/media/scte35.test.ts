import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32Mpeg } from './mpegts/crc32.ts';
import { parseSpliceInfo, spliceDirection, spliceTime } from './scte35.ts';

function section(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

/** Samples of ANSI/SCTE 35 clause 14. */
const OPPORTUNITY_START = section(
  '/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg==',
);
const INSERT = section('/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo=');
const OPPORTUNITY_END = section('/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g=');

describe('a splice_info_section', () => {
  it('with a time_signal tells when, and what its segmentation descriptors say', () => {
    expect(crc32Mpeg(OPPORTUNITY_START)).toBe(0);
    const info = parseSpliceInfo(OPPORTUNITY_START);
    expect(info?.command).toEqual({ kind: 'time_signal', time: 0x072bd0050 });
    expect(info?.segmentations).toEqual([
      {
        eventId: 0x4800008e,
        cancel: false,
        typeId: 0x34,
        edge: 'start',
        durationTicks: 0x0001a599b0,
        upidType: 8,
        upid: Uint8Array.of(0, 0, 0, 0, 0x2c, 0xa0, 0xa1, 0x8a),
        segment: 2,
        segmentsExpected: 0,
      },
    ]);
    expect(info && [spliceTime(info), spliceDirection(info)]).toEqual([0x072bd0050, 'out']);
  });

  it('with a splice_insert tells the break and whether the network comes back by itself', () => {
    expect(crc32Mpeg(INSERT)).toBe(0);
    const info = parseSpliceInfo(INSERT);
    expect(info?.command).toEqual({
      kind: 'insert',
      eventId: 0x4800008f,
      cancel: false,
      outOfNetwork: true,
      time: 0x07369c02e,
      immediate: false,
      break: { ticks: 0x00052ccf5, autoReturn: true },
      programId: 0,
    });
    expect(info && spliceDirection(info)).toBe('out');
  });

  it('that ends a placement opportunity points back in', () => {
    const info = parseSpliceInfo(OPPORTUNITY_END);
    expect(info?.segmentations.map(({ typeId, edge }) => [typeId, edge])).toEqual([[0x35, 'end']]);
    expect(info && spliceDirection(info)).toBe('in');
  });

  it('adds the adjustment to its time modulo 2^33', () => {
    const adjusted = INSERT.slice();
    adjusted[4] = 0x01;
    adjusted.fill(0xff, 5, 9);
    const info = parseSpliceInfo(adjusted);
    expect(info && spliceTime(info)).toBe(0x07369c02e - 1);
  });

  it('that is encrypted tells nothing but that', () => {
    const encrypted = INSERT.slice();
    encrypted[4] = 0x80;
    expect(parseSpliceInfo(encrypted)).toEqual({
      ptsAdjustment: 0,
      encrypted: true,
      command: { kind: 'encrypted' },
      segmentations: [],
    });
  });

  it('cut short or with lengths that do not fit is refused', () => {
    for (let length = 0; length < INSERT.length; length++) {
      expect(parseSpliceInfo(INSERT.subarray(0, length))).toBeUndefined();
    }
  });

  it('never makes the parser throw, whatever its bytes are', () => {
    const mutation = fc.array(fc.tuple(fc.nat(50), fc.nat(255)), { maxLength: 12 });
    fc.assert(
      fc.property(fc.constantFrom(OPPORTUNITY_START, INSERT), mutation, (valid, changes) => {
        const bytes = valid.slice();
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const info = parseSpliceInfo(bytes);
        if (info) spliceDirection(info);
      }),
    );
  });
});
