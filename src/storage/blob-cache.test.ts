import { beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, codeOf } from '../../test/support/blob-store-contract.ts';
import { MemoryBlobStore } from '../../test/support/memory-blob-store.ts';
import { until } from '../../test/support/until.ts';
import { AppError } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import { BlobCache, type CachedBlob } from './blob-cache.ts';
import { StorageMetrics } from './storage-metrics.ts';

const KIB = 1024;

let store: MemoryBlobStore;
let metrics: Metrics;
let storageMetrics: StorageMetrics;
beforeEach(() => {
  store = new MemoryBlobStore();
  metrics = new Metrics();
  storageMetrics = new StorageMetrics(metrics);
});

const cacheOf = (maxBytes: number, maxBlobBytes: number): BlobCache =>
  new BlobCache(store, { maxBytes, maxBlobBytes }, storageMetrics);
const fill = (key: string, size: number): Promise<unknown> => store.put(key, Buffer.alloc(size, key));
const heldBytes = (blob: CachedBlob | undefined): Uint8Array => {
  if (blob?.kind !== 'held') throw new Error(`expected a held blob, not ${blob?.kind}`);
  return blob.bytes;
};
async function readsBy(outcome: string): Promise<number> {
  const metric = metrics.registry.getSingleMetric('headwater_storage_cache_reads_total');
  const { values } = (await metric?.get()) ?? { values: [] };
  return values.find(({ labels }) => labels['outcome'] === outcome)?.value ?? 0;
}
/** Holds all reads of the store until it is called. */
function holdReads(): () => void {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  store.beforeOpen = () => gate;
  return release;
}

describe('the cache before a store', () => {
  it('reads a blob once and gives everybody the same bytes', async () => {
    await fill('a', 100 * KIB);
    const cache = cacheOf(400 * KIB, 200 * KIB);
    const first = await cache.read('a');
    const second = await cache.read('a');
    expect(heldBytes(second)).toBe(heldBytes(first));
    expect(Buffer.from(heldBytes(first)).equals(Buffer.alloc(100 * KIB, 'a'))).toBe(true);
    expect(first?.info).toEqual(await store.stat('a'));
    expect(store.opened).toEqual(['a']);
    expect([await readsBy('miss'), await readsBy('hit')]).toEqual([1, 1]);
  });

  it('lets all who come while a blob is read wait for that read', async () => {
    await fill('a', KIB);
    const release = holdReads();
    const cache = cacheOf(10 * KIB, 5 * KIB);
    const reads = Array.from({ length: 50 }, () => cache.read('a'));
    release();
    expect(new Set((await Promise.all(reads)).map(heldBytes)).size).toBe(1);
    expect(store.opened).toEqual(['a']);
    expect([await readsBy('miss'), await readsBy('coalesced')]).toEqual([1, 49]);
  });

  it('fails all of them when it fails, and tries anew for the next', async () => {
    await fill('a', KIB);
    const release = holdReads();
    const held = store.beforeOpen;
    store.beforeOpen = async (key) => {
      await held(key);
      throw new AppError('STORAGE_UNAVAILABLE');
    };
    const cache = cacheOf(10 * KIB, 5 * KIB);
    const reads = Array.from({ length: 3 }, () => codeOf(cache.read('a')));
    release();
    expect(await Promise.all(reads)).toEqual(Array.from({ length: 3 }, () => 'STORAGE_UNAVAILABLE'));
    expect(cache.bytes).toBe(0);
    store.beforeOpen = () => Promise.resolve();
    expect(heldBytes(await cache.read('a'))).toHaveLength(KIB);
  });

  it('never keeps that there is no such blob', async () => {
    const cache = cacheOf(10 * KIB, 5 * KIB);
    expect(await cache.read('a')).toBeUndefined();
    await fill('a', KIB);
    expect(heldBytes(await cache.read('a'))).toHaveLength(KIB);
  });

  it('gives up what was not used for longest, and never holds more than it may', async () => {
    const cache = cacheOf(10 * KIB, 4 * KIB);
    for (const key of ['a', 'b', 'c', 'd']) await fill(key, 3 * KIB);
    for (const key of ['a', 'b', 'c', 'a', 'd']) {
      await cache.read(key);
      expect(cache.bytes).toBeLessThanOrEqual(10 * KIB);
    }
    store.opened.length = 0;
    for (const key of ['a', 'c', 'd']) await cache.read(key);
    expect(store.opened).toEqual([]);
    await cache.read('b');
    expect(store.opened).toEqual(['b']);
  });

  it('makes room before it reads, and reads no more at once than fit', async () => {
    const cache = cacheOf(10 * KIB, 5 * KIB);
    for (const key of ['a', 'b', 'c', 'd', 'e']) await fill(key, 5 * KIB);
    const release = holdReads();
    const reads = ['a', 'b', 'c', 'd', 'e'].map((key) => cache.read(key));
    await until(() => store.opened.length === 2, 'two reads began');
    release();
    let most = 0;
    for (const read of reads) {
      await read;
      most = Math.max(most, cache.bytes);
    }
    expect(most).toBe(10 * KIB);
  });

  it('leaves what is too large to the store, without opening it in vain again', async () => {
    await fill('large', 6 * KIB);
    const cache = cacheOf(10 * KIB, 5 * KIB);
    for (let n = 0; n < 3; n++) {
      const blob = await cache.read('large');
      if (blob?.kind !== 'large') throw new Error('expected a large blob');
      expect(blob.info.sizeBytes).toBe(6 * KIB);
      expect(await bytesOf(await blob.open({ start: 6 * KIB - 2 }))).toHaveLength(2);
    }
    expect(store.opened).toHaveLength(4);
    expect(cache.bytes).toBe(0);
  });

  it('of no bytes leaves everything to the store', async () => {
    await fill('a', 1);
    await fill('empty', 0);
    const cache = cacheOf(0, 5 * KIB);
    expect((await cache.read('a'))?.kind).toBe('large');
    expect((await cache.read('empty'))?.kind).toBe('large');
  });

  it('forgets a key or a folder, also what is just being read', async () => {
    for (const key of ['t/1', 't/2', 'u/1']) await fill(key, KIB);
    const cache = cacheOf(100 * KIB, 5 * KIB);
    for (const key of ['t/1', 't/2', 'u/1']) await cache.read(key);
    cache.forget('t/');
    cache.forget('u/1');
    expect(cache.bytes).toBe(0);

    const release = holdReads();
    const old = cache.read('t/1');
    await until(() => store.opened.length === 4, 'the read began');
    cache.forget('t/1');
    await store.put('t/1', Buffer.from('newer'));
    release();
    await old;
    expect(Buffer.from(heldBytes(await cache.read('t/1'))).toString()).toBe('newer');
    expect(store.opened).toHaveLength(5);
  });

  it('refuses a blob that is not as long as the store said', async () => {
    await fill('a', 10);
    const whole = new MemoryBlobStore(store);
    store.open = async (key) => {
      const opened = await whole.open(key);
      return opened && { ...opened, info: { ...opened.info, sizeBytes: 11 } };
    };
    expect(await codeOf(cacheOf(10 * KIB, KIB).read('a'))).toBe('STORAGE_UNAVAILABLE');
  });
});
