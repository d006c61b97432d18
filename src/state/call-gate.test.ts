import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { errorCode } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import { CallGate, plainCause } from './call-gate.ts';
import { StateMetrics } from './state-metrics.ts';

function gateOf(maxPending = 10) {
  const clock = new FakeClock();
  const all = new Metrics();
  const options = { part: 'resume', code: 'RESUME_UNAVAILABLE', deadlineMs: 300, maxPending } as const;
  const gate = new CallGate(options, { clock, metrics: new StateMetrics(all) });
  const failed = async (reason: string): Promise<number | undefined> =>
    (await all.registry.getSingleMetric('headwater_state_failed_calls_total')?.get())?.values.find(
      ({ labels }) => labels['part'] === 'resume' && labels['reason'] === reason,
    )?.value;
  return { clock, gate, failed };
}

const never = (): Promise<never> => new Promise(() => undefined);

describe('CallGate', () => {
  it('passes on what a call gives, and leaves no timer', async () => {
    const { clock, gate } = gateOf();
    expect(await gate.run(async () => 1)).toBe(1);
    expect(await gate.run(() => 2)).toBe(2);
    expect(clock.pendingTimers).toBe(0);
  });

  it('answers at the deadline whatever the store does', async () => {
    const { clock, gate, failed } = gateOf();
    const waiting = gate.run(never).then(() => 'done', errorCode);
    clock.advance(299);
    expect(clock.pendingTimers).toBe(1);
    clock.advance(1);
    expect(await waiting).toBe('RESUME_UNAVAILABLE');
    expect([await failed('deadline'), await failed('fault')]).toEqual([1, 0]);
  });

  it('refuses a call at once when too many are under way, also of those given up', async () => {
    const { clock, gate, failed } = gateOf(2);
    const waiting = [gate.run(never), gate.run(never)].map((call) => call.then(() => 'done', errorCode));
    clock.advance(300);
    await Promise.all(waiting);
    await expect(gate.run(() => 1)).rejects.toMatchObject({ code: 'RESUME_UNAVAILABLE' });
    expect(await failed('full')).toBe(1);
  });

  it("keeps of a fault's cause only the words", async () => {
    const { gate, failed } = gateOf();
    const cause = Object.assign(new Error('WRONGPASS'), { command: { args: ['hunter2'] } });
    const error: unknown = await gate.run(() => Promise.reject(cause)).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'RESUME_UNAVAILABLE', cause: { message: 'WRONGPASS' } });
    expect(JSON.stringify(error)).not.toContain('hunter2');
    expect(Object.keys(plainCause(cause))).toEqual([]);
    expect(await failed('fault')).toBe(1);
  });

  it('hands faults of the caller on as they are', async () => {
    const { gate, failed } = gateOf();
    await expect(gate.run(() => Promise.reject(new RangeError('no title')))).rejects.toThrow(RangeError);
    expect(await failed('fault')).toBe(0);
  });

  it('waits at closing for what is under way, but not past the deadline', async () => {
    const { clock, gate } = gateOf();
    let finish = (): void => undefined;
    const running = gate.run(() => new Promise<void>((resolve) => (finish = resolve)));
    // The call begins in the next turn.
    await Promise.resolve();
    const closing = gate.close();
    await expect(gate.run(() => 1)).rejects.toMatchObject({ code: 'RESUME_UNAVAILABLE' });
    finish();
    await Promise.all([running, closing]);
    const stuck = gateOf();
    const waiting = stuck.gate.run(never).then(() => 'done', errorCode);
    const ending = stuck.gate.close();
    stuck.clock.advance(300);
    await ending;
    expect(await waiting).toBe('RESUME_UNAVAILABLE');
    expect([clock.pendingTimers, stuck.clock.pendingTimers]).toEqual([0, 0]);
  });
});
