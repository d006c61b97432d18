import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The server as users run it, in a process of its own, on free loopback ports. */
export interface HeadwaterProcess {
  readonly pid: number;
  readonly mediaUrl: string;
  readonly controlUrl: string;
  readonly rtmpPort: number;
  /** Makes a publish key and returns the RTMP URL to push to. */
  publishUrl(stream: string): Promise<string>;
  close(): Promise<void>;
}

const MAIN = join('dist', 'main.js');

/** Starts `headwater serve` (plus `args`) and waits until it listens. */
export async function startHeadwater(args: readonly string[] = []): Promise<HeadwaterProcess> {
  const dataDir = await mkdtemp(join(tmpdir(), 'headwater-bench-'));
  const ports = ['rtmp', 'http', 'control', 'metrics'].flatMap((name) => [
    '--set',
    `${name}.port=0`,
    '--set',
    `${name}.host=127.0.0.1`,
  ]);
  const settings = ['--set', `dataDir=${dataDir}`, '--set', 'http.maxConnectionsPerAddress=0', ...ports];
  const child = spawn(process.execPath, [MAIN, 'serve', ...settings, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const listening = await readListening(child);
  return {
    pid: child.pid ?? 0,
    mediaUrl: `http://127.0.0.1:${listening.http}`,
    controlUrl: `http://127.0.0.1:${listening.control}`,
    rtmpPort: listening.rtmp,
    async publishUrl(stream) {
      const key = await createKey(stream, dataDir);
      return `rtmp://127.0.0.1:${listening.rtmp}/live/${key}`;
    },
    async close() {
      await stop(child);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Ends a child by its own id and waits for it. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
}

/** CPU time (user + system) a process has used so far, microseconds. */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const CLOCK_TICK_MICROS = 10_000;
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MICROS;
}

interface Listening {
  readonly rtmp: number;
  readonly http: number;
  readonly control: number;
}

/** Reads the log until the line that names the ports; the pipe goes on being read, or the server would block on it. */
function readListening(child: ChildProcess): Promise<Listening> {
  return new Promise((resolve, reject) => {
    if (!child.stdout) throw new Error('the server has no stdout');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line) as { event?: string; ports?: Listening };
      if (entry.event === 'listening' && entry.ports) resolve(entry.ports);
    });
    child.once('close', (code) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
}

async function createKey(stream: string, dataDir: string): Promise<string> {
  const child = spawn(process.execPath, [MAIN, 'stream', 'create', stream, '--set', `dataDir=${dataDir}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString('utf8');
  });
  await once(child, 'close');
  const key = /hw_[A-Za-z0-9_-]+/.exec(output)?.[0];
  if (key === undefined) throw new Error('stream create printed no key');
  return key;
}
