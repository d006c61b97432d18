import { choice, flag, integer, optionalUrl, text } from './field.ts';
import type { Section } from './schema.ts';

/** Configuration of where sessions, resume positions, leases and messages between servers are kept. */
export const stateSection = {
  state: {
    driver: choice(
      ['embedded', 'redis'],
      'embedded',
      'Where playback sessions, resume positions, leases and messages between servers are: `embedded` in files of the data folder, for one server; `redis` for several that share it.',
    ),
    resumeDriver: choice(
      ['same', 'dynamodb'],
      'same',
      'Where resume positions are: with the rest of the state, or in a table of DynamoDB (of which messages between servers still go through state.driver).',
    ),
    redis: {
      url: text(
        'redis://127.0.0.1:6379',
        'Where Redis is: `redis://host:port/db`, `rediss://` for TLS, `unix:/path/redis.sock`; of a Cluster some of its nodes with commas between them. No user or password in it.',
      ),
      cluster: flag(false, 'Whether it is a Redis Cluster.'),
      username: text('', 'User of Redis; empty: the default one.', { optional: true }),
      passwordPath: text(
        '',
        'File with the password of Redis, readable by its owner only; empty: the one in state.redis.password. Relative to the working directory.',
        { optional: true },
      ),
      password: text(
        '',
        'That password itself, for the environment (HEADWATER_STATE__REDIS__PASSWORD); a command line can be read by everybody on the machine. Empty: none.',
        { optional: true, secret: true },
      ),
      caPath: text(
        '',
        'File with the certificates (PEM) that the one of Redis must come from; empty: those that Node.js trusts. Relative to the working directory.',
        { optional: true },
      ),
      prefix: text(
        'headwater:',
        'Before every key and channel, so that several installations can share one Redis: at most 32 letters, digits and `_`, `:`, `.`, `-`.',
        { optional: true },
      ),
      minReplicas: integer(
        0,
        { min: 0, max: 5 },
        'So many replicas of Redis must have what is acknowledged; with too few, writes are refused. 0: a failover may lose the last moment.',
      ),
    },
    dynamodb: {
      endpoint: optionalUrl(
        'DynamoDB, or a store that speaks like it: https://dynamodb.eu-central-1.amazonaws.com. Needed when resume positions are there.',
      ),
      region: text('us-east-1', 'Region that requests are signed for.'),
      table: text(
        'headwater-resume',
        'The table; it must be there, with the hash key `pk` and the range key `sk`, both text.',
      ),
      credentialsPath: text(
        '',
        'File with access key and secret, and a session token if there is one, with white space between, readable by its owner only. Relative to the working directory.',
        { optional: true },
      ),
      credentials: text(
        '',
        'Those words themselves, for the environment (HEADWATER_STATE__DYNAMODB__CREDENTIALS); a command line can be read by everybody on the machine.',
        { optional: true, secret: true },
      ),
    },
  },
} satisfies Section;
