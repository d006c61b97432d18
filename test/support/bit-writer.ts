/** Writes big-endian bit fields, for headers no encoder here would make. */
export class BitWriter {
  #bits = '';

  bits(count: number, value: number): this {
    if (count > 0) this.#bits += BigInt.asUintN(count, BigInt(value)).toString(2).padStart(count, '0');
    return this;
  }

  /** ue(v). */
  ue(value: number): this {
    const code = (value + 1).toString(2);
    return this.bits(code.length - 1, 0).bits(code.length, value + 1);
  }

  /** The bytes; zeros fill the last. */
  get bytes(): Uint8Array {
    const padded = this.#bits.padEnd(Math.ceil(this.#bits.length / 8) * 8, '0');
    return Uint8Array.from(padded.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
  }
}
