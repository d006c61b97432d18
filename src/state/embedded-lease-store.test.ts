import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { describeLeaseStore } from '../../test/support/lease-store-contract.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { Metrics } from '../base/metrics.ts';
import { openEmbeddedLeaseStore } from './embedded-lease-store.ts';
import type { LeaseStore } from './lease-store.ts';
import { StateMetrics } from './state-metrics.ts';

const openIn = (folder: string, clock: FakeClock): Promise<LeaseStore> =>
  openEmbeddedLeaseStore(join(folder, 'leases.lmdb'), {
    clock,
    log: createMemoryLog(),
    metrics: new StateMetrics(new Metrics()),
  });

describeLeaseStore('the embedded one', () => {
  const clock = new FakeClock();
  let folder = '';
  let store: LeaseStore;
  return {
    async open() {
      folder = await mkdtemp(join(tmpdir(), 'headwater-leases-'));
      store = await openIn(folder, clock);
      return store;
    },
    openAgain: async () => store,
    async dispose() {
      expect(clock.pendingTimers).toBe(0);
      await rm(folder, { recursive: true, force: true });
    },
    advance: (ms) => clock.advance(ms),
  };
});

it('gives greater fences after a restart, also when the clock was set back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-leases-'));
  try {
    const first = await openIn(folder, new FakeClock());
    const before = await first.acquire('channel', 'one', 60_000);
    await first.close();
    const second = await openIn(folder, new FakeClock(1));
    const after = await second.acquire('channel', 'two', 60_000);
    await second.close();
    expect(after?.fence).toBeGreaterThan(before?.fence ?? 0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
