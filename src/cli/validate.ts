import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { HttpClient } from '../validate/http-client.ts';
import { countOf, renderJsonReport, renderTextReport } from '../validate/report.ts';
import { validatePresentation } from '../validate/validator.ts';
import { EXIT_CODES, parseCommandArgs, type Command } from './command.ts';

const DEFAULT_SECONDS = 20;
const MAX_SECONDS = 24 * 3600;

/** Judges any HLS or DASH presentation by its rules. Exit code 1 when one that must hold does not. */
export const validate: Command = {
  name: 'validate',
  usage: 'URL [--seconds N] [--json]',
  summary: 'judge an HLS or DASH presentation, live or on demand, by the rules of its format',
  help: [
    '  URL            of a multivariant or media playlist (.m3u8) or an MPD; http or https',
    `  --seconds N    watch for N seconds (${DEFAULT_SECONDS}); something on demand is read for at most as long`,
    '  --json         print one JSON document instead of lines',
    '',
    'Each finding has the name of its rule and the clause it stands in. An error breaks a rule that must hold, or',
    'players; a warning breaks a recommendation, or costs latency.',
    'Exit code 1 when there is an error or the manifest cannot be fetched.',
  ],
  async run(args, context) {
    const options = { seconds: { type: 'string' }, json: { type: 'boolean' } } as const;
    const { values, positionals } = parseCommandArgs(args, options, ['URL']);
    const url = requireUrl(positionals[0] ?? '');
    const seconds = requireSeconds(values.seconds);
    const fetcher = new HttpClient(systemClock);
    const giveUp = new AbortController();
    const onInterrupt = (): void => giveUp.abort();
    process.once('SIGINT', onInterrupt);
    try {
      const report = await validatePresentation(
        { url, seconds },
        { fetcher, clock: systemClock, signal: giveUp.signal },
      );
      if (values.json) context.out(renderJsonReport(report));
      else for (const line of renderTextReport(report)) context.out(line);
      return countOf(report.findings, 'error') > 0 ? EXIT_CODES.failed : EXIT_CODES.ok;
    } finally {
      process.off('SIGINT', onInterrupt);
      fetcher.close();
    }
  },
};

/** @throws AppError CLI_USAGE for anything but an http or https URL. */
function requireUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href;
  throw new AppError('CLI_USAGE', `${JSON.stringify(text)} is not an http or https URL`);
}

/** @throws AppError CLI_USAGE for anything but a number of seconds up to a day. */
function requireSeconds(text: string | undefined): number {
  if (text === undefined) return DEFAULT_SECONDS;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (seconds > 0 && seconds <= MAX_SECONDS) return seconds;
  throw new AppError('CLI_USAGE', `--seconds must be a number of seconds between 0 and ${MAX_SECONDS}`);
}
