import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { FakeRecordingSource } from '../../test/support/fake-recording-source.ts';
import { FakeKeys } from '../../test/support/fake-keys.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { MemoryBlobStore } from '../../test/support/memory-blob-store.ts';
import { RecordedBroadcast } from '../../test/support/recorded-broadcast.ts';
import { EPOCH_MS } from '../../test/support/sample-source.ts';
import { until } from '../../test/support/until.ts';
import { AppError } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import { initPath, segmentPath } from '../packager/media-path.ts';
import type { LiveWindow } from '../stream/live-window.ts';
import type { Title } from '../stream/title.ts';
import { Recorder, type RecorderOptions, type RecordingRequest } from './recorder.ts';
import { RecorderMetrics } from './recorder-metrics.ts';
import { deleteAll } from './title-assembler.ts';
import { TitleCatalogue, titlePrefix } from './title-catalogue.ts';

const FIRST = EPOCH_MS / 2000;
const NOW_MS = EPOCH_MS + 600_000;
const AWAY = new AppError('STORAGE_UNAVAILABLE', 'away');

/** One server: the store outlives it. */
class Server {
  readonly store: MemoryBlobStore;
  readonly source: FakeRecordingSource;
  readonly clock: FakeClock;
  readonly log = createMemoryLog();
  readonly metrics = new Metrics();
  readonly catalogue: TitleCatalogue;
  readonly recorder: Recorder;
  /** Keys by title. */
  readonly keys: Map<string, Set<string>>;
  /** Of masters. */
  readonly beingMade = new Set<string>();
  keysFailure: Error | undefined;

  constructor(options: Partial<RecorderOptions> = {}, before?: Server) {
    this.store = before?.store ?? new MemoryBlobStore();
    this.source = before?.source ?? new FakeRecordingSource(this.store);
    this.clock = before?.clock ?? new FakeClock(NOW_MS);
    this.keys = before?.keys ?? new Map<string, Set<string>>();
    this.catalogue = new TitleCatalogue(this.store, this.clock);
    this.recorder = new Recorder(
      { keptMs: 0, ...options },
      {
        source: this.source,
        store: this.store,
        catalogue: this.catalogue,
        keys: {
          adopt: async (stream, title, kids) => {
            if (this.keysFailure) throw this.keysFailure;
            const own = this.keys.get(title) ?? new Set();
            for (const kid of kids) own.add(`${stream} ${Buffer.from(kid).toString('hex')}`);
            this.keys.set(title, own);
          },
          release: async (title) => void this.keys.delete(title),
        },
        titles: {
          isBeingMade: async (id) => this.beingMade.has(id),
          remove: async (id) => {
            const found = await this.catalogue.find(id);
            this.keys.delete(id);
            await this.catalogue.remove(id);
            await deleteAll(this.store, titlePrefix(id));
            return found !== undefined;
          },
        },
        clock: this.clock,
        log: this.log,
        metrics: new RecorderMetrics(this.metrics),
      },
    );
  }

  record(wish: Partial<RecordingRequest> = {}): Promise<Title> {
    return this.recorder.record({
      stream: 'cam',
      id: undefined,
      name: undefined,
      fromMs: undefined,
      toMs: undefined,
      ...wish,
    });
  }

  async listed(): Promise<string[]> {
    return (await this.catalogue.list()).map(({ id }) => id).sort();
  }

  /** Keys of the store below a prefix. */
  files(prefix: string): string[] {
    return [...this.store.blobs.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric(`headwater_vod_${name}`)?.get();
    const values = (metric?.values ?? []).filter((value) =>
      Object.entries(labels).every(([key, wanted]) => value.labels[key] === wanted),
    );
    return values.reduce((sum, { value }) => sum + value, 0);
  }
}

/** What a title names. */
function named({ id, periods }: Title): string[] {
  return periods
    .flatMap((period) =>
      [...period.tracks].flatMap(([rendition, { segments }]) => [
        initPath(rendition, period.id),
        ...segments
          .filter(({ isGap }) => !isGap)
          .map(({ number }) => segmentPath(rendition, period.id, number)),
      ]),
    )
    .map((path) => titlePrefix(id) + path)
    .sort();
}

async function soon(condition: () => boolean | Promise<boolean>): Promise<void> {
  await until(condition, 'what was waited for', 4000);
}

const servers: Server[] = [];
function serve(options: Partial<RecorderOptions> = {}, before?: Server): Server {
  const server = new Server(options, before);
  servers.push(server);
  return server;
}

let clear: LiveWindow;
let sealed: LiveWindow;
beforeEach(() => {
  clear = new RecordedBroadcast().run(0, 8).end().window;
  sealed = new RecordedBroadcast(new FakeKeys(4000)).run(0, 8).end().window;
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.recorder.close();
});

describe('a broadcast that is over', () => {
  it('becomes a title by itself, all of whose files are there', async () => {
    const server = serve();
    await server.source.keep(clear);
    server.recorder.open();
    const broadcast = server.source.end('cam');
    await soon(() => server.source.finishedBroadcasts.length === 1);
    expect(server.source.finishedBroadcasts).toEqual([broadcast]);
    const [title] = await server.catalogue.list();
    expect(title).toMatchObject({
      id: 'cam-20261122T120000Z',
      name: 'cam, 2026-11-22 12:00 UTC',
      durationMs: 8000,
      recording: { stream: 'cam', isAutomatic: true, firstNumber: FIRST, lastNumber: FIRST + 3 },
    });
    expect(title && named(title)).toEqual(server.files('titles/'));
    const [from, to] = server.store.copies[0] ?? [];
    expect(server.store.blobs.get(to ?? '')).toEqual(server.store.blobs.get(from ?? ''));
    expect(server.source.holds).toBe(0);
    expect(await server.metric('recordings_total', { why: 'broadcast', end: 'made' })).toBe(1);
    expect(await server.metric('recording_segments_total')).toBe(8);
    expect(await server.metric('recordings_making')).toBe(0);
  });

  it('is found at the start when the process before could not make it', async () => {
    const before = serve();
    await before.source.keep(clear);
    before.source.end('cam');
    const server = serve({}, before);
    server.recorder.open();
    await soon(() => server.source.finishedBroadcasts.length === 1);
    expect(await server.listed()).toEqual(['cam-20261122T120000Z']);
  });

  it('is one title though it is made twice', async () => {
    const server = serve();
    await server.source.keep(clear);
    server.source.failure = AWAY;
    server.recorder.open();
    server.source.end('cam');
    await soon(async () => (await server.listed()).length === 1);
    await server.recorder.close();
    const puts = server.store.puts.length;
    const next = serve({}, server);
    server.source.failure = undefined;
    next.recorder.open();
    await soon(() => next.source.finishedBroadcasts.length === 1);
    expect(await next.listed()).toEqual(['cam-20261122T120000Z']);
    expect(next.store.puts.length).toBe(puts);
    expect(await next.metric('recordings_total', { end: 'known' })).toBe(1);
  });

  it('has a name of its own when somebody else has that one', async () => {
    const server = serve();
    await server.source.keep(clear);
    const other = await server.record({ id: 'cam-20261122T120000Z' });
    server.recorder.open();
    server.source.end('cam');
    await soon(() => server.source.finishedBroadcasts.length === 1);
    expect(await server.listed()).toEqual(['cam-20261122T120000Z', 'cam-20261122T120000Z-2']);
    expect((await server.catalogue.find(other.id))?.recording?.isAutomatic).toBe(false);
  });

  it('is tried until the store is there again, and nothing is listed before', async () => {
    const server = serve();
    await server.source.keep(clear);
    server.recorder.open();
    server.store.failure = AWAY;
    server.source.end('cam');
    for (let wait = 1; wait <= 3; wait++) {
      await soon(async () => (await server.metric('recording_retries_total')) >= wait);
      await soon(() => server.clock.pendingTimers > 0);
      server.clock.advance(60_000);
    }
    expect(server.source.finishedBroadcasts).toEqual([]);
    server.store.failure = undefined;
    await soon(() => {
      server.clock.advance(60_000);
      return server.source.finishedBroadcasts.length === 1;
    });
    expect(await server.listed()).toHaveLength(1);
  });

  it('leaves nothing listed when the process dies in the middle, and the next start makes it', async () => {
    const server = serve();
    await server.source.keep(sealed);
    const copy = server.store.copy.bind(server.store);
    let copies = 0;
    server.store.copy = async (from, to) => {
      copies += 1;
      if (copies > 3) return new Promise(() => undefined);
      return copy(from, to);
    };
    server.recorder.open();
    server.source.end('cam');
    await soon(() => copies > 3);
    expect(await server.listed()).toEqual([]);
    expect(server.files('titles/').length).toBeGreaterThan(0);
    server.store.copy = copy;
    servers.splice(servers.indexOf(server), 1);
    const next = serve({}, server);
    next.recorder.open();
    await soon(() => next.source.finishedBroadcasts.length === 1);
    const [title] = await next.catalogue.list();
    expect(title && named(title)).toEqual(next.files('titles/'));
  });

  it('is done with when nothing of it could be stored', async () => {
    const server = serve();
    const stretch = await server.source.keep(clear);
    const renditions = stretch.renditions.map(({ segments, ...rendition }) => ({
      ...rendition,
      segments: segments.map((segment) => ({ ...segment, state: 'lost' as const })),
    }));
    server.source.change('cam', { ...stretch, renditions });
    server.recorder.open();
    server.source.end('cam');
    await soon(() => server.source.finishedBroadcasts.length === 1);
    expect(await server.listed()).toEqual([]);
    expect(await server.metric('recordings_total', { end: 'empty' })).toBe(1);
  });

  it('has a gap where a segment was not in the store after all', async () => {
    const server = serve();
    await server.source.keep(clear);
    const [key = ''] = server.files('live/cam/audio/').slice(1);
    server.store.blobs.delete(key);
    await server.store.delete(key);
    server.recorder.open();
    server.source.end('cam');
    await soon(() => server.source.finishedBroadcasts.length === 1);
    const [title] = await server.catalogue.list();
    const audio = title?.periods[0]?.tracks.get('audio')?.segments;
    expect(audio?.map(({ isGap }) => isGap)).toEqual([false, true, false, false]);
    expect(title && named(title)).toEqual(server.files('titles/'));
    expect(await server.metric('recording_segments_missing_total')).toBe(1);
  });

  it('has the keys of its media, and of nothing else, before it is listed', async () => {
    const server = serve();
    await server.source.keep(sealed);
    server.recorder.open();
    server.source.end('cam');
    await soon(() => server.source.finishedBroadcasts.length === 1);
    const [title] = await server.catalogue.list();
    const kids = new Set(
      title?.periods.flatMap(({ tracks }) =>
        [...tracks.values()].map(
          ({ protection }) => `cam ${Buffer.from(protection?.kid ?? []).toString('hex')}`,
        ),
      ),
    );
    expect(kids.size).toBe(4);
    expect(server.keys.get(title?.id ?? '')).toEqual(kids);
  });

  it('waits for its keys rather than be listed without', async () => {
    const server = serve();
    await server.source.keep(sealed);
    server.keysFailure = new AppError('DRM_KEYS_UNAVAILABLE');
    server.recorder.open();
    server.source.end('cam');
    await soon(async () => (await server.metric('recording_retries_total')) > 0);
    expect(await server.listed()).toEqual([]);
    expect(server.files('titles/')).toEqual([]);
    server.keysFailure = undefined;
    await soon(() => {
      server.clock.advance(60_000);
      return server.source.finishedBroadcasts.length === 1;
    });
    expect(await server.listed()).toHaveLength(1);
  });

  it('that lasted for days becomes a title a day', async () => {
    const server = serve();
    await server.source.keep(clear);
    const broadcast = server.source.end('cam');
    const day = 24 * 3_600_000;
    server.source.over({ ...broadcast, stream: 'long', endMs: broadcast.startMs + day + 4000 });
    const stretch = server.source.stretch({ stream: 'cam', fromMs: 0, toMs: NOW_MS });
    if (!stretch) throw new Error('nothing is kept');
    // The last two segments are of the next day.
    server.source.change('long', {
      ...stretch,
      stream: 'long',
      renditions: stretch.renditions.map(({ segments, ...rendition }) => ({
        ...rendition,
        segments: segments.map((segment, index) =>
          index < 2
            ? segment
            : { ...segment, startTicks: segment.startTicks + ((day - 4000) / 1000) * rendition.timescale },
        ),
      })),
    });
    for (const [key, bytes] of [...server.store.blobs]) {
      if (key.startsWith('live/cam/')) await server.store.put(key.replace('/cam/', '/long/'), bytes);
    }
    server.recorder.open();
    await soon(() => server.source.finishedBroadcasts.length === 2);
    expect(await server.listed()).toEqual([
      'cam-20261122T120000Z',
      'long-20261122T120000Z',
      'long-20261123T120000Z',
    ]);
  });
});

describe('an order', () => {
  it('makes a title of all that is kept', async () => {
    const server = serve();
    await server.source.keep(clear);
    const title = await server.record();
    expect(title).toMatchObject({
      id: 'cam-20261122T120000Z',
      name: 'cam, 2026-11-22 12:00 UTC',
      durationMs: 8000,
    });
    expect(title.recording).toMatchObject({ isAutomatic: false });
    expect(named(title)).toEqual(server.files('titles/'));
    expect(server.files('recordings/orders/')).toEqual([]);
    expect((await server.record()).id).toBe('cam-20261122T120000Z-2');
  });

  it('makes a title of a part of it, under the name that was given', async () => {
    const server = serve();
    await server.source.keep(clear);
    const wish = { id: 'goal', name: ' The goal ', fromMs: EPOCH_MS + 3000, toMs: EPOCH_MS + 5000 };
    const title = await server.record(wish);
    expect(title).toMatchObject({ id: 'goal', name: 'The goal', durationMs: 4000 });
    expect(title.recording).toMatchObject({ firstNumber: FIRST + 1, lastNumber: FIRST + 2 });
    expect(server.source.held).toContainEqual(['cam', EPOCH_MS + 3000]);
  });

  it.each([
    ['a stream of which nothing is kept', { stream: 'other' }, 'VOD_RECORDING_EMPTY'],
    ['a time of which nothing is kept', { toMs: EPOCH_MS - 60_000 }, 'VOD_RECORDING_EMPTY'],
    ['an empty range', { fromMs: EPOCH_MS + 5000, toMs: EPOCH_MS + 5000 }, 'VOD_RECORDING_RANGE_INVALID'],
    ['a range turned round', { fromMs: EPOCH_MS + 5000, toMs: EPOCH_MS }, 'VOD_RECORDING_RANGE_INVALID'],
    ['the future', { toMs: NOW_MS + 1 }, 'VOD_RECORDING_RANGE_INVALID'],
    ['a start in the future', { fromMs: NOW_MS + 1 }, 'VOD_RECORDING_RANGE_INVALID'],
    ['a name that is none', { id: '../x' }, 'VOD_TITLE_INVALID'],
    ['a stream that is none', { stream: 'a/b' }, 'STREAM_NAME_INVALID'],
    ['a name that is taken', { id: 'taken' }, 'VOD_TITLE_EXISTS'],
    ['the name of a master that is being encoded', { id: 'film' }, 'VOD_TITLE_EXISTS'],
    ['the name of an order that another server carries out', { id: 'elsewhere' }, 'VOD_TITLE_EXISTS'],
  ])('of %s is refused', async (_what, wish, code) => {
    const server = serve();
    await server.source.keep(clear);
    await server.record({ id: 'taken' });
    server.beingMade.add('film');
    await server.store.put('recordings/orders/elsewhere.json', Buffer.from('{}'));
    await expect(server.record(wish)).rejects.toMatchObject({ code });
    expect(await server.listed()).toEqual(['taken']);
    expect(['a/b', 'taken', 'film', 'elsewhere'].filter((id) => server.recorder.isMaking(id))).toEqual([]);
    expect(server.source.holds).toBe(0);
  });

  it('takes its name while it is carried out', async () => {
    const server = serve();
    await server.source.keep(clear);
    const first = server.record({ id: 'show' });
    await expect(server.record({ id: 'show' })).rejects.toMatchObject({ code: 'VOD_TITLE_EXISTS' });
    expect(server.recorder.isMaking('show')).toBe(true);
    await first;
    expect(server.recorder.isMaking('show')).toBe(false);
  });

  it('is refused when as many are carried out as may', async () => {
    const server = serve();
    await server.source.keep(clear);
    const orders = Array.from({ length: 17 }, (_, index) => server.record({ id: `r${index}` }));
    const settled = await Promise.allSettled(orders);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(16);
    expect(settled.at(-1)).toMatchObject({ reason: { code: 'VOD_RECORDINGS_FULL' } });
  });

  it('is tried a few times, then leaves nothing behind', async () => {
    const server = serve();
    await server.source.keep(sealed);
    let copies = 0;
    const copy = server.store.copy.bind(server.store);
    server.store.copy = async (from, to) => {
      copies += 1;
      if (copies % 8 === 0) throw AWAY;
      return copy(from, to);
    };
    const order = server.record({ id: 'show' });
    await soon(() => {
      server.clock.advance(60_000);
      return server.files('titles/show/').length > 4;
    });
    server.store.copy = async () => {
      throw AWAY;
    };
    const failed = expect(order).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await soon(async () => {
      server.clock.advance(60_000);
      return (await server.metric('recordings_total', { why: 'order', end: 'failed' })) === 1;
    });
    await failed;
    await soon(() => !server.recorder.isMaking('show'));
    expect(server.files('titles/')).toEqual([]);
    expect(server.files('recordings/orders/')).toEqual([]);
    expect(server.keys.has('show')).toBe(false);
    expect(await server.listed()).toEqual([]);
  });

  it('is carried out by the next process when this one ends', async () => {
    const server = serve();
    await server.source.keep(clear);
    server.store.copy = () => new Promise(() => undefined);
    void server.record({ id: 'show', name: 'A show' }).catch(() => undefined);
    await soon(() => server.files('recordings/orders/').length === 1 && server.files('titles/').length > 0);
    servers.splice(servers.indexOf(server), 1);
    server.store.copy = MemoryBlobStore.prototype.copy.bind(server.store);
    const next = serve({}, server);
    next.recorder.open();
    await soon(async () => (await next.listed()).length === 1);
    const [title] = await next.catalogue.list();
    expect(title).toMatchObject({ id: 'show', name: 'A show', recording: { isAutomatic: false } });
    await soon(() => next.files('recordings/orders/').length === 0);
  });

  it('of which nothing is kept any more is cleared away after a time', async () => {
    const server = serve();
    await server.source.keep(clear);
    server.store.copy = () => new Promise(() => undefined);
    void server.record({ id: 'show' }).catch(() => undefined);
    await soon(() => server.files('titles/').length > 0);
    servers.splice(servers.indexOf(server), 1);
    const stretch = server.source.stretch({ stream: 'cam', fromMs: 0, toMs: NOW_MS });
    if (!stretch) throw new Error('nothing is kept');
    server.source.change('cam', { ...stretch, renditions: [] });
    const next = serve({}, server);
    next.recorder.open();
    await soon(async () => (await next.store.list('recordings/orders/')).blobs.length === 1);
    expect(next.files('titles/show/').length).toBeGreaterThan(0);
    await next.recorder.close();
    const notedMs = (await server.store.stat('recordings/orders/show.json'))?.modifiedMs ?? 0;
    server.clock.advance(notedMs + 2 * 3_600_000 - server.clock.wallMs());
    const last = serve({}, server);
    last.recorder.open();
    await soon(() => last.files('recordings/orders/').length === 0);
    expect(last.files('titles/')).toEqual([]);
  });
});

describe('a recording that is over its time', () => {
  const HOUR = 3_600_000;

  async function withTitles(server: Server): Promise<void> {
    await server.source.keep(clear);
    server.recorder.open();
    server.source.end('cam');
    await server.record({ id: 'ordered' });
    await soon(() => server.source.finishedBroadcasts.length === 1);
  }

  it('goes, also after a restart, and no other does', async () => {
    const server = serve({ keptMs: 2 * HOUR });
    await withTitles(server);
    server.clock.advance(2 * HOUR - 700_000);
    expect(await server.listed()).toEqual(['cam-20261122T120000Z', 'ordered']);
    await server.recorder.close();
    server.clock.advance(700_000);
    const next = serve({ keptMs: 2 * HOUR }, server);
    next.recorder.open();
    await soon(async () => (await next.listed()).length === 1);
    expect(await next.listed()).toEqual(['ordered']);
    expect(next.files('titles/cam-')).toEqual([]);
    await soon(() => next.files('recordings/').length === 0);
    expect(await next.metric('recordings_expired_total')).toBe(1);
  });

  it('goes while the process runs on', async () => {
    const server = serve({ keptMs: HOUR });
    await withTitles(server);
    server.clock.advance(HOUR + 700_000);
    await soon(async () => (await server.listed()).length === 1);
    expect(await server.listed()).toEqual(['ordered']);
  });

  it('of which another title has the name by now leaves that one alone', async () => {
    const server = serve({ keptMs: HOUR });
    await withTitles(server);
    await server.catalogue.remove('cam-20261122T120000Z');
    server.clock.advance(60_000);
    await server.record({ id: 'cam-20261122T120000Z' });
    server.clock.advance(2 * HOUR);
    await soon(() => server.files('recordings/').length === 0);
    expect(await server.listed()).toEqual(['cam-20261122T120000Z', 'ordered']);
  });

  it('stays where none are to go', async () => {
    const server = serve();
    await withTitles(server);
    server.clock.advance(1000 * HOUR);
    expect(await server.listed()).toEqual(['cam-20261122T120000Z', 'ordered']);
  });
});
