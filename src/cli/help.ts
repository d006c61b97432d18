import type { Command } from './command.ts';

/** `headwater --help`. */
export function renderHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  const rows = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`);
  return [
    'headwater: live-streaming ingest and low-latency origin server',
    '',
    'Usage: headwater COMMAND [OPTIONS]',
    '',
    ...rows,
    '',
    '  headwater COMMAND --help  tells more about a command',
    '  headwater --version       prints the version',
    '',
    'Exit codes: 0 done, 1 it failed, 2 wrong usage or configuration, 3 a needed program is missing.',
  ].join('\n');
}

/** `headwater COMMAND --help`. */
export function renderCommandHelp(command: Command): string {
  const usage = ['headwater', command.name, command.usage].filter((word) => word !== '').join(' ');
  return [
    `Usage: ${usage}`,
    '',
    command.summary,
    ...(command.help.length > 0 ? ['', ...command.help] : []),
  ].join('\n');
}
