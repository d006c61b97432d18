import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeHevcSlice } from '../../test/support/hevc-slice-writer.ts';
import { written } from '../../test/support/slice-writer.ts';
import { HevcSliceHeaders } from './h265-slice.ts';

const anySlice = written(writeHevcSlice);

describe('HevcSliceHeaders', { timeout: 30_000 }, () => {
  it('finds the end of any slice segment header that can be written', () => {
    fc.assert(
      fc.property(anySlice, ({ sps, pps, slice, clearBytes }) => {
        expect(new HevcSliceHeaders({ sps: [sps], pps: [pps] }).clearBytes(slice)).toBe(clearBytes);
      }),
      { numRuns: 400 },
    );
  });

  it('reads by parameter sets that come between the slices', () => {
    fc.assert(
      fc.property(anySlice, anySlice, (before, after) => {
        const headers = new HevcSliceHeaders({ sps: [before.sps], pps: [before.pps] });
        expect(headers.clearBytes(before.slice)).toBe(before.clearBytes);
        expect(headers.clearBytes(after.sps)).toBe(after.sps.length);
        expect(headers.clearBytes(after.pps)).toBe(after.pps.length);
        expect(headers.clearBytes(after.slice)).toBe(after.clearBytes);
      }),
      { numRuns: 100 },
    );
  });

  it('keeps all that is no slice clear as a whole', () => {
    const headers = new HevcSliceHeaders({ sps: [], pps: [] });
    for (let type = 32; type < 64; type++) {
      expect(headers.clearBytes(Uint8Array.of(type << 1, 1, 2, 3, 4))).toBe(5);
    }
  });

  it('does not know slices of reserved types and of other layers', () => {
    fc.assert(
      fc.property(anySlice, fc.constantFrom(10, 15, 22, 23, 24, 31), ({ sps, pps, slice }, type) => {
        const headers = new HevcSliceHeaders({ sps: [sps], pps: [pps] });
        expect(headers.clearBytes(Uint8Array.of(type << 1, 1, ...slice.subarray(2)))).toBeUndefined();
        expect(headers.clearBytes(Uint8Array.of(slice[0] ?? 0, 9, ...slice.subarray(2)))).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });

  it('cannot read a slice without its parameter sets', () => {
    fc.assert(
      fc.property(anySlice, ({ sps, pps, slice }) => {
        for (const sets of [
          { sps: [], pps: [] },
          { sps: [sps], pps: [] },
          { sps: [], pps: [pps] },
        ]) {
          const headers = new HevcSliceHeaders(sets);
          expect(headers.usable).toBe(false);
          expect(headers.clearBytes(slice)).toBeUndefined();
        }
        expect(new HevcSliceHeaders({ sps: [sps], pps: [pps] }).usable).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('does not believe a header that is not aligned by a one and zeros', () => {
    fc.assert(
      fc.property(anySlice, ({ sps, pps, slice, clearBytes }) => {
        const wrong = slice.slice();
        wrong[clearBytes - 1] = 0;
        const found = new HevcSliceHeaders({ sps: [sps], pps: [pps] }).clearBytes(wrong);
        expect(found).not.toBe(clearBytes);
      }),
      { numRuns: 100 },
    );
  });

  it('answers for any bytes, and never beyond them', () => {
    const type = fc.nat(127);
    const unit = fc
      .tuple(type, fc.uint8Array({ maxLength: 300 }))
      .map(([head, rest]) => Uint8Array.of(head, 1, ...rest));
    const cut = fc.tuple(anySlice, fc.nat(60)).map(([{ slice }, bytes]) => slice.subarray(0, bytes));
    fc.assert(
      fc.property(
        anySlice,
        fc.array(fc.oneof(unit, cut), { maxLength: 6 }),
        ({ sps, pps, slice, clearBytes }, units) => {
          const headers = new HevcSliceHeaders({ sps: [sps], pps: [pps] });
          for (const each of units) expect(headers.clearBytes(each) ?? 0).toBeLessThanOrEqual(each.length);
          const short = headers.clearBytes(slice.subarray(0, clearBytes - 1));
          expect(short === undefined || short <= clearBytes - 1).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });
});
