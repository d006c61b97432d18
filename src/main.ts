#!/usr/bin/env -S node --disable-proto=delete
import { readFileSync } from 'node:fs';
import { AppError, errorCode } from './base/errors.ts';
import { checkConfigCommand } from './cli/check-config.ts';
import { EXIT_CODES, exitCodeOf, type CliContext, type Command, type ExitCode } from './cli/command.ts';
import { doctor } from './cli/doctor.ts';
import { renderCommandHelp, renderHelp } from './cli/help.ts';
import { keysRewrap, keysRotateKek } from './cli/keys.ts';
import { migrate } from './cli/migrate.ts';
import { printConfigCommand } from './cli/print-config.ts';
import { serve } from './cli/serve.ts';
import {
  streamCreate,
  streamList,
  streamRecord,
  streamRevoke,
  streamRotateKey,
  streamShowSrt,
} from './cli/stream.ts';
import { token } from './cli/token.ts';
import { validate } from './cli/validate.ts';
import { vodAdd, vodList, vodRemove } from './cli/vod.ts';
import { worker } from './cli/worker.ts';

const COMMANDS: readonly Command[] = [
  serve,
  streamCreate,
  streamRotateKey,
  streamRevoke,
  streamShowSrt,
  streamRecord,
  streamList,
  vodAdd,
  vodList,
  vodRemove,
  worker,
  token,
  keysRotateKek,
  keysRewrap,
  validate,
  doctor,
  checkConfigCommand,
  printConfigCommand,
  migrate,
];

/** Timers of the clock do not keep a process alive; while a command runs, something must. */
const KEEP_ALIVE_MS = 60_000;

const context: CliContext = {
  cwd: process.cwd(),
  env: process.env,
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  ...(process.stderr.isTTY && { progress: (line: string) => void process.stderr.write(`\r\x1b[K${line}`) }),
};

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<ExitCode> {
  const [first] = args;
  if (first === undefined) {
    context.err(renderHelp(COMMANDS));
    return EXIT_CODES.usage;
  }
  if (first === '--help' || first === '-h' || first === 'help') {
    context.out(renderHelp(COMMANDS));
    return EXIT_CODES.ok;
  }
  if (first === '--version' || first === '-V') {
    context.out(packageVersion());
    return EXIT_CODES.ok;
  }
  const found = findCommand(args);
  if (!found) {
    context.err(
      `headwater: unknown command ${JSON.stringify(args.slice(0, 2).join(' '))}; see headwater --help`,
    );
    return EXIT_CODES.usage;
  }
  return runCommand(found.command, found.rest);
}

function findCommand(args: readonly string[]): { command: Command; rest: readonly string[] } | undefined {
  for (const words of [2, 1]) {
    const command = COMMANDS.find(({ name }) => name === args.slice(0, words).join(' '));
    if (command) return { command, rest: args.slice(words) };
  }
  return undefined;
}

async function runCommand(command: Command, args: readonly string[]): Promise<ExitCode> {
  if (args.includes('--help') || args.includes('-h')) {
    context.out(renderCommandHelp(command));
    return EXIT_CODES.ok;
  }
  const keepAlive = setInterval(() => undefined, KEEP_ALIVE_MS);
  try {
    return await command.run(args, context);
  } catch (error) {
    context.err(describeFailure(error, command));
    return exitCodeOf(errorCode(error));
  } finally {
    clearInterval(keepAlive);
  }
}

/** One clear line for what a user or the machine did; the stack only for faults of ours. */
function describeFailure(error: unknown, command: Command): string {
  if (!(error instanceof Error)) return `headwater: ${String(error)}`;
  switch (errorCode(error)) {
    case 'CONFIG_INVALID':
      return error.message;
    case 'CLI_USAGE':
      return `headwater ${command.name}: ${error.message}; see headwater ${command.name} --help`;
    default:
      return `headwater: ${error instanceof AppError || 'syscall' in error ? error.message : (error.stack ?? error.message)}`;
  }
}

function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}
