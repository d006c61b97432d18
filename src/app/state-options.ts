import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import type { StateOptions } from '../state/open-state.ts';

/** Where state is kept, by the configuration. */
export function stateOptions({ dataDir, state }: Config): StateOptions {
  const { driver, resumeDriver, redis, dynamodb } = state;
  const { url, cluster, username, password, prefix, minReplicas } = redis;
  return {
    driver,
    resumeDriver,
    dataDir: resolve(dataDir),
    redis: {
      ...{ url, username, password, prefix, minReplicas },
      isCluster: cluster,
      passwordPath: absolute(redis.passwordPath),
      caPath: absolute(redis.caPath),
    },
    dynamodb: { ...dynamodb, credentialsPath: absolute(dynamodb.credentialsPath) },
  };
}

/** Empty stays empty: there is no such file. */
function absolute(path: string): string {
  return path === '' ? '' : resolve(path);
}
