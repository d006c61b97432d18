import { describe, expect, it } from 'vitest';
import { spliceInsert, spliceNull } from '../../test/support/splice-sections.ts';
import { SpliceBook } from './splice-book.ts';

const AT = 160_000_000_000_000;
const SECOND = 90_000;

function out(options: { at?: number; eventId?: number; seconds?: number } = {}) {
  const { at = AT, eventId = 7, seconds } = options;
  const durationTicks = seconds === undefined ? {} : { durationTicks: seconds * SECOND };
  return {
    kind: 'scte35' as const,
    atTicks: at,
    data: spliceInsert({ eventId, pts: 900, ...durationTicks }),
  };
}

function back(at: number, eventId = 7) {
  return { kind: 'scte35' as const, atTicks: at, data: spliceInsert({ eventId, out: false, pts: 1800 }) };
}

describe('a book of splices', () => {
  it('lists a break once, however often it is announced', () => {
    const book = new SpliceBook();
    expect([book.add(out({ seconds: 30 })), book.add(out({ seconds: 30 }))]).toEqual([true, false]);
    expect(book.splices).toMatchObject([{ eventId: 7, atTicks: AT, plannedTicks: 30 * SECOND, number: 0 }]);
  });

  it('puts the end of a break to its beginning, once', () => {
    const book = new SpliceBook();
    book.add(out({ seconds: 30 }));
    const before = book.splices[0]?.id;
    expect(book.add(back(AT + 29 * SECOND))).toBe(true);
    expect(book.add(back(AT + 29 * SECOND))).toBe(false);
    expect(book.splices).toHaveLength(1);
    expect(book.splices[0]).toMatchObject({
      id: before,
      plannedTicks: 30 * SECOND,
      durationTicks: 29 * SECOND,
    });
    expect(book.splices[0]?.in).toEqual(back(0).data);
  });

  it('gives an event id that is used again another id', () => {
    const book = new SpliceBook();
    book.add(out({ seconds: 30 }));
    book.add(back(AT + 30 * SECOND));
    book.add(out({ at: AT + 600 * SECOND, seconds: 30 }));
    expect(new Set(book.splices.map(({ id }) => id)).size).toBe(2);
  });

  it('takes back what is cancelled', () => {
    const book = new SpliceBook();
    book.add(out());
    const cancel = { ...out(), data: spliceInsert({ eventId: 7, cancel: true }) };
    expect([book.add(cancel), book.add(cancel)]).toEqual([true, false]);
    expect(book.splices).toEqual([]);
  });

  it('passes over heartbeats and damage', () => {
    const book = new SpliceBook();
    const damaged = out().data.slice();
    damaged[10] = 0x55;
    expect(book.add({ ...out(), data: spliceNull() })).toBe(false);
    expect(book.add({ ...out(), data: damaged })).toBe(false);
    expect(book.splices).toEqual([]);
  });

  it('forgets a break when it is over, and one without a length when something else follows', () => {
    const book = new SpliceBook();
    book.add(out({ seconds: 30 }));
    expect(book.forgetBefore(AT + 29 * SECOND)).toBe(false);
    expect(book.forgetBefore(AT + 31 * SECOND)).toBe(true);
    book.add(out({ at: AT + 60 * SECOND, eventId: 8 }));
    expect(book.forgetBefore(AT + 3600 * SECOND)).toBe(false);
    book.add(out({ at: AT + 3700 * SECOND, eventId: 9 }));
    expect(book.forgetBefore(AT + 3601 * SECOND)).toBe(true);
    expect(book.splices.map(({ eventId }) => eventId)).toEqual([9]);
  });

  it('is bounded', () => {
    const book = new SpliceBook();
    for (let i = 0; i < 1000; i++) book.add(out({ at: AT + i * SECOND, eventId: i }));
    expect(book.splices).toHaveLength(128);
  });
});
