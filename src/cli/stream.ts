import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Config } from '../config.ts';
import { PublishKeys } from '../ingest/publish-keys.ts';
import { isoTime } from '../packager/iso-time.ts';
import { isStreamName } from '../stream/stream-name.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  EXIT_CODES,
  parseCommandArgs,
  requireConfig,
  type CliContext,
  type Command,
} from './command.ts';
import { openControlClient } from './control-client.ts';
import { reachableHost } from './reachable-host.ts';

const ID_HELP = '  ID                the stream: letters, digits, - and _, at most 64';

const SECRETS_HELP = [
  'The key goes to stdout, everything else to stderr: the URL to push to by RTMP, and the one for encrypted SRT, which',
  '`headwater stream show-srt` prints again.',
];

/** Makes a publish key for a new stream. The key alone goes to stdout, so that scripts can take it. */
export const streamCreate: Command = {
  name: 'stream create',
  usage: 'ID [--config FILE] [--set KEY=VALUE]',
  summary: 'make a stream with a publish key, which is shown this once',
  help: [ID_HELP, ...CONFIG_HELP, '', ...SECRETS_HELP],
  async run(args, context) {
    const opened = open(args, context);
    await tellKey(await opened.keys.create(opened.stream), opened, context);
    return EXIT_CODES.ok;
  },
};

/** Replaces the publish key of a stream. */
export const streamRotateKey: Command = {
  name: 'stream rotate-key',
  usage: 'ID [--config FILE] [--set KEY=VALUE]',
  summary: 'give a stream a new publish key; who publishes with the old one is disconnected',
  help: [
    ID_HELP,
    ...CONFIG_HELP,
    '',
    ...SECRETS_HELP,
    '',
    'A running server refuses the old key at once and disconnects who publishes with it within five seconds.',
  ],
  async run(args, context) {
    const opened = open(args, context);
    await tellKey(await opened.keys.rotate(opened.stream), opened, context);
    return EXIT_CODES.ok;
  },
};

/** Takes the publish key of a stream back. */
export const streamRevoke: Command = {
  name: 'stream revoke',
  usage: 'ID [--config FILE] [--set KEY=VALUE]',
  summary: "take a stream's publish key back; who publishes the stream is disconnected",
  help: [
    ID_HELP,
    ...CONFIG_HELP,
    '',
    'A running server disconnects whoever publishes the stream, however it was let in, within five seconds.',
    '`headwater stream create ID` gives the stream a key again.',
  ],
  async run(args, context) {
    const { stream, keys } = open(args, context);
    await keys.revoke(stream);
    context.err(`${stream} has no publish key any more`);
    return EXIT_CODES.ok;
  },
};

/** Prints what a stream's publisher needs for encrypted SRT. */
export const streamShowSrt: Command = {
  name: 'stream show-srt',
  usage: 'ID [--config FILE] [--set KEY=VALUE]',
  summary: 'print the SRT passphrase of a stream; it changes with the publish key',
  help: [ID_HELP, ...CONFIG_HELP, '', 'The passphrase goes to stdout, everything else to stderr.'],
  async run(args, context) {
    const { stream, config, keys } = open(args, context);
    const passphrase = await keys.srtPassphrase(stream);
    if (passphrase === undefined) {
      throw new AppError('STREAM_NOT_FOUND', 'no stream of this name has a publish key');
    }
    context.out(passphrase);
    context.err(`publish to: ${srtUrl(config, stream, passphrase)}`);
    return EXIT_CODES.ok;
  },
};

const RECORD_OPTIONS = {
  ...CONFIG_OPTIONS,
  from: { type: 'string' },
  to: { type: 'string' },
  id: { type: 'string' },
  name: { type: 'string' },
} as const;

/** Makes a title of what is kept of a stream. The title alone goes to stdout, so that scripts can take it. */
export const streamRecord: Command = {
  name: 'stream record',
  usage: 'STREAM [--from T] [--to T] [--id ID] [--name NAME]',
  summary: 'make a title of what is kept of a live stream, without encoding anything again',
  help: [
    '  STREAM            the stream; live.dvrSeconds says how much of it is kept',
    '  --from T          2026-11-23T07:15:00Z, or ms since the Unix epoch; not given: the first that is kept',
    '  --to T            the same, where it ends; not given: now',
    '  --id ID           its name in URLs: letters, digits, - and _, at most 64; not given: the stream and the time',
    '  --name NAME       what people call it',
    ...CONFIG_HELP,
    '',
    'The server must be running. Whole segments are taken: it may begin and end a segment early or late.',
    'The id of the title goes to stdout, everything else to stderr.',
  ],
  async run(args, context) {
    const { values, positionals } = parseCommandArgs(args, RECORD_OPTIONS, ['STREAM']);
    const { config } = requireConfig(values, context);
    const stream = positionals[0] ?? '';
    if (!isStreamName(stream)) throw new AppError('STREAM_NAME_INVALID');
    const client = await openControlClient(config);
    const { from, to, id, name } = values;
    const { json } = await client.call('POST', `/v1/streams/${stream}/recordings`, {
      ...(from !== undefined && { from: timeOf(from) }),
      ...(to !== undefined && { to: timeOf(to) }),
      ...(id !== undefined && { id }),
      ...(name !== undefined && { name }),
    });
    const title = json as { readonly id: string; readonly durationMs: number };
    context.out(title.id);
    const page = `http://${reachableHost(config.http.host)}:${config.http.port}/vod/${title.id}/`;
    context.err(`${(title.durationMs / 1000).toFixed(1)} s recorded; it plays at ${page}`);
    return EXIT_CODES.ok;
  },
};

/** Digits alone are milliseconds; all else the server reads. */
function timeOf(given: string): string | number {
  return /^\d{1,15}$/.test(given) ? Number(given) : given;
}

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

interface Opened {
  readonly stream: string;
  readonly config: Config;
  readonly keys: PublishKeys;
}

function open(args: readonly string[], context: CliContext): Opened {
  const { values, positionals } = parseCommandArgs(args, CONFIG_OPTIONS, ['ID']);
  const { config } = requireConfig(values, context);
  return { stream: positionals[0] ?? '', config, keys: openKeys(config, context) };
}

function openKeys(config: Config, context: CliContext): PublishKeys {
  return new PublishKeys(resolve(context.cwd, config.dataDir), { clock: systemClock, randomBytes });
}

async function tellKey(key: string, { stream, config, keys }: Opened, context: CliContext): Promise<void> {
  context.err('publish key, shown this once (only its hash is kept):');
  context.out(key);
  context.err(`publish to: ${publishUrl(config, key)}`);
  const passphrase = await keys.srtPassphrase(stream);
  if (passphrase === undefined || !config.srt.enabled) return;
  context.err(`or encrypted to: ${srtUrl(config, stream, passphrase)}`);
}

/** The URL to push to from this machine; a port of 0 is only known to the running server's log. */
function publishUrl(config: Config, key: string): string {
  const port = config.rtmp.port === 0 ? 'PORT' : String(config.rtmp.port);
  return `rtmp://${reachableHost(config.rtmp.host)}:${port}/live/${key}`;
}

/** By the stream's name, which is no secret; the passphrase never goes over the wire. */
function srtUrl(config: Config, stream: string, passphrase: string): string {
  const port = config.srt.port === 0 ? 'PORT' : String(config.srt.port);
  return `srt://${reachableHost(config.srt.host)}:${port}?streamid=publish:${stream}&passphrase=${passphrase}`;
}
