import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { Metrics } from '../base/metrics.ts';
import { DynamoResumeStore } from './dynamo-resume-store.ts';
import { type DynamoStateOptions, readDynamoSettings } from './dynamo-settings.ts';
import { openState, type StateOptions } from './open-state.ts';
import { readRedisSettings, type RedisOptions } from './redis-settings.ts';

const REDIS: RedisOptions = {
  url: 'redis://127.0.0.1:6379',
  isCluster: false,
  username: '',
  passwordPath: '',
  password: '',
  caPath: '',
  prefix: 'hw:',
};

const DYNAMO: DynamoStateOptions = {
  endpoint: 'https://dynamodb.example.org',
  region: 'eu-central-1',
  table: 'resume',
  credentialsPath: '',
  credentials: 'AKID hunter2',
};

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'headwater-state-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const options = (fields: Partial<StateOptions> = {}): StateOptions => ({
  driver: 'embedded',
  resumeDriver: 'same',
  dataDir,
  redis: REDIS,
  dynamodb: DYNAMO,
  ...fields,
});
const deps = (clock = new FakeClock()) => ({
  clock,
  log: createMemoryLog(),
  metrics: new Metrics(),
  random: () => 0.5,
});

describe('openState', () => {
  it('opens all embedded stores in the data folder, and has it all again after a restart', async () => {
    const clock = new FakeClock();
    const key = { viewer: 'viewer-1', profile: 'main' };
    const first = await openState(options(), deps(clock));
    const heard: string[] = [];
    await first.pubSub.subscribe('a', (message) => heard.push(message));
    await first.pubSub.publish('a', 'hello');
    expect(heard).toEqual(['hello']);
    const { epoch } = await first.resume.claim(key, 'film');
    expect(await first.replay.claim('proof', clock.wallMs() + 60_000, clock.wallMs())).toBe(true);
    expect(await first.leases.acquire('channel', 'one', 1000)).toBeDefined();
    await first.registry.heartbeat('node-1', {}, 1000);
    await Promise.all([first.close(), first.close()]);
    expect(clock.pendingTimers).toBe(0);
    expect((await readdir(join(dataDir, 'state'))).filter((name) => !name.endsWith('-lock')).sort()).toEqual([
      'leases.lmdb',
      'resume.lmdb',
      'sessions.lmdb',
    ]);
    const second = await openState(options(), deps(clock));
    expect((await second.resume.claim(key, 'film')).epoch).toBeGreaterThan(epoch);
    expect(await second.replay.claim('proof', clock.wallMs() + 60_000, clock.wallMs())).toBe(false);
    await second.close();
  });

  it('leaves nothing open when a store cannot be opened', async () => {
    const clock = new FakeClock();
    await expect(openState(options({ dataDir: '/dev/null' }), deps(clock))).rejects.toMatchObject({
      status: 503,
    });
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not load the client of Redis when there is none', async () => {
    const { cache } = createRequire(import.meta.url);
    const isLoaded = (): boolean => Object.keys(cache).some((path) => path.includes('/ioredis/'));
    await (await openState(options(), deps())).close();
    expect(isLoaded()).toBe(false);
    // That is how one would know.
    await import('ioredis');
    expect(isLoaded()).toBe(true);
  });

  it('keeps resume positions in DynamoDB when told so, and the rest where it is', async () => {
    const state = await openState(options({ resumeDriver: 'dynamodb' }), deps());
    expect(state.resume).toBeInstanceOf(DynamoResumeStore);
    expect(await readdir(join(dataDir, 'state'))).not.toContain('resume.lmdb');
    await state.close();
  });

  it('says what is wrong with the settings of Redis before it connects', async () => {
    const redis = { ...REDIS, url: 'redis://user:hunter2@host' };
    await expect(openState(options({ driver: 'redis', redis }), deps())).rejects.toMatchObject({
      code: 'STATE_OPTIONS_UNUSABLE',
    });
  });
});

describe('readDynamoSettings', () => {
  it('reads the credentials from the environment or a file', async () => {
    const secrets = { accessKeyId: 'AKID', secretAccessKey: 'hunter2' };
    expect((await readDynamoSettings(DYNAMO)).credentials).toMatchObject(secrets);
    const credentialsPath = join(dataDir, 'credentials');
    await writeFile(credentialsPath, 'AKID\nhunter2\ntoken\n', { mode: 0o600 });
    const read = await readDynamoSettings({ ...DYNAMO, credentialsPath, credentials: '' });
    expect(read.credentials).toEqual({ ...secrets, sessionToken: 'token' });
  });

  it.each([{ endpoint: '' }, { table: 'a b' }, { credentials: '' }, { credentials: 'hunter2' }])(
    'refuses %j in words that have no secret in them',
    async (fields) => {
      const error: unknown = await readDynamoSettings({ ...DYNAMO, ...fields }).catch(
        (cause: unknown) => cause,
      );
      expect(error).toMatchObject({ code: 'STATE_OPTIONS_UNUSABLE' });
      expect(String(error)).not.toContain('hunter2');
    },
  );
});

describe('readRedisSettings', () => {
  it.each([
    ['redis://example.org', { host: 'example.org', port: 6379 }, 0, undefined],
    ['redis://10.0.0.1:7000/3', { host: '10.0.0.1', port: 7000 }, 3, undefined],
    ['rediss://[::1]:7000', { host: '::1', port: 7000 }, 0, {}],
    ['unix:/run/redis.sock', { path: '/run/redis.sock' }, 0, undefined],
  ])('reads %s', async (url, node, db, tls) => {
    expect(await readRedisSettings({ ...REDIS, url })).toMatchObject({ nodes: [node], db });
    expect((await readRedisSettings({ ...REDIS, url })).tls).toEqual(tls);
  });

  it('reads several nodes of a Cluster', async () => {
    const settings = await readRedisSettings({ ...REDIS, url: 'redis://a:1, redis://b:2', isCluster: true });
    expect(settings.nodes).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ]);
  });

  it.each([
    [{ url: '' }],
    [{ url: 'http://example.org' }],
    [{ url: 'redis://' }],
    [{ url: 'redis://host/x' }],
    [{ url: 'redis://host/-1' }],
    [{ url: 'redis://:hunter2@host' }],
    [{ url: 'redis://a,redis://b' }],
    [{ url: 'redis://a/1', isCluster: true }],
    [{ url: 'redis://a,rediss://b', isCluster: true }],
    [{ prefix: 'a{b}' }],
    [{ url: 'rediss://a', caPath: '/nonexistent' }],
  ])('refuses %j in words that have no secret in them', async (fields) => {
    const error: unknown = await readRedisSettings({ ...REDIS, ...fields }).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'STATE_OPTIONS_UNUSABLE' });
    expect(String(error)).not.toContain('hunter2');
  });

  it('wants a password file that nobody else can read', async () => {
    const passwordPath = join(dataDir, 'missing');
    await expect(readRedisSettings({ ...REDIS, passwordPath })).rejects.toMatchObject({
      code: 'SECRET_FILE_UNSAFE',
    });
  });
});
