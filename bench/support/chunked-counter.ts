const CR = 13;
const LF = 10;

/**
 * Counts the bytes of a body in chunked transfer coding (RFC 9112 7.1) as they come, without keeping any. The head of
 * the answer goes in first.
 */
export class ChunkedCounter {
  /** Bytes of the body so far. */
  bodyBytes = 0;
  /** The last chunk has come. */
  ended = false;
  #state: 'head' | 'size' | 'data' | 'after-data' = 'head';
  /** How much of the blank line that ends the head has been seen. */
  #headMatch = 0;
  #size = 0;
  #left = 0;

  take(bytes: Uint8Array): void {
    let i = 0;
    while (i < bytes.length && !this.ended) i = this.#step(bytes, i);
  }

  #step(bytes: Uint8Array, i: number): number {
    const byte = bytes[i] ?? 0;
    switch (this.#state) {
      case 'head':
        this.#headMatch = byte === CR || byte === LF ? this.#headMatch + 1 : 0;
        if (this.#headMatch === 4) this.#beginSize();
        return i + 1;
      case 'size':
        if (byte === LF) this.#beginData();
        else if (byte !== CR) this.#size = this.#size * 16 + Number.parseInt(String.fromCharCode(byte), 16);
        return i + 1;
      case 'data': {
        const taken = Math.min(this.#left, bytes.length - i);
        this.bodyBytes += taken;
        this.#left -= taken;
        if (this.#left === 0) this.#state = 'after-data';
        return i + taken;
      }
      default:
        if (byte === LF) this.#beginSize();
        return i + 1;
    }
  }

  #beginSize(): void {
    this.#state = 'size';
    this.#size = 0;
  }

  #beginData(): void {
    this.#left = this.#size;
    this.#state = 'data';
    if (this.#size === 0) this.ended = true;
  }
}
