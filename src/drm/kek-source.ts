import { join } from 'node:path';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { GivenKeks, KekFile } from './kek-file.ts';
import type { KekSource } from './key-wrapper.ts';

/** Where the KEKs are. */
export interface KekOptions {
  /** Empty: `<dataDir>/secrets/content-kek.keys`, made at the first start. */
  readonly path: string;
  /** The KEKs themselves, out of the environment; empty: none given. */
  readonly given: string;
}

export interface KekSourceDeps {
  readonly log: Logger;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
  /** Whether there are keys that were wrapped under a KEK. */
  readonly hasKeys: () => Promise<boolean>;
}

/** How {@link GivenKeks} is called in messages: the configuration key of it. */
const GIVEN_NAME = 'drm.kek';

/** The file of the KEKs where nothing else is configured. */
export function defaultKekPath(dataDir: string): string {
  return join(dataDir, 'secrets', 'content-kek.keys');
}

/**
 * The configured source of KEKs. Our own file is made when it is not there, but never when there are keys already:
 * those could then not be opened any more, and nobody would know why.
 * @throws AppError SECRET_FILE_UNSAFE
 */
export async function openKekSource(
  dataDir: string,
  { path, given }: KekOptions,
  deps: KekSourceDeps,
): Promise<KekSource> {
  if (given !== '') return new GivenKeks(GIVEN_NAME, given);
  if (path !== '') return new KekFile(path);
  const file = new KekFile(defaultKekPath(dataDir));
  if (await file.exists()) return file;
  // Asked again at the end: another process may have made the file and first keys meanwhile.
  if ((await deps.hasKeys()) && !(await file.exists())) {
    throw new AppError(
      'SECRET_FILE_UNSAFE',
      `${file.path} is missing, and content keys are encrypted with it: put it back, or move those keys away`,
    );
  }
  if (await file.create(deps.randomBytes)) {
    deps.log.info(
      { path: file.path },
      'key-encryption key made; without this file no content key can be opened',
    );
  }
  return file;
}
