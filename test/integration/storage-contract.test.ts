import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { openFsBlobStore } from '../../src/storage/fs-blob-store.ts';
import { openS3BlobStore } from '../../src/storage/s3-blob-store.ts';
import { givenCredentials, parseS3Credentials } from '../../src/storage/s3-credentials.ts';
import { describeBlobStore, listAll } from '../support/blob-store-contract.ts';
import { FakeS3, type FakeS3Options } from '../support/fake-s3.ts';
import { MemoryBlobStore } from '../support/memory-blob-store.ts';
import { createMemoryLog } from '../support/memory-log.ts';

const deps = { clock: systemClock, log: createMemoryLog(), random: Math.random, randomBytes };

async function fsUnderTest(durable: boolean) {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-store-'));
  return {
    open: () => openFsBlobStore(join(folder, 'media'), { durable }, deps),
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
}

async function s3UnderTest(options: FakeS3Options = {}) {
  const fake = await FakeS3.start(options);
  const credentials = givenCredentials(fake.credentials);
  return {
    open: () => openS3BlobStore({ ...fake.location, credentials }, deps),
    dispose: () => fake.close(),
  };
}

describeBlobStore('memory', () => {
  const first = new MemoryBlobStore();
  return Promise.resolve({
    open: () => Promise.resolve(new MemoryBlobStore(first)),
    dispose: () => Promise.resolve(),
  });
});
describeBlobStore('a folder', () => fsUnderTest(false));
describeBlobStore('a durable folder', () => fsUnderTest(true));
describeBlobStore('a bucket', () => s3UnderTest());
describeBlobStore('a bucket that does not know ranges', () => s3UnderTest({ ranges: false }));
describeBlobStore('a bucket like those of radosgw', () => s3UnderTest({ isLikeRadosgw: true }));

/**
 * The same against a real store, when HEADWATER_TEST_S3_ENDPOINT, _BUCKET and _CREDENTIALS (access key, secret) are set,
 * and _REGION and _ADDRESSING where they matter. Debian's radosgw is one: install `radosgw ceph-mon ceph-osd`; write a
 * ceph.conf with `auth_cluster_required`, `auth_service_required` and `auth_client_required = none`, `mon_host =
 * v1:127.0.0.1:22540`, `osd_pool_default_size = 1`, `osd_pool_default_min_size = 1`, `osd_pool_default_pg_num = 4`,
 * `mon_allow_pool_size_one = true`, `mon_max_pg_per_osd = 1000`, `osd_crush_chooseleaf_type = 0`, `osd_objectstore =
 * memstore`, `memstore_device_bytes = 2147483648`, data folders of mon.a and osd.0, and for client.rgw `rgw_frontends =
 * beast endpoint=127.0.0.1:22580`; then `monmaptool --create --addv a '[v1:127.0.0.1:22540]' --fsid F map`,
 * `ceph-mon --mkfs -i a --monmap map`, `ceph-mon -i a`, `ceph osd new U`, `ceph-osd -i 0 --mkfs --osd-uuid U`,
 * `ceph-osd -i 0`, `radosgw-admin -n client.rgw user create --uid=t --display-name=t --access-key=K --secret=S` and
 * `radosgw -n client.rgw -f`, all with `-c ceph.conf`.
 */
async function realBucketUnderTest(env: Readonly<Record<string, string | undefined>>) {
  const location = {
    endpoint: env['HEADWATER_TEST_S3_ENDPOINT'] ?? '',
    bucket: env['HEADWATER_TEST_S3_BUCKET'] ?? '',
    region: env['HEADWATER_TEST_S3_REGION'] ?? 'us-east-1',
    addressing: env['HEADWATER_TEST_S3_ADDRESSING'] === 'virtual-host' ? 'virtual-host' : 'path',
    prefix: `test-${randomBytes(6).toString('hex')}`,
  } as const;
  const words = parseS3Credentials(env['HEADWATER_TEST_S3_CREDENTIALS'] ?? '');
  if (!words) throw new Error('HEADWATER_TEST_S3_CREDENTIALS must be an access key and its secret');
  const open = () => openS3BlobStore({ ...location, credentials: givenCredentials(words) }, deps);
  return {
    open,
    async dispose(): Promise<void> {
      const store = await open();
      for (const { key } of await listAll(store)) await store.delete(key);
      await store.close();
    },
  };
}

if (process.env['HEADWATER_TEST_S3_ENDPOINT'] !== undefined) {
  describeBlobStore('a real bucket', () => realBucketUnderTest(process.env));
}
