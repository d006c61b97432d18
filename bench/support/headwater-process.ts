import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The server as users run it, in a process of its own, on free loopback ports. */
export interface HeadwaterProcess {
  readonly pid: number;
  readonly mediaUrl: string;
  readonly controlUrl: string;
  readonly metricsUrl: string;
  readonly rtmpPort: number;
  readonly dataDir: string;
  /** File with the token of the control API's admin calls. */
  readonly adminTokenFile: string;
  /** Makes a publish key and returns the RTMP URL to push to. */
  publishUrl(stream: string): Promise<string>;
  /** What its heap holds after a collection; the server must have been started with `probe`. */
  heap(): Promise<HeapUse>;
  close(): Promise<void>;
}

/** Bytes that JavaScript holds in a process. */
export interface HeapUse {
  readonly heapUsed: number;
  /** Buffers. */
  readonly external: number;
}

/** How a server is started beyond its own arguments. */
export interface HeadwaterStart {
  /** Makes `heap()` work. */
  readonly probe?: boolean;
  /** Options of Node itself. */
  readonly nodeArgs?: readonly string[];
  /** Puts files into the data folder before the server sees it. */
  readonly prepare?: (dataDir: string) => Promise<void>;
}

const MAIN = join('dist', 'main.js');
const PROBE = fileURLToPath(new URL('memory-probe.js', import.meta.url));

/** Starts `headwater serve` (plus `args`, which may ask for a ladder) and waits until it listens. */
export async function startHeadwater(
  args: readonly string[] = [],
  { probe = false, nodeArgs = [], prepare }: HeadwaterStart = {},
): Promise<HeadwaterProcess> {
  const dataDir = await mkdtemp(join(tmpdir(), 'headwater-bench-'));
  await prepare?.(dataDir);
  const ports = ['rtmp', 'srt', 'http', 'control', 'metrics'].flatMap((name) => [
    '--set',
    `${name}.port=0`,
    '--set',
    `${name}.host=127.0.0.1`,
  ]);
  const defaults = ['--set', 'http.maxConnectionsPerAddress=0', '--set', 'ladder.rungs=none'];
  const settings = ['--set', `dataDir=${dataDir}`, ...defaults, ...ports];
  const probeArgs = probe ? ['--expose-gc', '--import', PROBE] : [];
  const child = spawn(
    process.execPath,
    [...nodeArgs, ...probeArgs, MAIN, 'serve', ...settings, ...args],
    // The channel only where it is used: a server that users run has none.
    { stdio: ['ignore', 'pipe', 'inherit', ...(probe ? (['ipc'] as const) : [])] },
  );
  const listening = await readListening(child);
  return {
    pid: child.pid ?? 0,
    mediaUrl: `http://127.0.0.1:${listening.http}`,
    controlUrl: `http://127.0.0.1:${listening.control}`,
    metricsUrl: `http://127.0.0.1:${listening.metrics}/metrics`,
    rtmpPort: listening.rtmp,
    dataDir,
    adminTokenFile: join(dataDir, 'secrets', 'admin.token'),
    async publishUrl(stream) {
      const key = await createKey(stream, dataDir);
      return `rtmp://127.0.0.1:${listening.rtmp}/live/${key}`;
    },
    async heap() {
      const answered = once(child, 'message');
      child.send('heap');
      const [use] = (await answered) as [HeapUse];
      return use;
    },
    async close() {
      await stop(child);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Ends a child by its own id and waits for it. */
export async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}

interface Listening {
  readonly rtmp: number;
  readonly http: number;
  readonly control: number;
  readonly metrics: number;
}

/** Reads the log until the line that names the ports; the pipe goes on being read, or the server would block on it. */
function readListening(child: ChildProcess): Promise<Listening> {
  return new Promise((resolve, reject) => {
    if (!child.stdout) throw new Error('the server has no stdout');
    let isListening = false;
    createInterface({ input: child.stdout }).on('line', (line) => {
      // Thousands of lines a second come from some benches.
      if (isListening) return;
      const entry = JSON.parse(line) as { event?: string; ports?: Listening };
      if (entry.event !== 'listening' || !entry.ports) return;
      isListening = true;
      resolve(entry.ports);
    });
    child.once('close', (code) => reject(new Error(`the server ended with ${code} before it listened`)));
  });
}

/** The advice for people that comes with the key is not for the output of a bench. */
async function createKey(stream: string, dataDir: string): Promise<string> {
  const child = spawn(process.execPath, [MAIN, 'stream', 'create', stream, '--set', `dataDir=${dataDir}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let advice = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    advice += text;
  });
  await once(child, 'close');
  const key = /hw_[A-Za-z0-9_-]+/.exec(output)?.[0];
  if (key === undefined) throw new Error(`stream create printed no key: ${advice}`);
  return key;
}
