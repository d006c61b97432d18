import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from './build.ts';
import { until } from './until.ts';

/** How to start a program of the project. */
export interface CliOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Script to run instead of `dist/main.js`, relative to the checkout. */
  readonly script?: string;
}

/** A started program and everything it has said so far. */
export interface RunningCli {
  readonly child: ChildProcess;
  stdout: string;
  stderr: string;
  /** Resolves when it has ended; `code` is null when a signal ended it. */
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/** Starts the built program with an environment of its own. */
export function startCli(
  args: readonly string[],
  { cwd, env = {}, script = 'dist/main.js' }: CliOptions,
): RunningCli {
  const child = spawn(process.execPath, ['--disable-proto=delete', join(ROOT, script), ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout: running.stdout,
    stderr: running.stderr,
  }));
  const running: RunningCli = { child, stdout: '', stderr: '', ended };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (running.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (running.stderr += text));
  return running;
}

/** Runs the built program to its end. */
export function runCli(args: readonly string[], options: CliOptions): RunningCli['ended'] {
  return startCli(args, options).ended;
}

/** Flags that put every listener on a free loopback port. */
export const FREE_PORTS = ['rtmp', 'srt', 'http', 'control', 'metrics'].flatMap((name) => [
  '--set',
  `${name}.port=0`,
  '--set',
  `${name}.host=127.0.0.1`,
]);

/** Ports by listener name, from the start line in the log. */
export async function listeningPorts(cli: RunningCli): Promise<Record<string, number>> {
  const line = await until(() => {
    if (cli.child.exitCode !== null) throw new Error(`it ended early: ${cli.stderr}`);
    return logLines(cli.stdout).find(({ event }) => event === 'listening');
  }, 'the listening line');
  return line['ports'] as Record<string, number>;
}

/** The JSON log lines in some output. */
export function logLines(stdout: string): Record<string, unknown>[] {
  const whole = stdout.slice(0, stdout.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
