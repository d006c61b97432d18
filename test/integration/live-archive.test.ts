import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { openFsBlobStore } from '../../src/storage/fs-blob-store.ts';
import { openS3BlobStore } from '../../src/storage/s3-blob-store.ts';
import { givenCredentials } from '../../src/storage/s3-credentials.ts';
import type { ArchivedStretch } from '../../src/stream/archive.ts';
import { type LiveArchiveStore, openLiveArchive } from '../../src/vod/live-archive.ts';
import { ArchiveFeed, FEED_SEGMENT_MS } from '../support/archive-feed.ts';
import { listAll } from '../support/blob-store-contract.ts';
import { ROOT, setup } from '../support/build.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { run } from '../support/ffmpeg.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { until } from '../support/until.ts';

const WRITER = join(ROOT, 'test', 'support', 'live-archive-writer.mjs');
const KILLS = 10;
const MOST_KILLS = 100;
const EVER = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER };

let folder: string;
const open: { close(): Promise<void> }[] = [];
beforeAll(setup, 300_000);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-archive-'));
});
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
  await rm(folder, { recursive: true, force: true });
});

async function openFolder(): Promise<BlobStore> {
  const deps = { clock: systemClock, log: createMemoryLog(), randomBytes };
  const store = await openFsBlobStore(join(folder, 'media'), { durable: false }, deps);
  open.push(store);
  return store;
}

async function openArchive(store: BlobStore, log = createMemoryLog()): Promise<LiveArchiveStore> {
  const archive = await openLiveArchive(
    {
      ...{ indexPath: join(folder, 'state', 'live.lmdb'), windowSeconds: 60, dvrSeconds: 86_400 },
      ...{ record: true, graceMs: 60_000, isShared: false },
    },
    {
      ...{ store, log, clock: systemClock, random: Math.random, metrics: new Metrics() },
      read: (key) => store.get(key),
    },
  );
  open.push(archive);
  return archive;
}

/** Keys of everything that an archive says is in the store. */
function keptKeys(archive: LiveArchiveStore, stretch: ArchivedStretch | undefined): string[] {
  return (stretch?.renditions ?? []).flatMap(({ id, segments }) =>
    segments
      .filter(({ state }) => state === 'kept')
      .map(({ periodId, number }) => archive.segmentKey(stretch?.stream ?? '', id, periodId, number)),
  );
}

function isContiguous({ renditions }: ArchivedStretch): boolean {
  const [first] = renditions;
  return renditions.every(
    ({ segments }) =>
      segments.length === first?.segments.length &&
      segments.every(({ number }, index) => number === (first.segments[0]?.number ?? 0) + index),
  );
}

const isWhole = (bytes: Uint8Array | undefined): boolean =>
  bytes !== undefined &&
  createHash('sha256').update(bytes.subarray(32)).digest().equals(bytes.subarray(0, 32));

describe('a server that is killed while it keeps segments', () => {
  it('has each time the whole blob of every entry, all that it told of, and nothing else', async () => {
    const told: string[] = [];
    let orphans = 0;
    // Until a kill has come between a blob and its entry, too.
    for (let round = 0; round < KILLS || (orphans >= 0 && round < MOST_KILLS); round++) {
      const writer = spawn(process.execPath, [WRITER, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      const before = told.length;
      createInterface({ input: writer.stdout }).on('line', (line) => {
        const { kept } = JSON.parse(line) as { kept?: string };
        if (kept !== undefined) told.push(kept);
      });
      const ended = once(writer, 'close');
      const enough = before + 4 + Math.floor(Math.random() * 40);
      await until(() => told.length >= enough, `${enough} segments were kept`);
      writer.kill('SIGKILL');
      await ended;

      const store = await openFolder();
      orphans -= (await listAll(store, 'live/')).length;
      const archive = await openArchive(store);
      const stretches = ['one', 'two'].flatMap((stream) => archive.stretch({ ...EVER, stream }) ?? []);
      const keys = stretches.flatMap((stretch) => keptKeys(archive, stretch));
      expect(stretches.every(isContiguous)).toBe(true);
      expect(told.filter((key) => !keys.includes(key))).toEqual([]);
      for (const key of keys) if (!isWhole(await store.get(key))) throw new Error(`${key} is not whole`);
      // The broadcast goes on, also over ten kills: nothing of it may be deleted.
      expect(archive.ended()).toEqual([]);
      const there = async (): Promise<string[]> =>
        (await listAll(store, 'live/')).map(({ key }) => key).filter((key) => !keys.includes(key));
      await until(async () => (await there()).length === 0, 'what no entry has is deleted');
      orphans += keys.length;
      await archive.close();
      await store.close();
    }
    expect(orphans, 'blobs without an entry, less than none').toBeLessThan(0);
  }, 120_000);
});

const canMount = spawnSync('unshare', ['--mount', 'true']).status === 0;

describe.skipIf(!canMount)('a disk that is full', () => {
  // A disk of eight megabytes that is gone with the process. Needs the rights of root.
  const SCRIPT = 'mount -t tmpfs -o size=8m none "$1" && exec "$2" "$3" "$1" "$4" "$5"';

  async function runOn(mode: string, mediaFolder: string) {
    const args = [folder, process.execPath, WRITER, mode, mediaFolder];
    const ran = await run('unshare', ['--mount', 'sh', '-c', SCRIPT, 'sh', ...args]);
    const said = ran.stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const errors = ran.stderr.split('\n');
    return {
      code: ran.code,
      phase: (name: string) => said.find((line) => line['phase'] === name),
      logged: (text: string) => errors.filter((line) => line.includes(text)).length,
    };
  }

  it('holds nothing up, lists nothing that is not there, and is written to when there is room again', async () => {
    const { code, phase, logged } = await runOn('full', join(folder, 'media'));
    expect(phase('full')).toMatchObject({ settled: false, listed: 1 });
    expect(phase('full')?.['slowestMs']).toBeLessThan(5000);
    expect(phase('after')).toEqual({ phase: 'after', stored: 40 });
    expect([code, logged('cannot be stored')]).toEqual([0, 1]);
  }, 120_000);

  it('costs no segment when it is that of the index alone', async () => {
    const media = await mkdtemp(join(tmpdir(), 'headwater-media-'));
    try {
      const { code, phase, logged } = await runOn('full-index', media);
      expect(phase('full')).toMatchObject({ settled: false });
      expect(phase('after')).toEqual({ phase: 'after', stored: 200 });
      expect(code).toBe(0);
      expect(logged('the index of live segments cannot be written')).toBeGreaterThan(0);
    } finally {
      await rm(media, { recursive: true, force: true });
    }
  }, 120_000);
});

describe('a bucket that is away for a while', () => {
  it('costs no segment, and is said once', async () => {
    const fake = await FakeS3.start();
    open.push(fake);
    const log = createMemoryLog();
    const store = await openS3BlobStore(
      {
        ...fake.location,
        credentials: givenCredentials(fake.credentials),
        retry: { baseMs: 2, maxMs: 10, deadlineMs: 200, maxTries: 2 },
      },
      { clock: systemClock, log, random: Math.random, randomBytes },
    );
    open.push(store);
    const archive = await openArchive(store, log);
    const session = archive.open('cam');
    const feed = new ArchiveFeed('cam', session, 20_000);
    const first = Math.floor(systemClock.wallMs() / FEED_SEGMENT_MS);
    const isKept = (): boolean => feed.kept.every((each) => each.isKept);
    feed.segment(first);
    await until(isKept, 'the first are kept');
    fake.fail(() => true, { kind: 'status', status: 503, code: 'SlowDown' }, 1_000_000);
    for (let index = 1; index < 10; index++) feed.segment(first + index);
    await until(() => log.lines.length > 0, 'it is said that the store is away');
    expect(archive.stretch({ ...EVER, stream: 'cam' })?.renditions[0]?.segments).toHaveLength(1);
    fake.faults.length = 0;
    await until(isKept, 'all are kept', 60_000);
    const stretch = archive.stretch({ ...EVER, stream: 'cam' });
    expect(stretch?.renditions.map(({ segments }) => segments.length)).toEqual([10, 10]);
    expect(
      log.lines.filter(({ fields }) => fields['area'] === 'archive').map(({ message }) => message),
    ).toEqual(['live segments cannot be stored; live goes on from memory', 'live segments are stored again']);
    for (const key of keptKeys(archive, stretch)) expect((await store.get(key))?.length).toBe(20_000);
    session.end();
    expect(archive.ended()).toMatchObject([{ stream: 'cam', firstNumber: first, lastNumber: first + 9 }]);
  }, 90_000);
});
