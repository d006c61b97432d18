import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Environment, encoderEnvironment, findProgram } from '../spawn-encoder.ts';
import type { ToneMapper } from './piece-filters.ts';
import type { QualityMetric } from './title-plan.ts';
import { toneTable } from './piece-tone-table.ts';

/** ffmpeg's list of filters is some tens of kilobytes. */
const MAX_LIST_BYTES = 1024 * 1024;
const LIST_TIMEOUT_MS = 10_000;

/**
 * What this ffmpeg brings HDR down to SDR with: zscale and tonemap where it has both, else a table of ours, which is
 * written to `folder`.
 */
export async function chooseToneMapper(
  ffmpeg: string,
  environment: Environment,
  folder: string,
): Promise<ToneMapper> {
  const filters = await listFilters(ffmpeg, environment);
  const has = (name: string): boolean => new RegExp(`^ *\\S+ +${name} `, 'm').test(filters);
  if (has('zscale') && has('tonemap')) return { kind: 'zscale' };
  return await writeToneTables(folder);
}

/** What this ffmpeg compares pictures with: the model of how people see them where it has it. */
export async function chooseQualityMetric(ffmpeg: string, environment: Environment): Promise<QualityMetric> {
  const filters = await listFilters(ffmpeg, environment);
  return /^ *\S+ +libvmaf /m.test(filters) ? 'vmaf' : 'ssim';
}

/** Writes the tables to a folder. */
export async function writeToneTables(folder: string): Promise<ToneMapper> {
  await mkdir(folder, { recursive: true });
  const [pq, hlg] = [join(folder, 'tone-pq.cube'), join(folder, 'tone-hlg.cube')];
  await Promise.all([writeFile(pq, toneTable('pq')), writeFile(hlg, toneTable('hlg'))]);
  return { kind: 'table', pq, hlg };
}

async function listFilters(ffmpeg: string, environment: Environment): Promise<string> {
  const program = findProgram(ffmpeg, environment);
  if (program === undefined) return '';
  const options = {
    ...{
      cwd: '/',
      env: encoderEnvironment(environment),
      timeout: LIST_TIMEOUT_MS,
      maxBuffer: MAX_LIST_BYTES,
    },
  };
  return await new Promise((settle) => {
    execFile(program, ['-hide_banner', '-filters'], options, (error, stdout) => settle(error ? '' : stdout));
  });
}
