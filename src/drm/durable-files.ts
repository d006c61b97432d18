import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../base/errors.ts';
import { isCode } from '../base/secret-file.ts';

/**
 * The file calls that keys are kept with, so that a test can put a disk there that loses power. Each has a twin that
 * does not hold up the process.
 */
export interface DiskCalls {
  readonly sync: Pick<
    typeof fs,
    | 'closeSync'
    | 'fsyncSync'
    | 'linkSync'
    | 'mkdirSync'
    | 'openSync'
    | 'readFileSync'
    | 'rmSync'
    | 'writeFileSync'
  >;
  readonly promises: Pick<
    typeof fs.promises,
    'link' | 'mkdir' | 'open' | 'readdir' | 'readFile' | 'rename' | 'rm' | 'stat'
  >;
}

export const DISK: DiskCalls = { sync: fs, promises: fs.promises };

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const DRAFT_ENDING = '.draft';

type RandomBytes = (size: number) => Uint8Array;

/**
 * Small files that are there whole or not at all, also after a power cut, and on disk when a call returns. Written
 * aside, made durable, then linked to their name: who comes second finds that out, and nothing is ever written over.
 */
export class DurableFiles {
  readonly #disk: DiskCalls;
  readonly #randomBytes: RandomBytes;
  /** Folders known to be there and to survive a power cut. */
  readonly #folders = new Set<string>();

  constructor(disk: DiskCalls, randomBytes: RandomBytes) {
    this.#disk = disk;
    this.#randomBytes = randomBytes;
  }

  /** Makes a folder for its owner only, and those above it. */
  makeFolder(path: string): Promise<void> {
    return this.#folder(path);
  }

  /** False when there is a file of this name already; it is left as it is, and durable too. */
  createSync(path: string, contents: string): boolean {
    const { sync } = this.#disk;
    this.#folderSync(dirname(path));
    const draft = this.#draftOf(path);
    try {
      const file = sync.openSync(draft, 'wx', FILE_MODE);
      try {
        sync.writeFileSync(file, contents);
        sync.fsyncSync(file);
      } finally {
        sync.closeSync(file);
      }
      return this.#linkSync(draft, path);
    } finally {
      sync.rmSync(draft, { force: true });
    }
  }

  /** {@link createSync} without holding up the process. */
  async create(path: string, contents: string): Promise<boolean> {
    const { promises } = this.#disk;
    await this.#folder(dirname(path));
    const draft = await this.#writeDraft(path, contents);
    let ours = true;
    try {
      await promises.link(draft, path);
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
      ours = false;
    } finally {
      await promises.rm(draft, { force: true });
    }
    await this.#syncFolder(dirname(path));
    return ours;
  }

  /** Puts other contents in the place of an existing file's, as a whole. */
  async replace(path: string, contents: string): Promise<void> {
    const draft = await this.#writeDraft(path, contents);
    try {
      await this.#disk.promises.rename(draft, path);
    } catch (error) {
      await this.#disk.promises.rm(draft, { force: true });
      throw error;
    }
    await this.#syncFolder(dirname(path));
  }

  /** Takes a name that nobody else may have after that: an empty file. False when it is taken. */
  claimSync(path: string): boolean {
    const { sync } = this.#disk;
    this.#folderSync(dirname(path));
    try {
      sync.closeSync(sync.openSync(path, 'wx', FILE_MODE));
    } catch (error) {
      if (isCode(error, 'EEXIST')) return false;
      throw error;
    }
    this.#syncFolderSync(dirname(path));
    return true;
  }

  /** {@link claimSync} without holding up the process. */
  async claim(path: string): Promise<boolean> {
    await this.#folder(dirname(path));
    try {
      await (await this.#disk.promises.open(path, 'wx', FILE_MODE)).close();
    } catch (error) {
      if (isCode(error, 'EEXIST')) return false;
      throw error;
    }
    await this.#syncFolder(dirname(path));
    return true;
  }

  /** Makes what an earlier process left in the folder survive a power cut, as it may have died before it could. */
  settleSync(folder: string): void {
    this.#folderSync(folder);
  }

  /** Undefined when there is none. */
  readSync(path: string): string | undefined {
    try {
      return this.#disk.sync.readFileSync(path, 'utf8');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  async read(path: string): Promise<string | undefined> {
    try {
      return await this.#disk.promises.readFile(path, 'utf8');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** Names in a folder, drafts left out; none when the folder is not there. */
  async list(folder: string): Promise<readonly string[]> {
    return (await this.#names(folder)).filter((name) => !name.endsWith(DRAFT_ENDING));
  }

  /** Deletes what writers that died have left in a folder: drafts that were last written before `beforeMs`. */
  async removeDrafts(folder: string, beforeMs: number): Promise<void> {
    for (const name of await this.#names(folder)) {
      if (!name.endsWith(DRAFT_ENDING)) continue;
      const path = join(folder, name);
      const changedMs = await this.changedMs(path);
      if (changedMs !== undefined && changedMs < beforeMs) await this.remove(path);
    }
  }

  /** When a file was last written, or files of a folder last came or went, ms; undefined: it is not there. */
  async changedMs(path: string): Promise<number | undefined> {
    try {
      return (await this.#disk.promises.stat(path)).mtimeMs;
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  async remove(path: string): Promise<void> {
    await this.#disk.promises.rm(path, { force: true });
  }

  async #names(folder: string): Promise<readonly string[]> {
    try {
      return await this.#disk.promises.readdir(folder);
    } catch (error) {
      if (isCode(error, 'ENOENT')) return [];
      throw error;
    }
  }

  /** The folder may be gone: it is made again before the next file. */
  forgetFolder(path: string): void {
    this.#folders.delete(path);
  }

  #draftOf(path: string): string {
    return `${path}.${Buffer.from(this.#randomBytes(6)).toString('hex')}${DRAFT_ENDING}`;
  }

  #linkSync(draft: string, path: string): boolean {
    let ours = true;
    try {
      this.#disk.sync.linkSync(draft, path);
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
      ours = false;
    }
    this.#syncFolderSync(dirname(path));
    return ours;
  }

  async #writeDraft(path: string, contents: string): Promise<string> {
    const { promises } = this.#disk;
    const draft = this.#draftOf(path);
    const file = await promises.open(draft, 'wx', FILE_MODE);
    try {
      await file.writeFile(contents);
      await file.sync();
    } catch (error) {
      await promises.rm(draft, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return draft;
  }

  #folderSync(folder: string): void {
    if (this.#folders.has(folder)) return;
    this.#disk.sync.mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
    this.#syncFolderSync(dirname(folder));
    this.#syncFolderSync(folder);
    this.#folders.add(folder);
  }

  async #folder(folder: string): Promise<void> {
    if (this.#folders.has(folder)) return;
    await this.#disk.promises.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    await this.#syncFolder(dirname(folder));
    await this.#syncFolder(folder);
    this.#folders.add(folder);
  }

  #syncFolderSync(folder: string): void {
    const { sync } = this.#disk;
    const open = sync.openSync(folder, 'r');
    try {
      sync.fsyncSync(open);
    } finally {
      sync.closeSync(open);
    }
  }

  async #syncFolder(folder: string): Promise<void> {
    const open = await this.#disk.promises.open(folder, 'r');
    try {
      await open.sync();
    } finally {
      await open.close();
    }
  }
}

/** What the file system said, as the error of a key that is not to be had. */
export function unavailable(what: string, cause?: unknown): AppError {
  const reason = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return new AppError('DRM_KEYS_UNAVAILABLE', `${what}${reason}`, { cause });
}

/** For messages: a path without the folders above it. */
export function shortName(path: string): string {
  return `${basename(dirname(path))}/${basename(path)}`;
}
