import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * CPU time that processes have used so far, all their threads, user and system, microseconds. From the scheduler's own
 * count in nanoseconds: the clock ticks of /proc/<pid>/stat (10 ms) are too coarse for a server that needs 1 % of a
 * core. Threads that have ended are not in it.
 */
export function cpuMicrosOf(pids: readonly number[]): number {
  let nanos = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [running = '0'] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      nanos += Number(running);
    }
  }
  return nanos / 1000;
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
  const [text, key] = existsSync(rollup)
    ? [readFileSync(rollup, 'utf8'), 'Pss']
    : [readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmRSS'];
  const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no ${key} of process ${pid}`);
  return Number(kibibytes) * 1024;
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
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
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
