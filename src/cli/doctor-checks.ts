import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { access, constants, lstat, readdir, statfs } from 'node:fs/promises';
import { createServer, isIPv6 } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../config.ts';
import { ENCODER_RECIPES, probeArguments } from '../transcode/encoders.ts';
import { ENCODERS } from '../transcode/ladder-options.ts';
import { reachableHost } from './reachable-host.ts';

/** `ok`: as it should be. `warn`: works, but somebody should look. `fail`: Headwater will not work, or is unsafe. */
export interface Finding {
  readonly status: 'ok' | 'warn' | 'fail';
  readonly name: string;
  readonly detail: string;
}

/** What the checks look at. */
export interface DoctorInput {
  readonly config: Config;
  readonly cwd: string;
  readonly wallMs: number;
  readonly nodeVersion: string;
}

export type DoctorCheck = (input: DoctorInput) => Promise<Finding[]>;

const run = promisify(execFile);
const TOOL_TIMEOUT_MS = 5000;

/** Output of a program, or undefined when it is not there or fails. */
async function output(program: string, args: readonly string[]): Promise<string | undefined> {
  const result = await attempt(program, args);
  return 'stdout' in result ? result.stdout : undefined;
}

/** Output of a program, or its last words; none when it is not there. */
async function attempt(
  program: string,
  args: readonly string[],
): Promise<{ readonly stdout: string } | { readonly problem: string | undefined }> {
  try {
    const { stdout } = await run(program, args, { timeout: TOOL_TIMEOUT_MS, maxBuffer: 4 * 1024 * 1024 });
    return { stdout: stdout.trim() };
  } catch (error) {
    const { code, killed, stderr } = error as { code?: unknown; killed?: boolean; stderr?: string };
    if (code === 'ENOENT' || code === 'EACCES') return { problem: undefined };
    if (killed === true) return { problem: `no answer within ${TOOL_TIMEOUT_MS / 1000} s` };
    return { problem: (stderr ?? '').trim().split('\n').at(-1)?.trim() || `it ended with ${String(code)}` };
  }
}

const MIN_NODE_MAJOR = 20;
const MIN_NODE_MINOR = 19;

/** Node's version against what the package declares. */
export async function checkNode({ nodeVersion }: DoctorInput): Promise<Finding[]> {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number);
  const fits = major > MIN_NODE_MAJOR || (major === MIN_NODE_MAJOR && minor >= MIN_NODE_MINOR);
  const needed = fits ? '' : ` (${MIN_NODE_MAJOR}.${MIN_NODE_MINOR} or newer is needed)`;
  return [{ status: fits ? 'ok' : 'fail', name: 'node', detail: `${nodeVersion}${needed}` }];
}

/** What the test broadcast is made with. */
const DEMO_ENCODERS = ['libx264', 'aac'];

/** ffmpeg and what the test broadcast needs of it. A stream that is pushed to us goes out without ffmpeg, too. */
export async function checkFfmpeg({ config }: DoctorInput): Promise<Finding[]> {
  const { ffmpeg } = config.ladder;
  const version = await output(ffmpeg, ['-hide_banner', '-version']);
  if (version === undefined) {
    return [
      {
        status: 'warn',
        name: 'ffmpeg',
        detail: `${ffmpeg} not found: passthrough only, streams get no further rungs; serve --demo needs it`,
      },
    ];
  }
  const line = /^ffmpeg version (\S+)/.exec(version)?.[1] ?? 'unknown version';
  const missing = await missingEncoders(ffmpeg, DEMO_ENCODERS);
  return missing.length === 0
    ? [{ status: 'ok', name: 'ffmpeg', detail: `${line}, encoders ${DEMO_ENCODERS.join(' and ')}` }]
    : [
        {
          status: 'warn',
          name: 'ffmpeg',
          detail: `${line} lacks ${missing.join(' and ')}; serve --demo needs them`,
        },
      ];
}

/** Those of `names` that the program was built without. */
async function missingEncoders(ffmpeg: string, names: readonly string[]): Promise<string[]> {
  const listed = (await output(ffmpeg, ['-hide_banner', '-encoders'])) ?? '';
  return names.filter((name) => !new RegExp(`^ \\S+ +${name} `, 'm').test(`\n ${listed}`));
}

/** The encoder of the ladder, really tried, and which hardware could do it instead. */
export async function checkEncoders({ config }: DoctorInput): Promise<Finding[]> {
  const { ffmpeg, encoder, rungs } = config.ladder;
  if (rungs === 'none') {
    return [{ status: 'ok', name: 'encoder', detail: 'not used: ladder.rungs is none, passthrough only' }];
  }
  if ((await output(ffmpeg, ['-hide_banner', '-version'])) === undefined) return [];
  const built = ENCODERS.filter((name) => name !== 'libx264' || name === encoder);
  const missing = await missingEncoders(ffmpeg, built);
  const hardware = built.filter((name) => name !== 'libx264' && !missing.includes(name));
  // One after the other: two at once on one device could refuse each other.
  const working: string[] = [];
  for (const name of hardware) {
    if ('stdout' in (await attempt(ffmpeg, probeArguments(name, config.ladder)))) working.push(name);
  }
  const detail = working.length === 0 ? 'none works here' : `${working.join(', ')} (ladder.encoder)`;
  return [await tryEncoder(config), { status: 'ok', name: 'hardware encoders', detail }];
}

/** Encodes a few frames as a live stream would be. One that was chosen and does not work is a fault. */
async function tryEncoder(config: Config): Promise<Finding> {
  const { ffmpeg, encoder } = config.ladder;
  const result = await attempt(ffmpeg, probeArguments(encoder, config.ladder));
  if ('stdout' in result) return { status: 'ok', name: 'encoder', detail: `${encoder} encodes` };
  const { needs } = ENCODER_RECIPES[encoder];
  return {
    status: encoder === 'libx264' ? 'warn' : 'fail',
    name: 'encoder',
    detail: `${encoder} does not work: passthrough only (it needs ${needs}): ${result.problem ?? 'it cannot be run'}`,
  };
}

/** Oldest Debian package without known holes; ffmpeg 5.1.7 closed CVE-2023-6602, -6604 and -6605. */
const SAFE_PACKAGES: Readonly<Record<string, string>> = { ffmpeg: '7:5.1.7' };

/** Versions of Debian's packages against the oldest safe one, where dpkg knows them. */
export async function checkPackages(): Promise<Finding[]> {
  const findings = Object.entries(SAFE_PACKAGES).map(async ([name, oldest]): Promise<Finding[]> => {
    const version = await output('dpkg-query', ['-W', '-f=${Version}', name]);
    if (!version) return [];
    const safe = (await output('dpkg', ['--compare-versions', version, 'ge', oldest])) !== undefined;
    const detail = safe ? version : `${version} has known holes; ${oldest} or newer is needed`;
    return [{ status: safe ? 'ok' : 'fail', name: `package ${name}`, detail }];
  });
  return (await Promise.all(findings)).flat();
}

/** Every configured port: free, or taken by a Headwater that runs already. */
export async function checkPorts({ config }: DoctorInput): Promise<Finding[]> {
  const running = await isHeadwater(config);
  const secure = config.rtmps.certPath === '' ? [] : (['rtmps'] as const);
  const names = ['rtmp', ...secure, 'http', 'control', 'metrics'] as const;
  const udp = config.srt.enabled ? (['srt'] as const) : [];
  return Promise.all(
    [...names, ...udp].map(async (name): Promise<Finding> => {
      const { host, port } = config[name];
      const label = `port ${name}`;
      const error = await (name === 'srt' ? tryBind(host, port) : tryListen(host, port));
      if (error === undefined) return { status: 'ok', name: label, detail: `${host}:${port} is free` };
      const detail = `${host}:${port} ${PORT_ERRORS[error] ?? error}`;
      if (error === 'EADDRINUSE' && running) {
        return { status: 'ok', name: label, detail: `${host}:${port} is in use by a running Headwater` };
      }
      return { status: 'fail', name: label, detail };
    }),
  );
}

const PORT_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program',
  EACCES: 'may not be opened by this user',
  EADDRNOTAVAIL: 'is not an address of this machine',
  ENOTFOUND: 'is not a known host',
};

function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((settle) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => settle(undefined)));
  });
}

/** The same for a UDP port. */
function tryBind(address: string, port: number): Promise<string | undefined> {
  return new Promise((settle) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => settle(undefined)));
  });
}

async function isHeadwater(config: Config): Promise<boolean> {
  const { host, port } = config.control;
  if (port === 0) return false;
  try {
    const answer = await fetch(`http://${reachableHost(host)}:${port}/healthz`, {
      signal: AbortSignal.timeout(1000),
    });
    return (await answer.text()).includes('"headwater"');
  } catch {
    return false;
  }
}

const GIB = 1024 ** 3;
const LOW_DISK_BYTES = 1 * GIB;
const NO_DISK_BYTES = 0.05 * GIB;

/** The data folder: may we write there, and is there room. */
export async function checkDataDir({ config, cwd }: DoctorInput): Promise<Finding[]> {
  const folder = resolve(cwd, config.dataDir);
  const existing = await nearestExisting(folder);
  const { bavail, bsize } = await statfs(existing);
  const freeBytes = bavail * bsize;
  const status = freeBytes < NO_DISK_BYTES ? 'fail' : freeBytes < LOW_DISK_BYTES ? 'warn' : 'ok';
  return [
    (await writable(existing))
      ? {
          status: 'ok',
          name: 'data folder',
          detail: existing === folder ? folder : `${folder} (made at first start)`,
        }
      : { status: 'fail', name: 'data folder', detail: `${existing} may not be written by this user` },
    { status, name: 'disk', detail: `${(freeBytes / GIB).toFixed(1)} GiB free for ${folder}` },
  ];
}

async function nearestExisting(folder: string): Promise<string> {
  try {
    await access(folder);
    return folder;
  } catch {
    const parent = dirname(folder);
    return parent === folder ? folder : nearestExisting(parent);
  }
}

async function writable(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Everything in the data folder is for its owner alone. */
export async function checkSecrets({ config, cwd }: DoctorInput): Promise<Finding[]> {
  const folder = resolve(cwd, config.dataDir);
  const open: string[] = [];
  let count = 0;
  for (const path of [folder, ...(await filesBelow(folder))]) {
    const stat = await lstat(path).catch(() => undefined);
    if (!stat) continue;
    count += 1;
    if (!stat.isSymbolicLink() && (stat.mode & 0o077) !== 0) open.push(path);
  }
  if (count === 0) return [{ status: 'ok', name: 'secrets', detail: 'none yet' }];
  return open.length === 0
    ? [{ status: 'ok', name: 'secrets', detail: 'readable by their owner only' }]
    : [{ status: 'fail', name: 'secrets', detail: `others may read ${open.join(', ')}; chmod go= them` }];
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  return entries.map((entry) => join(folder, entry));
}

/** A clock before this is certainly not set: no Headwater existed then. */
const EARLIEST_WALL_MS = 1_767_225_600_000;

/** The wall clock: plausible, and kept by NTP where that can be asked. */
export async function checkClock({ wallMs }: DoctorInput): Promise<Finding[]> {
  if (wallMs < EARLIEST_WALL_MS)
    return [{ status: 'fail', name: 'clock', detail: 'the wall clock is not set' }];
  const synchronised = await output('timedatectl', ['show', '-p', 'NTPSynchronized', '--value']);
  return synchronised === 'no'
    ? [
        {
          status: 'warn',
          name: 'clock',
          detail: 'not synchronised by NTP; programme times and latency figures will drift',
        },
      ]
    : [{ status: 'ok', name: 'clock', detail: synchronised === 'yes' ? 'synchronised by NTP' : 'plausible' }];
}

/** Files besides connections: logs, data, libraries. */
const OTHER_OPEN_FILES = 200;

/** The limit of open files against the connections the configuration allows. */
export async function checkOpenFiles({ config }: DoctorInput): Promise<Finding[]> {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return [];
  }
  const soft = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const wanted = config.http.maxConnections + config.rtmp.maxConnections + OTHER_OPEN_FILES;
  return soft >= wanted
    ? [{ status: 'ok', name: 'open files', detail: `${soft} allowed, ${wanted} enough` }]
    : [
        {
          status: 'warn',
          name: 'open files',
          detail: `${soft} allowed, ${wanted} would be needed at full load`,
        },
      ];
}
