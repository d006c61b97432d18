import { AppError, type ErrorCode } from '../base/errors.ts';
import { failureOf } from './fs-calls.ts';

/** What a failed file call means to who stores; everything else is STORAGE_UNAVAILABLE. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'STORAGE_FULL',
  EDQUOT: 'STORAGE_FULL',
  EROFS: 'STORAGE_FULL',
  EFBIG: 'STORAGE_TOO_LARGE',
  // A part of the key is a blob already, or the key is a folder.
  ENOTDIR: 'STORAGE_KEY_INVALID',
  EISDIR: 'STORAGE_KEY_INVALID',
  ENAMETOOLONG: 'STORAGE_KEY_INVALID',
};

/** A failed file call as AppError, with its POSIX name; what is none, a bug, stays as it is. */
export function asStorageError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const failure = failureOf(error);
  if (failure === '' || !/^E[A-Z0-9]+$/.test(failure)) return error;
  const code = CODES[failure] ?? 'STORAGE_UNAVAILABLE';
  return new AppError(code, `the file system says ${failure}`, { cause: error });
}
