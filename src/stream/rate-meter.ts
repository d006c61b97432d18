/** Bytes a second over the last few whole seconds. */
export class RateMeter {
  readonly #windowSeconds: number;
  readonly #bytes: Float64Array;
  #firstSecond: number | undefined;
  #second = 0;

  constructor(windowSeconds = 5) {
    this.#windowSeconds = windowSeconds;
    this.#bytes = new Float64Array(windowSeconds + 1);
  }

  add(sizeBytes: number, nowMs: number): void {
    this.#turn(Math.floor(nowMs / 1000));
    const slot = this.#second % this.#bytes.length;
    this.#bytes[slot] = (this.#bytes[slot] ?? 0) + sizeBytes;
  }

  /** Bits a second, over the seconds that are complete; 0 before the first is. */
  bitsPerSecond(nowMs: number): number {
    this.#turn(Math.floor(nowMs / 1000));
    const complete = Math.min(this.#windowSeconds, this.#second - (this.#firstSecond ?? this.#second));
    if (complete === 0) return 0;
    let total = 0;
    for (const bytes of this.#bytes) total += bytes;
    total -= this.#bytes[this.#second % this.#bytes.length] ?? 0;
    return Math.round((total * 8) / complete);
  }

  #turn(second: number): void {
    if (this.#firstSecond === undefined) {
      this.#firstSecond = second;
      this.#second = second;
    }
    const passed = Math.min(second - this.#second, this.#bytes.length);
    for (let back = 0; back < passed; back++) this.#bytes[(second - back) % this.#bytes.length] = 0;
    this.#second = Math.max(this.#second, second);
  }
}
