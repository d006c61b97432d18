import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp, type App, type AppPorts } from '../../src/app.ts';
import { systemClock } from '../../src/base/clock.ts';
import { loadConfig, formatIssue } from '../../src/config/load.ts';
import { createMemoryLog, type LogLine } from './memory-log.ts';

/** A whole server in this process, on free loopback ports, with a data folder of its own. */
export interface TestServer {
  readonly app: App;
  readonly ports: AppPorts;
  /** `http://127.0.0.1:<port>` of the media listener. */
  readonly mediaUrl: string;
  /** The same of the control listener (node:http; also serves media). */
  readonly controlUrl: string;
  readonly metricsUrl: string;
  readonly dataDir: string;
  readonly log: readonly LogLine[];
  /** Makes a publish key for a new stream and returns the RTMP URL to push to. */
  publishUrl(stream: string): Promise<string>;
  close(): Promise<void>;
}

/** No encoding unless a test is about it: it would take the two cores from everything else. */
const TEST_DEFAULTS = ['http.maxConnectionsPerAddress=0', 'ladder.rungs=none'];

export interface TestServerOptions {
  /** `path=value`, as for `--set`; the last one counts. */
  readonly set?: readonly string[];
  /** Use this data folder and leave it behind, to try a restart. */
  readonly dataDir?: string;
}

/** Starts a server for a test; `close()` stops it and removes what it wrote. */
export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'headwater-test-')));
  const ports = ['rtmp', 'srt', 'http', 'control', 'metrics'].flatMap((name) => [
    `${name}.port=0`,
    `${name}.host=127.0.0.1`,
  ]);
  const loaded = loadConfig({
    cwd: dataDir,
    env: {},
    flags: [...TEST_DEFAULTS, `dataDir=${dataDir}`, ...ports, ...(options.set ?? [])],
  });
  if (!('config' in loaded)) throw new Error(loaded.issues.map(formatIssue).join('\n'));
  const log = createMemoryLog();
  const app = createApp(loaded.config, { clock: systemClock, log });
  const listening = await app.start();
  return {
    app,
    ports: listening,
    mediaUrl: `http://127.0.0.1:${listening.http}`,
    controlUrl: `http://127.0.0.1:${listening.control}`,
    metricsUrl: `http://127.0.0.1:${listening.metrics}`,
    dataDir,
    log: log.lines,
    async publishUrl(stream) {
      return `rtmp://127.0.0.1:${listening.rtmp}/live/${await app.publishKeys.create(stream)}`;
    },
    async close() {
      await app.close();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}
