import { describe, expect, it } from 'vitest';
import { addressBlocks, parseAddressBlocks } from './address-blocks.ts';

describe('address blocks', () => {
  it('hold the addresses of their blocks, mapped ones too', () => {
    const blocks = addressBlocks('10.0.0.0/8, 192.0.2.7 2001:db8::/32');
    expect(blocks.size).toBe(3);
    for (const inside of ['10.255.0.1', '192.0.2.7', '::ffff:10.1.2.3', '2001:db8:1::5'])
      expect(blocks.has(inside), inside).toBe(true);
    for (const outside of ['11.0.0.1', '192.0.2.8', '2001:db9::1', '', 'localhost'])
      expect(blocks.has(outside), outside).toBe(false);
    expect(addressBlocks('').has('10.0.0.1')).toBe(false);
    expect(addressBlocks('0.0.0.0/0').has('203.0.113.5')).toBe(true);
  });

  it.each(['10.0.0.0/33', '10.0.0/8', '::/129', 'example.org', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8x'])(
    'are not %j',
    (text) => {
      expect(parseAddressBlocks(text)).toEqual({ problem: expect.stringMatching(/./) });
      expect(() => addressBlocks(text)).toThrow(RangeError);
    },
  );
});
