import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MAX_INFO_BYTES, MAX_NODES, type Registry } from '../../src/state/registry.ts';
import { until } from './until.ts';

/** One driver under test. */
export interface RegistryUnderTest {
  open(): Promise<Registry>;
  /** Another server's view of the same nodes; the same one, where they do not leave the process. */
  openAgain(): Promise<Registry>;
  dispose(): Promise<void>;
  /** Lets time pass where it does not by itself. */
  advance(ms: number): void;
}

const LONG_MS = 60_000;

/** What every driver must do. */
export function describeRegistry(name: string, create: () => RegistryUnderTest): void {
  describe(`${name} as a registry`, () => {
    let under: RegistryUnderTest;
    let here: Registry;
    let there: Registry;

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

    it('knows nobody at first', async () => {
      expect(await here.nodes()).toEqual([]);
    });

    it('tells everybody who is there, and what each last said', async () => {
      await here.heartbeat('b', { used: 1 }, LONG_MS);
      await there.heartbeat('a', ['x', null], LONG_MS);
      await here.heartbeat('b', { used: 2 }, LONG_MS);
      const expected = [
        { node: 'a', info: ['x', null] },
        { node: 'b', info: { used: 2 } },
      ];
      expect(await here.nodes()).toEqual(expected);
      expect(await there.nodes()).toEqual(expected);
    });

    it('forgets who is not heard of any more, and keeps who is', async () => {
      await here.heartbeat('silent', 1, 50);
      await here.heartbeat('loud', 2, LONG_MS);
      await until(async () => {
        under.advance(50);
        return (await there.nodes()).length === 1;
      }, 'the silent one is gone');
      expect(await here.nodes()).toEqual([{ node: 'loud', info: 2 }]);
      await here.heartbeat('silent', 3, LONG_MS);
      expect(await there.nodes()).toHaveLength(2);
    });

    it('forgets at once who leaves', async () => {
      await here.heartbeat('a', null, LONG_MS);
      await there.leave('a');
      await there.leave('nobody');
      expect(await here.nodes()).toEqual([]);
    });

    it(`takes ${MAX_NODES} nodes and no more, and those that are there always`, async () => {
      for (let i = 0; i < MAX_NODES; i += 50) {
        await Promise.all(Array.from({ length: 50 }, (_, j) => here.heartbeat(`n${i + j}`, 0, LONG_MS)));
      }
      await expect(here.heartbeat('more', 0, LONG_MS)).rejects.toMatchObject({
        code: 'REGISTRY_UNAVAILABLE',
      });
      await here.heartbeat('n7', 1, LONG_MS);
      expect(await there.nodes()).toHaveLength(MAX_NODES);
    });

    it('takes no odd names, times or long tales', async () => {
      for (const bad of ['', 'a b', 'x'.repeat(129)]) {
        await expect(here.heartbeat(bad, 0, LONG_MS)).rejects.toThrow(RangeError);
        await expect(here.leave(bad)).rejects.toThrow(RangeError);
      }
      await expect(here.heartbeat('a', 0, 0)).rejects.toThrow(RangeError);
      await expect(here.heartbeat('a', 'x'.repeat(MAX_INFO_BYTES), LONG_MS)).rejects.toThrow(RangeError);
    });

    it('refuses every call once it is closed, and closes twice', async () => {
      await here.close();
      await here.close();
      for (const call of await Promise.allSettled([here.nodes(), here.leave('a')])) {
        expect(call).toMatchObject({ status: 'rejected', reason: { code: 'REGISTRY_UNAVAILABLE' } });
      }
    });
  });
}
