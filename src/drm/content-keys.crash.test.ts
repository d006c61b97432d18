import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { PowerCutDisk, type Survival } from '../../test/support/power-cut-disk.ts';
import { Metrics } from '../base/metrics.ts';
import type { ContentKey, CryptoPeriod } from './content-key.ts';
import { type ContentKeys, openContentKeys } from './content-keys.ts';
import { kidHex } from './kid.ts';

const KEK = randomBytes(32).toString('hex');
const OWNER = { kind: 'live', id: 'studio' } as const;
const ROTATION_MS = 10_000;
const PERIODS = 3;

/** What was given out: it may have gone to viewers, so it must never be lost nor given out again. */
interface GivenOut {
  readonly keys: { period: CryptoPeriod; key: ContentKey; bytes: Buffer }[];
  readonly ivs: { kid: string; iv: string }[];
}

async function open(disk: PowerCutDisk, clock: FakeClock): Promise<ContentKeys> {
  return openContentKeys(
    '/data',
    {
      scheme: 'cenc',
      rotationMs: ROTATION_MS,
      leadMs: 5000,
      windowMs: 60_000,
      licenseTtlMs: 60_000,
      kek: { path: '', given: KEK },
      signalling: { systems: ['clearkey'], licenseUrls: {}, widevineProvider: '' },
    },
    { clock, log: createMemoryLog(), metrics: new Metrics(), randomBytes, disk },
  );
}

/** A stream that runs over a few periods; every other one is prepared ahead. Ends when power is cut. */
async function run(disk: PowerCutDisk, clock: FakeClock, given: GivenOut, periods = PERIODS): Promise<void> {
  const keys = await open(disk, clock).catch(() => undefined);
  if (!keys) return;
  try {
    const stream = keys.owner(OWNER);
    for (let n = 0; n < periods; n++) {
      const period = stream.periodAt(clock.wallMs() + n * ROTATION_MS);
      if (n % 2 === 1) await stream.prepare(period);
      for (const tier of ['AUDIO', 'HD'] as const) {
        const key = stream.key(period, tier);
        given.keys.push({ period, key, bytes: Buffer.from(key.key) });
        if (periods < PERIODS) continue;
        given.ivs.push({ kid: kidHex(key.kid), iv: Buffer.from(stream.ivLane(key)).toString('hex') });
      }
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'DRM_KEYS_UNAVAILABLE' });
  } finally {
    await keys.close();
  }
}

async function callsOfWholeRun(): Promise<number> {
  const disk = new PowerCutDisk();
  await run(disk, new FakeClock(), { keys: [], ivs: [] });
  return disk.calls;
}

describe('a power cut at any file call', () => {
  it.each<Survival>(['synced', 'all', 'torn'])(
    'loses no key that was given out and repeats no IV, when of the rest survives: %s',
    async (survival) => {
      const total = await callsOfWholeRun();
      expect(total).toBeGreaterThan(50);
      for (let cutAt = 1; cutAt <= total + 1; cutAt++) {
        const given: GivenOut = { keys: [], ivs: [] };
        const clock = new FakeClock();
        const disk = new PowerCutDisk();
        disk.cutAt = cutAt;
        await run(disk, clock, given);

        const next = disk.afterPowerCut(survival);
        const keys = await open(next, clock);
        for (const { period, key, bytes } of given.keys) {
          const again = keys.owner(OWNER).key(period, key.tier);
          expect(kidHex(again.kid), `cut at ${cutAt}`).toBe(kidHex(key.kid));
          expect(Buffer.from(again.key).equals(bytes)).toBe(true);
        }
        await keys.close();

        // It goes on where the other stopped, in the same periods, and twice more.
        await run(next, clock, given);
        await run(next.afterPowerCut(survival), clock, given);
        const ivs = given.ivs.map(({ kid, iv }) => `${kid} ${iv}`);
        expect(new Set(ivs).size, `cut at ${cutAt}`).toBe(ivs.length);
        const perSlot = new Set(
          given.keys.map(({ period, key }) => `${period.index} ${key.tier} ${kidHex(key.kid)}`),
        );
        expect(perSlot.size).toBe(
          new Set([...perSlot].map((slot) => slot.slice(0, slot.lastIndexOf(' ')))).size,
        );
      }
    },
  );

  it('that comes after a process died takes nothing that the next process has given out', async () => {
    const total = await callsOfWholeRun();
    for (let cutAt = 1; cutAt <= total + 1; cutAt++) {
      const given: GivenOut = { keys: [], ivs: [] };
      const clock = new FakeClock();
      const disk = new PowerCutDisk();
      disk.cutAt = cutAt;
      await run(disk, clock, { keys: [], ivs: [] });
      disk.cutAt = Number.POSITIVE_INFINITY;
      // It writes nothing of its own that would take the rest along.
      await run(disk, clock, given, 1);
      const keys = await open(disk.afterPowerCut('synced'), clock);
      for (const { period, key } of given.keys) {
        const again = keys.owner(OWNER).key(period, key.tier);
        expect(kidHex(again.kid), `cut at ${cutAt}`).toBe(kidHex(key.kid));
      }
      await keys.close();
    }
  });
});
