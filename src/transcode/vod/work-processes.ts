import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** The lowest there is: whatever else wants the CPU goes first. */
const NICE = 19;
/** Of what somebody waits for: before other work on titles, behind everything else. */
const AWAITED_NICE = 10;

/**
 * The encoders of VOD that run in this process. They have a low priority, and can be stopped together and go on
 * later as if nothing had been.
 */
export class WorkProcesses {
  readonly #pids = new Set<number>();
  /** Of them those that somebody waits for. */
  readonly #awaited = new Set<number>();
  readonly #released = new EventEmitter().setMaxListeners(0);
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

  /** Takes in one that was just started. It is stopped at once while the others are. `isAwaited`: it goes before the others. */
  add(pid: number, isAwaited = false): void {
    this.#pids.add(pid);
    if (isAwaited) this.#awaited.add(pid);
    lowerPriority(pid, isAwaited ? AWAITED_NICE : NICE);
    if (this.#held) signal(pid, 'SIGSTOP');
    this.#changed(this.#pids.size);
  }

  remove(pid: number): void {
    this.#pids.delete(pid);
    this.#changed(this.#pids.size);
    if (this.#awaited.delete(pid) && this.#awaited.size === 0) this.#released.emit('free');
  }

  /** Resolves when none runs that is awaited. Rejects with an AbortError when the signal fires before. */
  async untilNoneAwaited(cancelled: AbortSignal): Promise<void> {
    while (this.#awaited.size > 0) await once(this.#released, 'free', { signal: cancelled });
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

function lowerPriority(pid: number, nice: number): void {
  try {
    setPriority(pid, nice);
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
