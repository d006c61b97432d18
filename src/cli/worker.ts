import process from 'node:process';
import { createFarmWorker } from '../app/worker.ts';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  parseCommandArgs,
  requireConfig,
  type Command,
  type ExitCode,
} from './command.ts';
import { runService } from './run-service.ts';

/** Time beyond `shutdown.drainMs` that a stop may take before the process is ended anyway. */
const STOP_SLACK_MS = 5000;

/** Encodes titles for servers elsewhere until a signal. */
export const worker: Command = {
  name: 'worker',
  usage: '--join URL [--slots N] [--config FILE] [--set KEY=VALUE]',
  summary: 'encode titles for servers that share their queue of work on Redis',
  help: [
    '  --join URL        the Redis of the servers: redis://host:port/db, rediss:// for TLS; no user or password in it',
    '                    (state.redis.username, state.redis.passwordPath or HEADWATER_STATE__REDIS__PASSWORD)',
    '  --slots N         jobs at once; else one for every core',
    ...CONFIG_HELP,
    '',
    'It needs what its servers have: the storage (the folder mounted here and there, with storage.path; or the same bucket),',
    'the folders of masters and uploads under the same paths, and state.redis.prefix; but no keys, and none of their secrets:',
    'titles are encrypted by the server that puts them together. It takes no viewers and no publishers. Metrics and /healthz are',
    'on metrics.port. SIGTERM and SIGINT give back what it works on and end with 0; killed, it loses a piece of a title at most.',
  ],
  async run(args, context): Promise<ExitCode> {
    const { values } = parseCommandArgs(args, {
      ...CONFIG_OPTIONS,
      join: { type: 'string' },
      slots: { type: 'string' },
    });
    if (values.join === undefined) throw new AppError('CLI_USAGE', '--join is missing');
    const slots = values.slots;
    if (slots !== undefined && !/^[1-9]\d{0,2}$/.test(slots))
      throw new AppError('CLI_USAGE', '--slots takes a number from 1 on');
    const joined = [
      'state.driver=redis',
      'vod.queue=redis',
      'vod.work=true',
      `state.redis.url=${values.join}`,
    ];
    const set = [...(values.set ?? []), ...joined, ...(slots === undefined ? [] : [`vod.slots=${slots}`])];
    const { config } = requireConfig({ config: values.config, set }, context);
    const log = createLogger(config.log.level);
    const farmWorker = createFarmWorker(config, { clock: systemClock, log });
    return runService(
      {
        async start() {
          const ports = await farmWorker.start();
          log.info({ event: 'listening', ports }, 'working on titles');
        },
        close: () => farmWorker.close(),
      },
      { process, clock: systemClock, log, stopWithinMs: config.shutdown.drainMs + STOP_SLACK_MS },
    );
  },
};
