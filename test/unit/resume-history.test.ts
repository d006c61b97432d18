import { describe, expect, it } from 'vitest';
import { MemoryResumeStore, type Sabotage } from '../support/memory-resume-store.ts';
import { runDevices } from '../support/resume-devices.ts';
import { checkHistory, type HistoryEvent } from '../support/resume-history.ts';

async function historyOf(sabotage: Sabotage, seed: number): Promise<readonly HistoryEvent[]> {
  const store = new MemoryResumeStore(sabotage);
  return runDevices({
    seed,
    devices: 6,
    profiles: 2,
    calls: 100,
    stores: () => [store],
    crash: async () => store.crash(),
    crashes: 2,
  });
}

const SEEDS = [1, 2, 3, 4, 5];

describe('the checker of histories', () => {
  it('finds nothing in what a store did that keeps its promise', async () => {
    for (const [i, events] of (await Promise.all(SEEDS.map((seed) => historyOf('none', seed)))).entries()) {
      expect(checkHistory(events), `seed ${SEEDS[i]}`).toEqual([]);
      const kinds = new Set(events.map(({ answer }) => answer.kind));
      expect(kinds.size, 'all kinds of answers').toBe(6);
      const outcomes = events.map(({ answer }) => (answer.kind === 'put' ? answer.outcome.kind : ''));
      for (const kind of ['stored', 'conflict']) {
        expect(outcomes.filter((each) => each === kind).length, kind).toBeGreaterThan(20);
      }
    }
  });

  it.each(['no persistence', 'last write wins', 'version not grown', 'lost update'] as const)(
    'finds out a store with %s, whatever the seed',
    async (sabotage) => {
      const histories = await Promise.all(SEEDS.map((seed) => historyOf(sabotage, seed)));
      for (const [i, events] of histories.entries()) {
        expect(checkHistory(events).length, `seed ${SEEDS[i]}`).toBeGreaterThan(0);
      }
    },
  );
});
