import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeAvcSlice } from '../../test/support/avc-slice-writer.ts';
import { written } from '../../test/support/slice-writer.ts';
import { AvcSliceHeaders } from './h264-slice.ts';

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** Made by x264: High profile, CABAC, deblocking control, weights of P slices. */
const SPS = hex('6764000aacb421360220000003002000000641e244d4');
const PPS = hex('68ef0472c0');
const IDR = hex('6588841dffdbe595a8caa36eba11bb3d');

describe('AvcSliceHeaders', { timeout: 30_000 }, () => {
  it('finds the end of any slice header that can be written', () => {
    fc.assert(
      fc.property(written(writeAvcSlice), ({ sps, pps, slice, clearBytes }) => {
        expect(new AvcSliceHeaders({ sps: [sps], pps: [pps] }).clearBytes(slice)).toBe(clearBytes);
      }),
      { numRuns: 400 },
    );
  });

  it('reads by parameter sets that come between the slices', () => {
    fc.assert(
      fc.property(written(writeAvcSlice), written(writeAvcSlice), (before, after) => {
        const headers = new AvcSliceHeaders({ sps: [before.sps], pps: [before.pps] });
        expect(headers.clearBytes(before.slice)).toBe(before.clearBytes);
        expect(headers.clearBytes(after.sps)).toBe(after.sps.length);
        expect(headers.clearBytes(after.pps)).toBe(after.pps.length);
        expect(headers.clearBytes(after.slice)).toBe(after.clearBytes);
      }),
      { numRuns: 100 },
    );
  });

  it('keeps parameter sets, end marks and messages clear as a whole', () => {
    const headers = new AvcSliceHeaders({ sps: [SPS], pps: [PPS] });
    for (const type of [0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 30]) {
      expect(headers.clearBytes(Uint8Array.of(0x60 | type, 1, 2, 3, 4, 5))).toBe(6);
    }
  });

  it('does not know data partitions, auxiliary pictures and slices of other layers', () => {
    const headers = new AvcSliceHeaders({ sps: [SPS], pps: [PPS] });
    for (const type of [2, 3, 4, 19, 20, 21]) {
      expect(headers.clearBytes(Uint8Array.of(0x60 | type, 0x88, 0x84, 0x1d, 0xff))).toBeUndefined();
    }
  });

  it('cannot read a slice without its parameter sets', () => {
    const none = new AvcSliceHeaders({ sps: [], pps: [] });
    expect(none.usable).toBe(false);
    expect(none.clearBytes(IDR)).toBeUndefined();
    expect(new AvcSliceHeaders({ sps: [], pps: [PPS] }).usable).toBe(false);
    const headers = new AvcSliceHeaders({ sps: [SPS], pps: [PPS] });
    expect(headers.usable).toBe(true);
    expect(headers.clearBytes(IDR)).toBe(5);
  });

  it('does not believe a header whose CABAC data are not aligned with ones', () => {
    const wrong = IDR.slice();
    wrong[4] = (wrong[4] ?? 0) & 0xfe;
    expect(new AvcSliceHeaders({ sps: [SPS], pps: [PPS] }).clearBytes(wrong)).toBeUndefined();
  });

  it('is undisturbed by a set that cannot be read', () => {
    const headers = new AvcSliceHeaders({ sps: [SPS], pps: [PPS] });
    headers.clearBytes(SPS.subarray(0, 6));
    headers.clearBytes(Uint8Array.of(0x68));
    expect(headers.clearBytes(IDR)).toBe(5);
  });

  it('answers for any bytes, and never beyond them', () => {
    const start = fc.constantFrom(0x65, 0x61, 0x41, 0x01, 0x67, 0x68, 0x42);
    const unit = fc
      .tuple(start, fc.uint8Array({ maxLength: 300 }))
      .map(([head, rest]) => Uint8Array.of(head, ...rest));
    const cut = fc
      .tuple(written(writeAvcSlice), fc.nat(60))
      .map(([{ slice }, bytes]) => slice.subarray(0, bytes));
    fc.assert(
      fc.property(
        written(writeAvcSlice),
        fc.array(fc.oneof(unit, cut), { maxLength: 6 }),
        ({ sps, pps, slice, clearBytes }, units) => {
          const headers = new AvcSliceHeaders({ sps: [sps], pps: [pps] });
          for (const each of units) expect(headers.clearBytes(each) ?? 0).toBeLessThanOrEqual(each.length);
          const short = headers.clearBytes(slice.subarray(0, clearBytes - 1));
          expect(short === undefined || short <= clearBytes - 1).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });
});
