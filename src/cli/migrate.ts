import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { AppError } from '../base/errors.ts';
import { CONFIG_SCHEMA } from '../config.ts';
import { renderSettings } from '../config/describe.ts';
import { readForeignYaml } from '../config/foreign-yaml.ts';
import { EXIT_CODES, parseCommandArgs, type CliContext, type Command } from './command.ts';
import { migrateMediamtx, type Migration } from './migrate-mediamtx.ts';

/** Longest configuration that is read. */
const MAX_FILE_BYTES = 1024 * 1024;

/** Turns the configuration of another server into one of ours. */
export const migrate: Command = {
  name: 'migrate',
  usage: 'mediamtx.yml',
  summary: "print another server's configuration as ours; reads MediaMTX's mediamtx.yml",
  help: [
    '  FILE              a mediamtx.yml',
    '',
    'Our configuration goes to stdout (`headwater migrate mediamtx.yml > headwater.yaml`). To stderr goes what could not',
    'be carried over, a line each with the reason, and the streams to make a publish key for. Nothing else is written.',
  ],
  async run(args, context) {
    const { positionals } = parseCommandArgs(args, {}, ['FILE']);
    const name = positionals[0] ?? '';
    const migration = migrateMediamtx(readForeignYaml(await read(resolve(context.cwd, name), name)));
    if (migration === undefined)
      throw new AppError('CLI_MIGRATE_UNREADABLE', `${name} is not a mediamtx.yml`);
    tell(migration, basename(name), context);
    return EXIT_CODES.ok;
  },
};

async function read(path: string, name: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'error';
    throw new AppError('CLI_MIGRATE_UNREADABLE', `${name} cannot be read (${code})`, { cause });
  }
  if (text.length > MAX_FILE_BYTES) throw new AppError('CLI_MIGRATE_UNREADABLE', `${name} is too long`);
  return text;
}

function tell({ settings, notes, streams }: Migration, name: string, context: CliContext): void {
  context.out(`# Made from ${JSON.stringify(name)} by headwater migrate.`);
  const yaml = renderSettings(CONFIG_SCHEMA, settings).trimEnd();
  if (yaml !== '') context.out(yaml);
  if (notes.length > 0) context.err('not carried over:');
  for (const { key, reason } of notes) context.err(`  ${key}: ${reason}`);
  if (streams.length === 0) return;
  context.err('streams; where publish keys are asked for, make one for each:');
  for (const stream of streams) context.err(`  headwater stream create ${stream}`);
}
