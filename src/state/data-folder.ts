import { access, constants, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from '../base/errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EEXIST: 'there is a file in its place',
  ENOENT: 'it cannot be made there',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'there is a file in its place',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
};

/**
 * Makes the data folder, for its owner only, when it is missing, and sees that it may be written: better no start than
 * a server that finds out while it is on the air.
 * @throws AppError STATE_FOLDER_UNUSABLE
 */
export async function openDataFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const reason = await reasonOf(folder, cause);
    throw new AppError('STATE_FOLDER_UNUSABLE', `cannot use the data folder ${folder}: ${reason}`, { cause });
  }
}

/** Where the file system is read-only, making folders one below the other ends in ENOENT: what is above tells more. */
async function reasonOf(folder: string, error: unknown): Promise<string> {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
  const above = dirname(folder);
  if (code !== 'ENOENT' || above === folder) return REASONS[code] ?? code;
  try {
    await access(above, constants.W_OK | constants.X_OK);
    return REASONS[code] ?? code;
  } catch (further) {
    return reasonOf(above, further);
  }
}
