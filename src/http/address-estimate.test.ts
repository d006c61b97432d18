import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { AddressEstimate } from './address-estimate.ts';

const MANY = 1_000_000;

function estimate(limit: number, counts: () => ReadonlyMap<string, number> | undefined) {
  const clock = new FakeClock();
  let recounts = 0;
  const subject = new AddressEstimate(limit, clock, () => {
    recounts++;
    return Promise.resolve(counts());
  });
  return { subject, clock, recounts: () => recounts };
}

describe('AddressEstimate', () => {
  it('refuses an address at its limit and no other', () => {
    const { subject } = estimate(4, () => new Map([['a', 4]]));
    expect([1, 2, 3, 4, 5].map(() => subject.admit('a', MANY))).toEqual([true, true, true, true, false]);
    expect(subject.admit('b', MANY)).toBe(true);
  });

  it('takes a /64 of IPv6 as one address', () => {
    const { subject } = estimate(2, () => new Map([['2001:db8:0:0', 2]]));
    const admitted = ['2001:db8::1', '2001:db8::2', '2001:db8::3'].map((each) => subject.admit(each, MANY));
    expect(admitted).toEqual([true, true, false]);
  });

  it('corrects itself before connections that have closed count against an address', async () => {
    const { subject, clock, recounts } = estimate(8, () => new Map([['a', 1]]));
    for (let i = 0; i < 100; i++) {
      expect(subject.admit('a', MANY)).toBe(true);
      clock.advance(300);
      await Promise.resolve();
    }
    expect(recounts()).toBeGreaterThan(10);
  });

  it('asks for a recount four times a second at most, however hard it is pressed', async () => {
    const { subject, clock, recounts } = estimate(4, () => new Map([['a', 4]]));
    for (let i = 0; i < 1000; i++) {
      subject.admit('a', MANY);
      clock.advance(1);
      await Promise.resolve();
    }
    expect(recounts()).toBeLessThanOrEqual(5);
  });

  it('does not believe in more connections than there are', () => {
    const { subject } = estimate(4, () => new Map());
    for (let i = 0; i < 50; i++) expect(subject.admit('a', 2)).toBe(true);
  });

  it('has no limit with 0, and where nobody can count', async () => {
    const none = estimate(0, () => new Map());
    for (let i = 0; i < 50; i++) expect(none.subject.admit('a', MANY)).toBe(true);
    const blind = estimate(4, () => undefined);
    for (let i = 0; i < 4; i++) blind.subject.admit('a', MANY);
    await Promise.resolve();
    for (let i = 0; i < 50; i++) expect(blind.subject.admit('a', MANY)).toBe(true);
  });
});
