import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { BlobStore } from './blob-store.ts';
import { openFsBlobStore } from './fs-blob-store.ts';
import { MeteredBlobStore } from './metered-blob-store.ts';
import type { S3Location } from './s3-address.ts';
import { openS3BlobStore } from './s3-blob-store.ts';
import {
  credentialsInFile,
  parseS3Credentials,
  givenCredentials,
  type S3CredentialSource,
} from './s3-credentials.ts';
import type { StorageMetrics } from './storage-metrics.ts';

/** Where blobs are kept; every field stands in docs/config.md under `storage`. */
export type StorageOptions =
  | {
      readonly driver: 'fs';
      /** Absolute. */
      readonly path: string;
      readonly durable: boolean;
    }
  | (S3Location & {
      readonly driver: 's3';
      /** The words themselves (access key, secret, perhaps a session token); '' = they are in a file. */
      readonly credentials: string;
      readonly credentialsPath: string;
    });

export interface StorageDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 up to 1. */
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly metrics: StorageMetrics;
}

/**
 * Opens the store that is configured, its calls counted. Whoever opens it closes it.
 * @throws AppError STORAGE_UNAVAILABLE, STORAGE_FULL, SECRET_FILE_UNSAFE, CONFIG_INVALID
 */
export async function openBlobStore(options: StorageOptions, deps: StorageDeps): Promise<BlobStore> {
  const { metrics, clock } = deps;
  const store =
    options.driver === 'fs'
      ? await openFsBlobStore(options.path, options, { ...deps, onSwept: () => metrics.swept() })
      : await openS3BlobStore(
          { ...options, credentials: credentialSource(options) },
          { ...deps, onRetry: (reason) => metrics.retried(reason) },
        );
  return new MeteredBlobStore(store, metrics, clock);
}

function credentialSource({
  credentials,
  credentialsPath,
}: {
  readonly credentials: string;
  readonly credentialsPath: string;
}): S3CredentialSource {
  if (credentials === '') return credentialsInFile(credentialsPath);
  const given = parseS3Credentials(credentials);
  if (given) return givenCredentials(given);
  throw new AppError('CONFIG_INVALID', 'storage.s3.credentials must be an access key and its secret');
}
