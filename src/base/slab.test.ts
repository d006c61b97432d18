import { describe, expect, it } from 'vitest';
import { Slab } from './slab.ts';

describe('Slab', () => {
  it('gives pieces of the size asked for that do not overlap', () => {
    const slab = new Slab();
    const pieces = Array.from({ length: 200 }, (_, i) => slab.take(1 + ((i * 37) % 500)));
    pieces.forEach((piece, i) => piece.fill(i % 256));
    pieces.forEach((piece, i) => {
      expect(piece.length).toBe(1 + ((i * 37) % 500));
      expect(
        piece.every((byte) => byte === i % 256),
        `piece ${i}`,
      ).toBe(true);
    });
  });

  it('cuts neighbours from one allocation', () => {
    const slab = new Slab();
    const blocks = new Set(Array.from({ length: 160 }, () => slab.take(100).buffer));
    expect(blocks.size).toBe(10);
  });

  it('holds no more than one block beside what it gave', () => {
    const slab = new Slab();
    expect(slab.take(10).buffer.byteLength).toBeLessThanOrEqual(160);
    expect(slab.take(100_000).buffer.byteLength).toBeLessThanOrEqual(512 * 1024);
  });

  it('gives a large piece memory of its own, and cuts the next small one where it was', () => {
    const slab = new Slab();
    const before = slab.take(1000);
    const large = slab.take(300_000);
    expect(large.buffer.byteLength).toBe(300_000);
    expect(slab.take(1000).buffer).toBe(before.buffer);
  });

  it('gives an empty piece', () => {
    expect(new Slab().take(0).length).toBe(0);
  });
});
