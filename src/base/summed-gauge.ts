import type { Gauge } from 'prom-client';

/** A gauge that is one sum, added to for next to nothing: it is added up here and handed over when it is read. */
export class SummedGauge {
  #sum = 0;

  constructor(gauge: Gauge) {
    const read = gauge as Gauge & { collect?: () => unknown };
    read.collect = () => gauge.set(this.#sum);
  }

  /** A negative count takes away. */
  add(count: number): void {
    this.#sum += count;
  }
}
