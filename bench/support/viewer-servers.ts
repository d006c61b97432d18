import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Redis, startRedis } from '../../test/support/redis.ts';
import { type HeadwaterProcess, startHeadwater } from './headwater-process.ts';
import type { ViewerUsers } from './viewer-users.ts';

export type StateDriver = 'embedded' | 'redis';

/** Servers that share their viewers, each a process of its own, and the Redis between them where there is one. */
export interface ViewerServers {
  readonly servers: readonly [HeadwaterProcess, ...HeadwaterProcess[]];
  readonly redis: Redis | undefined;
  close(): Promise<void>;
}

export interface ViewerServersInit {
  readonly driver: StateDriver;
  /** More than one only with Redis. */
  readonly count?: number;
  /** Makes `heap()` of the servers work. */
  readonly probe?: boolean;
}

/** Everybody here is one address, and asks as fast as it goes. */
const UNLIMITED = [
  ...['viewers.maxCallsPerAddressPerSecond=0', 'viewers.maxCallsPerViewerPerSecond=0'],
  ...['viewers.maxStreams=1000000', 'viewers.maxStreamsPerAddress=1000000'],
  'license.maxSessionCallsPerAddressPerSecond=0',
];
/** Only viewers are measured. */
const VIEWERS_ALONE = ['drm.enabled=false', 'license.enabled=false', 'srt.enabled=false'];
/** What servers that share viewers must share. */
const SHARED_SECRETS = ['license.key', 'playback-token-keys.json'];

/** Redis is durable as the documentation asks for: append-only, `everysec`. */
export async function startViewerServers(
  users: ViewerUsers,
  { driver, count = 1, probe = false }: ViewerServersInit,
): Promise<ViewerServers> {
  const redis = driver === 'redis' ? await startRedis() : undefined;
  const servers: HeadwaterProcess[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.close()));
    await redis?.stop();
  };
  const state = [`state.driver=${driver}`, ...(redis ? [`state.redis.url=${redis.url}`] : [])];
  const args = [users.setting, ...UNLIMITED, ...VIEWERS_ALONE, ...state].flatMap((each) => ['--set', each]);
  try {
    const first = await startHeadwater(args, { probe });
    servers.push(first);
    while (servers.length < count)
      servers.push(await startHeadwater(args, { probe, prepare: (dataDir) => shareSecrets(first, dataDir) }));
    return { servers: [first, ...servers.slice(1)], redis, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function shareSecrets(from: HeadwaterProcess, dataDir: string): Promise<void> {
  await mkdir(join(dataDir, 'secrets'), { recursive: true, mode: 0o700 });
  for (const name of SHARED_SECRETS)
    await cp(join(from.dataDir, 'secrets', name), join(dataDir, 'secrets', name));
}
