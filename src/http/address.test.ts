import { describe, expect, it } from 'vitest';
import { addressText, normalAddress } from './address.ts';

describe('addressText', () => {
  it.each([
    ['7f000001', '127.0.0.1'],
    ['00000000000000000000ffff0a000002', '10.0.0.2'],
    ['00000000000000000000000000000001', '::1'],
    ['20010db8000000000000000000000001', '2001:db8::1'],
    ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
    ['20010db8000000000001000000000000', '2001:db8:0:0:1::'],
    ['00000000000000000000000000000000', '::'],
    ['0102', ''],
  ])('%s is %s', (hex, text) => {
    expect(addressText(Buffer.from(hex, 'hex'))).toBe(text);
  });
});

describe('normalAddress', () => {
  it.each([
    ['::ffff:10.0.0.2', '10.0.0.2'],
    ['10.0.0.2', '10.0.0.2'],
    ['::1', '::1'],
    [undefined, ''],
  ])('%s is %s', (given, text) => {
    expect(normalAddress(given)).toBe(text);
  });
});
