import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ArchiveFeed, FEED_SEGMENT_MS, feedBytes } from '../../test/support/archive-feed.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { MemoryBlobStore } from '../../test/support/memory-blob-store.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { until } from '../../test/support/until.ts';
import { AppError } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import { openSegmentIndex } from '../state/lmdb-segment-index.ts';
import type { BlobInfo } from '../storage/blob-store.ts';
import type { DiskUse } from '../storage/disk-use.ts';
import type { ArchivedStretch } from '../stream/archive.ts';
import { type LiveArchiveOptions, type LiveArchiveStore, openLiveArchive } from './live-archive.ts';

/** Where the numbers of the tests begin, so that they stand for the time that they would. */
const FIRST = Math.floor(new FakeClock().wallMs() / FEED_SEGMENT_MS);

/** A store whose puts can be held up. */
class SlowStore extends MemoryBlobStore {
  beforePut: (key: string) => Promise<void> = () => Promise.resolve();

  override async put(key: string, body: Uint8Array): Promise<BlobInfo> {
    await this.beforePut(key);
    return super.put(key, body);
  }
}

let folder: string;
let clock: FakeClock;
let store: SlowStore;
let log: ReturnType<typeof createMemoryLog>;
let metrics: Metrics;
let disk: () => DiskUse | undefined;
let archive: LiveArchiveStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-archive-'));
  clock = new FakeClock(FIRST * FEED_SEGMENT_MS);
  store = new SlowStore();
  disk = () => undefined;
  archive = await open();
});
afterEach(async () => {
  const closing = archive.close();
  // Where a test lets a put hang, nobody waits for it any longer.
  clock.advance(5000);
  await closing;
  await rm(folder, { recursive: true, force: true });
});

const indexPath = (): string => join(folder, 'state', 'live.lmdb');

async function open(options: Partial<LiveArchiveOptions> = {}): Promise<LiveArchiveStore> {
  log = createMemoryLog();
  metrics = new Metrics();
  return openLiveArchive(
    {
      ...{ indexPath: indexPath(), windowSeconds: 6, dvrSeconds: 60, record: false },
      ...{ graceMs: 10_000, isShared: false, ...options },
    },
    {
      ...{ store, clock, log, metrics, random: () => 0.5 },
      read: (key) => store.get(key),
      diskUse: () => Promise.resolve(disk()),
    },
  );
}

/** As the next process does. */
async function reopen(options: Partial<LiveArchiveOptions> = {}): Promise<void> {
  await archive.close();
  archive = await open(options);
}

async function metric(name: string): Promise<number> {
  const found = await metrics.registry.getSingleMetric(`headwater_${name}`)?.get();
  return (found?.values ?? []).reduce((sum, { value }) => sum + value, 0);
}

const stored = (feed: ArchiveFeed): Promise<unknown> =>
  until(
    () => feed.kept.every(({ segment, isKept }) => segment.state === 'gap' || isKept !== undefined),
    'all is settled',
  );

/** Lets some time pass each time it is asked. */
const passing =
  (condition: () => boolean): (() => boolean) =>
  () => {
    clock.advance(5000);
    return condition();
  };

/** Time passes as the numbers of the feed do. */
function passTo(number: number): void {
  clock.advance(Math.max(0, number * FEED_SEGMENT_MS - clock.wallMs()));
}

const numbersOf = (stretch: ArchivedStretch | undefined, id = 'video'): number[] =>
  stretch?.renditions.find((each) => each.id === id)?.segments.map(({ number }) => number) ?? [];
const statesOf = (stretch: ArchivedStretch | undefined, id = 'video'): string =>
  stretch?.renditions
    .find((each) => each.id === id)
    ?.segments.map(({ state }) => state[0])
    .join('') ?? '';
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A stream with so many segments, all stored. */
async function fed(count: number, stream = 'cam', from = FIRST): Promise<ArchiveFeed> {
  const feed = new ArchiveFeed(stream, archive.open(stream));
  for (let index = 0; index < count; index++) {
    passTo(from + index);
    feed.segment(from + index);
  }
  await stored(feed);
  return feed;
}

const all = { stream: 'cam', fromMs: 0, toMs: Number.MAX_SAFE_INTEGER };

describe('what is kept', () => {
  it('is there for the next process, segment by segment, with its bytes', async () => {
    const feed = await fed(3);
    expect(feed.kept.map(({ isKept }) => isKept)).toEqual(Array.from({ length: 6 }, () => true));
    await reopen();
    const past = archive.open('cam').past();
    expect(past).toMatchObject({ stream: 'cam', targetDurationSeconds: 2, discontinuitySequence: 0 });
    expect(past?.renditions.map(({ id, kind, timescale }) => [id, kind, timescale])).toEqual([
      ['video', 'video', 90_000],
      ['audio', 'audio', 48_000],
    ]);
    expect(numbersOf(past)).toEqual(range(FIRST, FIRST + 2));
    expect(past?.renditions[1]?.segments[1]).toEqual({
      number: FIRST + 1,
      periodId: feed.kept[0]?.segment.period.id,
      startTicks: (FIRST + 1) * 96_000,
      durationTicks: 96_000,
      ...{ discontinuity: false, independent: true, brokenOff: false, state: 'kept' },
      sizeBytes: 4000,
      keyFrameBytes: 0,
    });
    expect(past?.periods).toEqual([feed.kept[0]?.segment.period]);
    for (const { rendition, segment } of feed.kept) {
      const bytes = await archive.read('cam', rendition, segment);
      const key = `cam/${rendition}/${segment.period.id}/${segment.number}`;
      expect(feedBytes(key, 4000).equals(bytes ?? Buffer.of())).toBe(true);
    }
  });

  it('is not listed before it is stored, and is read from memory until then', async () => {
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    store.beforePut = (key) => (key.includes('/audio/') ? held : Promise.resolve());
    const feed = new ArchiveFeed('cam', archive.open('cam'));
    const [video, audio] = feed.segment(FIRST);
    await until(() => video?.isKept, 'the picture is stored');
    expect(archive.stretch(all)).toBeUndefined();
    expect(await metric('archive_pending_bytes')).toBe(4000);
    if (audio) expect((await archive.read('cam', 'audio', audio.segment))?.length).toBe(4000);
    go();
    await until(() => audio?.isKept, 'the sound is stored');
    expect(statesOf(archive.stretch(all), 'audio')).toBe('k');
    expect(await metric('archive_pending_bytes')).toBe(0);
  });

  it('has the gaps of an outage as entries alone, and stands for what a rendition never had', async () => {
    const feed = new ArchiveFeed('cam', archive.open('cam'));
    feed.begin(FIRST, { hasAudio: false });
    feed.give(feed.video, FIRST);
    feed.gap(FIRST + 1);
    feed.begin(FIRST + 2);
    feed.segment(FIRST + 2, { isDiscontinuity: true });
    await stored(feed);
    await reopen();
    const past = archive.open('cam').past();
    expect([statesOf(past), statesOf(past, 'audio')]).toEqual(['kgk', 'ggk']);
    expect(past?.periods.map(({ startNumber }) => startNumber)).toEqual([FIRST, FIRST + 2]);
    expect(store.blobs.size).toBe(3);
  });

  it('lists what the index never heard of as lost, so that numbers have no hole', async () => {
    store.beforePut = (key) =>
      key.includes(`/${FIRST + 1}.`)
        ? Promise.reject(new AppError('STORAGE_KEY_INVALID'))
        : Promise.resolve();
    const feed = await fed(3);
    expect(feed.kept.filter(({ isKept }) => isKept === false)).toHaveLength(2);
    const index = archive;
    await index.close();
    const rows = await openSegmentIndex(indexPath(), { clock });
    for (const id of ['video', 'audio']) {
      await rows.write([{ key: ['segment', 'cam', id, FIRST + 1], text: undefined }]);
    }
    await rows.close();
    archive = await open();
    const past = archive.open('cam').past();
    expect([statesOf(past), statesOf(past, 'audio')]).toEqual(['klk', 'klk']);
    expect(past?.renditions[1]?.segments[1]).toMatchObject({
      startTicks: (FIRST + 1) * 96_000,
      durationTicks: 96_000,
    });
  });
});

describe('a list that goes on', () => {
  it('begins where it began before, as far as that is still within reach', async () => {
    const feed = await fed(10);
    expect(feed.kept).toHaveLength(20);
    const first = archive.open('cam');
    first.listedFrom(FIRST + 2, 3);
    first.close();
    await reopen();
    let past = archive.open('cam').past();
    expect([numbersOf(past)[0], past?.discontinuitySequence]).toEqual([FIRST + 2, 3]);
    clock.advance(60_000);
    await reopen();
    past = archive.open('cam').past();
    expect(numbersOf(past)).toEqual(range(FIRST + 9, FIRST + 9));
    clock.advance(4000);
    expect(archive.open('cam').past()).toBeUndefined();
  });

  it('counts the discontinuities that left it meanwhile', async () => {
    const session = archive.open('cam');
    const feed = new ArchiveFeed('cam', session);
    for (let index = 0; index < 8; index++) {
      passTo(FIRST + index);
      if (index === 2 || index === 5) feed.begin(FIRST + index);
      feed.segment(FIRST + index, { isDiscontinuity: index === 2 || index === 5 });
    }
    session.listedFrom(FIRST, 7);
    await stored(feed);
    clock.advance(52_000);
    await reopen();
    const past = archive.open('cam').past();
    expect(numbersOf(past)[0]).toBe(FIRST + 3);
    expect(past?.discontinuitySequence).toBe(8);
  });

  it('goes on behind segments that are still being stored when a stream begins anew', async () => {
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    const session = archive.open('cam');
    const feed = new ArchiveFeed('cam', session);
    feed.segment(FIRST);
    await stored(feed);
    store.beforePut = () => held;
    feed.segment(FIRST + 1);
    session.end();
    session.close();
    expect(statesOf(archive.open('cam').past())).toBe('kk');
    go();
    await stored(feed);
    expect(feed.kept.every(({ isKept }) => isKept)).toBe(true);
  });
});

describe('a store that fails', () => {
  it('is tried again until it is back: nothing is lost, and it is said once that it went and came', async () => {
    const feed = new ArchiveFeed('cam', archive.open('cam'));
    store.failure = new AppError('STORAGE_UNAVAILABLE');
    for (let index = 0; index < 5; index++) {
      feed.segment(FIRST + index);
      clock.advance(FEED_SEGMENT_MS);
      await Promise.resolve();
    }
    await until(async () => (await metric('archive_failed_puts_total')) >= 2, 'puts have failed');
    expect(await metric('archive_failing_streams')).toBe(1);
    expect(archive.stretch(all)).toBeUndefined();
    store.failure = undefined;
    await until(() => {
      clock.advance(1000);
      return feed.kept.every(({ isKept }) => isKept);
    }, 'all is stored');
    expect(log.lines.map(({ message }) => message)).toEqual([
      'live segments cannot be stored; live goes on from memory',
      'live segments are stored again',
    ]);
    expect(statesOf(archive.stretch(all))).toBe('kkkkk');
    expect(await metric('archive_failing_streams')).toBe(0);
  });

  it('loses what leaves the memory meanwhile, and lists that as lost', async () => {
    const feed = await fed(1);
    store.failure = new AppError('STORAGE_FULL');
    const left = feed.segment(FIRST + 1);
    await until(async () => (await metric('archive_failed_puts_total')) >= 1, 'a put has failed');
    for (const each of left) feed.leave(each);
    store.failure = undefined;
    feed.segment(FIRST + 2);
    await until(() => {
      clock.advance(1000);
      return feed.kept.slice(4).every(({ isKept }) => isKept);
    }, 'the others are stored');
    expect(left.map(({ segment, isKept }) => [segment.place, isKept])).toEqual([
      ['lost', undefined],
      ['lost', undefined],
    ]);
    expect(statesOf(archive.stretch(all))).toBe('klk');
    expect(store.blobs.size).toBe(4);
    await reopen();
    expect(statesOf(archive.open('cam').past())).toBe('klk');
  });

  it('keeps no segment that was stored after it had left the memory', async () => {
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    let begun = 0;
    store.beforePut = () => {
      begun += 1;
      return held;
    };
    const feed = new ArchiveFeed('cam', archive.open('cam'));
    const segments = feed.segment(FIRST);
    await until(() => begun === 2, 'both are on their way');
    for (const each of segments) feed.leave(each);
    go();
    await until(() => store.puts.length === 2, 'both were stored');
    await until(() => store.blobs.size === 0, 'both are deleted');
  });

  it('holds up no stream but its own', async () => {
    store.beforePut = (key) =>
      key.startsWith('live/slow/') ? new Promise(() => undefined) : Promise.resolve();
    const slow = new ArchiveFeed('slow', archive.open('slow'));
    for (let index = 0; index < 40; index++) slow.segment(FIRST + index);
    const quick = await fed(20, 'quick');
    expect(quick.kept.every(({ isKept }) => isKept)).toBe(true);
  });

  it('holds as much as may wait, and loses what comes beyond', async () => {
    await reopen({ limits: { maxPendingSegments: 4 } });
    store.beforePut = () => new Promise(() => undefined);
    const feed = new ArchiveFeed('cam', archive.open('cam'));
    for (let index = 0; index < 3; index++) feed.segment(FIRST + index);
    expect(feed.kept.map(({ isKept }) => isKept)).toEqual([
      ...Array.from({ length: 4 }, () => undefined),
      false,
      false,
    ]);
    expect(await metric('archive_pending_segments')).toBe(4);
  });
});

describe('retention', () => {
  // Twice the list of 60 seconds, and four target durations.
  const KEPT_MS = 128_000;

  it('deletes a segment when no player may ask for it any more, and not before', async () => {
    const session = archive.open('cam');
    const feed = new ArchiveFeed('cam', session);
    for (let index = 0; index < 80; index++) {
      passTo(FIRST + index);
      feed.segment(FIRST + index);
      if (index >= 30) session.listedFrom(FIRST + index - 29, 0);
    }
    await stored(feed);
    passTo(FIRST + 80);
    const oldest = (): number =>
      Math.min(...[...store.blobs.keys()].map((key) => Number(/(\d+)\.m4s$/.exec(key)?.[1])));
    const wanted = FIRST + 80 - KEPT_MS / FEED_SEGMENT_MS;
    await until(() => {
      clock.advance(0);
      return oldest() >= wanted - 3;
    }, 'the oldest are deleted');
    clock.advance(5000);
    await until(() => oldest() >= wanted, 'and those after them');
    expect(oldest()).toBeLessThanOrEqual(wanted + 3);
    await until(async () => (await metric('archive_kept_segments')) === store.blobs.size, 'it is counted');
  });

  it('tidies a stream that nobody publishes any more, also at start, to the last record', async () => {
    await fed(5);
    clock.stepWall(7 * 86_400_000);
    await reopen();
    await until(() => store.blobs.size === 0, 'its media is deleted');
    await until(async () => {
      await archive.close();
      const index = await openSegmentIndex(indexPath(), { clock });
      const rows = [...index.rows()];
      await index.close();
      archive = await open();
      return rows.length === 0;
    }, 'the index is empty');
  });

  it('deletes nothing that a recording holds', async () => {
    await fed(6);
    const release = archive.hold('cam', (FIRST + 3) * FEED_SEGMENT_MS);
    archive.open('cam').close();
    clock.stepWall(86_400_000);
    await until(
      passing(() => store.blobs.size === 6),
      'what is not held is deleted',
    );
    clock.advance(60_000);
    expect(statesOf(archive.stretch(all))).toBe('kkk');
    release();
    release();
    await until(
      passing(() => store.blobs.size === 0),
      'and the rest, when it is let go of',
    );
  });

  it('goes on when the store was away, and forgets nothing', async () => {
    const feed = await fed(4);
    store.delete = () => Promise.reject(new AppError('STORAGE_UNAVAILABLE'));
    archive.open('cam').close();
    clock.stepWall(86_400_000);
    clock.advance(5000);
    await until(async () => (await metric('archive_failed_deletes_total')) >= 8, 'deletes have failed');
    expect(feed.kept).toHaveLength(8);
    Reflect.deleteProperty(store, 'delete');
    await until(() => {
      clock.advance(5000);
      return store.blobs.size === 0;
    }, 'they are deleted');
  });
});

describe('at start', () => {
  it('deletes what the index does not know, and only that', async () => {
    const feed = await fed(2);
    const { id } = feed.begin(FIRST);
    for (const key of [`live/cam/video/${id}/${FIRST + 7}.m4s`, 'live/gone/video/p1/1.m4s', 'live/odd']) {
      await store.put(key, Buffer.from('left'));
    }
    await store.put('titles/film/1.m4s', Buffer.from('other'));
    await reopen();
    await until(() => store.blobs.size === 5, 'the orphans are deleted');
    expect(statesOf(archive.open('cam').past())).toBe('kk');
    expect(store.blobs.has('titles/film/1.m4s')).toBe(true);
    expect(await metric('archive_deleted_segments_total')).toBe(3);
  });

  it('leaves alone what may be of another server in the same store', async () => {
    const feed = await fed(2);
    const { id } = feed.kept[0]?.segment.period ?? { id: '' };
    const own = `live/cam/video/${id}/${FIRST + 7}.m4s`;
    for (const key of [own, 'live/cam/video/pother/9.m4s', 'live/gone/video/p1/1.m4s']) {
      await store.put(key, Buffer.from('left'));
    }
    await reopen({ isShared: true });
    await until(() => !store.blobs.has(own), 'our orphan is deleted');
    expect(store.blobs.size).toBe(6);
  });

  it('takes for lost what the store has not', async () => {
    const feed = await fed(3);
    const { id } = feed.kept[0]?.segment.period ?? { id: '' };
    store.blobs.clear();
    await Promise.all(range(FIRST, FIRST + 2).map((n) => store.delete(`live/cam/video/${id}/${n}.m4s`)));
    await reopen();
    await until(() => statesOf(archive.stretch(all)) === 'lll', 'the pictures are lost');
    expect(statesOf(archive.stretch(all), 'audio')).toBe('kkk');
  });

  it('leaves out records that are damaged or hostile, with what hangs on them', async () => {
    await fed(3);
    await fed(2, 'other');
    await archive.close();
    const index = await openSegmentIndex(indexPath(), { clock });
    const good = [...index.rows()].find(({ key }) => key[0] === 'segment')?.text ?? '';
    await index.write([
      { key: ['segment', 'cam', 'video', FIRST + 1], text: good.slice(0, -3) },
      { key: ['segment', 'cam', 'video', -5], text: good },
      { key: ['segment', 'cam', 'video', Number.MAX_SAFE_INTEGER], text: good },
      { key: ['segment', 'cam', '../video', FIRST], text: good },
      { key: ['segment', '../../etc', 'video', FIRST], text: good },
      { key: ['segment', 'cam', 'none', FIRST], text: good },
      { key: ['segment'], text: good },
      { key: ['constructor', 'cam'], text: '{}' },
      { key: ['list', 'cam'], text: '{"firstListed":-1}' },
      { key: ['broadcast', 'cam', 5], text: 'null' },
      { key: ['rendition', 'cam', 'rung'], text: '{"kind":"smell","timescale":0}' },
      { key: ['period', 'cam', 'pbad'], text: '[]' },
      ...[...index.rows()]
        .filter(({ key }) => key[0] === 'period' && key[1] === 'other')
        .map(({ text }) => ({ key: ['period', 'other', 'p0'] as const, text: text.slice(1) })),
    ]);
    await index.close();
    archive = await open();
    expect(await metric('archive_damaged_records_total')).toBe(12);
    const past = archive.open('other').past();
    expect(statesOf(past)).toBe('kk');
    expect(archive.stretch({ ...all, toMs: (FIRST + 3) * FEED_SEGMENT_MS })).toBeDefined();
    await until(() => archive.stretch({ ...all, stream: 'other' }), 'the rest is as it was');
  });

  it('does not open an index that another process has, or another version has written', async () => {
    const other = openSegmentIndex(indexPath(), {
      clock,
      processes: { own: { pid: 1, realm: 'r', started: '1' }, isAlive: () => true },
    });
    await expect(other).rejects.toMatchObject({ code: 'STATE_SEGMENTS_IN_USE' });
    await archive.close();
    const index = await openSegmentIndex(indexPath(), { clock });
    await index.write([{ key: ['version'], text: '2' }]);
    await index.close();
    await expect(open()).rejects.toMatchObject({ code: 'STATE_SEGMENTS_UNAVAILABLE' });
  });
});

describe('a broadcast', () => {
  beforeEach(() => reopen({ record: true }));

  it('is over when its stream ends, to the last stored segment', async () => {
    let told = 0;
    archive.onEnded(() => (told += 1));
    const session = archive.open('cam');
    const feed = new ArchiveFeed('cam', session);
    feed.segment(FIRST);
    await stored(feed);
    let go = (): void => undefined;
    store.beforePut = () => new Promise<void>((resolve) => (go = resolve));
    feed.give(feed.video, FIRST + 1);
    feed.give(feed.audio, FIRST + 1, { isGap: true });
    feed.gap(FIRST + 2);
    session.end();
    session.close();
    expect([archive.ended(), told]).toEqual([[], 0]);
    await until(() => {
      go();
      return feed.kept.at(2)?.isKept;
    }, 'the last is stored');
    const broadcast = {
      stream: 'cam',
      ...{ firstNumber: FIRST, lastNumber: FIRST + 1 },
      ...{ startMs: FIRST * FEED_SEGMENT_MS, endMs: (FIRST + 2) * FEED_SEGMENT_MS },
    };
    expect([archive.ended(), told]).toEqual([[broadcast], 1]);
    expect(
      numbersOf(archive.stretch({ stream: 'cam', fromMs: broadcast.startMs, toMs: broadcast.endMs })),
    ).toEqual([FIRST, FIRST + 1]);
    await reopen({ record: true });
    expect(archive.ended()).toEqual([broadcast]);
  });

  it('keeps its media until it is finished, however long that takes', async () => {
    await fed(3);
    const session = archive.open('cam');
    session.end();
    session.close();
    clock.stepWall(30 * 86_400_000);
    await reopen({ record: true });
    clock.advance(60_000);
    expect(store.blobs.size).toBe(6);
    const [broadcast] = archive.ended();
    if (broadcast) await archive.finished(broadcast);
    expect(archive.ended()).toEqual([]);
    await until(
      passing(() => store.blobs.size === 0),
      'its media is deleted',
    );
  });

  it('goes on over a restart within the grace time, and ends by itself after it', async () => {
    await fed(3);
    await reopen({ record: true });
    clock.advance(9000);
    expect(archive.ended()).toEqual([]);
    await fed(2, 'cam', FIRST + 8);
    clock.advance(60_000);
    expect(archive.ended()).toEqual([]);
    await reopen({ record: true });
    expect(archive.ended()).toHaveLength(1);
    await reopen({ record: true });
    expect(archive.ended()).toMatchObject([{ firstNumber: FIRST, lastNumber: FIRST + 9 }]);
  });

  it('ends by itself when its publisher never comes back', async () => {
    await fed(3);
    await reopen({ record: true });
    let told = 0;
    archive.onEnded(() => (told += 1));
    clock.advance(9999);
    expect([archive.ended().length, told]).toEqual([0, 0]);
    clock.advance(1);
    expect([archive.ended().length, told]).toEqual([1, 1]);
    await fed(1, 'cam', FIRST + 40);
    expect(archive.ended()).toMatchObject([{ lastNumber: FIRST + 2 }]);
  });

  it('is none when nothing of it was stored', async () => {
    store.beforePut = () => Promise.reject(new AppError('STORAGE_KEY_INVALID'));
    await fed(2);
    archive.open('cam').end();
    expect(archive.ended()).toEqual([]);
    await reopen({ record: true });
    expect(archive.ended()).toEqual([]);
  });
});

describe('a disk that is nearly full', () => {
  it('gives up the oldest segments of all streams, never those of a broadcast, and says so', async () => {
    await fed(40, 'new', FIRST + 10);
    const session = archive.open('old');
    const shortened: number[] = [];
    session.onShortened((number) => shortened.push(number));
    const feed = new ArchiveFeed('old', session);
    for (let index = 0; index < 20; index++) feed.segment(FIRST + index);
    await stored(feed);
    // Nearly 4 % of it over the limit, with what is freed beyond that: eight columns of two segments.
    disk = () => {
      disk = () => undefined;
      return { totalBytes: 1_600_000, availableBytes: 130_000 };
    };
    await until(
      passing(() => shortened.length > 0),
      'segments went early',
    );
    await until(() => store.blobs.size === 2 * (40 + 20) - 2 * 8, 'their media is deleted');
    expect(shortened).toEqual([FIRST + 8]);
    expect(numbersOf(archive.stretch({ ...all, stream: 'old' }))[0]).toBe(FIRST + 8);
    expect(numbersOf(archive.stretch({ ...all, stream: 'new' }))[0]).toBe(FIRST + 10);
    expect(log.lines.filter(({ message }) => message.includes('nearly full'))).toHaveLength(1);
  });

  it('leaves a broadcast alone, and what is younger than the memory', async () => {
    await reopen({ record: true });
    await fed(20);
    await fed(2, 'other', FIRST + 19);
    let looks = 0;
    disk = () => {
      looks += 1;
      return { totalBytes: 1_600_000, availableBytes: 0 };
    };
    // The other stream has no broadcast of its own any more, but is young.
    const [, other] = [archive.open('cam'), archive.open('other')];
    other.end();
    for (const each of archive.ended()) await archive.finished(each);
    await until(() => {
      clock.advance(looks === 0 ? 5000 : 0);
      return looks > 0;
    }, 'the disk was looked at');
    await new Promise((resolve) => setImmediate(resolve));
    expect(store.blobs.size).toBe(44);
  });
});
