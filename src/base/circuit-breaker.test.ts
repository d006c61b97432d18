import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { CircuitBreaker, type Permit } from './circuit-breaker.ts';

const LIMITS = { maxFailures: 3, pauseMs: 1000, maxPauseMs: 4000 };

function make(): { breaker: CircuitBreaker; clock: FakeClock; enter: () => Permit } {
  const clock = new FakeClock();
  const breaker = new CircuitBreaker(LIMITS, clock);
  const enter = (): Permit => {
    const permit = breaker.enter();
    if (!permit) throw new Error('refused');
    return permit;
  };
  return { breaker, clock, enter };
}

function trip({ enter }: { enter: () => Permit }): void {
  for (let i = 0; i < LIMITS.maxFailures; i++) enter().failed();
}

describe('CircuitBreaker', () => {
  it('opens after that many failures in a row, and not after fewer with a success between', () => {
    const { breaker, enter } = make();
    enter().failed();
    enter().failed();
    enter().succeeded();
    enter().failed();
    enter().failed();
    expect(breaker.state).toBe('closed');
    enter().failed();
    expect(breaker.state).toBe('open');
    expect(breaker.enter()).toBeUndefined();
  });

  it('lets one call through when the pause is over, and all again when it went well', () => {
    const made = make();
    trip(made);
    made.clock.advance(999);
    expect([made.breaker.enter(), made.breaker.waitMs]).toEqual([undefined, 1]);
    made.clock.advance(1);
    const probe = made.enter();
    expect(made.breaker.state).toBe('half_open');
    expect(made.breaker.enter()).toBeUndefined();
    probe.succeeded();
    expect(made.breaker.state).toBe('closed');
    made.enter().failed();
    made.enter().failed();
    expect(made.breaker.state).toBe('closed');
  });

  it('waits twice as long each time the probe fails, up to the longest pause', () => {
    const made = make();
    trip(made);
    for (const pauseMs of [1000, 2000, 4000, 4000]) {
      expect(made.breaker.waitMs).toBe(pauseMs);
      made.clock.advance(pauseMs);
      made.enter().failed();
    }
  });

  it('takes nothing from calls that began before it opened, nor a second word of one call', () => {
    const made = make();
    const late = made.enter();
    const twice = made.enter();
    twice.failed();
    twice.failed();
    made.enter().failed();
    expect(made.breaker.state).toBe('closed');
    made.enter().failed();
    expect(made.breaker.state).toBe('open');
    late.succeeded();
    expect(made.breaker.state).toBe('open');
  });

  it('lets the next caller see at once when a probe was given up', () => {
    const made = make();
    trip(made);
    made.clock.advance(1000);
    made.enter().abandoned();
    expect(made.breaker.state).toBe('open');
    made.enter().succeeded();
    expect(made.breaker.state).toBe('closed');
  });
});
