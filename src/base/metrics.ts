import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/**
 * The process's metrics. A part registers its own in its constructor, under `<area>_<noun>_<unit>[_total]`;
 * labels come from closed sets (protocol, rendition, outcome), never a stream key, session, address or user.
 */
export class Metrics {
  readonly registry = new Registry();

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: `headwater_${name}`, help, labelNames, registers: [this.registry] });
  }

  gauge<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    return new Gauge({ name: `headwater_${name}`, help, labelNames, registers: [this.registry] });
  }

  histogram<L extends string = never>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> {
    return new Histogram({
      name: `headwater_${name}`,
      help,
      buckets: [...buckets],
      labelNames,
      registers: [this.registry],
    });
  }
}
