import { expect, it } from 'vitest';
import type { Clock } from '../base/clock.ts';
import { Metrics } from '../base/metrics.ts';
import { EventLoopWatchdog } from './event-loop-watchdog.ts';

/** A clock whose timers run only when the test says, however late. */
function lateClock() {
  let nowMs = 0;
  let due: (() => void) | undefined;
  const clock: Clock = {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(_delayMs, callback) {
      due = callback;
      return { cancel: () => (due = undefined) };
    },
  };
  const runAfter = (ms: number): void => {
    nowMs += ms;
    const callback = due;
    due = undefined;
    callback?.();
  };
  return { clock, runAfter, armed: () => due !== undefined };
}

it('reports a block of over a second for five seconds and counts it; smaller delays are nothing', async () => {
  const { clock, runAfter, armed } = lateClock();
  const metrics = new Metrics();
  const watchdog = new EventLoopWatchdog({ clock, metrics });
  runAfter(250);
  runAfter(1200);
  expect(watchdog.problem()).toBeUndefined();
  runAfter(2250);
  expect(watchdog.problem()).toBe('the event loop was blocked for 2000 ms');
  for (let i = 0; i < 19; i++) runAfter(250);
  expect(watchdog.problem()).toBeDefined();
  runAfter(250);
  expect(watchdog.problem()).toBeUndefined();
  expect(await metrics.registry.metrics()).toContain('headwater_control_event_loop_blocks_total 1');
  watchdog.close();
  expect(armed()).toBe(false);
});
