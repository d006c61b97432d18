import { parseArgs, type ParseArgsConfig } from 'node:util';
import { AppError, type ErrorCode } from '../base/errors.ts';
import { formatIssue, loadConfig, type LoadedConfig } from '../config/load.ts';

/** Exit codes users' scripts may rely on. */
export const EXIT_CODES = { ok: 0, failed: 1, usage: 2, missing: 3 } as const;
export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

/** What a command may touch of the process it runs in. */
export interface CliContext {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Prints a line on stdout: what was asked for. */
  out(line: string): void;
  /** Prints a line on stderr: everything else. */
  err(line: string): void;
  /** Draws a line over the last one it drew; '' wipes it. Undefined where stderr is no terminal. */
  readonly progress?: ((line: string) => void) | undefined;
}

/** One command of the `headwater` program. */
export interface Command {
  /** `serve`, or two words: `stream create`. */
  readonly name: string;
  /** Its arguments, for the help text. */
  readonly usage: string;
  readonly summary: string;
  /** Lines of the command's own help below the usage. */
  readonly help: readonly string[];
  /** @throws AppError; its code decides the exit code (see {@link exitCodeOf}). */
  run(args: readonly string[], context: CliContext): Promise<ExitCode>;
}

const EXIT_BY_ERROR: Partial<Record<ErrorCode, ExitCode>> = {
  CLI_USAGE: EXIT_CODES.usage,
  CONFIG_INVALID: EXIT_CODES.usage,
  TOOL_MISSING: EXIT_CODES.missing,
};

/** The exit code a failure leads to. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  return EXIT_BY_ERROR[code] ?? EXIT_CODES.failed;
}

/** Options that every command takes which reads the configuration. */
export const CONFIG_OPTIONS = {
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
} as const satisfies ParseArgsConfig['options'];

/** Help lines for {@link CONFIG_OPTIONS}. */
export const CONFIG_HELP = [
  '  --config FILE     read this file instead of ./headwater.yaml',
  '  --set KEY=VALUE   set one configuration key, as in --set http.port=8080; may be given again',
];

/**
 * Parses a command's arguments strictly.
 * @throws AppError CLI_USAGE for unknown options, missing values and a wrong number of positionals.
 */
export function parseCommandArgs<O extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: O,
  positionalNames: readonly string[] = [],
) {
  const parsed = parseStrictly(args, options);
  const { positionals } = parsed;
  const missing = positionalNames[positionals.length];
  if (missing !== undefined) throw new AppError('CLI_USAGE', `${missing} is missing`);
  const extra = positionals[positionalNames.length];
  if (extra !== undefined) throw new AppError('CLI_USAGE', `unexpected argument ${JSON.stringify(extra)}`);
  return parsed;
}

function parseStrictly<O extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: O,
) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('CLI_USAGE', message.split('. ')[0], { cause });
  }
}

/**
 * The configuration as the command's flags, the environment and the file make it.
 * @throws AppError CONFIG_INVALID whose message has one line for each problem.
 */
export function requireConfig(
  flags: { readonly config?: string | undefined; readonly set?: string[] | undefined },
  context: CliContext,
): Extract<LoadedConfig, { config: unknown }> {
  const loaded = loadConfig({
    file: flags.config,
    cwd: context.cwd,
    env: context.env,
    flags: flags.set ?? [],
  });
  if ('config' in loaded) return loaded;
  throw new AppError('CONFIG_INVALID', loaded.issues.map(formatIssue).join('\n'));
}
