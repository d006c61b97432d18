/** A box type as the four bytes it is: the number for 'moof' and so on. */
export function fourCc(type: string): number {
  return (
    ((type.charCodeAt(0) << 24) |
      (type.charCodeAt(1) << 16) |
      (type.charCodeAt(2) << 8) |
      type.charCodeAt(3)) >>>
    0
  );
}

const TWO_32 = 2 ** 32;

/**
 * Writes boxes front to back into one buffer. Sizes of open boxes are patched when they end. Writing past the buffer is
 * a bug of the caller and throws RangeError. One is made for every frame: it makes no object beside itself.
 */
export class BoxWriter {
  readonly bytes: Uint8Array;
  #offset = 0;

  /** @param bytes the buffer, or the size of one to be made; what it holds does not matter, all of it is written */
  constructor(bytes: number | Uint8Array) {
    this.bytes = typeof bytes === 'number' ? new Uint8Array(bytes) : bytes;
  }

  /**
   * The buffer, now that it is full.
   * @throws Error when it is not: what was in memory before would be sent to viewers
   */
  finish(): Uint8Array {
    if (this.#offset !== this.bytes.length) throw new Error('a box buffer is not written to its end');
    return this.bytes;
  }

  /** Bytes written so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Opens a box and returns the token {@link end} wants. */
  begin(type: number): number {
    const start = this.#offset;
    this.#offset += 4;
    this.u32(type);
    return start;
  }

  /** Opens a FullBox: header, version and flags. */
  beginFull(type: number, version: number, flags: number): number {
    const start = this.begin(type);
    this.u32(version * 0x1000000 + flags);
    return start;
  }

  /** Closes the box that {@link begin} opened, now that its size is known. */
  end(start: number): void {
    this.#put32(start, this.#offset - start);
  }

  u8(value: number): void {
    if (this.#offset >= this.bytes.length) throw new RangeError('past the end of a box buffer');
    this.bytes[this.#offset] = value;
    this.#offset += 1;
  }

  u16(value: number): void {
    this.u8(value >>> 8);
    this.u8(value);
  }

  /** Of a value of more than 32 bits the lowest 32. */
  u32(value: number): void {
    this.#put32(this.#offset, value);
    this.#offset += 4;
  }

  i32(value: number): void {
    this.u32(value);
  }

  /** A 64-bit value below 2^53, as two halves: ticks since 1970 at 90 kHz are about 1.6e14. */
  u64(value: number): void {
    this.u32(Math.floor(value / TWO_32));
    this.u32(value % TWO_32);
  }

  zeros(count: number): void {
    this.bytes.fill(0, this.#offset, this.#offset + count);
    this.#offset += count;
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#offset);
    this.#offset += bytes.length;
  }

  /** ASCII text without a terminator. */
  ascii(text: string): void {
    for (let i = 0; i < text.length; i++) this.u8(text.charCodeAt(i));
  }

  #put32(at: number, value: number): void {
    const { bytes } = this;
    if (at + 4 > bytes.length) throw new RangeError('past the end of a box buffer');
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }
}
