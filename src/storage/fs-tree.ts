import { join } from 'node:path';
import { isBlobKey, splitPrefix } from './blob-key.ts';
import { failureOf, type FsCalls } from './fs-calls.ts';

const DRAFT = /^~put-[0-9a-f]{24}$/;

/** Random bytes in the name of a draft. */
export const DRAFT_NONCE_BYTES = 12;

/** Name of a file that is being written: `~` is in no key, so no reader ever meets it. */
export function draftName(nonce: Uint8Array): string {
  return `~put-${Buffer.from(nonce).toString('hex')}`;
}

/** Real folders and files alone: what is a symbolic link is not there. */
interface Entry {
  readonly name: string;
  readonly kind: 'folder' | 'file';
}

async function entriesOf(disk: FsCalls, folder: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const entry of await readFolder(disk, folder)) {
    if (entry.isDirectory()) entries.push({ name: entry.name, kind: 'folder' });
    else if (entry.isFile()) entries.push({ name: entry.name, kind: 'file' });
  }
  return entries;
}

async function readFolder(disk: FsCalls, folder: string): ReturnType<typeof readdirOf> {
  try {
    return await readdirOf(disk, folder);
  } catch (error) {
    // Removed meanwhile.
    if (failureOf(error) === 'ENOENT' || failureOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

function readdirOf(disk: FsCalls, folder: string) {
  return disk.readdir(folder, { withFileTypes: true });
}

/** Whether `folder` (absolute, below a root whose real path is known) is a real folder, reached by no symbolic link. */
export async function isRealFolder(disk: FsCalls, folder: string): Promise<boolean> {
  try {
    return (await disk.realpath(folder)) === folder;
  } catch (error) {
    if (failureOf(error) === 'ENOENT' || failureOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

/** The keys below `root` that begin with `prefix` and come after `from`, in their order. */
export async function* walkKeys(
  disk: FsCalls,
  root: string,
  prefix: string,
  from: string,
): AsyncGenerator<string> {
  const { folders, name } = splitPrefix(prefix);
  const folder = join(root, ...folders);
  if (folders.length > 0 && !(await isRealFolder(disk, folder))) return;
  const base = folders.map((each) => `${each}/`).join('');
  yield* walkFolder(disk, folder, base, { name, from });
}

async function* walkFolder(
  disk: FsCalls,
  folder: string,
  base: string,
  wanted: { readonly name: string; readonly from: string },
): AsyncGenerator<string> {
  const found = (await entriesOf(disk, folder))
    .filter(({ name }) => name.startsWith(wanted.name) && isBlobKey(base + name))
    // In the order of keys: the folder `a` stands where `a/` does, behind `a-` and `a.`.
    .map(({ name, kind }) => ({ name, kind, key: kind === 'folder' ? `${base}${name}/` : base + name }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { name, kind, key } of found) {
    if (kind === 'file') {
      if (key > wanted.from) yield key;
    } else if (key > wanted.from || wanted.from.startsWith(key)) {
      yield* walkFolder(disk, join(folder, name), key, { name: '', from: wanted.from });
    }
  }
}

/** A draft that its writer left behind. */
export interface LeftDraft {
  readonly folder: string;
  readonly path: string;
}

/** Looks for the drafts below `folder` that nobody has written to since `beforeMs` (Unix), until `signal` aborts. */
export async function* walkDrafts(
  disk: FsCalls,
  folder: string,
  beforeMs: number,
  signal: AbortSignal,
): AsyncGenerator<LeftDraft> {
  for (const { name, kind } of await entriesOf(disk, folder)) {
    if (signal.aborted) return;
    const path = join(folder, name);
    if (kind === 'folder') yield* walkDrafts(disk, path, beforeMs, signal);
    else if (DRAFT.test(name) && (await isOlder(disk, path, beforeMs))) yield { folder, path };
  }
}

async function isOlder(disk: FsCalls, path: string, beforeMs: number): Promise<boolean> {
  try {
    return (await disk.lstat(path)).mtimeMs < beforeMs;
  } catch (error) {
    if (failureOf(error) === 'ENOENT') return false;
    throw error;
  }
}
