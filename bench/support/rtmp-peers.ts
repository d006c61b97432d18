import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../../test/support/until.ts';
import { startHeadwater, stop } from './headwater-process.ts';
import { processTree } from './process-usage.ts';
import { findFile } from './require-tools.ts';

/** A server that takes RTMP publishers without a key, in processes of its own. */
export interface RtmpPeer {
  readonly port: number;
  readonly app: string;
  /** Every process whose cost is the server's. */
  pids(): readonly number[];
  /** Bytes it keeps in files in memory, beside what its processes hold. */
  fileBytes(): number;
  /** @throws Error when the server does not make of each stream what it should. */
  check(streams: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** Segment length and window of all servers that package. */
export interface PackagingOptions {
  readonly segmentSeconds: number;
  readonly windowSeconds: number;
}

const LOOPBACK = '127.0.0.1';
const APP = 'live';

/** Headwater without a ladder: LL-HLS and LL-DASH of the source. */
export async function startHeadwaterPeer(options: PackagingOptions): Promise<RtmpPeer> {
  const settings = [
    'ingest.auth=none',
    'ladder.rungs=none',
    // All publishers come from one address here.
    'rtmp.maxConnectionsPerAddress=0',
    `live.segmentMs=${options.segmentSeconds * 1000}`,
    `live.windowSeconds=${options.windowSeconds}`,
  ];
  const server = await startHeadwater(settings.flatMap((setting) => ['--set', setting]));
  return {
    port: server.rtmpPort,
    app: APP,
    pids: () => [server.pid],
    fileBytes: () => 0,
    async check(streams) {
      for (const stream of streams) {
        const response = await fetch(`${server.mediaUrl}/live/${stream}/video.m3u8`);
        const segments = (await response.text()).match(/#EXTINF/g)?.length ?? 0;
        if (segments === 0) throw new Error(`Headwater lists no segment of ${stream}`);
      }
    },
    close: () => server.close(),
  };
}

/** A node:net server that reads and discards; see discard-server.ts. */
export async function startDiscardServer(): Promise<RtmpPeer> {
  const child = fork(fileURLToPath(new URL('./discard-server.js', import.meta.url)), { execArgv: [] });
  const port = await numberFrom(child);
  return {
    port,
    app: APP,
    pids: () => [pidOf(child)],
    fileBytes: () => 0,
    async check() {
      child.send('bytes');
      if ((await numberFrom(child)) === 0) throw new Error('the discarding server read nothing');
    },
    close: () => stop(child),
  };
}

async function numberFrom(child: ChildProcess): Promise<number> {
  const [value] = (await once(child, 'message')) as [number];
  return value;
}

/** What nginx-rtmp makes of a stream beside handing it on. */
export type NginxOutput = 'hls' | 'dash';

/**
 * nginx with the RTMP module, one worker.
 * @throws Error when it is not installed; see requireTools.
 */
export async function startNginxRtmp(
  outputs: readonly NginxOutput[],
  packaging: PackagingOptions,
): Promise<RtmpPeer> {
  const program = findFile('nginx');
  const module = findFile('ngx_rtmp_module.so');
  if (program === undefined || module === undefined) throw new Error('nginx-rtmp is not installed');
  const folder = await mkdtemp(join(memoryFolder(), 'headwater-bench-nginx-'));
  const media = join(folder, 'media');
  // Of each output its own: nginx looks after a folder once.
  for (const output of outputs) await mkdir(join(media, output), { recursive: true });
  const port = await freePort();
  const config = join(folder, 'nginx.conf');
  await writeFile(config, nginxConfig({ folder, module, port, media, outputs, packaging }));
  const child = spawn(program, ['-p', folder, '-c', config, '-e', join(folder, 'error.log')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const close = async (): Promise<void> => {
    await stop(child);
    await rm(folder, { recursive: true, force: true });
  };
  await listening(child, port, 'nginx', close);
  return {
    port,
    app: APP,
    pids: () => processTree(pidOf(child)),
    fileBytes: () => outputs.reduce((sum, output) => sum + folderBytes(join(media, output)), 0),
    async check(streams) {
      const wanted = streams.flatMap((stream) => outputs.map((output) => PLAYLIST[output](stream)));
      const missing = wanted.filter((name) => !existsSync(join(media, name)));
      if (missing.length > 0) throw new Error(`nginx-rtmp did not make ${missing.join(', ')}`);
    },
    close,
  };
}

const PLAYLIST: Readonly<Record<NginxOutput, (stream: string) => string>> = {
  hls: (stream) => join('hls', `${stream}.m3u8`),
  dash: (stream) => join('dash', `${stream}.mpd`),
};

interface NginxConfig {
  readonly folder: string;
  readonly module: string;
  readonly port: number;
  /** Folder of all output. */
  readonly media: string;
  readonly outputs: readonly NginxOutput[];
  readonly packaging: PackagingOptions;
}

function nginxConfig({ folder, module, port, media, outputs, packaging }: NginxConfig): string {
  // Run by root, the worker would become `nobody` and could not write its files.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const { segmentSeconds, windowSeconds } = packaging;
  const directives = outputs.map(
    (output) =>
      `${output} on; ${output}_path ${join(media, output)}; ${output}_fragment ${segmentSeconds}s; ` +
      `${output}_playlist_length ${windowSeconds}s;`,
  );
  return `
${user}
load_module ${module};
daemon off;
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log ${join(folder, 'error.log')} error;
events { worker_connections 256; }
rtmp {
  access_log off;
  server {
    listen ${LOOPBACK}:${port};
    chunk_size 4096;
    application ${APP} { live on; ${directives.join(' ')} }
  }
}
`;
}

/** node-media-server by its own command, with nothing switched on but RTMP (and what it cannot switch off). */
export async function startNodeMediaServer(): Promise<RtmpPeer> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-nms-'));
  const port = await freePort();
  const config = join(folder, 'config.json');
  await writeFile(config, JSON.stringify({ bind: LOOPBACK, rtmp: { port } }));
  const manifest = createRequire(import.meta.url).resolve('node-media-server/package.json');
  const program = join(dirname(manifest), 'bin', 'app.js');
  const child = spawn(
    process.execPath,
    [program, '--config', config, '--data-path', join(folder, 'data'), '--no-admin'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const close = async (): Promise<void> => {
    await stop(child);
    await rm(folder, { recursive: true, force: true });
  };
  await listening(child, port, 'node-media-server', close);
  return {
    port,
    app: APP,
    pids: () => [pidOf(child)],
    fileBytes: () => 0,
    check: async () => {},
    close,
  };
}

/** Waits until the server listens; closes it when it does not. */
async function listening(
  child: ChildProcess,
  port: number,
  name: string,
  close: () => Promise<void>,
): Promise<void> {
  try {
    await until(() => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode} (see above)`);
      return accepts(port);
    }, `${name} to listen on port ${port}`);
  } catch (error) {
    await close();
    throw error;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, LOOPBACK);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A port that nobody listens on, for programs that do not tell which one they were given. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A folder in memory where there is one, so that no disk is in the figures. */
function memoryFolder(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the program could not be started');
  return child.pid;
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
