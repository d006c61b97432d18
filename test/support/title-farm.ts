import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FREE_PORTS, listeningPorts, logLines, type RunningCli, startCli } from './cli.ts';
import { until } from './until.ts';
import { controlOf } from './vod-client.ts';

export interface TitleFarmOptions {
  /** Of all of it; thrown away by whoever made it. */
  readonly folder: string;
  readonly redisUrl: string;
  readonly workers: number;
  /**
   * Encoders have one thread: x264 with several makes a piece anew with other bits where its bit rate is capped, since how far
   * its threads are decides what a frame may take.
   */
  readonly isRepeatable?: boolean;
  /** `path=value`, for the server and the workers. */
  readonly set?: readonly string[];
}

type Control = Awaited<ReturnType<typeof controlOf>>;

/** Where the processes of a farm find masters and put media. */
function sharedFolders(folder: string): { readonly masters: string; readonly media: string } {
  return { masters: join(folder, 'masters'), media: join(folder, 'media') };
}

/** A server that does no work itself and workers that do, each a process as users start it. */
export class TitleFarm {
  readonly #options: TitleFarmOptions;
  readonly #workers: RunningCli[] = [];
  #server: RunningCli | undefined;
  #ports: Record<string, number> = {};
  #control: Control | undefined;
  #encoder: string | undefined;

  constructor(options: TitleFarmOptions) {
    this.#options = options;
  }

  /** Where masters belong, below the farm's folder. */
  get masters(): string {
    return sharedFolders(this.#options.folder).masters;
  }

  get media(): string {
    return sharedFolders(this.#options.folder).media;
  }

  get mediaUrl(): string {
    return `http://127.0.0.1:${this.#ports['http']}`;
  }

  async start(): Promise<void> {
    const { folder, isRepeatable = false } = this.#options;
    await mkdir(this.masters, { recursive: true });
    // Once: what is being run must not be written.
    if (isRepeatable) this.#encoder = await oneThreadEncoder(folder);
    await this.startServer();
    await Promise.all(Array.from({ length: this.#options.workers }, (_, n) => this.startWorker(n)));
  }

  /** The control API, also while the server is being started again: then it waits. */
  readonly control: Control = async (...call) => {
    return until(
      () => this.#control?.(...call).catch(() => undefined),
      `the control API answers ${call[0]} ${call[1]}`,
    );
  };

  async startServer(): Promise<void> {
    const { folder, redisUrl } = this.#options;
    const dataDir = join(folder, 'server');
    const own = [
      ...['ladder.rungs=none', 'http.maxConnectionsPerAddress=0', 'state.driver=redis', 'vod.queue=redis'],
      ...['vod.work=false', `state.redis.url=${redisUrl}`, `vod.roots=${this.masters}`, `dataDir=${dataDir}`],
    ];
    const args = ['serve', ...FREE_PORTS, ...[...this.#shared, ...own].flatMap(flag)];
    this.#server = startCli(args, { cwd: folder });
    this.#ports = await listeningPorts(this.#server);
    this.#control = await controlOf({ dataDir, controlUrl: `http://127.0.0.1:${this.#ports['control']}` });
  }

  /** @returns when it takes work */
  async startWorker(n: number): Promise<RunningCli> {
    const { folder, redisUrl } = this.#options;
    const encoder = this.#encoder === undefined ? [] : [`ladder.ffmpeg=${this.#encoder}`];
    const own = [`dataDir=${join(folder, `worker-${n}`)}`, 'metrics.port=0', 'metrics.host=127.0.0.1'];
    const args = [
      'worker',
      '--join',
      redisUrl,
      '--slots',
      '1',
      ...[...this.#shared, ...own, ...encoder].flatMap(flag),
    ];
    const worker = startCli(args, { cwd: folder });
    this.#workers[n] = worker;
    await until(() => {
      if (worker.child.exitCode !== null) throw new Error(`a worker ended early: ${worker.stderr}`);
      return logLines(worker.stdout).some(({ event }) => event === 'listening');
    }, 'a worker has begun');
    return worker;
  }

  worker(n: number): RunningCli {
    const worker = this.#workers[n];
    if (!worker) throw new RangeError(`no worker ${n}`);
    return worker;
  }

  /** Kills a worker, and its encoders with it, and puts another in its place. */
  async replaceWorker(n: number): Promise<void> {
    await end(this.worker(n), 'SIGKILL');
    await this.startWorker(n);
  }

  async replaceServer(): Promise<void> {
    if (this.#server) await end(this.#server, 'SIGKILL');
    await this.startServer();
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    const all = [...this.#workers, ...(this.#server ? [this.#server] : [])];
    await Promise.all(all.map((cli) => end(cli, 'SIGKILL')));
  }

  get #shared(): string[] {
    return [...(this.#options.set ?? []), `storage.path=${this.media}`];
  }
}

/** ffmpeg, whatever it is told, with one thread. */
const ONE_THREAD = `#!/bin/bash
args=()
before=
for arg in "$@"; do
  [ "$before" = -threads ] && arg=1
  args+=("$arg")
  before=$arg
done
exec ffmpeg "\${args[@]}"
`;

async function oneThreadEncoder(folder: string): Promise<string> {
  const path = join(folder, 'ffmpeg-one-thread');
  await writeFile(path, ONE_THREAD, { mode: 0o755 });
  return path;
}

/** Sends a signal and waits until the process is gone. */
export async function end(cli: RunningCli, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
  if (cli.child.exitCode === null && cli.child.signalCode === null) cli.child.kill(signal);
  return (await cli.ended).code;
}

function flag(set: string): string[] {
  return ['--set', set];
}
