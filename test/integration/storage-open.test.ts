import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { storageCacheOptions, storageOptions } from '../../src/app/storage-options.ts';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { loadConfig } from '../../src/config/load.ts';
import { openBlobStore } from '../../src/storage/open-blob-store.ts';
import { StorageMetrics } from '../../src/storage/storage-metrics.ts';
import { bytesOf, codeOf } from '../support/blob-store-contract.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { createMemoryLog } from '../support/memory-log.ts';

let folder: string;
let metrics: Metrics;
let log: ReturnType<typeof createMemoryLog>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-open-'));
  metrics = new Metrics();
  log = createMemoryLog();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function configOf(flags: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const loaded = loadConfig({ cwd: folder, env, flags: [...flags] });
  if ('issues' in loaded) throw new Error(JSON.stringify(loaded.issues));
  return loaded.config;
}

const openFrom = (config: ReturnType<typeof configOf>) =>
  openBlobStore(storageOptions(config, folder), {
    clock: systemClock,
    log,
    random: Math.random,
    randomBytes,
    metrics: new StorageMetrics(metrics),
  });

async function counted(name: string): Promise<Record<string, number>> {
  const metric = await metrics.registry.getSingleMetric(`headwater_${name}`)?.get();
  return Object.fromEntries(
    (metric?.values ?? []).map(({ labels, value }) => [Object.values(labels).join(' '), value]),
  );
}

describe('the store that is configured', () => {
  it('is a folder in the data folder, its calls counted', async () => {
    const store = await openFrom(configOf(['dataDir=data']));
    await store.put('a/b', Buffer.alloc(10), { ifAbsent: true });
    expect(await codeOf(store.put('a/b', Buffer.alloc(10), { ifAbsent: true }))).toBe('STORAGE_EXISTS');
    expect(await codeOf(store.put('../a', Buffer.alloc(10)))).toBe('STORAGE_KEY_INVALID');
    await store.get('a/b', { start: 7 });
    await store.stat('none');
    await bytesOf(await store.open('a/b'));
    await store.close();
    expect(await readdir(join(folder, 'data', 'media', 'a'))).toEqual(['b']);
    expect(await counted('storage_calls_total')).toEqual({
      'put ok': 1,
      'put exists': 1,
      'put invalid': 1,
      'get ok': 1,
      'open ok': 1,
      'stat missing': 1,
    });
    expect(await counted('storage_bytes_total')).toEqual({ written: 10, read: 13 });
  });

  it('is a bucket, with credentials from a file that nobody else may read', async () => {
    const fake = await FakeS3.start();
    const path = join(folder, 's3.key');
    await writeFile(path, `${fake.credentials.accessKeyId} ${fake.credentials.secretAccessKey}\n`);
    const { endpoint, region, bucket } = fake.location;
    const s3 = { endpoint, region, bucket, prefix: 'x', credentialsPath: 's3.key' };
    const flags = Object.entries(s3).map(([name, value]) => `storage.s3.${name}=${value}`);
    const config = configOf(['storage.driver=s3', ...flags]);
    await chmod(path, 0o644);
    expect(await codeOf(openFrom(config))).toBe('SECRET_FILE_UNSAFE');
    await chmod(path, 0o600);
    metrics = new Metrics();
    const store = await openFrom(config);
    fake.fail(({ method }) => method === 'PUT', { kind: 'status', status: 503, code: 'SlowDown' });
    await store.put('a', Buffer.from('x'));
    await store.close();
    expect(fake.bucket.names).toContain('x/a');
    expect(await counted('storage_retries_total')).toEqual({ throttled: 1 });
    expect(JSON.stringify(log.lines)).not.toContain(fake.credentials.secretAccessKey);
    await fake.close();
  });

  it('has a cache of which no blob takes more than a sixteenth', () => {
    expect(storageCacheOptions(configOf(['storage.cacheBytes=1600']))).toEqual({
      maxBytes: 1600,
      maxBlobBytes: 100,
    });
    expect(storageCacheOptions(configOf([])).maxBlobBytes).toBe(16 * 1024 * 1024);
  });
});
