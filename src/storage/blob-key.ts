import { AppError } from '../base/errors.ts';

/** Characters of a key. */
export const MAX_KEY_LENGTH = 512;
/** Characters of one part of a key: file systems hold 255 bytes, and names beside it are a little longer. */
export const MAX_KEY_PART_LENGTH = 200;

const PART = /^[A-Za-z0-9._-]+$/;
const PART_BEGUN = /^[A-Za-z0-9._-]*$/;

/** Whether blobs may be stored under `key`; see blob-store.ts for what a key is. */
export function isBlobKey(key: string): boolean {
  return key.length <= MAX_KEY_LENGTH && key.split('/').every(isPart);
}

/** @throws AppError STORAGE_KEY_INVALID */
export function requireBlobKey(key: string): void {
  if (!isBlobKey(key)) throw new AppError('STORAGE_KEY_INVALID');
}

/**
 * Takes what keys may begin with apart into whole folders and the beginning of a name: `titles/fi` gives `titles` and
 * `fi`.
 * @throws AppError STORAGE_KEY_INVALID when no key can begin so
 */
export function splitPrefix(prefix: string): { readonly folders: readonly string[]; readonly name: string } {
  const parts = prefix.split('/');
  const name = parts.pop() ?? '';
  const fits = prefix.length <= MAX_KEY_LENGTH && parts.every(isPart) && PART_BEGUN.test(name);
  if (!fits) throw new AppError('STORAGE_KEY_INVALID', 'no key begins so');
  return { folders: parts, name };
}

function isPart(part: string): boolean {
  return part.length <= MAX_KEY_PART_LENGTH && PART.test(part) && part !== '.' && part !== '..';
}
