import { CONFIG_SCHEMA } from '../config.ts';
import { printConfig } from '../config/describe.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  EXIT_CODES,
  parseCommandArgs,
  requireConfig,
  type Command,
} from './command.ts';

/** Prints the values in effect and where each came from; secrets are redacted. */
export const printConfigCommand: Command = {
  name: 'print-config',
  usage: '[--config FILE] [--set KEY=VALUE]',
  summary: 'print the configuration in effect as YAML, with where each value came from',
  help: CONFIG_HELP,
  async run(args, context) {
    const { values } = parseCommandArgs(args, CONFIG_OPTIONS);
    const { config, origin } = requireConfig(values, context);
    context.out(printConfig(CONFIG_SCHEMA, config, origin).trimEnd());
    return EXIT_CODES.ok;
  },
};
