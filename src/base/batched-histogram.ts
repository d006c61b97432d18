import type { Histogram } from 'prom-client';

/** One series of a histogram, observed for next to nothing. */
export interface Observations {
  observe(value: number): void;
}

/** So many observations of a series wait at most. */
const BATCH = 256;

/**
 * Series of one histogram whose observations are gathered here and handed to it when it is read, or when there are many:
 * an `observe` of the histogram itself makes a key of all its labels and a text of the bucket's bound every time, which
 * costs far more alone, between other work, than among its like.
 */
export class BatchedHistogram<L extends string> {
  readonly #histogram: Histogram<L>;
  readonly #series: PendingObservations<L>[] = [];

  constructor(histogram: Histogram<L>) {
    this.#histogram = histogram;
    const read = histogram as Histogram<L> & { collect?: () => unknown };
    read.collect = () => {
      for (const series of this.#series) series.handOver();
    };
  }

  /** One for each set of labels; it is there to be read from its first observation on. */
  series(labels: Readonly<Record<L, string>>): Observations {
    const series = new PendingObservations(this.#histogram, labels);
    this.#series.push(series);
    return series;
  }
}

class PendingObservations<L extends string> implements Observations {
  readonly #histogram: Histogram<L>;
  readonly #labels: Readonly<Record<L, string>>;
  readonly #values = new Float64Array(BATCH);
  #count = 0;

  constructor(histogram: Histogram<L>, labels: Readonly<Record<L, string>>) {
    this.#histogram = histogram;
    this.#labels = labels;
  }

  observe(value: number): void {
    this.#values[this.#count] = value;
    this.#count += 1;
    if (this.#count === BATCH) this.handOver();
  }

  handOver(): void {
    for (const value of this.#values.subarray(0, this.#count)) this.#histogram.observe(this.#labels, value);
    this.#count = 0;
  }
}
