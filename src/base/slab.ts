/** A block has room for this many pieces like the one it is made for. */
const PIECES_PER_BLOCK = 16;
/** No block is larger; a piece over a quarter of it has memory of its own. */
const MAX_BLOCK_BYTES = 512 * 1024;

/**
 * Hands out memory in pieces cut from larger blocks, one after the other. For many small pieces that live about as long
 * as their neighbours: of each block there is one allocation for the collector to follow instead of one for each piece,
 * and a block is freed when the last of its pieces is.
 */
export class Slab {
  #block = new ArrayBuffer(0);
  #used = 0;

  /** A piece that is **not zeroed**: it holds whatever was in memory, so every byte of it is to be written. */
  take(sizeBytes: number): Uint8Array {
    if (sizeBytes > MAX_BLOCK_BYTES / 4) return Buffer.allocUnsafeSlow(sizeBytes);
    if (this.#used + sizeBytes > this.#block.byteLength) {
      // Slow: the whole of an ArrayBuffer of its own.
      this.#block = Buffer.allocUnsafeSlow(Math.min(MAX_BLOCK_BYTES, PIECES_PER_BLOCK * sizeBytes)).buffer;
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += sizeBytes;
    return new Uint8Array(this.#block, start, sizeBytes);
  }
}
