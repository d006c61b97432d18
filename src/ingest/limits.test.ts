import { describe, expect, it } from 'vitest';
import { AuthFailures, ConnectionCount } from './address-limits.ts';
import { ByteMeter } from './byte-meter.ts';

it('ConnectionCount goes up and down by address', () => {
  const count = new ConnectionCount();
  count.add('a');
  count.add('a');
  count.add('b');
  count.remove('a');
  expect([count.of('a'), count.of('b'), count.of('c')]).toEqual([1, 1, 0]);
  count.remove('b');
  expect(count.of('b')).toBe(0);
});

describe('AuthFailures', () => {
  it('is exhausted for the rest of the minute that began with the first failure', () => {
    const failures = new AuthFailures(2);
    failures.add('a', 1_000);
    expect(failures.exhausted('a', 1_000)).toBe(false);
    failures.add('a', 50_000);
    expect(failures.exhausted('a', 60_999)).toBe(true);
    expect(failures.exhausted('b', 60_999)).toBe(false);
    expect(failures.exhausted('a', 61_000)).toBe(false);
    failures.add('a', 61_000);
    expect(failures.exhausted('a', 61_000)).toBe(false);
  });

  it('forgets the oldest address rather than remember more than 10,000', () => {
    const failures = new AuthFailures(1);
    for (let i = 0; i <= 10_000; i++) failures.add(`address ${i}`, 0);
    expect(failures.exhausted('address 0', 1)).toBe(false);
    expect(failures.exhausted('address 1', 1)).toBe(true);
    expect(failures.exhausted('address 10000', 1)).toBe(true);
  });
});

describe('ByteMeter', () => {
  it('allows twice the rate within five seconds and not a byte more', () => {
    const meter = new ByteMeter(8_000);
    expect(meter.add(10_000, 0)).toBe(true);
    expect(meter.add(1, 4_999)).toBe(false);
    expect(meter.add(10_000, 5_000)).toBe(true);
    expect(meter.totalBytes).toBe(20_001);
  });
});
