import { readFileSync } from 'node:fs';

/** Linux counts CPU time for /proc in steps of 10 ms on every platform that Node runs on. */
const CLOCK_TICK_MICROS = 10_000;

/** CPU time of a process, all its threads, microseconds. */
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

/** CPU time (user + system) a process has used so far, microseconds. */
export function cpuMicros(pid: number): number {
  const { user, system } = cpuTime(pid);
  return user + system;
}

export function memory(pid: number): Memory {
  return parseStatus(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/** Fields 14 and 15 of /proc/<pid>/stat. The second field is the program's name and may hold anything. */
export function parseStat(stat: string): CpuTime {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return { user: user * CLOCK_TICK_MICROS, system: system * CLOCK_TICK_MICROS };
}

export function parseStatus(status: string): Memory {
  const bytes = (name: string): number => {
    const value = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    if (value === undefined) throw new Error(`no ${name} in /proc/<pid>/status`);
    return Number(value) * 1024;
  };
  return { resident: bytes('VmRSS'), anonymous: bytes('RssAnon') };
}
