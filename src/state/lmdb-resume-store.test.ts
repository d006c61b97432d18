import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { describeResumeStore } from '../../test/support/resume-store-contract.ts';
import { Metrics } from '../base/metrics.ts';
import { openLmdbResumeStore } from './lmdb-resume-store.ts';
import { StateMetrics } from './state-metrics.ts';

const deps = (clock = new FakeClock()) => ({ clock, metrics: new StateMetrics(new Metrics()) });

describeResumeStore('lmdb', () => {
  const clock = new FakeClock();
  let folder = '';
  const openIt = () => openLmdbResumeStore(join(folder, 'state', 'resume.lmdb'), deps(clock));
  return {
    async open() {
      folder = await mkdtemp(join(tmpdir(), 'headwater-resume-'));
      return openIt();
    },
    openAgain: openIt,
    passSecond: () => clock.advance(1000),
    async dispose() {
      expect(clock.pendingTimers).toBe(0);
      await rm(folder, { recursive: true, force: true });
    },
  };
});

it('is readable by its owner only', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-resume-'));
  const path = join(folder, 'resume.lmdb');
  const store = await openLmdbResumeStore(path, deps());
  try {
    for (const file of [path, `${path}-lock`]) expect((await stat(file)).mode & 0o077).toBe(0);
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
});

it('says which file cannot be opened', async () => {
  const opening = openLmdbResumeStore('/dev/null/resume.lmdb', deps());
  await expect(opening).rejects.toMatchObject({ code: 'RESUME_UNAVAILABLE' });
});
