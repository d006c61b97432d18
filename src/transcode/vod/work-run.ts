import { every, type Clock, type Timer } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { EncoderMessages } from '../encoder-messages.ts';
import type { EncoderExit, EncoderProcess, SpawnEncoder } from '../encoder-process.ts';
import { cpuTicks, type WorkProcesses } from './work-processes.ts';

export interface WorkRunDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly spawn: SpawnEncoder;
  /** ffmpeg: a name on the PATH or a path. */
  readonly program: string;
  readonly processes: WorkProcesses;
  /** How long one may get nowhere before it is ended. */
  readonly watchdogMs: number;
}

/** How a run of ffmpeg ended. */
export interface WorkEnd {
  readonly exit: EncoderExit;
  /** Why we ended it; undefined when it ended by itself. */
  readonly killedFor: 'aborted' | 'hung' | 'enough' | undefined;
  /** The last lines of its error output. */
  readonly lines: readonly string[];
}

/** It did all it was asked for. */
export function endedWell({ exit, killedFor }: WorkEnd): boolean {
  return exit.kind === 'exited' && exit.code === 0 && killedFor === undefined;
}

/** The descriptor of ffmpeg's that is read: media, or what it says of its progress. */
export const OUTPUT = 'pipe:3';

/** Looks a watchdog period has. */
const LOOKS = 10;
/** One that uses the CPU without getting anywhere has so many periods: it may be on its way to a far frame. */
const BUSY_PERIODS = 20;

/**
 * One run of ffmpeg on a master: ended by the signal, or when it gets nowhere. The time that it is stopped for others, or
 * not read from, does not count. One that `isAwaited` goes before other work on titles.
 */
export class WorkRun {
  readonly ended: Promise<WorkEnd>;
  readonly #deps: WorkRunDeps;
  readonly #process: EncoderProcess;
  readonly #watch: Timer;
  #flows = true;
  #killedFor: WorkEnd['killedFor'];
  #aliveAtMs: number;
  #cpuAtMs: number;
  #cpu: number | undefined;

  constructor(
    args: readonly string[],
    output: (bytes: Uint8Array) => void,
    signal: AbortSignal,
    deps: WorkRunDeps,
    isAwaited = false,
  ) {
    this.#deps = deps;
    this.#aliveAtMs = deps.clock.monotonicMs();
    this.#cpuAtMs = this.#aliveAtMs;
    const messages = new EncoderMessages(deps.clock, deps.log);
    const { promise, resolve } = withResolvers<EncoderExit>();
    this.#process = deps.spawn(
      { program: deps.program, args, outputs: 1 },
      {
        output: (_index, bytes) => output(bytes),
        drained() {},
        said: (bytes) => messages.add(bytes),
        exited: resolve,
      },
    );
    const { pid } = this.#process;
    if (pid !== undefined) deps.processes.add(pid, isAwaited);
    this.#process.end();
    this.#watch = every(deps.clock, deps.watchdogMs / LOOKS, () => this.#look());
    const abort = (): void => this.kill('aborted');
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    this.ended = promise.then((exit) => {
      this.#watch.cancel();
      signal.removeEventListener('abort', abort);
      if (pid !== undefined) deps.processes.remove(pid);
      return { exit, killedFor: this.#killedFor, lines: messages.last };
    });
  }

  /** It got somewhere. */
  alive(): void {
    this.#aliveAtMs = this.#deps.clock.monotonicMs();
  }

  /** Lets its output come, or holds it up. */
  flow(on: boolean): void {
    this.#flows = on;
    this.alive();
    this.#process.flow(on);
  }

  /** Ends it at once; the first reason stands. */
  kill(reason: NonNullable<WorkEnd['killedFor']>): void {
    this.#killedFor ??= reason;
    this.#process.kill();
  }

  #look(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const { watchdogMs, processes } = this.#deps;
    const { pid } = this.#process;
    const cpu = pid === undefined ? undefined : cpuTicks(pid);
    const stands = processes.held || !this.#flows;
    if (stands) this.#aliveAtMs = nowMs;
    if (stands || cpu !== this.#cpu) this.#cpuAtMs = nowMs;
    this.#cpu = cpu;
    const quietMs = nowMs - this.#aliveAtMs;
    const idleMs = Math.min(quietMs, nowMs - this.#cpuAtMs);
    if (idleMs >= watchdogMs || quietMs >= watchdogMs * BUSY_PERIODS) this.kill('hung');
  }
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
