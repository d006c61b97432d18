import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Redis, startRedis } from '../support/redis.ts';
import { openRedisClient, redisHolds } from '../support/redis-clients.ts';
import { until } from '../support/until.ts';
import { startViewerServer, type ViewerServer } from '../support/viewer-server.ts';

const LICENSE_KEY = 'license.key';
const TOKEN_KEYS = 'playback-token-keys.json';

interface NodeList {
  readonly seenAt: string | null;
  readonly nodes: readonly { readonly isSelf: boolean; readonly differs: readonly string[] }[];
}

/** Servers with data folders of their own and one Redis. */
describe('several servers with one Redis', () => {
  let folder: string;
  let redis: Redis;
  const opened: ViewerServer[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-nodes-'));
    redis = await startRedis();
  });
  afterEach(async () => {
    for (const server of opened.splice(0)) await server.close();
  });
  afterAll(async () => {
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  /** `secrets`: the files of it that are those of another. */
  async function start(name: string, secrets: readonly string[] = [], from = 'one', more: string[] = []) {
    const own = join(folder, name, 'secrets');
    await mkdir(own, { recursive: true, mode: 0o700 });
    for (const file of secrets) await cp(join(folder, from, 'secrets', file), join(own, file));
    const set = ['license.enabled=false', 'state.driver=redis', `state.redis.url=${redis.url}`, ...more];
    const server = await startViewerServer({ dataDir: join(folder, name), set });
    opened.push(server);
    return server;
  }

  async function nodesOf({ controlUrl, adminToken }: ViewerServer): Promise<NodeList> {
    const headers = { authorization: `Bearer ${adminToken}` };
    return (await (await fetch(`${controlUrl}/v1/nodes`, { headers })).json()) as NodeList;
  }

  it('list each other for who has the admin token', async () => {
    const one = await start('one', [], '', ['license.publicUrl=https://play.example.org']);
    const two = await start('two', [LICENSE_KEY, TOKEN_KEYS]);
    const { nodes, seenAt } = await until(async () => {
      const list = await nodesOf(two);
      return list.nodes.length === 2 ? list : undefined;
    }, 'both are there');
    expect(nodes.map(({ differs }) => differs)).toEqual([[], []]);
    expect(nodes).toContainEqual(expect.objectContaining({ control: 'https://play.example.org' }));
    expect(nodes.filter(({ isSelf }) => isSelf)).toHaveLength(1);
    expect(seenAt).not.toBeNull();
    expect((await fetch(`${one.controlUrl}/v1/nodes`)).status).toBe(401);
    expect([one.problems(), two.problems()]).toEqual([[], []]);
  });

  it.each([
    ['its users would be others', 'strange-user', [TOKEN_KEYS], 'license.key differs'],
    ['its tokens would not count', 'strange-token', [LICENSE_KEY], 'playback-token-keys.json differs'],
    ['it has been given nothing', 'empty', [], 'license.key and .*playback-token-keys.json differ'],
  ])('do not take in one where %s', async (_, name, secrets, sentence) => {
    await start('one');
    await expect(start(name, secrets)).rejects.toMatchObject({
      code: 'STATE_SECRETS_DIFFER',
      message: expect.stringMatching(new RegExp(sentence)),
    });
    expect(opened).toHaveLength(1);
  });

  it('do not take in one that has other KEKs, where content is encrypted', async () => {
    const drm = ['drm.enabled=true'];
    await start('drm-one', [LICENSE_KEY, TOKEN_KEYS], 'one', drm);
    await expect(start('drm-two', [LICENSE_KEY, TOKEN_KEYS], 'one', drm)).rejects.toMatchObject({
      code: 'STATE_SECRETS_DIFFER',
      message: expect.stringContaining('content-kek.keys differs'),
    });
  });

  it('notice a secret that is replaced while they run, and the later one is not ready', async () => {
    const one = await start('one');
    const late = await start('late', [LICENSE_KEY, TOKEN_KEYS]);
    await writeFile(join(folder, 'late', 'secrets', LICENSE_KEY), Buffer.alloc(32, 7), { mode: 0o600 });
    await until(() => late.problems().length > 0, 'it is noticed');
    expect(late.problems()[0]).toMatch(/^licenseKey: not that of server/);
    expect(one.problems()).toEqual([]);
    expect(await late.metric('nodes_differing_servers')).toBe(1);
    expect(JSON.stringify(late.log)).toContain('a server that shares this state has other secrets');
  });

  it('have no secret in Redis', async () => {
    await start('one');
    const client = await openRedisClient(redis.url);
    try {
      const key = await readFile(join(folder, 'one', 'secrets', LICENSE_KEY));
      const ring = await readFile(join(folder, 'one', 'secrets', TOKEN_KEYS), 'utf8');
      const [, secret = ''] = /"secret": "([^"]+)"/.exec(ring) ?? [];
      expect(secret.length).toBeGreaterThan(20);
      expect(await redisHolds(client, 'licenseKey')).toBe(true);
      for (const text of [key.toString('hex'), key.toString('base64url'), secret])
        expect(await redisHolds(client, text)).toBe(false);
    } finally {
      await client.close();
    }
  });
});
