import { join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import type { BlobCacheOptions } from '../storage/blob-cache.ts';
import type { StorageOptions } from '../storage/open-blob-store.ts';

/** Largest blob that is held in memory: a long segment of the best rung has a few megabytes. */
const MAX_HELD_BLOB_BYTES = 16 * 1024 * 1024;
/** No single blob takes more than this share of the cache. */
const MAX_HELD_SHARE = 1 / 16;

/** Where titles and recordings are kept, out of the configuration. */
export function storageOptions({ dataDir, storage }: Config, cwd = '.'): StorageOptions {
  const { driver, path, fsync, s3 } = storage;
  if (driver === 'fs') {
    const folder = path === '' ? join(dataDir, 'media') : path;
    return { driver, path: resolve(cwd, folder), durable: fsync };
  }
  const credentialsPath = s3.credentialsPath && resolve(cwd, s3.credentialsPath);
  return { driver, ...s3, credentialsPath };
}

/** The cache before it. */
export function storageCacheOptions({ storage }: Config): BlobCacheOptions {
  const maxBlobBytes = Math.min(MAX_HELD_BLOB_BYTES, Math.floor(storage.cacheBytes * MAX_HELD_SHARE));
  return { maxBytes: storage.cacheBytes, maxBlobBytes };
}
