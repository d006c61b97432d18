import * as fc from 'fast-check';
import { BitWriter } from './bit-writer.ts';

/** Gives a number from 0 to `below` - 1. */
export type Choose = (below: number) => number;

/** Parameter sets and a slice behind them, as NAL units. */
export interface WrittenSlice {
  readonly sps: Uint8Array;
  readonly pps: Uint8Array;
  readonly slice: Uint8Array;
  /** Bytes of the slice up to the one in which its header ends, emulation prevention counted. */
  readonly clearBytes: number;
}

/** Bits as the standards write them; counts them, too. */
export class SyntaxWriter {
  readonly #writer = new BitWriter();
  bitCount = 0;

  bits(count: number, value: number): this {
    this.#writer.bits(count, value);
    this.bitCount += count;
    return this;
  }

  flag(value: boolean | number): boolean {
    this.bits(1, value ? 1 : 0);
    return Boolean(value);
  }

  ue(value: number): this {
    const length = Math.floor(Math.log2(value + 1));
    return this.bits(length, 0).bits(length + 1, value + 1);
  }

  se(value: number): this {
    return this.ue(value > 0 ? 2 * value - 1 : -2 * value);
  }

  get bytes(): Uint8Array {
    return this.#writer.bytes;
  }
}

/** rbsp_trailing_bits and byte_alignment: a one, then zeros to the byte's end. */
export function trail(writer: SyntaxWriter): void {
  writer.bits(1, 1);
  writer.bits((8 - (writer.bitCount % 8)) % 8, 0);
}

/** A NAL unit of a header and an RBSP, and where in it the first `rbspBytes` of that end. */
export function escaped(
  header: readonly number[],
  rbsp: Uint8Array,
  rbspBytes = rbsp.length,
): { readonly unit: Uint8Array; readonly end: number } {
  const bytes = [...header];
  let zeros = 0;
  let end = bytes.length;
  rbsp.forEach((byte, index) => {
    if (zeros >= 2 && byte <= 3) {
      bytes.push(3);
      zeros = 0;
    }
    bytes.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
    if (index === rbspBytes - 1) end = bytes.length;
  });
  return { unit: Uint8Array.from(bytes), end };
}

/** What a writer makes of choices; every other of them is 0, so that long runs of zeros come up. */
export function written<T>(write: (choose: Choose) => T): fc.Arbitrary<T> {
  return fc.infiniteStream(fc.oneof(fc.constant(0), fc.nat(0xffff))).map((stream) =>
    write((below) => {
      const { value } = stream.next();
      return Number(value ?? 0) % below;
    }),
  );
}

/** se(v) around 0. */
export function anySigned(writer: SyntaxWriter, choose: Choose): void {
  writer.se(choose(40) - 20);
}
