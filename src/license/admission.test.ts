import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { Admission } from './admission.ts';
import { RateLimiter } from './rate-limiter.ts';

const LIMITS = { maxConcurrent: 2, maxWaiting: 10, maxWaitMs: 100, holdMs: 1000, maxHeld: 3 };

function fixture(limits: Partial<typeof LIMITS> = {}) {
  const clock = new FakeClock();
  const admission = new Admission({ ...LIMITS, ...limits }, clock);
  const results: (boolean | undefined)[] = [];
  const enter = async (): Promise<void> => {
    const index = results.push(undefined) - 1;
    results[index] = await admission.enter();
  };
  return { clock, admission, results, enter };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('admission', () => {
  it('lets in as many as may be worked on, and the next ones in turn', async () => {
    const { admission, results, enter } = fixture();
    for (let i = 0; i < 4; i++) void enter();
    await settle();
    expect(results).toEqual([true, true, undefined, undefined]);
    expect(admission.waiting).toBe(2);
    admission.leave();
    await settle();
    expect(results).toEqual([true, true, true, undefined]);
    admission.leave();
    await settle();
    expect(results).toEqual([true, true, true, true]);
  });

  it('turns away one that has waited too long, after holding its answer back', async () => {
    const { clock, admission, results, enter } = fixture();
    for (let i = 0; i < 3; i++) void enter();
    clock.advance(101);
    admission.leave();
    await settle();
    expect(results[2]).toBeUndefined();
    clock.advance(1000);
    await settle();
    expect(results[2]).toBe(false);
    void enter();
    await settle();
    expect(results[3]).toBe(true);
  });

  it('turns away one that would wait too long by how fast the others go', async () => {
    const { clock, admission, results, enter } = fixture({ maxWaiting: 1000 });
    for (let i = 0; i < 6; i++) void enter();
    for (let i = 0; i < 3; i++) {
      clock.advance(30);
      admission.leave();
      await settle();
    }
    // 30 ms each: three fit into 100 ms, a fourth would not.
    for (let i = 0; i < 6; i++) void enter();
    await settle();
    expect(admission.waiting).toBe(4);
    clock.advance(1000);
    await settle();
    expect(results.filter((result) => result === false)).toHaveLength(3);
  });

  it('holds back no more answers than it may', async () => {
    const { results, enter } = fixture({ maxWaiting: 0 });
    for (let i = 0; i < 7; i++) void enter();
    await settle();
    expect(results).toEqual([true, true, undefined, undefined, undefined, false, false]);
  });

  it('turns away all that wait when it closes', async () => {
    const { admission, results, enter } = fixture();
    for (let i = 0; i < 3; i++) void enter();
    admission.close();
    await settle();
    expect(results).toEqual([true, true, false]);
    void enter();
    await settle();
    expect(results[3]).toBe(false);
  });
});

describe('a rate limiter', () => {
  it('gives turns at once after a pause, then so many a second, to each name', () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({ perSecond: 10, burst: 2, maxNames: 100 }, clock);
    expect([limiter.take('a'), limiter.take('a'), limiter.take('a')]).toEqual([0, 0, 100]);
    expect(limiter.take('b')).toBe(0);
    clock.advance(100);
    expect([limiter.take('a'), limiter.take('a')]).toEqual([0, 100]);
  });

  it('remembers no more names than it may, and limits nothing at 0', () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({ perSecond: 1, burst: 1, maxNames: 10 }, clock);
    for (let i = 0; i < 1000; i++) limiter.take(`name ${i}`);
    expect(limiter.size).toBe(10);
    const open = new RateLimiter({ perSecond: 0, burst: 0, maxNames: 10 }, clock);
    for (let i = 0; i < 1000; i++) expect(open.take('a')).toBe(0);
    expect(open.size).toBe(0);
  });
});
