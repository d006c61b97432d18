import { choice, flag, integer, optionalUrl, text } from './field.ts';
import type { ConfigOf, Section } from './schema.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Configuration of where titles and recordings are kept. */
export const storageSection = {
  storage: {
    driver: choice(
      ['fs', 's3'],
      'fs',
      'Where titles and recordings are kept: in a folder, or in a bucket of S3 or of a store that speaks like it.',
    ),
    path: text(
      '',
      'The folder. Empty: `media` in the data folder. Relative to the working directory. Several servers may share one.',
      { optional: true },
    ),
    fsync: flag(
      true,
      'Whether a file is on disk, and not only in the memory of the system, before it counts as stored: a power cut then loses nothing.',
    ),
    s3: {
      endpoint: optionalUrl(
        'The store, without bucket: https://s3.eu-central-1.amazonaws.com. Needed when the driver is s3.',
      ),
      region: text('us-east-1', 'Region that requests are signed for.'),
      bucket: text(
        '',
        'The bucket; it must be there. Needed when the driver is s3. Let a rule of it remove uploads that were never completed.',
        { optional: true },
      ),
      prefix: text(
        '',
        'Folder in the bucket that everything is kept in: letters, digits, `.`, `_`, `-` and `/`. Empty: the bucket itself.',
        { optional: true },
      ),
      addressing: choice(
        ['path', 'virtual-host'],
        'path',
        'Whether the bucket stands in the path of URLs or in front of their host name.',
      ),
      credentialsPath: text(
        '',
        'File with access key and secret, and a session token if there is one, with white space between, readable by its owner only. Read again when the store does not take them any more. Relative to the working directory.',
        { optional: true },
      ),
      credentials: text(
        '',
        'Those words themselves, for the environment (HEADWATER_STORAGE__S3__CREDENTIALS); a command line can be read by everybody on the machine.',
        { optional: true, secret: true },
      ),
    },
    cacheBytes: integer(
      256 * MIB,
      { min: 0, max: 64 * GIB },
      'Memory for what was last read from the store, so that what many watch is read once. 0: none.',
    ),
  },
} as const satisfies Section;

type Refuse = (path: string, what: string) => void;

const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/;
/** As keys are; see src/storage/blob-store.ts. */
const PREFIX = /^(?:(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,200}(?:\/|$)){0,20}$/;

/** Rules between the keys of storage. */
export function checkStorage({ storage }: ConfigOf<typeof storageSection>, refuse: Refuse): void {
  const { driver, s3 } = storage;
  if (!PREFIX.test(s3.prefix)) {
    refuse('storage.s3.prefix', 'expected names of letters, digits, `.`, `_` and `-` with slashes between');
  }
  if (driver !== 's3') return;
  if (s3.endpoint === '') refuse('storage.s3.endpoint', 'storage.driver is s3: name the store');
  else if (new URL(s3.endpoint).href !== `${new URL(s3.endpoint).origin}/`) {
    refuse('storage.s3.endpoint', 'expected scheme, host and perhaps a port, nothing behind them');
  }
  if (!BUCKET.test(s3.bucket)) refuse('storage.s3.bucket', 'storage.driver is s3: name its bucket');
  if ((s3.credentials === '') === (s3.credentialsPath === '')) {
    const how = 'either storage.s3.credentialsPath or HEADWATER_STORAGE__S3__CREDENTIALS';
    refuse('storage.s3.credentialsPath', `storage.driver is s3: it needs ${how}, and not both`);
  }
}
