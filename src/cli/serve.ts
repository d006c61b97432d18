import { randomBytes } from 'node:crypto';
import { createApp, type AppPorts } from '../app.ts';
import { licenseOptions } from '../app/license-options.ts';
import { systemClock } from '../base/clock.ts';
import { Closer } from '../base/closer.ts';
import { AppError } from '../base/errors.ts';
import { allowHeapGrowth } from '../base/heap-growth.ts';
import { createLogger } from '../base/log.ts';
import type { Config } from '../config.ts';
import { mintLoginToken } from '../license/login-token.ts';
import { openTokenRing } from '../license/license-service.ts';
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

/** What `--drm` sets where nothing else is said: keys that change while one watches. */
const DRM_DEMO = ['drm.enabled=true', 'drm.rotationSeconds=30', 'drm.leadSeconds=15'];
const LOGIN_SECONDS = 12 * 3600;

/** A login for whoever tries the demo. */
async function demoLogin(config: Config, cwd: string): Promise<string> {
  const ring = await openTokenRing(licenseOptions(config, cwd), { clock: systemClock, randomBytes });
  const claims = {
    user: 'demo',
    seconds: LOGIN_SECONDS,
    content: [`live/${DEMO_STREAM}`, `live/${OWN_STREAM}`],
  };
  return mintLoginToken(
    ring,
    { ...claims, device: undefined, tiers: undefined, maxSessions: undefined },
    systemClock,
    randomBytes,
  );
}

/** Runs the server until a signal. The log goes to stdout, words for people to stderr. */
export const serve: Command = {
  name: 'serve',
  usage: '[--demo [--drm]] [--config FILE] [--set KEY=VALUE]',
  summary: 'run the server; with --demo it also sends itself a test broadcast',
  help: [
    '  --demo            push a test broadcast to this server over RTMP and print what to open',
    '  --drm             with --demo: encrypt it, change the keys twice a minute, and print a login to watch with',
    ...CONFIG_HELP,
    '',
    'Logs JSON lines to stdout; the line with `event: "listening"` names every port.',
    'SIGTERM and SIGINT drain and end with 0; a second one ends at once.',
  ],
  async run(args, context): Promise<ExitCode> {
    const { values } = parseCommandArgs(args, {
      ...CONFIG_OPTIONS,
      demo: { type: 'boolean' },
      drm: { type: 'boolean' },
    });
    if (values.drm && !values.demo) throw new AppError('CLI_USAGE', '--drm goes with --demo');
    const set = [...(values.drm ? DRM_DEMO : []), ...(values.set ?? [])];
    const { config } = requireConfig({ config: values.config, set }, context);
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

    const startDemo = async (ports: AppPorts): Promise<void> => {
      const open = config.ingest.auth === 'none';
      const keys: PreparedKeys = open
        ? { demo: DEMO_STREAM, own: OWN_STREAM }
        : await prepareKeys(app.publishKeys);
      const serverUrl = `rtmp://${reachableHost(config.rtmp.host)}:${ports.rtmp}/live`;
      const broadcast = startDemoBroadcast({ serverUrl, publishKey: keys.demo, clock: systemClock, log });
      closer.defer(() => broadcast.close());
      const login = values.drm
        ? { controlPort: ports.control, token: await demoLogin(config, context.cwd) }
        : undefined;
      for (const line of renderBanner({ config, ports, ownKey: keys.own, login })) context.err(line);
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
