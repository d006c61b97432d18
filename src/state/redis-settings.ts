import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { AppError } from '../base/errors.ts';
import { readTextSecretFile } from '../base/secret-file.ts';

/** Where Redis is, and how we come in. */
export interface RedisOptions {
  /**
   * `redis://host:port/db`, or `rediss://` for TLS, or `unix:/path/redis.sock`; of a Cluster some of its nodes, with
   * commas between them. Never with a password in it.
   */
  readonly url: string;
  readonly isCluster: boolean;
  /** Empty: the default user. */
  readonly username: string;
  /** File with the password, readable by its owner only; empty: the one in `password`. */
  readonly passwordPath: string;
  /** Empty: none. */
  readonly password: string;
  /** File with the certificates that those of Redis must come from (PEM); empty: those that Node trusts. */
  readonly caPath: string;
  /** Before every key and channel: several installations may share one Redis. */
  readonly prefix: string;
  /**
   * So many replicas have what was acknowledged (WAIT); 0, and undefined: it may be lost in a failover. At most
   * {@link MAX_REPLICAS}.
   */
  readonly minReplicas?: number | undefined;
}

/** One server. */
export interface RedisNode {
  readonly host?: string;
  readonly port?: number;
  /** Of a Unix socket. */
  readonly path?: string;
}

/** The same, read and checked: what clients are made from. Has the password: never to be logged. */
export interface RedisSettings {
  /** At least one; only of a Cluster there are more. */
  readonly nodes: readonly [RedisNode, ...RedisNode[]];
  readonly isCluster: boolean;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: ConnectionOptions | undefined;
  readonly prefix: string;
  readonly minReplicas: number;
}

interface Target {
  readonly node: RedisNode;
  readonly db: number;
  readonly isTls: boolean;
}

const DEFAULT_PORT = 6379;
const MAX_DB = 10_000;
const PREFIX = /^[A-Za-z0-9_:.-]{0,32}$/;
const MIN_PASSWORD_BYTES = 1;
export const MAX_REPLICAS = 5;

/** @throws AppError STATE_OPTIONS_UNUSABLE, SECRET_FILE_UNSAFE; neither has a password in it */
export async function readRedisSettings(options: RedisOptions): Promise<RedisSettings> {
  const { isCluster, username, prefix, minReplicas = 0 } = options;
  if (!PREFIX.test(prefix)) throw unusable('the prefix of keys has a character that may not be in it');
  if (!Number.isInteger(minReplicas) || minReplicas < 0 || minReplicas > MAX_REPLICAS) {
    throw unusable(`the number of replicas is not one of 0 to ${MAX_REPLICAS}`);
  }
  const [first, ...others] = options.url.split(',').map((url) => parseTarget(url.trim()));
  if (first === undefined) throw unusable('no URL of Redis is given');
  if (others.length > 0 && !isCluster) throw unusable('several URLs of Redis are given, but no Cluster');
  if (isCluster && first.db !== 0) throw unusable('a Redis Cluster has only database 0');
  if (others.some(({ isTls }) => isTls !== first.isTls))
    throw unusable('some URLs of Redis are of TLS, and some not');
  return {
    nodes: [first.node, ...others.map(({ node }) => node)],
    isCluster,
    db: first.db,
    username: username || undefined,
    password: await readPassword(options),
    tls: first.isTls ? await readTls(options) : undefined,
    prefix,
    minReplicas,
  };
}

async function readPassword({ passwordPath, password }: RedisOptions): Promise<string | undefined> {
  if (passwordPath === '') return password || undefined;
  return (await readTextSecretFile(passwordPath, MIN_PASSWORD_BYTES)).toString('utf8');
}

async function readTls({ caPath }: RedisOptions): Promise<ConnectionOptions> {
  if (caPath === '') return {};
  try {
    return { ca: await readFile(caPath) };
  } catch (cause) {
    throw new AppError('STATE_OPTIONS_UNUSABLE', `cannot read the certificates ${caPath}`, { cause });
  }
}

function parseTarget(url: string): Target {
  if (url.startsWith('unix:/')) return { node: { path: url.slice('unix:'.length) }, db: 0, isTls: false };
  // The text itself may have a password in it.
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) throw unusable('the URL of Redis cannot be read');
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  if (username !== '' || password !== '') throw unusable('the URL of Redis has a user or password in it');
  const db = Number(pathname.slice(1) || '0');
  if (!Number.isInteger(db) || db < 0 || db > MAX_DB)
    throw unusable('the database in the URL of Redis is no number');
  if (hostname === '') throw unusable('the URL of Redis has no host');
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return { node: { host, port: Number(port || DEFAULT_PORT) }, db, isTls: protocol === 'rediss:' };
}

function unusable(what: string): AppError {
  return new AppError('STATE_OPTIONS_UNUSABLE', what);
}
