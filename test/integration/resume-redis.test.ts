import { afterAll, beforeAll } from 'vitest';
import { RedisResumeStore } from '../../src/state/redis-resume-store.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { openRedisClient, type RedisClient, redisHolds } from '../support/redis-clients.ts';
import { describeResumeStore } from '../support/resume-store-contract.ts';

let server: Redis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

describeResumeStore('redis', () => {
  const clients: RedisClient[] = [];
  const openIt = async () => {
    const client = await openRedisClient(server.url);
    clients.push(client);
    return new RedisResumeStore(client);
  };
  return {
    openAgain: openIt,
    open: openIt,
    async dispose() {
      await clients[0]?.redis.call('flushall');
      for (const client of clients) await client.close();
    },
    holdsText: async (text) => clients[0] !== undefined && redisHolds(clients[0], text),
  };
});
