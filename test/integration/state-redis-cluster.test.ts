import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisLeaseStore } from '../../src/state/redis-lease-store.ts';
import { RedisPubSub } from '../../src/state/redis-pub-sub.ts';
import { RedisRegistry } from '../../src/state/redis-registry.ts';
import { RedisResumeStore } from '../../src/state/redis-resume-store.ts';
import { slotOf } from '../../src/state/redis-slots.ts';
import { RedisSessionStore } from '../../src/state/redis-session-store.ts';
import { describeLeaseStore } from '../support/lease-store-contract.ts';
import { describePubSub } from '../support/pub-sub-contract.ts';
import { openRedisClient, type RedisClient, redisHolds } from '../support/redis-clients.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { describeRegistry } from '../support/registry-contract.ts';
import { aReport, describeResumeStore } from '../support/resume-store-contract.ts';
import { describeSessionStore } from '../support/session-store-contract.ts';
import { until } from '../support/until.ts';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startRedisCluster();
});
afterAll(() => cluster.stop());

function clientsOfTest() {
  const clients: RedisClient[] = [];
  const buses: RedisPubSub[] = [];
  return {
    client: async (): Promise<RedisClient> => {
      const client = await openRedisClient(cluster.url, { isCluster: true });
      clients.push(client);
      return client;
    },
    bus: async (client: RedisClient): Promise<RedisPubSub> => {
      const bus = new RedisPubSub({ ...client, listener: await client.openListener() });
      buses.push(bus);
      return bus;
    },
    dispose: async (): Promise<void> => {
      await cluster.empty();
      for (const bus of buses) await bus.close();
      for (const client of clients) await client.close();
    },
    holdsText: async (text: string): Promise<boolean> => {
      for (const node of cluster.nodes) {
        const admin = await openRedisClient(node.url);
        const holds = await redisHolds(admin, text);
        await admin.close();
        if (holds) return true;
      }
      return false;
    },
    advance: (): void => undefined,
  };
}

describeResumeStore('redis cluster', () => {
  const { client, dispose, holdsText } = clientsOfTest();
  const openIt = async () => new RedisResumeStore(await client());
  return { open: openIt, openAgain: openIt, dispose, holdsText };
});

describeSessionStore('redis cluster', () => {
  const { client, dispose } = clientsOfTest();
  const openIt = async () => new RedisSessionStore(await client());
  return { open: openIt, openAgain: openIt, dispose };
});

describeLeaseStore('redis cluster', () => {
  const { client, bus, dispose, advance } = clientsOfTest();
  const openIt = async () => {
    const one = await client();
    return new RedisLeaseStore({ ...one, pubSub: await bus(one) });
  };
  return { open: openIt, openAgain: openIt, dispose, advance };
});

describeRegistry('redis cluster', () => {
  const { client, dispose, advance } = clientsOfTest();
  const openIt = async () => new RedisRegistry(await client());
  return { open: openIt, openAgain: openIt, dispose, advance };
});

describePubSub('redis cluster', () => {
  const { client, bus, dispose } = clientsOfTest();
  const openIt = async () => bus(await client());
  return { open: openIt, openAgain: openIt, dispose };
});

describe('a Redis Cluster', () => {
  it('has each slot where it says', async () => {
    const [node] = cluster.nodes;
    for (const key of ['', 'a', 'test:r:{viewer}:main', '{}a', 'a{b', 'a}{b}', '{{a}}', 'é', '123456789']) {
      const text = key === '' ? '""' : `"${key}"`;
      expect(await node?.tell(`CLUSTER KEYSLOT ${text}`), key).toBe(`:${slotOf(key)}\r\n`);
    }
  });

  it('carries messages by the node that has the channel, and by no other', async () => {
    const { client, bus, dispose } = clientsOfTest();
    const [here, there] = [await bus(await client()), await bus(await client())];
    // Enough of them to be at every node.
    const channels = Array.from({ length: 30 }, (_, i) => `user:{viewer-${i}}`);
    const heard: string[] = [];
    await Promise.all(
      channels.map((channel) => there.subscribe(channel, (text) => heard.push(`${channel} ${text}`))),
    );
    const counts = await Promise.all(cluster.nodes.map((node) => node.tell('PUBSUB SHARDCHANNELS')));
    const perNode = counts.map(
      (text) => channels.filter((channel) => text.includes(`test:${channel}\r\n`)).length,
    );
    expect(perNode.reduce((sum, count) => sum + count)).toBe(channels.length);
    expect(Math.min(...perNode)).toBeGreaterThan(0);
    await Promise.all(channels.map((channel) => here.publish(channel, 'hello')));
    await until(() => heard.length === channels.length, 'all messages');
    expect(heard.toSorted()).toEqual(channels.map((channel) => `${channel} hello`).toSorted());
    await dispose();
  });

  it('loses nothing while a slot moves, and messages come again when it has', async () => {
    const { client, bus, dispose } = clientsOfTest();
    const one = await client();
    const store = new RedisResumeStore(one);
    const [here, there] = [await bus(one), await bus(await client())];
    const key = { viewer: 'mover', profile: 'main' };
    const channel = 'user:{mover}';
    const heard: string[] = [];
    let gaps = 0;
    await there.subscribe(channel, (text) => heard.push(text));
    there.onGap(() => (gaps += 1));
    const { epoch } = await store.claim(key, 'film');
    let seq = 0;
    const put = async (): Promise<void> => {
      seq += 1;
      const report = aReport({ title: 'film', epoch, seq });
      expect(await store.put(key, report, { offline: false })).toMatchObject({ kind: 'stored' });
    };
    const slot = slotOf('test:r:{mover}:main');
    const moving = await cluster.moveSlot(slot);
    for (let i = 0; i < 5; i++) await put();
    expect(await moving.moveKeys(100)).toBe(1);
    // The old node sends us on (ASK), and at last for ever (MOVED).
    for (let i = 0; i < 5; i++) await put();
    await moving.finish();
    expect((await cluster.primaryOf(slot)).port).toBe(moving.to.port);
    for (let i = 0; i < 5; i++) await put();
    expect((await store.find(key, 'film'))?.seq).toBe(seq);
    await until(() => gaps > 0, 'the gap is told');
    await until(async () => {
      await here.publish(channel, 'after');
      return heard.includes('after');
    }, 'messages come again');
    await dispose();
  });
});
