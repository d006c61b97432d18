import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stateOptions } from '../../src/app/state-options.ts';
import { openNodes } from '../../src/app/nodes.ts';
import { openProtection } from '../../src/app/protection.ts';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { Config } from '../../src/config.ts';
import { formatIssue, loadConfig } from '../../src/config/load.ts';
import { createAdminAccess } from '../../src/control/admin-access.ts';
import { openAdminToken } from '../../src/control/admin-token.ts';
import { createHttpServer } from '../../src/http/create-http-server.ts';
import { problemAnswer } from '../../src/http/problem.ts';
import { AppError } from '../../src/base/errors.ts';
import { openDataFolder } from '../../src/state/data-folder.ts';
import { openState } from '../../src/state/open-state.ts';
import { createMemoryLog, type LogLine } from './memory-log.ts';

/** The control listener with sessions, licences and resume as the server has them, and nothing else. */
export interface ViewerServer {
  readonly controlUrl: string;
  readonly dataDir: string;
  readonly adminToken: string;
  readonly log: readonly LogLine[];
  /** What /readyz would say of the other servers. */
  problems(): readonly string[];
  /** Sum of a metric over the label sets that contain `labels`. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  close(): Promise<void>;
}

/** `set`: `path=value`, as for `--set`. `dataDir`: one that is there, and stays. */
export async function startViewerServer(
  options: { readonly set?: readonly string[]; readonly dataDir?: string } = {},
): Promise<ViewerServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'headwater-viewers-')));
  const config = configOf(dataDir, options.set ?? []);
  const log = createMemoryLog();
  const metrics = new Metrics();
  const clock = systemClock;
  await openDataFolder(dataDir);
  const adminToken = await openAdminToken(dataDir, randomBytes);
  const adminAccess = createAdminAccess({ token: adminToken, clock, metrics });
  const state = await openState(stateOptions(config), { clock, log, metrics, random: Math.random });
  const protection = await openProtection(config, {
    ...{ clock, log, metrics, state, adminToken, adminAccess },
    isKept: () => false,
  });
  const closeAll = async (): Promise<void> => {
    await protection.close();
    await state.close();
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
  };
  const nodes = await openNodes(config, { clock, log, metrics, state, adminAccess, version: 'test' }).catch(
    async (error: unknown) => {
      await closeAll();
      throw error;
    },
  );
  const server = await createHttpServer(
    { driver: 'node', host: '127.0.0.1', port: 0, limits: config.http, listener: 'control' },
    { log, metrics, clock },
    nodes.handler(
      protection.handler((_request, response) =>
        response.send(problemAnswer(new AppError('HTTP_NOT_FOUND'))),
      ),
    ),
  );

  return {
    controlUrl: `http://127.0.0.1:${server.port}`,
    dataDir,
    adminToken: (await readFile(adminToken.file, 'utf8')).trim(),
    log: log.lines,
    problems: () => nodes.problems(),
    async metric(name, labels = {}) {
      const { values } = (await metrics.registry.getSingleMetric(`headwater_${name}`)?.get()) ?? {
        values: [],
      };
      const wanted = Object.entries(labels);
      return values
        .filter((value) =>
          wanted.every(([key, text]) => (value.labels as Record<string, unknown>)[key] === text),
        )
        .reduce((sum, { value }) => sum + value, 0);
    },
    async close() {
      protection.release();
      await server.close();
      await nodes.close();
      await closeAll();
    },
  };
}

function configOf(dataDir: string, set: readonly string[]): Config {
  const flags = ['http.maxConnectionsPerAddress=0', `dataDir=${dataDir}`, ...set];
  const loaded = loadConfig({ cwd: dataDir, env: {}, flags });
  if (!('config' in loaded)) throw new Error(loaded.issues.map(formatIssue).join('\n'));
  return loaded.config;
}
