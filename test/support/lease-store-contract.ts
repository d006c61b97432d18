import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LeaseStore } from '../../src/state/lease-store.ts';
import { until } from './until.ts';

/** One driver under test. */
export interface LeaseStoreUnderTest {
  open(): Promise<LeaseStore>;
  /** Another server's view of the same leases; the same store, where they do not leave the process. */
  openAgain(): Promise<LeaseStore>;
  dispose(): Promise<void>;
  /** Lets time pass where it does not by itself. */
  advance(ms: number): void;
}

const LONG_MS = 60_000;
const SHORT_MS = 100;

/** What every driver must do. */
export function describeLeaseStore(name: string, create: () => LeaseStoreUnderTest): void {
  describe(`${name} as a store of leases`, () => {
    let under: LeaseStoreUnderTest;
    let here: LeaseStore;
    let there: LeaseStore;

    beforeEach(async () => {
      under = create();
      here = await under.open();
      there = await under.openAgain();
    });
    afterEach(async () => {
      await here.close();
      await there.close();
      await under.dispose();
    });
    const fenceOf = async (store: LeaseStore, owner: string, ttlMs = LONG_MS): Promise<number> => {
      const lease = await store.acquire('channel', owner, ttlMs);
      if (!lease) throw new Error(`${owner} does not get it`);
      return lease.fence;
    };

    it('gives a lease to one of many who ask at once', async () => {
      const leases = await Promise.all(
        Array.from({ length: 50 }, (_, i) => (i % 2 ? here : there).acquire('channel', `o${i}`, LONG_MS)),
      );
      expect(leases.filter(Boolean)).toHaveLength(1);
    });

    it('keeps leases of different names apart', async () => {
      expect(await here.acquire('a', 'one', LONG_MS)).toBeDefined();
      expect(await there.acquire('b', 'two', LONG_MS)).toBeDefined();
      expect(await there.acquire('a', 'two', LONG_MS)).toBeUndefined();
    });

    it('gives it back to who has it already, with the same fence', async () => {
      const fence = await fenceOf(here, 'one');
      expect(await fenceOf(there, 'one')).toBe(fence);
    });

    it('gives each holder a greater fence, however the one before lost it', async () => {
      const fences = [await fenceOf(here, 'one')];
      await here.release('channel', 'one');
      fences.push(await fenceOf(there, 'two', SHORT_MS));
      const third = await until(() => {
        under.advance(SHORT_MS);
        return here.acquire('channel', 'one', LONG_MS);
      }, 'the lease runs out');
      fences.push(third.fence);
      expect(fences).toEqual([...new Set(fences)].toSorted((a, b) => a - b));
    });

    it('renews for who has it, and only while it has', async () => {
      await fenceOf(here, 'one', SHORT_MS);
      expect(await there.renew('channel', 'one', LONG_MS)).toBe(true);
      under.advance(LONG_MS - 1000);
      expect(await there.acquire('channel', 'two', LONG_MS)).toBeUndefined();
      expect(await there.renew('channel', 'two', LONG_MS)).toBe(false);
      expect(await here.renew('channel', 'one', SHORT_MS)).toBe(true);
      await until(() => {
        under.advance(SHORT_MS);
        return there.acquire('channel', 'two', LONG_MS);
      }, 'the lease runs out');
      expect(await here.renew('channel', 'one', LONG_MS)).toBe(false);
      expect(await here.release('channel', 'one')).toBe(false);
      expect(await there.renew('channel', 'two', LONG_MS)).toBe(true);
    });

    it('is given back once, by its owner', async () => {
      await fenceOf(here, 'one');
      expect(await there.release('channel', 'two')).toBe(false);
      expect(await there.release('channel', 'one')).toBe(true);
      expect(await here.release('channel', 'one')).toBe(false);
      expect(await here.renew('channel', 'one', LONG_MS)).toBe(false);
    });

    it('tells who waits: at once when it is free, when it is given back, and when it runs out', async () => {
      let calls = 0;
      const stop = there.onFree('channel', () => (calls += 1));
      const oneMore = async (what: string, stepMs = 0): Promise<void> => {
        const before = calls;
        await until(() => {
          under.advance(stepMs);
          return calls > before;
        }, what);
      };
      await until(() => calls > 0, 'it is free');
      await fenceOf(here, 'one');
      const released = oneMore('it was given back');
      await here.release('channel', 'one');
      await released;
      await fenceOf(here, 'two', 1000);
      await oneMore('it ran out', 50);
      stop();
      stop();
      const before = calls;
      await fenceOf(here, 'three');
      await here.release('channel', 'three');
      await fenceOf(here, 'four', SHORT_MS);
      under.advance(5000);
      expect(await there.acquire('other', 'five', LONG_MS)).toBeDefined();
      expect(calls).toBe(before);
    });

    it('lets a heap of waiting owners have it one after the other', async () => {
      const order: string[] = [];
      const stops = ['a', 'b', 'c', 'd'].map((owner, i) => {
        const store = i % 2 ? here : there;
        const take = async (): Promise<void> => {
          if (order.includes(owner) || !(await store.acquire('channel', owner, LONG_MS))) return;
          if (!order.includes(owner)) order.push(owner);
          await store.release('channel', owner);
        };
        return store.onFree('channel', () => void take());
      });
      await until(() => {
        under.advance(50);
        return order.length === 4;
      }, 'all have had it');
      for (const stop of stops) stop();
    });

    it('takes no odd names or times', async () => {
      for (const bad of ['', 'a b', 'a}', 'x'.repeat(129)]) {
        await expect(here.acquire(bad, 'one', LONG_MS)).rejects.toThrow(RangeError);
        await expect(here.renew('channel', bad, LONG_MS)).rejects.toThrow(RangeError);
      }
      for (const ttlMs of [0, 99, 100.5, Number.NaN, 1e12]) {
        await expect(here.acquire('channel', 'one', ttlMs)).rejects.toThrow(RangeError);
      }
    });

    it('refuses every call once it is closed, and closes twice', async () => {
      await here.close();
      await here.close();
      const calls = [
        here.acquire('channel', 'one', LONG_MS),
        here.renew('channel', 'one', LONG_MS),
        here.release('channel', 'one'),
      ];
      for (const call of await Promise.allSettled(calls)) {
        expect(call).toMatchObject({ status: 'rejected', reason: { code: 'LEASE_UNAVAILABLE' } });
      }
    });
  });
}
