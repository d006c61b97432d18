import { afterEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { DynamoCredentials } from '../../src/state/dynamo-client.ts';
import { DynamoResumeStore } from '../../src/state/dynamo-resume-store.ts';
import { StateMetrics } from '../../src/state/state-metrics.ts';
import { FakeDynamo } from '../support/fake-dynamo.ts';
import { aReport, describeResumeStore } from '../support/resume-store-contract.ts';

const KEY = { viewer: 'viewer-1', profile: 'main' };

/** Many that change one profile at once are slow here: the contract is about what is decided, not about when. */
const PATIENT_CLOCK: Clock = {
  ...systemClock,
  after: (delayMs, callback) => systemClock.after(30 * delayMs, callback),
};

function storeOn(
  server: FakeDynamo,
  credentials: DynamoCredentials = server.credentials,
  clock = systemClock,
): DynamoResumeStore {
  const { endpoint, region, table } = server;
  const deps = { clock, metrics: new StateMetrics(new Metrics()) };
  return new DynamoResumeStore({ endpoint, region, table, credentials }, deps);
}

describeResumeStore('dynamodb', () => {
  let server: FakeDynamo;
  return {
    async open() {
      server = await new FakeDynamo().start();
      return storeOn(server, server.credentials, PATIENT_CLOCK);
    },
    openAgain: async () => storeOn(server, server.credentials, PATIENT_CLOCK),
    dispose: () => server.stop(),
    holdsText: async (text) => server.holds(text),
  };
});

describe('the store on DynamoDB', () => {
  const servers: FakeDynamo[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop();
  });
  const start = async (credentials?: DynamoCredentials): Promise<FakeDynamo> => {
    const server = await new FakeDynamo(credentials).start();
    servers.push(server);
    return server;
  };

  it('signs with a session token too, and is refused with another secret', async () => {
    const credentials = { accessKeyId: 'AKID', secretAccessKey: 'a/b+c', sessionToken: 'token/1==' };
    const server = await start(credentials);
    expect((await storeOn(server).claim(KEY, 'film')).epoch).toBeGreaterThan(0);
    const wrong = storeOn(server, { ...credentials, secretAccessKey: 'a/b+d' });
    const error: unknown = await wrong.claim(KEY, 'film').catch((cause: unknown) => cause);
    expect(error).toMatchObject({
      code: 'RESUME_UNAVAILABLE',
      cause: { message: 'InvalidSignatureException' },
    });
    expect(JSON.stringify(error)).not.toContain('a/b');
  });

  it('decides a report with one transaction', async () => {
    const server = await start();
    const store = storeOn(server);
    const { epoch } = await store.claim(KEY, 'film');
    server.operations.length = 0;
    await store.put(KEY, aReport({ epoch }), { offline: false });
    expect(server.operations).toEqual(['TransactGetItems', 'TransactWriteItems']);
  });

  it.each(['silence', 'throttled', 'nonsense'] as const)(
    'answers in time on %s, and goes on after it',
    async (fault) => {
      const server = await start();
      const store = storeOn(server);
      const { epoch } = await store.claim(KEY, 'film');
      server.fault = fault;
      const startMs = performance.now();
      const putting = store.put(KEY, aReport({ epoch }), { offline: false });
      await expect(putting).rejects.toMatchObject({ code: 'RESUME_UNAVAILABLE' });
      expect(performance.now() - startMs).toBeLessThan(3000);
      server.fault = 'none';
      expect(await store.put(KEY, aReport({ epoch }), { offline: false })).toMatchObject({ kind: 'stored' });
    },
  );
});
