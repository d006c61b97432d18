import { randomBytes } from 'node:crypto';
import { copyFile, constants, link, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { uploadsFolder } from '../app/vod.ts';
import { AppError } from '../base/errors.ts';
import type { Config } from '../config.ts';
import { sidecarKind } from '../transcode/vod/text-sidecars.ts';
import type { MakingView } from '../vod/making-view.ts';
import { uploadName } from '../vod/uploads.ts';
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
import { type ControlClient, openControlClient } from './control-client.ts';
import { reachableHost } from './reachable-host.ts';

const ADD_OPTIONS = {
  ...CONFIG_OPTIONS,
  title: { type: 'string' },
  name: { type: 'string' },
  ladder: { type: 'string' },
  'content-aware': { type: 'boolean' },
  drm: { type: 'boolean' },
  'no-drm': { type: 'boolean' },
  sidecar: { type: 'string', multiple: true },
  'allow-download': { type: 'boolean' },
  wait: { type: 'boolean' },
} as const;

/** How often the server is asked how far it is. */
const POLL_MS = 500;

/** Makes a title of a master. */
export const vodAdd: Command = {
  name: 'vod add',
  usage:
    'FILE --title ID [--name NAME] [--ladder L] [--content-aware] [--drm | --no-drm] [--sidecar FILE[:LANG] …] [--wait]',
  summary: 'make a title of a file: encode its ladder, package it, serve it',
  help: [
    '  FILE              the master, on this machine',
    '  --title ID        its name in URLs: letters, digits, - and _, at most 64',
    '  --name NAME       what people call it',
    '  --ladder L        one of the ladders of vod.ladder',
    '  --content-aware   fit the bit rates of a ladder by name to the pictures, whatever vod.contentAware says',
    '  --drm, --no-drm   encrypt it or not, whatever drm.enabled says',
    '  --allow-download  let viewers take renditions home: /vod/ID/download/RENDITION.mp4; not with encryption',
    '  --sidecar FILE    subtitles beside the master (SRT, WebVTT, TTML), with :LANG behind them; may be given again',
    '  --wait            show how far it is, and return when it is whole',
    ...CONFIG_HELP,
    '',
    'The server must be running. Its first seconds can be played long before all is encoded.',
  ],
  async run(args, context) {
    const { values, positionals } = parseCommandArgs(args, ADD_OPTIONS, ['FILE']);
    const { config } = requireConfig(values, context);
    if (values.title === undefined) throw new AppError('CLI_USAGE', '--title is missing');
    if (values.drm && values['no-drm'])
      throw new AppError('CLI_USAGE', '--drm and --no-drm exclude each other');
    const client = await openControlClient(config);
    const master = resolve(context.cwd, positionals[0] ?? '');
    const texts = (values.sidecar ?? []).map((given) => textOf(given, context.cwd));
    // Before anything is handed over: what is refused leaves nothing behind.
    for (const file of [master, ...texts.map((text) => text.file)]) await requireFile(file);
    const upload = await handOver(master, config);
    const sidecars = await Promise.all(
      texts.map(async ({ file, language, format }) => ({
        ...(await handOver(file, config)),
        language,
        format,
      })),
    );
    const { json } = await client
      .call('POST', '/v1/assets', {
        title: values.title,
        upload: upload.id,
        ...(values.name !== undefined && { name: values.name }),
        ...(values.ladder !== undefined && { ladder: values.ladder }),
        ...(values['content-aware'] && { contentAware: true }),
        ...(values.drm && { protect: true }),
        ...(values['no-drm'] && { protect: false }),
        ...(values['allow-download'] && { allowDownload: true }),
        sidecars: sidecars.map(({ id, language, format }) => ({ upload: id, language, format })),
      })
      .catch(async (error: unknown) => {
        for (const { path } of [upload, ...sidecars]) await rm(path, { force: true });
        throw error;
      });
    const job = json as MakingView;
    const page = `http://${reachableHost(config.http.host)}:${config.http.port}/vod/${values.title}/`;
    if (!values.wait) {
      context.out(job.id);
      context.err(`being made; it will be at ${page}`);
      return EXIT_CODES.ok;
    }
    return watch(client, job, page, context);
  },
};

/** A file of subtitles as it was given, with what is known of it by its name. */
function textOf(given: string, cwd: string) {
  const { file, language } = sidecarOf(given, cwd);
  const format = sidecarKind(file);
  if (format === undefined)
    throw new AppError('CLI_USAGE', `${file} is not SubRip, WebVTT or TTML by its name`);
  return { file, language, format };
}

async function requireFile(file: string): Promise<number> {
  const info = await stat(file).catch(() => undefined);
  if (!info?.isFile()) throw new AppError('VOD_MASTER_MISSING', `${file} is no file`);
  return info.size;
}

/** `FILE:LANG`; a colon that no language follows is the file's own. */
function sidecarOf(
  given: string,
  cwd: string,
): { readonly file: string; readonly language: string | undefined } {
  const [, path = given, language] = /^(.+):([A-Za-z]{2,3}(?:-[A-Za-z0-9-]+)?)$/.exec(given) ?? [];
  return { file: resolve(cwd, path), language };
}

/** Puts a file among the uploads of the server on this machine: by a link where that can be done, else as a copy. */
async function handOver(
  master: string,
  config: Config,
): Promise<{ readonly id: string; readonly path: string }> {
  const sizeBytes = await requireFile(master);
  const folder = uploadsFolder(config);
  const id = randomBytes(16).toString('base64url');
  const path = join(folder, uploadName(id, sizeBytes));
  try {
    await link(master, path);
  } catch {
    // Under a name that the server does not look at until it is whole.
    const partial = `${path}.partial`;
    try {
      await copyFile(master, partial, constants.COPYFILE_FICLONE);
      await rename(partial, path);
    } catch (cause) {
      await rm(partial, { force: true });
      throw new AppError('CLI_SERVER_UNREACHABLE', `the file cannot be put into ${folder}`, { cause });
    }
  }
  return { id, path };
}

async function watch(
  client: ControlClient,
  first: MakingView,
  page: string,
  context: CliContext,
): Promise<ExitCode> {
  let job = first;
  let playable = false;
  const told = new Set<string>();
  const meter = new Meter(context);
  // The last pieces are encoded a moment before they are packaged.
  while (job.state === 'running' || (job.state === 'done' && !(await isWhole(client, job.title)))) {
    meter.show(job);
    for (const note of job.notes.filter((each) => !told.has(each))) {
      told.add(note);
      meter.say(note);
    }
    if (!playable && job.progress > 0 && (await isPlayable(client, job.title))) {
      playable = true;
      meter.say(`its beginning can be played: ${page}`);
    }
    await wait(POLL_MS);
    job = (await client.call('GET', `/v1/jobs/${job.id}`)).json as MakingView;
  }
  meter.end(job);
  if (job.state !== 'done') {
    const why = job.error ? `${job.error.code}: ${job.error.message}` : job.state;
    context.err(`headwater: ${job.title} was not made: ${why}`);
    return EXIT_CODES.failed;
  }
  context.out(page);
  return EXIT_CODES.ok;
}

async function isPlayable(client: ControlClient, title: string): Promise<boolean> {
  return (await titleState(client, title)) !== undefined;
}

async function isWhole(client: ControlClient, title: string): Promise<boolean> {
  return (await titleState(client, title)) === 'complete';
}

async function titleState(client: ControlClient, title: string): Promise<string | undefined> {
  try {
    return ((await client.call('GET', `/v1/assets/${title}`)).json as { state: string }).state;
  } catch (error) {
    if (error instanceof AppError && error.code === 'VOD_TITLE_NOT_FOUND') return undefined;
    throw error;
  }
}

const BAR_WIDTH = 30;
/** Where nobody watches a terminal, a line each time so much more is done. */
const LINE_STEP = 0.1;

/** Shows how far a job is: on a terminal a bar that is drawn over, else a line now and then. */
class Meter {
  readonly #context: CliContext;
  #told = -1;

  constructor(context: CliContext) {
    this.#context = context;
  }

  show(job: MakingView): void {
    const { progress } = this.#context;
    if (progress) return progress(line(job));
    const step = Math.floor(job.progress / LINE_STEP);
    if (step === this.#told) return;
    this.#told = step;
    this.#context.err(line(job));
  }

  say(text: string): void {
    this.#context.progress?.('');
    this.#context.err(text);
  }

  end(job: MakingView): void {
    this.#context.progress?.('');
    this.#context.err(line(job));
  }
}

function line({ progress, speed, etaSeconds, rungs }: MakingView): string {
  const filled = Math.round(progress * BAR_WIDTH);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
  const facts = [
    `${String(Math.floor(progress * 100)).padStart(3)} %`,
    ...(speed ? [`${speed.toFixed(1)}x`] : []),
    ...(etaSeconds ? [`${clockTime(etaSeconds)} left`] : []),
    rungs.map(({ id, progress: share }) => `${id} ${Math.floor(share * 100)} %`).join(', '),
  ];
  return `${bar} ${facts.join('  ')}`;
}

function clockTime(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** Lists titles. */
export const vodList: Command = {
  name: 'vod list',
  usage: '[--config FILE] [--set KEY=VALUE]',
  summary: 'list the titles, and what is being made',
  help: CONFIG_HELP,
  async run(args, context) {
    const { values } = parseCommandArgs(args, CONFIG_OPTIONS);
    const client = await openControlClient(requireConfig(values, context).config);
    const { titles } = (await client.call('GET', '/v1/assets')).json as {
      titles: { id: string; name: string; state: string; durationMs: number }[];
    };
    const { jobs } = (await client.call('GET', '/v1/jobs')).json as { jobs: MakingView[] };
    for (const { id, name, state, durationMs } of titles) {
      context.out([id, state, clockTime(Math.round(durationMs / 1000)), name].join('\t'));
    }
    for (const job of jobs) {
      if (job.state === 'done') continue;
      const why = job.error ? `\t${job.error.code}: ${job.error.message}` : '';
      context.err(`${job.title}: ${job.state}, ${Math.floor(job.progress * 100)} %${why}`);
    }
    if (titles.length === 0) context.err('no titles yet; make one with: headwater vod add FILE --title ID');
    return EXIT_CODES.ok;
  },
};

/** Takes a title away. */
export const vodRemove: Command = {
  name: 'vod rm',
  usage: 'ID [--config FILE] [--set KEY=VALUE]',
  summary: 'take a title away, with all its media; one that is being made is cancelled first',
  help: CONFIG_HELP,
  async run(args, context) {
    const { values, positionals } = parseCommandArgs(args, CONFIG_OPTIONS, ['ID']);
    const client = await openControlClient(requireConfig(values, context).config);
    const id = positionals[0] ?? '';
    await client.call('DELETE', `/v1/assets/${encodeURIComponent(id)}`);
    context.err(`${id} is gone`);
    return EXIT_CODES.ok;
  },
};
