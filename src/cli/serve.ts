import { createApp } from '../app.ts';
import { systemClock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import { AppError } from '../base/errors.ts';
import { allowHeapGrowth } from '../base/heap-growth.ts';
import { createLogger } from '../base/log.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  parseCommandArgs,
  requireConfig,
  type Command,
  type ExitCode,
} from './command.ts';
import { startDemoBroadcast } from './demo-broadcast.ts';
import { DEMO_STREAM, OWN_STREAM, prepareKeys, renderBanner, type PreparedKeys } from './demo.ts';
import { reachableHost } from './reachable-host.ts';
import { runService } from './run-service.ts';

/** Time beyond `shutdown.drainMs` that a stop may take before the process is ended anyway. */
const STOP_SLACK_MS = 5000;

/** Runs the server until a signal. The log goes to stdout, words for people to stderr. */
export const serve: Command = {
  name: 'serve',
  usage: '[--demo] [--config FILE] [--set KEY=VALUE]',
  summary: 'run the server; with --demo it also sends itself a test broadcast',
  help: [
    '  --demo            push a test broadcast to this server over RTMP and print what to open',
    ...CONFIG_HELP,
    '',
    'Logs JSON lines to stdout; the line with `event: "listening"` names every port.',
    'SIGTERM and SIGINT drain and end with 0; a second one ends at once.',
  ],
  async run(args, context): Promise<ExitCode> {
    const { values } = parseCommandArgs(args, { ...CONFIG_OPTIONS, demo: { type: 'boolean' } });
    const { config } = requireConfig(values, context);
    allowHeapGrowth();
    if (values.demo && (config.ingest.auth === 'jwt' || config.ingest.auth === 'webhook')) {
      throw new AppError(
        'CLI_USAGE',
        `--demo has no token or back end: it needs ingest.auth keys (it is ${config.ingest.auth})`,
      );
    }
    const log = createLogger(config.log.level);
    const app = createApp(config, { clock: systemClock, log });
    const closer = new Closer();
    closer.defer(() => app.close());

    const startDemo = async (ports: { readonly rtmp: number; readonly http: number }): Promise<void> => {
      const open = config.ingest.auth === 'none';
      const keys: PreparedKeys = open
        ? { demo: DEMO_STREAM, own: OWN_STREAM }
        : await prepareKeys(app.publishKeys);
      const serverUrl = `rtmp://${reachableHost(config.rtmp.host)}:${ports.rtmp}/live`;
      const broadcast = startDemoBroadcast({ serverUrl, publishKey: keys.demo, clock: systemClock, log });
      closer.defer(() => broadcast.close());
      for (const line of renderBanner({ config, ports, ownKey: keys.own })) context.err(line);
    };
    return runService(
      {
        async start() {
          const ports = await app.start();
          if (values.demo) await startDemo(ports);
        },
        close: () => closer.close(),
      },
      { process, clock: systemClock, log, stopWithinMs: config.shutdown.drainMs + STOP_SLACK_MS },
    );
  },
};
