import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { createLogger } from '../base/log.ts';
import { type RewrapReport, rewrapKeys, rotateKek } from '../drm/rewrap.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  EXIT_CODES,
  parseCommandArgs,
  requireConfig,
  type CliContext,
  type Command,
  type ExitCode,
} from './command.ts';

/** Puts a new key-encryption key to work. */
export const keysRotateKek: Command = {
  name: 'keys rotate-kek',
  usage: '[--config FILE] [--set KEY=VALUE]',
  summary: 'make a new key-encryption key and encrypt all content keys with it',
  help: [
    ...CONFIG_HELP,
    '',
    'May be run while the server runs. No stream changes its content keys by it, and no viewer sees anything.',
    'Copy the file of the key-encryption keys (drm.kekPath) again where you keep a copy of it.',
  ],
  run: (args, context) => run(rotateKek, args, context),
};

/** Brings all content keys under the newest key-encryption key. */
export const keysRewrap: Command = {
  name: 'keys rewrap',
  usage: '[--config FILE] [--set KEY=VALUE]',
  summary: 'encrypt all content keys with the newest key-encryption key that there is',
  help: [
    ...CONFIG_HELP,
    '',
    'For a key-encryption key that was added by other means than `headwater keys rotate-kek`.',
  ],
  run: (args, context) => run(rewrapKeys, args, context),
};

async function run(work: typeof rewrapKeys, args: readonly string[], context: CliContext): Promise<ExitCode> {
  const { values } = parseCommandArgs(args, CONFIG_OPTIONS);
  const { config } = requireConfig(values, context);
  const { kekPath, kek } = config.drm;
  const path = kekPath === '' ? '' : resolve(context.cwd, kekPath);
  const report = await work(
    resolve(context.cwd, config.dataDir),
    { path, given: kek },
    { log: createLogger('silent'), randomBytes },
  );
  for (const line of linesOf(report)) context.err(line);
  return report.failed.length === 0 ? EXIT_CODES.ok : EXIT_CODES.failed;
}

function linesOf({ kekId, rewrapped, unchanged, failed, dropped }: RewrapReport): string[] {
  return [
    `key-encryption key in use: ${kekId}`,
    `key files encrypted anew: ${rewrapped}; already were: ${unchanged}`,
    ...(dropped > 0 ? [`key-encryption keys that nothing needs any more, removed: ${dropped}`] : []),
    ...failed.map((file) => `cannot be opened, left as it is: keys/${file}`),
  ];
}
