import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Linux counts CPU time for /proc/<pid>/stat in steps of 10 ms on every platform that Node runs on. */
const CLOCK_TICK_MICROS = 10_000;

/** CPU time of a process, all its threads, microseconds; in steps of 10 ms. */
export interface CpuTime {
  readonly user: number;
  /** In the kernel for it: copying to sockets, mostly. */
  readonly system: number;
}

/** Memory of a process, bytes, without the kernel's socket buffers. */
export interface Memory {
  readonly resident: number;
  /** The part of it that is not backed by a file: heap, stacks, native allocations. */
  readonly anonymous: number;
}

export function cpuTime(pid: number): CpuTime {
  return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/**
 * CPU time that a process has used so far, all its threads, user and system, microseconds. From the scheduler's own
 * count in nanoseconds: the clock ticks of /proc/<pid>/stat are too coarse for a server that needs 1 % of a core.
 * Threads that have ended are not in it.
 */
export function cpuMicros(pid: number): number {
  let nanos = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [running = '0'] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    nanos += Number(running);
  }
  return nanos / 1000;
}

/** The same of several processes together. */
export function cpuMicrosOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMicros(pid), 0);
}

export function memory(pid: number): Memory {
  return parseStatus(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/**
 * Memory of processes, bytes: the proportional set size, so that pages which several of them share count once. Where
 * smaps_rollup may not be read it is the resident set size.
 */
export function memoryBytesOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryBytes(pid), 0);
}

function memoryBytes(pid: number): number {
  const rollup = `/proc/${pid}/smaps_rollup`;
  return existsSync(rollup) ? bytesOf(readFileSync(rollup, 'utf8'), 'Pss') : memory(pid).resident;
}

/** Fields 14 and 15 of /proc/<pid>/stat. */
export function parseStat(stat: string): CpuTime {
  const { 11: user, 12: system } = fieldsOf(stat);
  return { user: Number(user) * CLOCK_TICK_MICROS, system: Number(system) * CLOCK_TICK_MICROS };
}

export function parseStatus(status: string): Memory {
  return { resident: bytesOf(status, 'VmRSS'), anonymous: bytesOf(status, 'RssAnon') };
}

/** A process and all that it started and they started, as they are now. */
export function processTree(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? parentOf(Number(name)) : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree = [pid];
  for (const member of tree) tree.push(...(children.get(member) ?? []));
  return tree;
}

/** Processes right below `pid` whose program is called `name`. */
export function childrenNamed(pid: number, name: string): number[] {
  return processTree(pid).filter(
    (child) => child !== pid && parentOf(child) === pid && nameOf(child) === name,
  );
}

/** Undefined when the process is gone. */
function parentOf(pid: number): number | undefined {
  const stat = readStat(pid);
  return stat === undefined ? undefined : Number(fieldsOf(stat)[1]);
}

function nameOf(pid: number): string | undefined {
  const stat = readStat(pid);
  return stat?.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
}

function readStat(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
}

/** The fields of /proc/<pid>/stat from the third on: the second is the program's name and may hold anything. */
function fieldsOf(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function bytesOf(text: string, name: string): number {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no ${name} of the process`);
  return Number(kibibytes) * 1024;
}
