/** What one complete segment says of its rendition's bit rate. */
export interface RatedSegment {
  readonly number: number;
  readonly sizeBytes: number;
  readonly seconds: number;
}

/** One or more segments in a row, long enough to say something. */
interface Run {
  readonly lastNumber: number;
  readonly bps: number;
}

/**
 * Bit rates over the segments of a list that grows at one end and shrinks at the other, without looking at all of them
 * again: a list may be a day long.
 *
 * The peak is that of runs of segments that last half a target duration or more (RFC 8216bis 4.4.6.2): a segment that
 * was cut short says little by itself, least of all one that begins with the GOP of a publisher that took over.
 */
export class ListedRates {
  readonly #runSeconds: number;
  #count = 0;
  #bits = 0;
  #seconds = 0;
  #run = { bits: 0, seconds: 0 };
  /** Only those that no later one outdoes: rates go down, numbers up. */
  readonly #peaks: Run[] = [];

  /** `runSeconds`: how long a run is at least. */
  constructor(runSeconds: number) {
    this.#runSeconds = runSeconds;
  }

  /** Bits a second. */
  get averageBps(): number {
    return this.#count === 0 ? 0 : Math.round(this.#bits / this.#seconds);
  }

  /** Bits a second; never below the average. */
  get peakBps(): number {
    return Math.max(Math.round(this.#peaks[0]?.bps ?? 0), this.averageBps);
  }

  /** A segment stands at the end of the list; one without a duration says nothing. */
  add({ number, sizeBytes, seconds }: RatedSegment): void {
    if (seconds <= 0) return;
    const bits = sizeBytes * 8;
    this.#count += 1;
    this.#bits += bits;
    this.#seconds += seconds;
    this.#run = { bits: this.#run.bits + bits, seconds: this.#run.seconds + seconds };
    if (this.#run.seconds < this.#runSeconds) return;
    const bps = this.#run.bits / this.#run.seconds;
    while ((this.#peaks.at(-1)?.bps ?? Infinity) <= bps) this.#peaks.pop();
    this.#peaks.push({ lastNumber: number, bps });
    this.#run = { bits: 0, seconds: 0 };
  }

  /** The first segment has left the list. */
  drop({ number, sizeBytes, seconds }: RatedSegment): void {
    if (seconds <= 0) return;
    this.#count -= 1;
    // Sums of fractions are never quite nothing again.
    this.#bits = this.#count === 0 ? 0 : this.#bits - sizeBytes * 8;
    this.#seconds = this.#count === 0 ? 0 : this.#seconds - seconds;
    while ((this.#peaks[0]?.lastNumber ?? Infinity) <= number) this.#peaks.shift();
  }
}
