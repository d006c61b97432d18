import { describe, expect, it } from 'vitest';
import { sharedBytes } from './shared-bytes.ts';

describe('sharedBytes', () => {
  it('frames its data as one complete chunk, closing CRLF included', () => {
    const shared = sharedBytes(Buffer.from('hello chunked wo'));
    expect(Buffer.from(shared.framed()).toString()).toBe('10\r\nhello chunked wo\r\n');
  });

  it('frames once, however many readers ask', () => {
    const shared = sharedBytes(new Uint8Array(300).fill(7));
    expect(shared.framed()).toBe(shared.framed());
    expect(shared.framed()).toHaveLength('12c\r\n'.length + 300 + 2);
  });

  it('respects the offset of a view', () => {
    const view = Buffer.from('xxabcxx').subarray(2, 5);
    expect(Buffer.from(sharedBytes(view).framed()).toString()).toBe('3\r\nabc\r\n');
  });

  it('gives no framing for no bytes, which would end the body', () => {
    expect(sharedBytes(new Uint8Array(0)).framed()).toHaveLength(0);
  });
});
