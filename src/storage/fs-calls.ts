import fs from 'node:fs';

/** The file calls of the store, so that a test can put a full or failing disk there. */
export type FsCalls = Pick<
  typeof fs.promises,
  'link' | 'lstat' | 'mkdir' | 'open' | 'readdir' | 'realpath' | 'rename' | 'rmdir' | 'unlink'
>;

export const FS_CALLS: FsCalls = fs.promises;

/** The POSIX name of what a file call failed for; '' for anything else. */
export function failureOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
