import { spawn } from 'node:child_process';
import type { Clock } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import { type Environment, encoderEnvironment, findProgram } from '../spawn-encoder.ts';

/** A short run of ffprobe or ffmpeg over a stranger's file. */
export interface ToolRun {
  readonly program: string;
  readonly args: readonly string[];
  /** Given to it as descriptor 3. */
  readonly descriptor?: number | undefined;
  readonly timeoutMs: number;
  /** Of what it writes to stdout. */
  readonly maxOutputBytes: number;
}

export type ToolOutcome =
  | { readonly kind: 'ended'; readonly code: number | null; readonly output: Buffer; readonly said: string }
  | { readonly kind: 'too-slow'; readonly output: Buffer; readonly said: string }
  | { readonly kind: 'too-much'; readonly output: Buffer; readonly said: string };

/**
 * Runs a program to its end, or ends it. Rejects with TOOL_MISSING, and with the signal's reason once that fires.
 */
export type RunTool = (run: ToolRun, signal: AbortSignal) => Promise<ToolOutcome>;

/** Of its complaints the first so many bytes are kept: those that say what came first. */
const MAX_SAID_BYTES = 16 * 1024;

/** Runs real programs, in a minimal environment, without input. `guard`: see `guardCommand`. */
export function createRunTool(environment: Environment, guard: readonly string[], clock: Clock): RunTool {
  const env = encoderEnvironment(environment);
  return async (run, signal) => {
    signal.throwIfAborted();
    const program = findProgram(run.program, environment);
    if (program === undefined) throw missing(run.program);
    const [file = program, ...args] = [...guard, program, ...run.args];
    return await runChild(file, args, env, run, signal, clock);
  };
}

function missing(program: string): AppError {
  const name = program.split('/').at(-1) ?? program;
  return new AppError('TOOL_MISSING', `${name} is not installed, or may not be run.`);
}

function runChild(
  file: string,
  args: readonly string[],
  env: Record<string, string>,
  run: ToolRun,
  signal: AbortSignal,
  clock: Clock,
): Promise<ToolOutcome> {
  return new Promise((settle, fail) => {
    const descriptor = run.descriptor === undefined ? [] : [run.descriptor];
    const child = spawn(file, args, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe', ...descriptor] });
    const output = new Kept(run.maxOutputBytes);
    const said = new Kept(MAX_SAID_BYTES);
    let ended: 'too-slow' | 'too-much' | undefined;
    const end = (why: typeof ended): void => {
      ended ??= why;
      child.kill('SIGKILL');
    };
    const timer = clock.after(run.timeoutMs, () => end('too-slow'));
    const abort = (): void => end(undefined);
    signal.addEventListener('abort', abort);
    child.stdout?.on('data', (bytes: Buffer) => {
      if (!output.add(bytes)) end('too-much');
    });
    child.stderr?.on('data', (bytes: Buffer) => said.add(bytes));
    const finish = (then: () => void): void => {
      timer.cancel();
      signal.removeEventListener('abort', abort);
      then();
    };
    child.once('error', () => {
      if (child.pid === undefined) finish(() => fail(missing(run.program)));
    });
    child.once('close', (code) =>
      finish(() => {
        const kept = { output: output.bytes(), said: said.bytes().toString('utf8') };
        if (signal.aborted) fail(signal.reason);
        else settle(ended === undefined ? { kind: 'ended', code, ...kept } : { kind: ended, ...kept });
      }),
    );
  });
}

/** Keeps the first so many bytes. */
class Kept {
  readonly #pieces: Buffer[] = [];
  #left: number;

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  /** False: not all of it was kept. */
  add(bytes: Buffer): boolean {
    if (this.#left > 0) this.#pieces.push(bytes.subarray(0, this.#left));
    this.#left -= bytes.length;
    return this.#left >= 0;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

/** What ffmpeg puts before a line: which part of it speaks, and an address. */
const SPEAKER = /^(?:\[[^\]]{0,80} @ 0x[0-9a-f]+\] ?)+/;
const PATHS = /(?:file:)?\/[^\s:'"]+/g;
/** Lines that only say that something else went wrong. */
const ECHO = /^(?:error reading header|Invalid data found when processing input|Last message repeated)/i;
const MAX_LINE = 200;

/** The line of a program's complaints that says most, without paths of ours and of one length; empty: it said nothing. */
export function tellingLine(said: string): string {
  const lines = said
    .split('\n')
    .map((line) =>
      printable(
        line
          .replace(SPEAKER, '')
          .replace(PATHS, '')
          .replace(/^[:\s]+/, ''),
      ),
    )
    .filter((line) => line !== '');
  return (lines.find((line) => !ECHO.test(line)) ?? lines[0] ?? '').slice(0, MAX_LINE);
}

/** One line of what a stranger's file says of itself. */
export function printable(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
