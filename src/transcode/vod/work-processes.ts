import { readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** The lowest there is: whatever else wants the CPU goes first. */
const NICE = 19;

/**
 * The encoders of VOD that run in this process. They have the lowest priority, and can be stopped together and go on
 * later as if nothing had been.
 */
export class WorkProcesses {
  readonly #pids = new Set<number>();
  readonly #changed: (running: number) => void;
  #held = false;

  /** @param changed told how many there are, each time that changes */
  constructor(changed: (running: number) => void = () => {}) {
    this.#changed = changed;
  }

  /** Whether they are stopped. */
  get held(): boolean {
    return this.#held;
  }

  get running(): number {
    return this.#pids.size;
  }

  /** Takes in one that was just started. It is stopped at once while the others are. */
  add(pid: number): void {
    this.#pids.add(pid);
    lowerPriority(pid);
    if (this.#held) signal(pid, 'SIGSTOP');
    this.#changed(this.#pids.size);
  }

  remove(pid: number): void {
    this.#pids.delete(pid);
    this.#changed(this.#pids.size);
  }

  /** Stops them. */
  hold(): void {
    this.#held = true;
    for (const pid of this.#pids) signal(pid, 'SIGSTOP');
  }

  /** Lets them go on. */
  release(): void {
    this.#held = false;
    for (const pid of this.#pids) signal(pid, 'SIGCONT');
  }
}

/** One that is gone already needs no signal: its end is on its way to us. */
function signal(pid: number, name: 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, NICE);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  return (
    error instanceof Error &&
    /\bESRCH\b/.test(`${'code' in error ? String(error.code) : ''} ${error.message}`)
  );
}

/** CPU time a process has used, clock ticks; undefined where the system does not say (Linux does). */
export function cpuTicks(pid: number): number | undefined {
  try {
    // proc_pid_stat(5): utime and stime are fields 14 and 15; the name before may hold anything, but ends with a bracket.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
    const ticks = Number(fields[11]) + Number(fields[12]);
    return Number.isFinite(ticks) ? ticks : undefined;
  } catch {
    return undefined;
  }
}
