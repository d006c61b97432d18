import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import type { Config } from '../config.ts';
import { PublishKeys } from '../ingest/publish-keys.ts';
import { isoTime } from '../packager/iso-time.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  EXIT_CODES,
  parseCommandArgs,
  requireConfig,
  type CliContext,
  type Command,
} from './command.ts';
import { reachableHost } from './reachable-host.ts';

const ID_HELP = '  ID                the stream: letters, digits, - and _, at most 64';

/** Makes a publish key for a new stream. The key alone goes to stdout, so that scripts can take it. */
export const streamCreate: Command = {
  name: 'stream create',
  usage: 'ID [--config FILE] [--set KEY=VALUE]',
  summary: 'make a stream with a publish key, which is shown this once',
  help: [ID_HELP, ...CONFIG_HELP, '', 'The key goes to stdout, everything else to stderr.'],
  async run(args, context) {
    const { stream, config, keys } = open(args, context);
    const key = await keys.create(stream);
    tellKey(key, config, context);
    return EXIT_CODES.ok;
  },
};

/** Replaces the publish key of a stream. */
export const streamRotateKey: Command = {
  name: 'stream rotate-key',
  usage: 'ID [--config FILE] [--set KEY=VALUE]',
  summary: 'give a stream a new publish key; the old one is refused from then on',
  help: [
    ID_HELP,
    ...CONFIG_HELP,
    '',
    'The key goes to stdout, everything else to stderr. Who publishes with the old key now stays until it',
    'disconnects; POST /v1/streams/ID/key of the control API rotates and disconnects.',
  ],
  async run(args, context) {
    const { stream, config, keys } = open(args, context);
    const key = await keys.rotate(stream);
    tellKey(key, config, context);
    return EXIT_CODES.ok;
  },
};

/** Lists the streams that have a publish key. */
export const streamList: Command = {
  name: 'stream list',
  usage: '[--config FILE] [--set KEY=VALUE]',
  summary: 'list the streams that have a publish key, with when it was made',
  help: CONFIG_HELP,
  async run(args, context) {
    const { values } = parseCommandArgs(args, CONFIG_OPTIONS);
    const streams = await openKeys(requireConfig(values, context).config, context).list();
    if (streams.length === 0) context.err('no streams yet; make one with: headwater stream create ID');
    const width = Math.max(0, ...streams.map(({ stream }) => stream.length));
    for (const { stream, rotatedMs } of streams)
      context.out(`${stream.padEnd(width)}  key of ${isoTime(rotatedMs)}`);
    return EXIT_CODES.ok;
  },
};

function open(args: readonly string[], context: CliContext) {
  const { values, positionals } = parseCommandArgs(args, CONFIG_OPTIONS, ['ID']);
  const { config } = requireConfig(values, context);
  return { stream: positionals[0] ?? '', config, keys: openKeys(config, context) };
}

function openKeys(config: Config, context: CliContext): PublishKeys {
  return new PublishKeys(resolve(context.cwd, config.dataDir), { clock: systemClock, randomBytes });
}

function tellKey(key: string, config: Config, context: CliContext): void {
  context.err('publish key, shown this once (only its hash is kept):');
  context.out(key);
  context.err(`publish to: ${publishUrl(config, key)}`);
}

/** The URL to push to from this machine; a port of 0 is only known to the running server's log. */
function publishUrl(config: Config, key: string): string {
  const port = config.rtmp.port === 0 ? 'PORT' : String(config.rtmp.port);
  return `rtmp://${reachableHost(config.rtmp.host)}:${port}/live/${key}`;
}
