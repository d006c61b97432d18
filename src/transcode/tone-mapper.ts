import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listFilters } from './ffmpeg-filters.ts';
import type { Environment } from './spawn-encoder.ts';
import type { ToneMapper } from './tone-map.ts';
import { toneTable } from './tone-table.ts';

/**
 * What this ffmpeg brings HDR down to SDR with: zscale and tonemap where it has both, else a table of ours, which is
 * written to `folder`. Any error of the file system is thrown as it is.
 */
export async function chooseToneMapper(
  ffmpeg: string,
  environment: Environment,
  folder: string,
): Promise<ToneMapper> {
  const filters = await listFilters(ffmpeg, environment);
  if (filters.has('zscale') && filters.has('tonemap')) return { kind: 'zscale' };
  return await writeToneTables(folder);
}

/** Writes the tables to a folder, which is made when it is not there. */
export async function writeToneTables(folder: string): Promise<ToneMapper> {
  await mkdir(folder, { recursive: true });
  const [pq, hlg] = [join(folder, 'tone-pq.cube'), join(folder, 'tone-hlg.cube')];
  await writeWhole(folder, pq, toneTable('pq'));
  await writeWhole(folder, hlg, toneTable('hlg'));
  return { kind: 'table', pq, hlg };
}

/** Encoders of another process may be reading it: it is there as a whole, and is left alone where it is right. */
async function writeWhole(folder: string, path: string, text: string): Promise<void> {
  const found = await readFile(path, 'utf8').catch(() => undefined);
  if (found === text) return;
  const drafts = await mkdtemp(join(folder, 'draft-'));
  try {
    const draft = join(drafts, 'table');
    await writeFile(draft, text);
    await rename(draft, path);
  } finally {
    await rm(drafts, { recursive: true, force: true });
  }
}
