import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  MAX_PROFILES,
  MAX_RECORDS,
  type ProfileKey,
  type PutOutcome,
  type ResumeReport,
  type ResumeStore,
} from '../../src/state/resume-store.ts';
import { until } from './until.ts';

/** One driver under test. */
export interface ResumeStoreUnderTest {
  /** A store with nothing in it. */
  open(): Promise<ResumeStore>;
  /** What another process, or the next one, would see of it; the one before it is closed already or still open. */
  openAgain(): Promise<ResumeStore>;
  /** Throws everything away. */
  dispose(): Promise<void>;
  /** A second goes by, where the store has a clock of the test's. */
  passSecond?(): void;
  /** What is stored, as bytes, where a driver can tell: to see that nothing is left of a user. */
  holdsText?(text: string): Promise<boolean>;
}

const KEY: ProfileKey = { viewer: 'viewer-1', profile: 'main' };
const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);
const ONLINE = { offline: false };
const OFFLINE = { offline: true };

export function aReport(fields: Partial<ResumeReport> = {}): ResumeReport {
  return {
    title: 'film',
    positionMs: 60_000,
    durationMs: 5_400_000,
    state: 'playing',
    device: 'tv',
    epoch: 1,
    seq: 1,
    eventMs: NOW,
    ...fields,
  };
}

/** What every driver of the resume store must do. */
export function describeResumeStore(name: string, create: () => ResumeStoreUnderTest): void {
  describe(`${name} as a resume store`, () => {
    let under: ResumeStoreUnderTest;
    const opened: ResumeStore[] = [];
    let store: ResumeStore;

    beforeEach(async () => {
      under = create();
      store = await under.open();
      opened.push(store);
    });
    afterEach(async () => {
      for (const each of opened.splice(0)) await each.close();
      await under.dispose();
    });
    const again = async (): Promise<ResumeStore> => {
      const other = await under.openAgain();
      opened.push(other);
      return other;
    };
    /** Begins a gesture and reports once. */
    const watch = async (title: string, fields: Partial<ResumeReport> = {}, key = KEY) => {
      const { epoch } = await store.claim(key, title);
      const outcome = await store.put(key, aReport({ title, epoch, ...fields }), ONLINE);
      if (outcome.kind !== 'stored') throw new Error(`${title} is not stored`);
      return outcome.record;
    };
    const titlesOf = async (key = KEY): Promise<string[]> =>
      (await store.list(key, 0)).records.map(({ title }) => title);

    it('keeps what was reported, all of it', async () => {
      const { epoch, record } = await store.claim(KEY, 'film');
      expect(record).toBeUndefined();
      const report = aReport({ epoch, seq: 7, state: 'paused', device: 'x'.repeat(64) });
      const outcome = await store.put(KEY, report, ONLINE);
      expect(outcome).toEqual({
        kind: 'stored',
        record: { ...report, version: expect.any(Number) as number, isDeleted: false },
      });
      if (outcome.kind !== 'stored') return;
      expect(await store.find(KEY, 'film')).toEqual(outcome.record);
      expect((await store.claim(KEY, 'film')).record).toEqual(outcome.record);
      expect(await store.find(KEY, 'other')).toBeUndefined();
      expect(await store.find({ ...KEY, profile: 'kids' }, 'film')).toBeUndefined();
      expect(await store.find({ ...KEY, viewer: 'viewer-2' }, 'film')).toBeUndefined();
    });

    it('keeps the longest names and the greatest numbers', async () => {
      const key = { viewer: 'v'.repeat(64), profile: 'p'.repeat(64) };
      const title = 't'.repeat(64);
      const fields = { positionMs: 2 ** 46, durationMs: 2 ** 47, seq: 2 ** 48, eventMs: 2 ** 45 };
      expect(await watch(title, fields, key)).toMatchObject({ title, ...fields });
      expect(await store.find(key, title)).toMatchObject(fields);
    });

    it('takes the empty, the underscored and the numeric alike for names', async () => {
      for (const title of ['_v', '_h', '0', '-', 'main', '__proto__', 'constructor']) {
        expect(await store.find(KEY, title), title).toBeUndefined();
        await watch(title);
      }
      expect((await titlesOf()).sort()).toEqual(
        ['_v', '_h', '0', '-', 'main', '__proto__', 'constructor'].sort(),
      );
    });

    it('does not change the record when play begins', async () => {
      const record = await watch('film');
      await store.claim(KEY, 'film');
      expect(await store.find(KEY, 'film')).toEqual(record);
      await store.claim(KEY, 'opened-and-closed');
      expect(await titlesOf()).toEqual(['film']);
    });

    it('gives each gesture an epoch greater than all before', async () => {
      const epochs: number[] = [];
      for (let i = 0; i < 5; i++) {
        epochs.push((await store.claim(KEY, 'film')).epoch);
        await watch('other');
      }
      expect(epochs).toEqual([...new Set(epochs)].toSorted((a, b) => a - b));
      expect(epochs[0]).toBeGreaterThan(0);
    });

    it.each([
      ['a retry', 0, 0, 'conflict'],
      ['a late one', 0, -1, 'conflict'],
      ['the next', 0, 1, 'stored'],
      ['one of an older gesture', -1, 100, 'conflict'],
      ['the first of a newer gesture', 1, 0, 'stored'],
      ['one of an epoch that was never given out', 2, 0, 'unknown'],
    ])('judges %s by epoch and sequence', async (_, epochStep, seqStep, expected) => {
      const epochs = [];
      for (let i = 0; i < 3; i++) epochs.push((await store.claim(KEY, 'film')).epoch);
      const current = aReport({ epoch: epochs[1] ?? 0, seq: 10 });
      const stored = await store.put(KEY, current, ONLINE);
      if (stored.kind !== 'stored') throw new Error('not stored');
      const epoch = epochs[1 + epochStep] ?? (epochs[2] ?? 0) + 1;
      const report = aReport({ epoch, seq: 10 + seqStep, positionMs: 1, device: 'phone' });
      const outcome = await store.put(KEY, report, ONLINE);
      if (expected === 'stored') expect(outcome).toMatchObject({ kind: 'stored', record: report });
      else {
        const record = expected === 'unknown' ? undefined : stored.record;
        expect(outcome).toEqual({ kind: 'conflict', record });
        expect(await store.find(KEY, 'film')).toEqual(stored.record);
      }
    });

    it('takes no report of a title that nobody has begun', async () => {
      expect(await store.put(KEY, aReport(), ONLINE)).toEqual({ kind: 'conflict', record: undefined });
      await watch('other');
      expect(await store.put(KEY, aReport(), ONLINE)).toEqual({ kind: 'conflict', record: undefined });
      expect(await titlesOf()).toEqual(['other']);
    });

    it('goes back in the film when the viewer does', async () => {
      const { epoch, seq } = await watch('film', { positionMs: 50_000 });
      const outcome = await store.put(KEY, aReport({ epoch, seq: seq + 1, positionMs: 10 }), ONLINE);
      expect(outcome).toMatchObject({ kind: 'stored', record: { positionMs: 10 } });
    });

    it('takes of what was watched offline only what is newer than all else', async () => {
      const { epoch } = await store.claim(KEY, 'film');
      await store.put(KEY, aReport({ epoch, seq: 1, eventMs: NOW }), ONLINE);
      const report = aReport({ epoch, seq: 2, eventMs: NOW });
      expect((await store.put(KEY, report, OFFLINE)).kind).toBe('conflict');
      expect((await store.put(KEY, { ...report, eventMs: NOW - 1 }, OFFLINE)).kind).toBe('conflict');
      expect((await store.put(KEY, { ...report, eventMs: NOW + 1 }, OFFLINE)).kind).toBe('stored');
      await store.claim(KEY, 'film');
      const later = aReport({ epoch, seq: 3, eventMs: NOW + 2 });
      const refused = await store.put(KEY, later, OFFLINE);
      expect(refused).toMatchObject({ kind: 'conflict', record: { seq: 2 } });
      expect((await store.put(KEY, later, ONLINE)).kind).toBe('stored');
    });

    it('gives every change a greater version, and lists from one on', async () => {
      const a = await watch('a');
      const b = await watch('b');
      expect(b.version).toBeGreaterThan(a.version);
      const all = await store.list(KEY, 0);
      expect(all).toEqual({ version: b.version, records: [a, b], isWhole: true });
      expect(await store.list(KEY, a.version)).toEqual({ version: b.version, records: [b], isWhole: false });
      expect(await store.list(KEY, b.version)).toEqual({ version: b.version, records: [], isWhole: false });
      const next = await store.put(KEY, { ...aReport(a), seq: 2, title: 'a' }, ONLINE);
      if (next.kind !== 'stored') throw new Error('not stored');
      expect(next.record.version).toBeGreaterThan(b.version);
      expect((await store.list(KEY, b.version)).records).toEqual([next.record]);
      expect(await titlesOf()).toEqual(['b', 'a']);
    });

    it('lists nothing of who has nothing, and all to who has seen more than there is', async () => {
      expect(await store.list(KEY, 0)).toEqual({ version: 0, records: [], isWhole: true });
      const { version, ...record } = await watch('film');
      const told = await store.list(KEY, version + 1000);
      expect(told).toEqual({ version, records: [{ version, ...record }], isWhole: true });
    });

    it('leaves a mark of a deletion to who has seen the record', async () => {
      const film = await watch('film', { seq: 5 });
      const mark = await store.remove(KEY, 'film');
      expect(mark).toMatchObject({ title: 'film', isDeleted: true, positionMs: 0 });
      expect(mark?.version).toBeGreaterThan(film.version);
      expect([mark?.epoch, mark?.seq]).toEqual([film.epoch, 6]);
      expect(await store.find(KEY, 'film')).toBeUndefined();
      expect(await store.list(KEY, 0)).toEqual({ version: mark?.version, records: [], isWhole: true });
      expect((await store.list(KEY, film.version)).records).toEqual([mark]);
      expect(await store.remove(KEY, 'film')).toBeUndefined();
      expect(await store.remove(KEY, 'nothing')).toBeUndefined();
    });

    it('lets no device that still plays bring back what was deleted, only a new gesture', async () => {
      const film = await watch('film');
      const waiting = await store.claim(KEY, 'film');
      await store.remove(KEY, 'film');
      const gone = { kind: 'conflict', record: undefined };
      expect(await store.put(KEY, aReport({ epoch: film.epoch, seq: 99 }), ONLINE)).toEqual(gone);
      expect(await store.put(KEY, aReport({ epoch: waiting.epoch, seq: 99 }), ONLINE)).toEqual(gone);
      const { epoch, record } = await store.claim(KEY, 'film');
      expect(record).toBeUndefined();
      expect(epoch).toBeGreaterThan(waiting.epoch);
      expect(await store.put(KEY, aReport({ epoch: waiting.epoch, seq: 100 }), ONLINE)).toEqual(gone);
      expect((await store.put(KEY, aReport({ epoch, seq: 0 }), ONLINE)).kind).toBe('stored');
      expect(await titlesOf()).toEqual(['film']);
    });

    it(`keeps ${MAX_RECORDS} records: the one unchanged for longest goes, and devices learn of it`, async () => {
      const first = await watch('t0');
      const stale = await store.claim(KEY, 't1');
      for (let i = 1; i < MAX_RECORDS; i++) await watch(`t${i}`);
      expect(await titlesOf()).toHaveLength(MAX_RECORDS);
      await store.put(KEY, aReport({ title: 't0', epoch: first.epoch, seq: 2 }), ONLINE);
      const { version } = await store.list(KEY, 0);
      await watch('new');
      const titles = await titlesOf();
      expect(titles).toHaveLength(MAX_RECORDS);
      expect(titles).toContain('t0');
      expect(titles).toContain('new');
      expect(titles).not.toContain('t1');
      const told = (await store.list(KEY, version)).records;
      expect(told.map(({ title, isDeleted }) => [title, isDeleted])).toEqual([
        ['t1', true],
        ['new', false],
      ]);
      const late = aReport({ title: 't1', epoch: stale.epoch, seq: 99 });
      expect((await store.put(KEY, late, ONLINE)).kind).toBe('conflict');
    });

    it('forgets the oldest of many marks, and then tells devices everything', async () => {
      const first = await watch('t0');
      await store.remove(KEY, 't0');
      const kept = await watch('kept');
      for (let i = 1; i <= 200; i++) {
        await watch(`t${i}`);
        await store.remove(KEY, `t${i}`);
      }
      const told = await store.list(KEY, first.version);
      expect(told).toMatchObject({ isWhole: true, records: [kept] });
      const recent = await store.list(KEY, told.version - 1);
      expect(recent).toMatchObject({ isWhole: false, records: [{ title: 't200', isDeleted: true }] });
      // Its mark is forgotten, and yet what was reported of it before is not taken.
      await store.claim(KEY, 't0');
      const late = aReport({ title: 't0', epoch: first.epoch, seq: 99 });
      expect((await store.put(KEY, late, ONLINE)).kind).toBe('conflict');
    });

    it('bounds what is claimed and never watched', async () => {
      const { epoch } = await store.claim(KEY, 'first');
      for (let i = 0; i < 200; i++) await store.claim(KEY, `claimed-${i}`);
      const outcome = await store.put(KEY, aReport({ title: 'first', epoch }), ONLINE);
      expect(outcome).toEqual({ kind: 'conflict', record: undefined });
      const last = await store.claim(KEY, 'claimed-199');
      const report = aReport({ title: 'claimed-199', epoch: last.epoch });
      expect((await store.put(KEY, report, ONLINE)).kind).toBe('stored');
    });

    it(`lets a user have ${MAX_PROFILES} profiles`, async () => {
      for (let i = 0; i < MAX_PROFILES; i++) await store.claim({ ...KEY, profile: `p${i}` }, 'film');
      await expect(store.claim({ ...KEY, profile: 'one-more' }, 'film')).rejects.toMatchObject({
        code: 'RESUME_PROFILE_LIMIT',
      });
      await store.claim({ ...KEY, profile: 'p0' }, 'film');
      await store.claim({ viewer: 'viewer-2', profile: 'one-more' }, 'film');
    });

    it('keeps profiles and users apart, also when one name begins with the other', async () => {
      const keys = [
        { viewer: 'a', profile: 'main' },
        { viewer: 'a', profile: 'main-2' },
        { viewer: 'a-b', profile: 'main' },
        { viewer: 'ab', profile: 'main' },
      ];
      for (const key of keys) await watch(`of-${key.viewer}-${key.profile}`, {}, key);
      for (const key of keys) expect(await titlesOf(key)).toEqual([`of-${key.viewer}-${key.profile}`]);
    });

    it('exports all that is held of a user, and of nobody else', async () => {
      const film = await watch('film');
      await watch('gone');
      const mark = await store.remove(KEY, 'gone');
      const cartoon = await watch('cartoon', {}, { ...KEY, profile: 'kids' });
      await watch('foreign', {}, { ...KEY, viewer: 'viewer-2' });
      const exported = await store.export('viewer-1');
      const byProfile = new Map(exported.map(({ profile, records }) => [profile, records]));
      expect([...byProfile.keys()].sort()).toEqual(['kids', 'main']);
      expect(byProfile.get('main')?.toSorted((a, b) => a.version - b.version)).toEqual([film, mark]);
      expect(byProfile.get('kids')).toEqual([cartoon]);
      expect(await store.export('nobody')).toEqual([]);
    });

    it('has a device begin anew that was away while its user was erased', async () => {
      const film = await watch('film');
      await store.erase('viewer-1');
      let others = 0;
      await until(async () => {
        under.passSecond?.();
        // Numbers follow the clock: the first one of somebody new tells the time.
        const { epoch } = await store.claim({ viewer: `clock-${others++}`, profile: 'main' }, 'film');
        return epoch > film.version;
      }, 'some seconds have gone by');
      await store.claim(KEY, 'another');
      expect(await store.list(KEY, film.version)).toMatchObject({ isWhole: true, records: [] });
    });

    it('really erases a user, and takes nothing of before from a device that wakes up', async () => {
      const film = await watch('film-to-be-forgotten', { seq: 9 });
      await watch('gone');
      await store.remove(KEY, 'gone');
      await watch('cartoon', {}, { ...KEY, profile: 'kids' });
      const foreign = await watch('film', {}, { ...KEY, viewer: 'viewer-2' });
      expect(await store.erase('viewer-1')).toBe(2);
      expect(await store.export('viewer-1')).toEqual([]);
      expect(await store.list(KEY, 0)).toEqual({ version: 0, records: [], isWhole: true });
      expect(await store.erase('viewer-1')).toBe(0);
      expect(await store.find({ ...KEY, viewer: 'viewer-2' }, 'film')).toEqual(foreign);
      for (const text of ['viewer-1', 'film-to-be-forgotten']) {
        if (under.holdsText) expect(await under.holdsText(text), text).toBe(false);
      }
      const late = aReport({ title: 'film-to-be-forgotten', epoch: film.epoch, seq: 99 });
      expect((await store.put(KEY, late, ONLINE)).kind).toBe('conflict');
      const { epoch } = await store.claim(KEY, 'film-to-be-forgotten');
      if (epoch > film.epoch) expect((await store.put(KEY, late, ONLINE)).kind).toBe('conflict');
    });

    it('lets one of many win who report the same at once, whoever they ask', async () => {
      const other = await again();
      const { epoch } = await store.claim(KEY, 'film');
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, (_, i) =>
          (i % 2 ? store : other).put(KEY, aReport({ epoch, device: `d${i}` }), ONLINE),
        ),
      );
      const winners = outcomes.filter(({ kind }) => kind === 'stored');
      expect(winners).toHaveLength(1);
      const record = await store.find(KEY, 'film');
      expect(record).toEqual(winners[0]?.record);
      for (const outcome of outcomes) expect(outcome.record).toEqual(record);
    });

    it('gives no epoch and no version twice, whoever asks', async () => {
      const other = await again();
      const numbers = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const holder = i % 2 ? store : other;
          const { epoch } = await holder.claim(KEY, `t${i % 7}`);
          const outcome: PutOutcome = await holder.put(KEY, aReport({ title: `t${i % 7}`, epoch }), ONLINE);
          return outcome.kind === 'stored' ? [epoch, outcome.record.version] : [epoch];
        }),
      );
      expect(new Set(numbers.flat()).size).toBe(numbers.flat().length);
    });

    it('shows one holder at once what another was told is stored', async () => {
      const other = await again();
      for (let i = 0; i < 20; i++) {
        const record = await watch(`t${i}`);
        expect(await other.find(KEY, `t${i}`)).toEqual(record);
      }
    });

    it('has everything after a restart', async () => {
      const film = await watch('film', { seq: 4 });
      await watch('gone');
      const mark = await store.remove(KEY, 'gone');
      await store.close();
      store = await again();
      expect(await store.list(KEY, 0)).toMatchObject({ records: [film], version: mark?.version });
      expect((await store.list(KEY, film.version)).records).toEqual([mark]);
      const { epoch } = await store.claim(KEY, 'film');
      expect(epoch).toBeGreaterThan(film.epoch);
      const retry = await store.put(KEY, aReport({ epoch: film.epoch, seq: 4 }), ONLINE);
      expect(retry).toEqual({ kind: 'conflict', record: film });
    });

    it.each(['', 'a b', '../x', 'a:b', 'a}b', 'é', 'x'.repeat(65), '#v'])(
      'takes %j for the name of nothing',
      async (bad) => {
        const calls = [
          store.claim({ ...KEY, viewer: bad }, 'film'),
          store.claim({ ...KEY, profile: bad }, 'film'),
          store.claim(KEY, bad),
          store.put(KEY, aReport({ title: bad }), ONLINE),
          store.put(KEY, aReport({ device: bad }), ONLINE),
          store.find(KEY, bad),
          store.remove(KEY, bad),
          store.list({ ...KEY, viewer: bad }, 0),
          store.export(bad),
          store.erase(bad),
        ];
        for (const call of await Promise.allSettled(calls)) {
          expect(call).toMatchObject({ status: 'rejected', reason: expect.any(RangeError) as RangeError });
        }
      },
    );

    it.each([
      { positionMs: -1 },
      { positionMs: 0.5 },
      { durationMs: Number.NaN },
      { seq: 2 ** 53 },
      { epoch: -1 },
      { eventMs: Number.POSITIVE_INFINITY },
      { state: 'asleep' as never },
    ])('takes %j for no report', async (fields) => {
      const { epoch } = await store.claim(KEY, 'film');
      await expect(store.put(KEY, aReport({ epoch, ...fields }), ONLINE)).rejects.toThrow(RangeError);
      expect(await titlesOf()).toEqual([]);
    });

    it('refuses every call once it is closed, and closes twice', async () => {
      await store.close();
      await store.close();
      const calls = [
        store.claim(KEY, 'film'),
        store.put(KEY, aReport(), ONLINE),
        store.find(KEY, 'film'),
        store.list(KEY, 0),
        store.remove(KEY, 'film'),
        store.export('viewer-1'),
        store.erase('viewer-1'),
      ];
      for (const call of await Promise.allSettled(calls)) {
        expect(call).toMatchObject({ status: 'rejected', reason: { code: 'RESUME_UNAVAILABLE' } });
      }
    });
  });
}
