const FIRST_BYTES = 64 * 1024;

/**
 * Bytes of one elementary stream that are not used up yet. Places in it are counted from the stream's beginning and
 * stay true when the buffer moves or grows.
 */
export class EsBuffer {
  readonly #maxBytes: number;
  #bytes = Buffer.alloc(0);
  /** Where the held bytes begin and end in the buffer. */
  #head = 0;
  #tail = 0;
  /** The place of the buffer's first byte. */
  #origin = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The place of the first byte held. */
  get start(): number {
    return this.#origin + this.#head;
  }

  /** The place behind the last. */
  get end(): number {
    return this.#origin + this.#tail;
  }

  get heldBytes(): number {
    return this.#tail - this.#head;
  }

  /** A view of the bytes between two places; true until the next append. */
  view(from: number, to: number): Buffer {
    return this.#bytes.subarray(from - this.#origin, to - this.#origin);
  }

  /** False, and nothing is taken, when more would be held than the limit. */
  append(bytes: Buffer, start: number, end: number): boolean {
    const sizeBytes = end - start;
    if (this.heldBytes + sizeBytes > this.#maxBytes) return false;
    if (this.#tail + sizeBytes > this.#bytes.length) this.#makeRoom(sizeBytes);
    bytes.copy(this.#bytes, this.#tail, start, end);
    this.#tail += sizeBytes;
    return true;
  }

  /** Lets go of what lies before a place. */
  discardTo(place: number): void {
    this.#head = place - this.#origin;
    if (this.#head !== this.#tail) return;
    this.#origin += this.#tail;
    this.#head = 0;
    this.#tail = 0;
  }

  /** Moves the bytes to the front, into a buffer twice as large when they fill more than half of this one. */
  #makeRoom(sizeBytes: number): void {
    const needed = this.heldBytes + sizeBytes;
    const roomy = needed * 2 <= this.#bytes.length;
    const target = roomy
      ? this.#bytes
      : Buffer.alloc(Math.max(FIRST_BYTES, Math.min(this.#maxBytes * 2, needed * 2)));
    this.#bytes.copy(target, 0, this.#head, this.#tail);
    this.#bytes = target;
    this.#origin += this.#head;
    this.#tail -= this.#head;
    this.#head = 0;
  }
}
