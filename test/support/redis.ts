import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { until } from './until.ts';

export interface RedisOptions {
  /** Further arguments of redis-server; later ones count. */
  readonly args?: readonly string[];
}

/** A real redis-server of a test's own: durable (append-only file), never evicting. */
export interface Redis {
  readonly host: '127.0.0.1';
  /** The same over all restarts. */
  readonly port: number;
  readonly url: string;
  /** The same server without TCP. */
  readonly socketPath: string;
  /** Of the process that runs now, or ran last. */
  readonly pid: number;
  /** SIGKILL and SIGTERM: resolves when it is gone. SIGSTOP and SIGCONT: at once. */
  kill(signal?: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Sends one command, and gives the answer as it comes, up to its end; for a test's own questions. */
  tell(command: string): Promise<string>;
  /** From now on, until it is started again, nothing more gets into its files: what it answers first it only believes. */
  failWrites(): Promise<void>;
  /** Starts it again over the same files, at the same port; ends it first when it runs. */
  restart(): Promise<void>;
  /** Ends it and throws its files away. Idempotent. */
  stop(): Promise<void>;
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** How often another port is tried when somebody took ours between choosing and listening. */
const PORT_TRIES = 5;
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));

/**
 * Starts a redis-server on a free port of the loopback interface and waits until it answers. The caller stops it.
 * @throws Error with what it said when it does not start
 */
export async function startRedis({ args = [] }: RedisOptions = {}): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-redis-'));
  try {
    for (let turn = 1; ; turn++) {
      const server = new RedisProcess(folder, await freePort(), args);
      try {
        await server.start();
        return server;
      } catch (error) {
        await server.kill('SIGKILL');
        if (turn === PORT_TRIES) throw error;
      }
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

class RedisProcess implements Redis {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly url: string;
  readonly socketPath: string;
  readonly #folder: string;
  readonly #args: readonly string[];
  #child: Child | undefined;
  #said = '';

  constructor(folder: string, port: number, args: readonly string[]) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.socketPath = join(folder, 'redis.sock');
    this.#folder = folder;
    this.#args = args;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    this.#said = '';
    const child = spawnRedis([...this.#ownArgs(), ...this.#args]);
    this.#child = child;
    child.on('error', (error) => (this.#said += error.message));
    child.stdout.on('data', (data: Buffer) => (this.#said += data.toString()));
    child.stderr.on('data', (data: Buffer) => (this.#said += data.toString()));
    await until(async () => {
      if (!isRunning(child)) throw new Error(`redis-server did not start: ${this.#said}`);
      // Somebody else's server may listen at our port while ours is about to end.
      return (await answersPing({ path: this.socketPath })) && answersPing({ port: this.port });
    }, `redis-server answers at port ${this.port}`);
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT' = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || !isRunning(child)) return;
    const isEnd = signal === 'SIGKILL' || signal === 'SIGTERM';
    const exited = isEnd ? once(child, 'exit') : undefined;
    child.kill(signal);
    await exited;
  }

  tell(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = '';
      // What follows ends the answer, whatever that is.
      const socket = connect({ path: this.socketPath }, () =>
        socket.write(`${command}\r\nECHO that-is-all\r\nQUIT\r\n`),
      );
      socket.on('data', (data: Buffer) => (answer += data.toString()));
      socket.on('error', reject);
      socket.on('close', () =>
        resolve(answer.slice(0, Math.max(0, answer.lastIndexOf('$11\r\nthat-is-all')))),
      );
    });
  }

  async failWrites(): Promise<void> {
    const limiting = spawn('prlimit', ['--pid', String(this.pid), '--fsize=0:'], { stdio: 'ignore' });
    const [code] = (await once(limiting, 'exit')) as [number | null];
    if (code !== 0) throw new Error('prlimit failed');
  }

  async restart(): Promise<void> {
    await this.kill('SIGTERM');
    await this.start();
  }

  async stop(): Promise<void> {
    // Also ends one that is frozen.
    await this.kill('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }

  #ownArgs(): string[] {
    const settings = {
      bind: '127.0.0.1',
      port: String(this.port),
      unixsocket: this.socketPath,
      dir: this.#folder,
      appendonly: 'yes',
      appendfsync: 'everysec',
      save: '',
      'maxmemory-policy': 'noeviction',
    };
    return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  }
}

/** It ends with us, however we end, where the system can do that. */
function spawnRedis(args: readonly string[]): Child {
  const guard = SETPRIV === undefined ? [] : [SETPRIV, '--pdeathsig', 'KILL'];
  // A file that may not grow is an error of the write, and not the end of the process.
  const shell = ['sh', '-c', 'trap "" XFSZ; exec "$@"', 'sh'];
  const [program = '', ...all] = [...shell, ...guard, 'redis-server', ...args];
  return spawn(program, all, { stdio: ['ignore', 'pipe', 'pipe'] });
}

function isRunning({ pid, exitCode, signalCode }: Child): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

/** False also while it reads its files. */
function answersPing(where: { readonly path: string } | { readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect('path' in where ? where : { ...where, host: '127.0.0.1' });
    socket.setTimeout(2000, () => socket.destroy());
    socket.on('connect', () => socket.write('PING\r\n'));
    socket.on('data', (data: Buffer) => {
      resolve(data.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(false));
  });
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
