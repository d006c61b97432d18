import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.ts';
import { SummedGauge } from './summed-gauge.ts';

describe('SummedGauge', () => {
  it('is read as the sum of all that was added and taken away', async () => {
    const metrics = new Metrics();
    const gauge = metrics.gauge('area_things', 'Things.');
    const sum = new SummedGauge(gauge);
    expect((await gauge.get()).values).toMatchObject([{ value: 0 }]);
    sum.add(5);
    sum.add(-2);
    expect((await gauge.get()).values).toMatchObject([{ value: 3 }]);
    sum.add(-3);
    expect(await metrics.registry.metrics()).toContain('headwater_area_things 0');
  });
});
