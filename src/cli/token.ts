import { randomBytes } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { isThumbprint } from '../license/jwk-thumbprint.ts';
import { mintLoginToken } from '../license/login-token.ts';
import { openTokenRing, tokenRingPath } from '../license/license-service.ts';
import { parseContent } from '../license/playback-claims.ts';
import { isTier } from '../license/tiers.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  EXIT_CODES,
  parseCommandArgs,
  requireConfig,
  type Command,
} from './command.ts';
import { licenseOptions } from '../app/license-options.ts';

const OPTIONS = {
  ...CONFIG_OPTIONS,
  user: { type: 'string' },
  device: { type: 'string' },
  content: { type: 'string', multiple: true },
  tiers: { type: 'string' },
  'max-sessions': { type: 'string' },
  seconds: { type: 'string', default: '43200' },
} as const;

const MAX_SECONDS = 30 * 24 * 3600;
const MAX_USER_LENGTH = 255;

/** Makes a login token of the local issuer, for trying things out and for a house without an identity provider. */
export const token: Command = {
  name: 'token',
  usage: '--user U [--device THUMBPRINT] [--content live/NAME …] [--tiers AUDIO,SD,HD] [--seconds N]',
  summary: 'make a login token with which a player can begin sessions (POST /v1/sessions)',
  help: [
    '  --user U          who it is for',
    '  --device T        only with a proof of this key: its thumbprint (RFC 7638, 43 characters)',
    '  --content C       only to play live/NAME, vod/TITLE, live/* or vod/*; may be given again',
    '  --tiers LIST      only these, of AUDIO, SD, HD, UHD',
    '  --max-sessions N  sessions at once, instead of license.maxSessions',
    '  --seconds N       how long it counts: 12 hours unless said',
    ...CONFIG_HELP,
    '',
    'The token goes to stdout, everything else to stderr. Whoever has it can play as that user.',
  ],
  async run(args, context) {
    const { values } = parseCommandArgs(args, OPTIONS);
    const { config } = requireConfig(values, context);
    const claims = {
      user: requireUser(values.user),
      seconds: readCount('--seconds', values.seconds, MAX_SECONDS),
      device: readDevice(values.device),
      content: readContent(values.content),
      tiers: readTiers(values.tiers),
      maxSessions:
        values['max-sessions'] === undefined
          ? undefined
          : readCount('--max-sessions', values['max-sessions'], 1000),
    };
    const options = licenseOptions(config, context.cwd);
    const ring = await openTokenRing(options, { clock: systemClock, randomBytes });
    context.out(mintLoginToken(ring, claims, systemClock, randomBytes));
    context.err(`signed with the newest key of ${tokenRingPath(options.dataDir)}`);
    return EXIT_CODES.ok;
  },
};

function requireUser(user: string | undefined): string {
  if (user === undefined || user === '') throw new AppError('CLI_USAGE', '--user is missing');
  if (user.length > MAX_USER_LENGTH)
    throw new AppError('CLI_USAGE', `--user is over ${MAX_USER_LENGTH} characters`);
  return user;
}

function readCount(name: string, given: string, max: number): number {
  const count = /^\d{1,9}$/.test(given) ? Number(given) : 0;
  if (count < 1 || count > max)
    throw new AppError('CLI_USAGE', `${name} must be a whole number from 1 to ${max}`);
  return count;
}

function readDevice(given: string | undefined): string | undefined {
  if (given !== undefined && !isThumbprint(given)) {
    throw new AppError('CLI_USAGE', '--device must be the thumbprint of a key (43 characters of base64url)');
  }
  return given;
}

function readContent(given: string[] | undefined): readonly string[] | undefined {
  const wrong = given?.find(
    (name) => name !== 'live/*' && name !== 'vod/*' && parseContent(name) === undefined,
  );
  if (wrong !== undefined)
    throw new AppError('CLI_USAGE', '--content must be live/NAME, vod/TITLE, live/* or vod/*');
  return given;
}

function readTiers(given: string | undefined): readonly string[] | undefined {
  const tiers = given?.split(',');
  if (tiers && !tiers.every(isTier)) throw new AppError('CLI_USAGE', '--tiers must be of AUDIO, SD, HD, UHD');
  return tiers;
}
