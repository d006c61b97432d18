import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { EncoderEvents, EncoderProcess, SpawnEncoder } from './encoder-process.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** All of our environment that an encoder gets: where libraries and drivers are. Secrets are not among it. */
const PASSED_ON = [
  'PATH',
  'LD_LIBRARY_PATH',
  'DYLD_LIBRARY_PATH',
  'LIBVA_DRIVER_NAME',
  'LIBVA_DRIVERS_PATH',
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'NVIDIA_DRIVER_CAPABILITIES',
];

/** The environment an encoder runs in. */
export function encoderEnvironment(environment: Environment): Record<string, string> {
  const passed = PASSED_ON.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(passed), LC_ALL: 'C' };
}

/** Full path of a program: itself when it has a slash, else the first of PATH that may be run. */
export function findProgram(program: string, environment: Environment): string | undefined {
  const folders = (environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = program.includes('/') ? [program] : folders.map((folder) => join(folder, program));
  return candidates.find((candidate) => mayRun(candidate));
}

function mayRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * What to put in front of the encoder so that the kernel ends it with us, however we end, and that it can gain no
 * rights: util-linux's setpriv where it is. Without it an encoder still ends when its input does.
 */
export async function guardCommand(environment: Environment): Promise<readonly string[]> {
  const program = findProgram('setpriv', environment);
  if (program === undefined) return [];
  const guard = [program, '--pdeathsig', 'KILL', '--no-new-privs', '--'];
  const works = await new Promise<boolean>((settle) => {
    const [file = '', ...args] = guard;
    execFile(file, [...args, 'true'], { env: encoderEnvironment(environment), timeout: 5000 }, (error) =>
      settle(error === null),
    );
  });
  return works ? guard : [];
}

/**
 * Starts real processes. To be called on the main thread: the kernel ends the encoder with the thread that started it.
 */
export function createSpawnEncoder(environment: Environment, guard: readonly string[]): SpawnEncoder {
  const env = encoderEnvironment(environment);
  return (command, events) => {
    const program = findProgram(command.program, environment);
    if (program === undefined) return missing(events);
    const [file = program, ...args] = [...guard, program, ...command.args];
    return new ChildEncoder(file, args, env, command.outputs, events);
  };
}

function missing(events: EncoderEvents): EncoderProcess {
  queueMicrotask(() => events.exited({ kind: 'missing' }));
  return { pid: undefined, write: () => false, end() {}, kill() {}, flow() {} };
}

class ChildEncoder implements EncoderProcess {
  readonly #child: ChildProcess;
  readonly #outputs: readonly Readable[];
  #ended = false;

  constructor(
    file: string,
    args: readonly string[],
    env: Record<string, string>,
    outputs: number,
    events: EncoderEvents,
  ) {
    const pipes = Array.from({ length: outputs }, () => 'pipe' as const);
    this.#child = spawn(file, args, { cwd: '/', env, stdio: ['pipe', 'ignore', 'pipe', ...pipes] });
    const readables = this.#child.stdio.slice(3) as (Readable | null | undefined)[];
    this.#outputs = readables.flatMap((stream) => (stream ? [stream] : []));
    for (const [index, stream] of this.#outputs.entries()) {
      stream.on('data', (bytes: Buffer) => events.output(index, bytes));
      stream.on('error', () => {});
    }
    this.#child.stderr?.on('data', (bytes: Buffer) => events.said(bytes));
    this.#child.stderr?.on('error', () => {});
    // An encoder that dies while it is written to answers with EPIPE; its exit says the rest.
    this.#child.stdin?.on('error', () => {});
    this.#child.stdin?.on('drain', () => events.drained());
    this.#child.once('error', (error: NodeJS.ErrnoException) => {
      // Any other error (a kill that failed) is followed by the end, or is of no matter.
      if (this.#child.pid === undefined) this.#exited(events, error.code ?? '');
    });
    this.#child.once('close', (code, signal) => {
      if (this.#ended) return;
      this.#ended = true;
      events.exited({ kind: 'exited', code, signal });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  write(bytes: Uint8Array): boolean {
    const { stdin } = this.#child;
    return stdin?.writable ? stdin.write(bytes) : false;
  }

  end(): void {
    this.#child.stdin?.end();
  }

  kill(): void {
    // What it was not given yet would otherwise be held until the pipe is closed.
    this.#child.stdin?.destroy();
    this.#child.kill('SIGKILL');
    this.flow(true);
  }

  flow(on: boolean): void {
    for (const stream of this.#outputs) {
      if (on) stream.resume();
      else stream.pause();
    }
  }

  #exited(events: EncoderEvents, code: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const gone = code === 'ENOENT' || code === 'EACCES';
    events.exited(gone ? { kind: 'missing' } : { kind: 'exited', code: null, signal: code });
  }
}
