import { describe, expect, it } from 'vitest';
import { BoxWriter, fourCc } from './box-writer.ts';

describe('BoxWriter', () => {
  it('leaves nothing of what was in the memory it is given', () => {
    const memory = new Uint8Array(64).fill(0xaa).subarray(20, 20 + 19);
    const writer = new BoxWriter(memory);
    const box = writer.begin(fourCc('test'));
    writer.u8(1);
    writer.zeros(4);
    writer.u16(2);
    writer.raw(Uint8Array.of(3, 4, 5, 6));
    writer.end(box);
    expect(writer.finish()).toBe(memory);
    expect([...memory]).toEqual([0, 0, 0, 19, 0x74, 0x65, 0x73, 0x74, 1, 0, 0, 0, 0, 0, 2, 3, 4, 5, 6]);
    expect([...new Uint8Array(memory.buffer)].filter((byte) => byte === 0xaa)).toHaveLength(64 - 19);
  });

  it('does not give out memory that is not written to its end', () => {
    const writer = new BoxWriter(9);
    writer.end(writer.begin(fourCc('free')));
    expect(() => writer.finish()).toThrow('not written to its end');
    writer.u8(0);
    expect(writer.finish()).toHaveLength(9);
  });

  it('does not write past the memory it is given', () => {
    const memory = new Uint8Array(16).subarray(0, 8);
    const writer = new BoxWriter(memory);
    writer.begin(fourCc('free'));
    expect(() => writer.u32(1)).toThrow(RangeError);
    expect(() => writer.raw(Uint8Array.of(1))).toThrow(RangeError);
  });
});
