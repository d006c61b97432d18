import { dirname, join, relative } from 'node:path';
import { AppError } from '../base/errors.ts';
import { failureOf, type FsCalls } from './fs-calls.ts';

const FOLDER_MODE = 0o700;
/** Folders remembered as durable at most; past it all are looked at again. */
const MAX_REMEMBERED = 10_000;

/** The folders of a store: made when something is put there, gone when the last blob is. */
export class FsFolders {
  readonly #disk: FsCalls;
  /** Real path. */
  readonly #root: string;
  /** Folders whose own names are known to survive a power cut. */
  readonly #durable = new Set<string>();

  constructor(disk: FsCalls, root: string) {
    this.#disk = disk;
    this.#root = root;
  }

  /**
   * Makes `folder` and those above it below the root, one by one so that no symbolic link is followed.
   * @throws AppError STORAGE_KEY_INVALID when one of the names is taken by something else
   */
  async make(folder: string): Promise<void> {
    let path = this.#root;
    for (const name of this.#namesOf(folder)) {
      path = join(path, name);
      await this.#makeOne(path);
    }
  }

  async #makeOne(path: string): Promise<void> {
    try {
      await this.#disk.mkdir(path, { mode: FOLDER_MODE });
      this.#durable.delete(path);
    } catch (error) {
      if (failureOf(error) !== 'EEXIST') throw error;
      // ENOENT here: pruned in between; the caller tries again.
      if ((await this.#disk.lstat(path)).isDirectory()) return;
      throw new AppError('STORAGE_KEY_INVALID', 'a folder of this key is a blob, or a symbolic link');
    }
  }

  /**
   * Makes what was renamed or linked into `folder` survive a power cut, the folders on the way to it too. Something must
   * be in it, so that nobody prunes it meanwhile.
   */
  async makeDurable(folder: string): Promise<void> {
    await this.#sync(folder);
    for (let path = folder; path !== this.#root && !this.#durable.has(path); path = dirname(path)) {
      await this.#sync(dirname(path));
      if (this.#durable.size >= MAX_REMEMBERED) this.#durable.clear();
      this.#durable.add(path);
    }
  }

  /** Removes `folder` and those above it as far as they are empty. A put that comes in between makes them again. */
  async prune(folder: string): Promise<void> {
    for (let path = folder; path !== this.#root; path = dirname(path)) {
      // Before and after: a put between the two must not take the old folder's word for the new one.
      this.#durable.delete(path);
      try {
        await this.#disk.rmdir(path);
      } catch {
        return;
      }
      this.#durable.delete(path);
    }
  }

  async #sync(folder: string): Promise<void> {
    const open = await this.#disk.open(folder, 'r');
    try {
      await open.sync();
    } finally {
      await open.close();
    }
  }

  #namesOf(folder: string): string[] {
    return relative(this.#root, folder).split('/').filter(Boolean);
  }
}
