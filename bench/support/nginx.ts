import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stop } from './headwater-process.ts';
import { findFile } from './require-tools.ts';

/** nginx with one worker, serving files that lie in memory. */
export interface NginxProcess {
  readonly url: string;
  /** `nginx/1.22.1`. */
  readonly version: string;
  /** The process that answers: its CPU is that of the requests. */
  readonly workerPid: number;
  /** Puts a file under a URL path. */
  put(path: string, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** What an operator may choose. */
export interface NginxOptions {
  /** Keeps files open between requests: three system calls fewer each, but a file that is replaced is seen late. */
  readonly openFileCache?: boolean;
  /** Serves what is in this folder instead of what is put into memory. */
  readonly root?: string;
}

/** On Linux files in here are in memory only. */
const MEMORY_FOLDER = '/dev/shm';
const START_UP_MS = 5000;

/** Starts Debian's nginx as somebody would who wants it fast. The caller closes it. */
export async function startNginx(options: NginxOptions = {}): Promise<NginxProcess> {
  const program = findFile('nginx') ?? 'nginx';
  const folder = await mkdtemp(
    join(existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), 'headwater-nginx-'),
  );
  const files = options.root ?? join(folder, 'files');
  await mkdir(files, { recursive: true, mode: 0o755 });
  const port = await freePort();
  const config = join(folder, 'nginx.conf');
  await writeFile(config, configuration(folder, files, port, options));
  const child = spawn(program, ['-c', config, '-p', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  const close = async (): Promise<void> => {
    await stop(child, 'SIGQUIT');
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await whenListening(port, child);
    const workerPid = onlyChildOf(child.pid ?? 0);
    return {
      url: `http://127.0.0.1:${port}`,
      version: spawnSync(program, ['-v']).stderr.toString().replace('nginx version:', '').trim(),
      workerPid,
      async put(path, bytes) {
        const file = join(files, path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, bytes);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function configuration(folder: string, files: string, port: number, options: NginxOptions): string {
  // Started by root the worker would be another user, who may not look into our folder.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const cache = options.openFileCache ? 'open_file_cache max=1000; open_file_cache_valid 1s;' : '';
  return `${user}
    worker_processes 1;
    daemon off;
    pid ${folder}/nginx.pid;
    error_log stderr warn;
    events { worker_connections 16384; }
    http {
      types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s mp4; }
      access_log off;
      sendfile on;
      tcp_nopush on;
      tcp_nodelay on;
      keepalive_timeout 3600s;
      keepalive_requests 1000000000;
      client_body_temp_path ${folder}/body;
      proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi;
      scgi_temp_path ${folder}/scgi;
      ${cache}
      server { listen 127.0.0.1:${port} backlog=4096; root ${files}; }
    }\n`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function whenListening(port: number, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_UP_MS;
  while (performance.now() < deadline && child.exitCode === null) {
    if (await accepts(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('nginx did not start to listen');
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function onlyChildOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  if (children.length !== 1 || !children[0]) throw new Error('nginx has not one worker');
  return Number(children[0]);
}
