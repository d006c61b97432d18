import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../../test/support/memory-log.ts';
import { Metrics } from '../../base/metrics.ts';
import { StepBack } from './step-back.ts';
import { type LiveChannel, STEP_BACK_LIMITS } from './step-back-policy.ts';
import { WorkMetrics } from './work-metrics.ts';

function open(): {
  readonly clock: FakeClock;
  readonly log: ReturnType<typeof createMemoryLog>;
  readonly registry: Metrics['registry'];
  readonly done: string[];
  readonly live: { channels: LiveChannel[] };
  readonly stepBack: StepBack;
} {
  const clock = new FakeClock();
  const log = createMemoryLog();
  const metrics = new Metrics();
  const done: string[] = [];
  const live = { channels: [] as LiveChannel[] };
  const stepBack = new StepBack({
    clock,
    log,
    metrics: new WorkMetrics(metrics),
    live: { status: () => live.channels },
    processes: { hold: () => done.push('stopped'), release: () => done.push('continued') },
    worker: { setConcurrency: (jobs) => done.push(`slots ${jobs}`) },
    slots: 3,
  });
  return { clock, log, registry: metrics.registry, done, live, stepBack };
}

const SLOW: LiveChannel = { state: 'running', shed: [], lagMs: 2000 };

describe('stepping back', () => {
  it('begins nothing and stops what runs, then undoes both; a log line each, and metrics', async () => {
    const { clock, log, registry, done, live, stepBack } = open();
    clock.advance(60_000);
    expect(done).toEqual([]);
    live.channels = [SLOW];
    clock.advance(2000);
    expect(done).toEqual(['slots 0', 'stopped']);
    expect(stepBack.held).toBe(true);
    expect(await registry.metrics()).toContain('headwater_vod_held 1');
    live.channels = [];
    clock.advance(STEP_BACK_LIMITS.quietMs + 1000);
    expect(done).toEqual(['slots 0', 'stopped', 'continued', 'slots 3']);
    expect(log.lines.map(({ message }) => message)).toEqual([
      'titles wait for live encoding',
      'work on titles goes on',
    ]);
    const text = await registry.metrics();
    expect(text).toContain('headwater_vod_held 0');
    expect(text).toContain('headwater_vod_step_backs_total{reason="lag"} 1');
    expect(Number(/^headwater_vod_held_seconds_total (.*)$/m.exec(text)?.[1])).toBeCloseTo(7, 0);
  });

  it('leaves nothing stopped, and no timer, when it is closed', () => {
    const { clock, done, live, stepBack } = open();
    live.channels = [SLOW];
    clock.advance(1000);
    stepBack.close();
    stepBack.close();
    expect(done).toEqual(['slots 0', 'stopped', 'continued']);
    expect(clock.pendingTimers).toBe(0);
  });
});
