import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  EXIT_CODES,
  parseCommandArgs,
  requireConfig,
  type Command,
} from './command.ts';

/** Says whether the configuration may be used; every problem is one line with its place. */
export const checkConfigCommand: Command = {
  name: 'check-config',
  usage: '[--config FILE] [--set KEY=VALUE]',
  summary: 'check the configuration; each problem is a line `file:line:col key: what`',
  help: CONFIG_HELP,
  async run(args, context) {
    const { values } = parseCommandArgs(args, CONFIG_OPTIONS);
    const { file } = requireConfig(values, context);
    context.out(`${file ?? 'defaults and environment (no headwater.yaml here)'}: ok`);
    return EXIT_CODES.ok;
  },
};
