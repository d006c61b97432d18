import type { ChunkSample } from '../../media/isobmff/chunk.ts';

/** styp, moof without its samples, mdat's header, saiz, saio and senc without theirs: well within this, of two chunks. */
const FIXED_BYTES = 1024;
/** Entries of trun and saiz. */
const SAMPLE_BYTES = 17;
/** Count of subsamples in senc, and each of them. */
const SUBSAMPLE_COUNT_BYTES = 2;
const SUBSAMPLE_BYTES = 6;

/** One piece of memory for the chunks of a segment, which are written into it one behind the other. */
export class SegmentMemory {
  readonly #bytes: Uint8Array;
  #used = 0;

  constructor(samples: readonly ChunkSample[]) {
    let most = FIXED_BYTES;
    for (const { data, iv, subsamples } of samples) {
      most += SAMPLE_BYTES + data.length + (iv?.length ?? 0);
      if (subsamples) most += SUBSAMPLE_COUNT_BYTES + SUBSAMPLE_BYTES * subsamples.length;
    }
    this.#bytes = Buffer.allocUnsafeSlow(most);
  }

  /** Memory for the next chunk, which is not zeroed. */
  readonly take = (sizeBytes: number): Uint8Array => {
    const start = this.#used;
    if (start + sizeBytes > this.#bytes.length) throw new RangeError('a segment is larger than was reckoned');
    this.#used += sizeBytes;
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, sizeBytes);
  };

  get usedBytes(): number {
    return this.#used;
  }

  /** All that was taken. */
  get used(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#used);
  }
}
