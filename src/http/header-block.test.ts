import { describe, expect, it } from 'vitest';
import { headerBlock, renderedHeaders } from './header-block.ts';

describe('headerBlock', () => {
  it('keeps the entries and renders the pairs for node and one native value for uWebSockets.js', () => {
    const block = headerBlock([
      ['Content-Type', 'video/mp4'],
      ['Cache-Control', 'public, max-age=3600'],
    ]);
    const rendered = renderedHeaders(block);
    expect(block.entries).toEqual([
      ['Content-Type', 'video/mp4'],
      ['Cache-Control', 'public, max-age=3600'],
    ]);
    expect(rendered.pairs).toEqual(['Content-Type', 'video/mp4', 'Cache-Control', 'public, max-age=3600']);
    expect(Buffer.from(rendered.firstName).toString()).toBe('Content-Type');
    expect(Buffer.from(rendered.firstValueAndRest).toString()).toBe(
      'video/mp4\r\nCache-Control: public, max-age=3600',
    );
    expect(rendered.sizeBytes).toBe(
      'Content-Type: video/mp4\r\nCache-Control: public, max-age=3600\r\n'.length,
    );
  });

  it('renders a block once', () => {
    const block = headerBlock([['A', 'b']]);
    expect(renderedHeaders(block)).toBe(block);
  });

  it('checks and renders a block somebody else made', () => {
    expect(renderedHeaders({ entries: [['A', 'b']] }).pairs).toEqual(['A', 'b']);
    expect(() => renderedHeaders({ entries: [['A', 'b\r\nX: y']] })).toThrow(TypeError);
  });

  it('takes an empty block', () => {
    expect(renderedHeaders(headerBlock([])).firstName).toHaveLength(0);
  });

  it.each([
    ['a line break in a value', 'X', 'a\r\nSet-Cookie: b'],
    ['a bare line feed', 'X', 'a\nb'],
    ['a NUL', 'X', 'a\0b'],
    ['unicode', 'X', 'ü'],
    ['a space in a name', 'X Y', 'a'],
    ['an empty name', '', 'a'],
    ['a colon in a name', 'X:', 'a'],
    ['Content-Length, which the driver sets', 'content-length', '5'],
    ['Transfer-Encoding, which the driver sets', 'Transfer-Encoding', 'chunked'],
    ['Connection, which the driver sets', 'Connection', 'close'],
  ])('refuses %s', (_what, name, value) => {
    expect(() => headerBlock([[name, value]])).toThrow(TypeError);
  });
});
