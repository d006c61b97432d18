import { beforeEach, describe, expect, it } from 'vitest';
import { Metrics } from './metrics.ts';
import { BatchedCounter } from './batched-counter.ts';

let metrics: Metrics;

beforeEach(() => {
  metrics = new Metrics();
});

async function lines(): Promise<string[]> {
  const text = await metrics.registry.metrics();
  return text.split('\n').filter((line) => line.startsWith('headwater_'));
}

describe('BatchedCounter', () => {
  it('shows what was counted whenever the counter is read', async () => {
    const counts = new BatchedCounter(metrics.counter('answers_total', 'Answers.', ['kind']));
    const parts = counts.series({ kind: 'part' });
    expect(await lines()).toEqual(['headwater_answers_total{kind="part"} 0']);
    parts.inc();
    parts.inc();
    expect(await lines()).toEqual(['headwater_answers_total{kind="part"} 2']);
    parts.inc(5);
    expect(await lines()).toEqual(['headwater_answers_total{kind="part"} 7']);
    expect(await lines()).toEqual(['headwater_answers_total{kind="part"} 7']);
  });

  it('goes together with others on the same counter', async () => {
    const counter = metrics.counter('answers_total', 'Answers.', ['driver']);
    const series = ['uws', 'node'].map((driver) => new BatchedCounter(counter).series({ driver }));
    for (const one of series) one.inc();
    series[0]?.inc();
    expect(await lines()).toEqual([
      'headwater_answers_total{driver="uws"} 2',
      'headwater_answers_total{driver="node"} 1',
    ]);
  });
});
