import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const PREFIX = 'vod-';
/** No job takes so long: a folder that is older was left by a process that was killed. */
const LEFTOVER_MS = 24 * 3600 * 1000;

/** Folders for what jobs make before it is stored. */
export class Scratch {
  readonly #root: string;

  /** @param root made when it is not there */
  constructor(root: string) {
    this.#root = root;
  }

  /** Gives `work` a folder of its own, which is gone afterwards, however it ends. */
  async use<T>(work: (folder: string) => Promise<T>): Promise<T> {
    await mkdir(this.#root, { recursive: true });
    const folder = await mkdtemp(join(this.#root, PREFIX));
    try {
      return await work(folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Removes what processes that were killed have left. */
  async sweep(nowMs: number): Promise<void> {
    const names = await readdir(this.#root).catch(() => []);
    for (const name of names.filter((candidate) => candidate.startsWith(PREFIX))) {
      const path = join(this.#root, name);
      const found = await stat(path).catch(() => undefined);
      if (found && nowMs - found.mtimeMs > LEFTOVER_MS) await rm(path, { recursive: true, force: true });
    }
  }
}
