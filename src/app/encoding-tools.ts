import { join, resolve } from 'node:path';
import process from 'node:process';
import type { Config } from '../config.ts';
import type { ToneMapper } from '../transcode/tone-map.ts';
import { chooseToneMapper } from '../transcode/tone-mapper.ts';

/** Where encoding puts what it can make again. */
export function scratchFolder({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(resolve(dataDir), 'scratch');
}

/** What ffmpeg brings HDR down to SDR with: found out when it is first asked for, once for live and VOD. */
export function toneMapperOnce(config: Pick<Config, 'dataDir' | 'ladder'>): () => Promise<ToneMapper> {
  let chosen: Promise<ToneMapper> | undefined;
  return () => (chosen ??= chooseToneMapper(config.ladder.ffmpeg, process.env, scratchFolder(config)));
}
