import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { AttemptLimiter } from './attempt-limiter.ts';

function setUp(maxAddresses = 100) {
  const clock = new FakeClock();
  return { clock, limiter: new AttemptLimiter({ clock, maxFailures: 3, maxAddresses }) };
}

describe('AttemptLimiter', () => {
  it('blocks an address from its third failure until the minute since the first is over', () => {
    const { clock, limiter } = setUp();
    limiter.fail('10.0.0.1');
    clock.advance(20_000);
    limiter.fail('10.0.0.1');
    expect(limiter.blockedMs('10.0.0.1')).toBe(0);
    limiter.fail('10.0.0.1');
    expect(limiter.blockedMs('10.0.0.1')).toBe(40_000);
    expect(limiter.blockedMs('10.0.0.2')).toBe(0);
    clock.advance(40_000);
    expect(limiter.blockedMs('10.0.0.1')).toBe(0);
  });

  it('starts counting anew in the next minute', () => {
    const { clock, limiter } = setUp();
    limiter.fail('10.0.0.1');
    limiter.fail('10.0.0.1');
    clock.advance(60_000);
    limiter.fail('10.0.0.1');
    expect(limiter.blockedMs('10.0.0.1')).toBe(0);
  });

  it.each([
    ['2001:db8::1', '2001:DB8:0:0:ffff::2', true],
    ['2001:db8::1', '2001:db8:0:1::1', false],
    ['::1', '::2', true],
    ['::ffff:10.0.0.1', '10.0.0.1', true],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.2', false],
  ])('takes %s and %s as one peer: %s', (a, b, same) => {
    const { limiter } = setUp();
    for (let i = 0; i < 3; i++) limiter.fail(a);
    expect(limiter.blockedMs(b) > 0).toBe(same);
  });

  it('forgets the address that failed longest ago when it remembers too many', () => {
    const { limiter } = setUp(2);
    for (const address of ['10.0.0.1', '10.0.0.2']) for (let i = 0; i < 3; i++) limiter.fail(address);
    limiter.fail('10.0.0.1');
    limiter.fail('10.0.0.3');
    expect(limiter.size).toBe(2);
    expect(limiter.blockedMs('10.0.0.1')).toBeGreaterThan(0);
    expect(limiter.blockedMs('10.0.0.2')).toBe(0);
  });
});
