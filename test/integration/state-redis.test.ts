import { afterAll, beforeAll } from 'vitest';
import { RedisLeaseStore } from '../../src/state/redis-lease-store.ts';
import { RedisPubSub } from '../../src/state/redis-pub-sub.ts';
import { RedisRegistry } from '../../src/state/redis-registry.ts';
import { RedisSessionStore } from '../../src/state/redis-session-store.ts';
import { describeLeaseStore } from '../support/lease-store-contract.ts';
import { describePubSub } from '../support/pub-sub-contract.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { describeRegistry } from '../support/registry-contract.ts';
import { describeSessionStore } from '../support/session-store-contract.ts';
import { openRedisClient, type RedisClient } from '../support/redis-clients.ts';

let server: Redis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/** Clients of one test, and what is to be ended with them. */
function clientsOfTest() {
  const clients: RedisClient[] = [];
  const buses: RedisPubSub[] = [];
  return {
    client: async (): Promise<RedisClient> => {
      const client = await openRedisClient(server.url);
      clients.push(client);
      return client;
    },
    bus: async (client: RedisClient): Promise<RedisPubSub> => {
      const bus = new RedisPubSub({ ...client, listener: await client.openListener() });
      buses.push(bus);
      return bus;
    },
    dispose: async (): Promise<void> => {
      await clients[0]?.redis.call('flushall');
      for (const bus of buses) await bus.close();
      for (const client of clients) await client.close();
    },
    /** Time passes by itself. */
    advance: (): void => undefined,
  };
}

describePubSub('redis', () => {
  const { client, bus, dispose } = clientsOfTest();
  const openIt = async () => bus(await client());
  return { open: openIt, openAgain: openIt, dispose };
});

describeLeaseStore('redis', () => {
  const { client, bus, dispose, advance } = clientsOfTest();
  const openIt = async () => {
    const one = await client();
    return new RedisLeaseStore({ ...one, pubSub: await bus(one) });
  };
  return { open: openIt, openAgain: openIt, dispose, advance };
});

describeRegistry('redis', () => {
  const { client, dispose, advance } = clientsOfTest();
  const openIt = async () => new RedisRegistry(await client());
  return { open: openIt, openAgain: openIt, dispose, advance };
});

describeSessionStore('redis', () => {
  const { client, dispose } = clientsOfTest();
  const openIt = async () => new RedisSessionStore(await client());
  return { open: openIt, openAgain: openIt, dispose };
});
