import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { cpuTime } from './process-usage.ts';
import { findFile } from './require-tools.ts';

/** What to ask for, and how hard. */
export interface WrkLoad {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** A file with paths, one a line, that are asked for one after the other instead of that of the URL. */
  readonly pathsFile?: string;
}

/** What a run gave. */
export interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Broken connections, statuses other than 2xx and 3xx, and answers that took over two seconds. */
  readonly errors: number;
  /** CPU of wrk itself, as a share of one core: near 1 it is wrk that was measured, not the server. */
  readonly ownLoad: number;
}

/** Written by Lua, hence not copied by the compiler: benches run from the checkout's root. */
const REPORT_SCRIPT = join('bench', 'support', 'wrk-report.lua');
/** The same, asking for many paths. */
const PATHS_SCRIPT = join('bench', 'support', 'wrk-paths.lua');

/** How often wrk's own CPU is looked at: what it used is gone with it. */
const LOOK_MS = 50;

/** Asks for one URL, or many in turn, as fast as they are answered, on kept connections, from one thread. */
export async function runWrk({ url, connections, seconds, pathsFile }: WrkLoad): Promise<WrkResult> {
  const script = pathsFile === undefined ? [REPORT_SCRIPT, url] : [PATHS_SCRIPT, url, '--', pathsFile];
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', ...script];
  const child = spawn(findFile('wrk') ?? 'wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const startMs = performance.now();
  let ownLoad = 0;
  const look = setInterval(() => {
    const used = cpuOf(child);
    if (used > 0) ownLoad = used / 1000 / (performance.now() - startMs);
  }, LOOK_MS);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(look);
  if (code !== 0) throw new Error(`wrk ended with ${code}: ${output}`);
  return { ...parseWrkReport(output), ownLoad };
}

/** CPU used so far, that of a thread that has ended too, microseconds; 0 when it has just ended. */
function cpuOf({ pid, exitCode }: ChildProcess): number {
  if (pid === undefined || exitCode !== null) return 0;
  try {
    const { user, system } = cpuTime(pid);
    return user + system;
  } catch {
    return 0;
  }
}

interface Report {
  readonly requests: number;
  readonly bytes: number;
  readonly durationMicros: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly maxMicros: number;
  readonly socketErrors: number;
  readonly badStatuses: number;
  readonly timeouts: number;
}

/** Reads the line that wrk-report.lua wrote. */
export function parseWrkReport(output: string): Omit<WrkResult, 'ownLoad'> {
  const line = output.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`wrk gave no report: ${output}`);
  const report = JSON.parse(line) as Report;
  return {
    requests: report.requests,
    seconds: report.durationMicros / 1e6,
    bytes: report.bytes,
    p50Ms: report.p50Micros / 1000,
    p99Ms: report.p99Micros / 1000,
    maxMs: report.maxMicros / 1000,
    errors: report.socketErrors + report.badStatuses + report.timeouts,
  };
}
