import { statfs } from 'node:fs/promises';

/** How full the disk of a folder is. */
export interface DiskUse {
  readonly totalBytes: number;
  /** What we may still write. */
  readonly availableBytes: number;
}

/** Undefined when the system does not tell. */
export async function diskUseOf(folder: string): Promise<DiskUse | undefined> {
  try {
    const { blocks, bavail, bsize } = await statfs(folder);
    return { totalBytes: blocks * bsize, availableBytes: bavail * bsize };
  } catch {
    return undefined;
  }
}
