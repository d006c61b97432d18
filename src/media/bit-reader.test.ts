import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BitReader } from './bit-reader.ts';

test('bit fields are read across byte borders, up to 32 bits', () => {
  const reader = new BitReader(Uint8Array.of(0b1010_0101, 0xff, 0x00, 0xff, 0x80));
  expect(reader.bits(3)).toBe(0b101);
  expect(reader.bits(7)).toBe(0b0010111);
  expect(reader.bits(30)).toBe(0b11_1111_0000_0000_1111_1111_1000_0000);
  expect(reader.remainingBits).toBe(0);
  expect(reader.overrun).toBe(false);
});

test('exp-Golomb codes of ISO/IEC 14496-10 table 9-2 are read, signed and unsigned', () => {
  // 1 | 010 | 011 | 00100 | 00101 and padding
  const bytes = Uint8Array.of(0b1010_0110, 0b0100_0010, 0b1000_0000);
  const unsigned = new BitReader(bytes);
  expect([0, 1, 2, 3, 4].map(() => unsigned.unsignedExpGolomb())).toEqual([0, 1, 2, 3, 4]);
  const signed = new BitReader(bytes);
  expect([0, 1, 2, 3, 4].map(() => signed.signedExpGolomb())).toEqual([-0, 1, -1, 2, -2]);
});

test('reading past the end gives zeros and says so, and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 8 }), fc.array(fc.nat(33)), (bytes, widths) => {
      const reader = new BitReader(bytes);
      let wanted = 0;
      for (const width of widths) {
        const value = width === 33 ? reader.unsignedExpGolomb() : reader.bits(width);
        if (width < 33) wanted += width;
        expect(value).toBeGreaterThanOrEqual(0);
      }
      if (wanted > bytes.length * 8) expect(reader.overrun).toBe(true);
    }),
  );
});
