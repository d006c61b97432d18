import { readFileSync, readlinkSync } from 'node:fs';

/** Tells a process from every other that ever ran on this machine. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The boot and the pid namespace that the pid counts in; undefined where the system does not tell. */
  readonly realm: string | undefined;
  /** When it was started, in ticks since boot: a pid is given again. */
  readonly started: string | undefined;
}

/** Who we are, and whether another is still alive. */
export interface ProcessTable {
  readonly own: ProcessIdentity;
  /** Undefined: it cannot be told from here, as it runs in another container, or on a system that does not tell. */
  isAlive(process: ProcessIdentity): boolean | undefined;
}

/** The table of the machine, by /proc; elsewhere it knows only that a pid is free. */
export function systemProcesses(): ProcessTable {
  const realm = readRealm();
  const own = { pid: process.pid, realm, started: startOf(process.pid) };
  return {
    own,
    isAlive({ pid, realm: itsRealm, started }) {
      if (realm === undefined || itsRealm !== realm) return undefined;
      const now = startOf(pid);
      return now !== undefined && now === started;
    },
  };
}

function readRealm(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return undefined;
  }
}

/** proc(5), fields 3 (state) and 22 (starttime); undefined for one that is gone, or only waits to be reaped. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name may have spaces and parentheses of its own.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
