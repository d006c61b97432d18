import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { aSession, describeSessionStore } from '../../test/support/session-store-contract.ts';
import { until } from '../../test/support/until.ts';
import { openLmdbSessionStore } from './lmdb-session-store.ts';

describeSessionStore('lmdb', () => {
  const clock = new FakeClock();
  let folder = '';
  const openIt = () =>
    openLmdbSessionStore(join(folder, 'state', 'sessions.mdb'), { clock, log: createMemoryLog() });
  return {
    async open() {
      folder = await mkdtemp(join(tmpdir(), 'headwater-sessions-'));
      return openIt();
    },
    openAgain: openIt,
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
});

describe('the lmdb session store', () => {
  it('is readable by its owner only, and throws away what is over', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-sessions-'));
    const clock = new FakeClock();
    const path = join(folder, 'sessions.mdb');
    const store = await openLmdbSessionStore(path, { clock, log: createMemoryLog() });
    try {
      expect((await stat(path)).mode & 0o077).toBe(0);
      const nowMs = clock.wallMs();
      await store.create(aSession({ startedMs: nowMs, aliveUntilMs: nowMs + 90_000 }), {
        maxAlive: 1,
        nowMs,
      });
      await store.claim('proof', nowMs + 60_000, nowMs);
      clock.advance(5 * 60_000);
      expect(await store.find('session-1')).toBeDefined();
      clock.advance(20 * 60_000);
      const isGone = async (): Promise<boolean> => {
        // A sweep that is under way lets the next one pass.
        clock.advance(60_000);
        return (await store.find('session-1')) === undefined;
      };
      await until(isGone, 'the session is thrown away');
    } finally {
      await store.close();
      expect(clock.pendingTimers).toBe(0);
      await rm(folder, { recursive: true, force: true });
    }
  });
});
