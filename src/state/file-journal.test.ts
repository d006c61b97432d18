import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { Metrics } from '../base/metrics.ts';
import { parseStreamRecord, type StreamJournal, type StreamRecord } from '../stream/journal.ts';
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
    expect(log.lines.map((line) => line.message)).toEqual(['journal cannot be written']);
    expect((await failures?.get())?.values.map(({ value }) => value)).toEqual([1]);
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
