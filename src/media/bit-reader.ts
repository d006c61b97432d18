/**
 * Reads big-endian bit fields. It never throws: past the end every field reads as 0 and {@link overrun} is set, so
 * that a parser checks once, at its end.
 */
export class BitReader {
  readonly #bytes: Uint8Array;
  #position = 0;
  #overrun = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** True once anything was read past the end, or a field was malformed. */
  get overrun(): boolean {
    return this.#overrun;
  }

  get remainingBits(): number {
    return this.#bytes.length * 8 - this.#position;
  }

  /** An unsigned field of 0 to 32 bits. */
  bits(count: number): number {
    if (count > this.remainingBits) {
      this.#overrun = true;
      this.#position = this.#bytes.length * 8;
      return 0;
    }
    let value = 0;
    for (let left = count; left > 0; ) {
      const used = this.#position & 7;
      const take = Math.min(left, 8 - used);
      const byte = this.#bytes[this.#position >> 3] ?? 0;
      value = value * 2 ** take + ((byte >> (8 - used - take)) & ((1 << take) - 1));
      this.#position += take;
      left -= take;
    }
    return value;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  skip(count: number): void {
    if (count > this.remainingBits) this.#overrun = true;
    this.#position = Math.min(this.#bytes.length * 8, this.#position + count);
  }

  /** Moves on to the next whole byte. */
  alignToByte(): void {
    this.#position = (this.#position + 7) & ~7;
  }

  /** ue(v), ISO/IEC 14496-10 9.1: 0 to 2^32 - 2. More than 31 leading zeros is malformed. */
  unsignedExpGolomb(): number {
    let zeros = 0;
    while (zeros <= 31 && !this.#overrun && !this.flag()) zeros++;
    if (zeros > 31) this.#overrun = true;
    if (this.#overrun) return 0;
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** se(v), ISO/IEC 14496-10 9.1.1. */
  signedExpGolomb(): number {
    const code = this.unsignedExpGolomb();
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
  }
}
