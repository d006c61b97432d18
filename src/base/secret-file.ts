import { type FileHandle, link, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from './errors.ts';

/** Longest secret file that is read. */
const MAX_SECRET_BYTES = 64 * 1024;
const OTHERS_MAY_ACCESS = 0o077;

/**
 * Reads a secret that only its owner may read.
 * @throws AppError SECRET_FILE_UNSAFE, which never has the value, when it is missing, readable by others, or not
 *   between `minBytes` and 64 KiB long
 */
export async function readSecretFile(path: string, minBytes: number): Promise<Buffer> {
  const file = await openSecret(path);
  try {
    const { mode, size } = await file.stat();
    if ((mode & OTHERS_MAY_ACCESS) !== 0) throw unsafe(path, 'may be read by other users: chmod 600 it');
    if (size > MAX_SECRET_BYTES) throw unsafe(path, `is longer than ${MAX_SECRET_BYTES} bytes`);
    const secret = await file.readFile();
    if (secret.length < minBytes) throw unsafe(path, `is shorter than ${minBytes} bytes`);
    return secret;
  } finally {
    await file.close();
  }
}

/** As {@link readSecretFile}, for a secret that people write: without the line break at its end. */
export async function readTextSecretFile(path: string, minBytes: number): Promise<Buffer> {
  const secret = await readSecretFile(path, minBytes);
  const text = secret.toString('latin1').replace(/\r?\n$/, '');
  if (text.length < minBytes) throw unsafe(path, `is shorter than ${minBytes} bytes`);
  return secret.subarray(0, text.length);
}

async function openSecret(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const missing = isCode(cause, 'ENOENT');
    throw new AppError('SECRET_FILE_UNSAFE', `${path} ${missing ? 'is missing' : 'cannot be read'}`, {
      cause,
    });
  }
}

/**
 * Makes a secret of random bytes, for its owner only: whole or not at all, and never over an existing one (written
 * aside, then linked to its name). Who comes second keeps the first one's.
 */
export async function createSecretFile(
  path: string,
  sizeBytes: number,
  randomBytes: (size: number) => Uint8Array,
): Promise<void> {
  await createSecretFileOf(path, randomBytes(sizeBytes), randomBytes);
}

/** As {@link createSecretFile}, for a secret that is there already. Tells whether the file is ours. */
export async function createSecretFileOf(
  path: string,
  contents: Uint8Array | string,
  randomBytes: (size: number) => Uint8Array,
): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draftPath = `${path}.${Buffer.from(randomBytes(6)).toString('hex')}`;
  const draft = await open(draftPath, 'wx', 0o600);
  try {
    await draft.writeFile(contents);
    await draft.sync();
    await link(draftPath, path);
    await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    return false;
  } finally {
    await draft.close();
    await rm(draftPath, { force: true });
  }
}

/** Makes a rename or link in the directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Whether a file call failed for that reason (`ENOENT`, …). */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function unsafe(path: string, what: string): AppError {
  return new AppError('SECRET_FILE_UNSAFE', `${path} ${what}`);
}
