/** The window over which the rate of a peer is judged. */
const WINDOW_MS = 5_000;
/** Over the allowed mean by this factor: room for key frames and for a sender that catches up. */
const BURST_FACTOR = 2;

/** Counts what a peer sends: the total, and whether it is over its rate. */
export class ByteMeter {
  readonly #maxWindowBytes: number;
  #totalBytes = 0;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #windowBytes = 0;

  constructor(maxBitrateBps: number) {
    this.#maxWindowBytes = (maxBitrateBps / 8) * BURST_FACTOR * (WINDOW_MS / 1000);
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Counts; false when the peer sent more within the window than twice its rate allows. */
  add(sizeBytes: number, nowMs: number): boolean {
    this.#totalBytes += sizeBytes;
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#windowBytes = 0;
    }
    this.#windowBytes += sizeBytes;
    return this.#windowBytes <= this.#maxWindowBytes;
  }
}
