import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { Metrics } from '../base/metrics.ts';
import { until } from '../../test/support/until.ts';
import {
  NUMBER_RESERVATION,
  parseStreamRecord,
  type StreamJournal,
  type StreamRecord,
} from '../stream/journal.ts';
import { type FileJournal, openFileJournal } from './file-journal.ts';

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'journal-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

function record(lastNumber: number): StreamRecord {
  return { lastNumber, discontinuitySequence: 1, lastPeriodId: 'pabc' };
}

function openJournal(
  log = createMemoryLog(),
  metrics = new Metrics(),
  folder = dir,
): Promise<FileJournal<StreamRecord>> {
  return openFileJournal(folder, { parse: parseStreamRecord, log, metrics });
}

describe('openFileJournal', () => {
  it('gives back after a restart what was saved, stream by stream', async () => {
    const first: StreamJournal & FileJournal<StreamRecord> = await openJournal();
    first.save('cam', record(5));
    first.save('cam-2', record(9));
    await first.close();
    const second = await openJournal();
    expect(second.load('cam')).toEqual(record(5));
    expect(second.load('cam-2')).toEqual(record(9));
    expect(second.load('other')).toBeUndefined();
    await second.close();
  });

  it('gives back at once what was saved just now', async () => {
    const journal = await openJournal();
    journal.save('cam', record(1));
    expect(journal.load('cam')).toEqual(record(1));
    await journal.close();
  });

  it('keeps the newest of many saves and leaves no other file', async () => {
    const journal = await openJournal();
    for (let n = 1; n <= 1000; n++) journal.save('cam', record(n));
    await journal.close();
    expect(JSON.parse(await readFile(join(dir, 'cam.json'), 'utf8'))).toEqual(record(1000));
    expect(await readdir(dir)).toEqual(['cam.json']);
  });

  it.each([
    ['half a file', '{"lastNumber": 12'],
    ['something else', '{"lastNumber": -1, "discontinuitySequence": 0, "lastPeriodId": "p1"}'],
    ['nothing', ''],
  ])('puts %s aside, says so, and goes on', async (_, text) => {
    await writeFile(join(dir, 'cam.json'), text);
    await writeFile(join(dir, 'good.json'), JSON.stringify(record(3)));
    const log = createMemoryLog();
    const journal = await openJournal(log);
    expect(journal.load('cam')).toBeUndefined();
    expect(journal.load('good')).toEqual(record(3));
    expect(log.lines.map((line) => line.level)).toEqual(['error']);
    expect((await readdir(dir)).toSorted()).toEqual(['cam.json.corrupt', 'good.json']);
    journal.save('cam', record(1));
    await journal.close();
    expect((await openJournal()).load('cam')).toEqual(record(1));
  });

  it('makes its folder, and those above it, for its owner only', async () => {
    const above = join(dir, 'data');
    const folder = join(above, 'streams');
    const journal = await openJournal(createMemoryLog(), new Metrics(), folder);
    await journal.close();
    for (const path of [above, folder]) expect((await stat(path)).mode & 0o777, path).toBe(0o700);
  });

  it('logs and counts what it cannot write, and goes on', async () => {
    const log = createMemoryLog();
    const metrics = new Metrics();
    const journal = await openJournal(log, metrics);
    const failures = metrics.registry.getSingleMetric('headwater_state_journal_failures_total');
    expect((await failures?.get())?.values.map(({ value }) => value)).toEqual([0]);
    await rm(dir, { recursive: true });
    journal.save('cam', record(1));
    await journal.close();
    // Once when it was saved, and once more at the end.
    expect(log.lines.map((line) => line.message)).toEqual(Array(2).fill('journal cannot be written'));
    expect((await failures?.get())?.values.map(({ value }) => value)).toEqual([2]);
  });

  it('ignores saves after close, and closes twice', async () => {
    const journal = await openJournal();
    journal.save('cam', record(1));
    await Promise.all([journal.close(), journal.close()]);
    journal.save('cam', record(2));
    expect((await openJournal()).load('cam')).toEqual(record(1));
  });

  it('takes no name that is a path', async () => {
    const journal = await openJournal();
    expect(() => journal.save('../x', record(1))).toThrow(RangeError);
    await journal.close();
  });
});

describe('openFileJournal with a reservation', () => {
  const path = (): string => join(dir, 'cam.json');

  /** What a process that was killed now would leave. */
  function onDisk(): StreamRecord | undefined {
    try {
      return parseStreamRecord(JSON.parse(readFileSync(path(), 'utf8')));
    } catch {
      return undefined;
    }
  }

  function openReserving(log = createMemoryLog()): Promise<FileJournal<StreamRecord>> {
    const metrics = new Metrics();
    const options = { parse: parseStreamRecord, reservation: NUMBER_RESERVATION, log, metrics };
    return openFileJournal(dir, options);
  }

  /** Saves a record and waits for the write that may follow from it. Gives whether there was one. */
  async function saveAndSettle(journal: FileJournal<StreamRecord>, saved: StreamRecord): Promise<boolean> {
    const before = onDisk();
    journal.save('cam', saved);
    if (before && NUMBER_RESERVATION.covers(before, saved)) return false;
    const written = JSON.stringify(NUMBER_RESERVATION.ahead(saved));
    await until(() => JSON.stringify(onDisk()) === written, `${written} on disk`);
    return true;
  }

  it('has every number on disk before it is used, whenever the process is killed', async () => {
    const journal = await openReserving();
    await saveAndSettle(journal, record(100));
    for (let number = 101; number <= 180; number++) {
      journal.save('cam', record(number));
      // The write that this save asked for has not begun: what is on disk is what earlier ones left.
      expect(onDisk()?.lastNumber, `when ${number} is used`).toBeGreaterThanOrEqual(number);
      const killed = await openFileJournalOf(onDisk());
      expect(killed.load('cam')?.lastNumber).toBeGreaterThanOrEqual(number);
      await saveAndSettle(journal, record(number));
    }
    await journal.close();
  });

  it('writes once for many numbers', async () => {
    const journal = await openReserving();
    let writes = 0;
    for (let number = 1; number <= 90; number++) if (await saveAndSettle(journal, record(number))) writes++;
    expect(writes).toBe(10);
    await journal.close();
  });

  it('leaves no hole in the numbers when it is closed', async () => {
    const journal = await openReserving();
    for (let number = 1; number <= 21; number++) await saveAndSettle(journal, record(number));
    expect(onDisk()?.lastNumber).toBeGreaterThan(21);
    await journal.close();
    expect(onDisk()).toEqual(record(21));
    const next = await openReserving();
    expect(next.load('cam')).toEqual(record(21));
    await next.close();
  });

  it('leaves no hole when it is closed while it writes', async () => {
    const journal = await openReserving();
    journal.save('cam', record(1));
    journal.save('other', record(7));
    await journal.close();
    expect(onDisk()).toEqual(record(1));
    expect((await openReserving()).load('other')).toEqual(record(7));
  });

  it('tells within the process the number that was saved, not the one reserved', async () => {
    const journal = await openReserving();
    await saveAndSettle(journal, record(5));
    expect(journal.load('cam')).toEqual(record(5));
    await journal.close();
  });

  it('reserves behind what a process that was killed has reserved', async () => {
    await writeFile(path(), JSON.stringify(record(116)));
    const journal = await openReserving();
    expect(journal.load('cam')).toEqual(record(116));
    await saveAndSettle(journal, record(117));
    expect(onDisk()).toEqual(record(133));
    await journal.close();
  });

  it.each([
    ['discontinuity', { discontinuitySequence: 2 }],
    ['period', { lastPeriodId: 'pabd' }],
  ])('writes a new %s at once', async (_, change) => {
    const journal = await openReserving();
    await saveAndSettle(journal, record(1));
    expect(await saveAndSettle(journal, { ...record(2), ...change })).toBe(true);
    expect(onDisk()).toMatchObject(change);
    await journal.close();
  });

  it('tries again at the next number when a write failed', async () => {
    const log = createMemoryLog();
    const journal = await openReserving(log);
    await rm(dir, { recursive: true });
    journal.save('cam', record(1));
    await until(() => log.lines.length === 1, 'the failure');
    await mkdir(dir);
    expect(await saveAndSettle(journal, record(2))).toBe(true);
    await journal.close();
    expect(onDisk()).toEqual(record(2));
  });

  it('closes with more names than it writes at one time', async () => {
    const journal = await openReserving();
    for (let i = 0; i < 100; i++) journal.save(`cam-${i}`, record(i));
    await journal.close();
    const next = await openReserving();
    for (let i = 0; i < 100; i++) expect(next.load(`cam-${i}`)).toEqual(record(i));
    await next.close();
  });
});

/** Opens a journal on a folder that holds just this record. */
async function openFileJournalOf(left: StreamRecord | undefined): Promise<FileJournal<StreamRecord>> {
  const folder = await mkdtemp(join(dir, 'killed-'));
  await writeFile(join(folder, 'cam.json'), JSON.stringify(left));
  return openJournal(createMemoryLog(), new Metrics(), folder);
}
