import { afterAll, beforeAll } from 'vitest';
import { RedisLeaseStore } from '../../src/state/redis-lease-store.ts';
import { RedisPubSub } from '../../src/state/redis-pub-sub.ts';
import { RedisResumeStore } from '../../src/state/redis-resume-store.ts';
import { RedisSessionStore } from '../../src/state/redis-session-store.ts';
import { describeLeaseStore } from '../support/lease-store-contract.ts';
import { describePubSub } from '../support/pub-sub-contract.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { openRedisClient, type RedisClient, redisHolds } from '../support/redis-clients.ts';
import { describeResumeStore } from '../support/resume-store-contract.ts';
import { describeSessionStore } from '../support/session-store-contract.ts';
import { until } from '../support/until.ts';

/** A Cluster of one node: it refuses a script with keys of two slots just as a large one does. */
let server: Redis;
beforeAll(async () => {
  server = await startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] });
  const admin = await openRedisClient(server.url);
  await admin.redis.call('cluster', 'addslotsrange', 0, 16_383);
  await until(
    async () => String(await admin.redis.call('cluster', 'info')).includes('cluster_state:ok'),
    'the Cluster has all slots',
  );
  await admin.close();
});
afterAll(() => server.stop());

function clientsOfTest() {
  const clients: RedisClient[] = [];
  const buses: RedisPubSub[] = [];
  return {
    client: async (): Promise<RedisClient> => {
      const client = await openRedisClient(server.url, { isCluster: true });
      clients.push(client);
      return client;
    },
    bus: async (client: RedisClient): Promise<RedisPubSub> => {
      const bus = new RedisPubSub({ ...client, subscriber: await client.openSubscriber() });
      buses.push(bus);
      return bus;
    },
    dispose: async (): Promise<void> => {
      const admin = await openRedisClient(server.url);
      await admin.redis.call('flushall');
      await admin.close();
      for (const bus of buses) await bus.close();
      for (const client of clients) await client.close();
    },
    holdsText: async (text: string): Promise<boolean> => {
      const admin = await openRedisClient(server.url);
      const holds = await redisHolds(admin, text);
      await admin.close();
      return holds;
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

describePubSub('redis cluster', () => {
  const { client, bus, dispose } = clientsOfTest();
  const openIt = async () => bus(await client());
  return { open: openIt, openAgain: openIt, dispose };
});
