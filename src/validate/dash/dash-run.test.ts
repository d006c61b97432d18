import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { FindingLog } from '../finding.ts';
import { CounterBoard } from '../media/counter-board.ts';
import { DashRun } from './dash-run.ts';

function start(deadlineMs = 10_000) {
  const clock = new FakeClock();
  const controller = new AbortController();
  const fetcher = { get: () => Promise.reject(new Error('not asked')) };
  const run = new DashRun({
    clock,
    fetcher,
    log: new FindingLog(),
    counters: new CounterBoard(),
    deadlineMs,
    signal: controller.signal,
  });
  return { clock, controller, run };
}

describe('waiting', () => {
  it('ends in time, and at the deadline at the latest', async () => {
    const { clock, run } = start();
    const short = run.wait(500);
    clock.advance(500);
    expect(await short).toBe(true);
    const long = run.wait(60_000);
    clock.advance(9500);
    expect(await long).toBe(false);
    expect(run.over).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends when the caller gives up, and when all is done, and leaves no timer behind', async () => {
    const { clock, controller, run } = start();
    const given = run.wait(5000);
    controller.abort();
    expect(await given).toBe(false);
    const other = start();
    const closed = other.run.wait(5000);
    other.run.close();
    other.run.close();
    expect(await closed).toBe(true);
    expect(clock.pendingTimers + other.clock.pendingTimers).toBe(0);
  });

  it('goes by the clock of the presentation', async () => {
    const { clock, run } = start();
    run.clockOffsetMs = 2000;
    const reached = run.waitUntil(clock.wallMs() + 3000);
    clock.advance(1000);
    expect(await reached).toBe(true);
    expect(clock.monotonicMs()).toBe(1000);
  });
});
