import { describe, expect, it } from 'vitest';
import { BatchedHistogram } from './batched-histogram.ts';
import { Metrics } from './metrics.ts';

describe('BatchedHistogram', () => {
  it('is read as all that was observed, once, whether it is read often or seldom', async () => {
    const metrics = new Metrics();
    const histogram = metrics.histogram('area_seconds', 'Seconds.', [1, 10], ['kind']);
    const batched = new BatchedHistogram(histogram);
    const cats = batched.series({ kind: 'cat' });
    const dogs = batched.series({ kind: 'dog' });
    const valueOf = async (line: string): Promise<string | undefined> =>
      (await metrics.registry.metrics())
        .split('\n')
        .find((each) => each.startsWith(`headwater_area_seconds_${line} `))
        ?.split(' ')[1];
    expect(await valueOf('count{kind="cat"}')).toBeUndefined();
    for (let i = 0; i < 1000; i++) cats.observe(i % 2 === 0 ? 0.5 : 5);
    dogs.observe(50);
    for (let reading = 0; reading < 2; reading++) {
      expect(await valueOf('count{kind="cat"}')).toBe('1000');
      expect(await valueOf('sum{kind="cat"}')).toBe('2750');
      expect(await valueOf('bucket{le="1",kind="cat"}')).toBe('500');
      expect(await valueOf('bucket{le="10",kind="cat"}')).toBe('1000');
      expect(await valueOf('bucket{le="10",kind="dog"}')).toBe('0');
      expect(await valueOf('count{kind="dog"}')).toBe('1');
    }
  });
});
