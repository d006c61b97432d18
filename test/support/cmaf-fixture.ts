import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { createCallHandler } from '../../src/http/call-handler.ts';
import { createHttpServer } from '../../src/http/create-http-server.ts';
import type { HttpLimits } from '../../src/http/types.ts';
import { type Authoriser, createKeyAuthoriser } from '../../src/ingest/authorise.ts';
import { CmafIngest } from '../../src/ingest/cmaf/cmaf-ingest.ts';
import { CMAF_DEFAULTS, type CmafOptions } from '../../src/ingest/cmaf/cmaf-options.ts';
import { ROOMY } from './http-listener.ts';
import { createMemoryLog, type LogLine } from './memory-log.ts';
import { type RecordedPublisher, RecordingHub } from './rtmp-hub.ts';
import { until } from './until.ts';

/** CMAF ingest on a real listener, with a hub that remembers. */
export interface CmafFixture {
  readonly ingest: CmafIngest;
  readonly port: number;
  /** `http://127.0.0.1:<port>/ingest/` */
  readonly url: string;
  readonly hub: RecordingHub;
  readonly log: LogLine[];
  /** Sum of a metric over the label sets that contain `labels`. */
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  /** The only publisher there is or will be. */
  publisher(): Promise<RecordedPublisher>;
  close(): Promise<void>;
}

/** Knows the keys `key-of-<stream>`. */
export const testKeys: Authoriser = createKeyAuthoriser({
  find: async (key) => /^key-of-(.+)$/.exec(key)?.[1],
  srtPassphrase: async () => undefined,
});

export interface CmafFixtureOptions {
  readonly options?: Partial<CmafOptions>;
  readonly limits?: Partial<HttpLimits>;
  readonly authoriser?: Authoriser;
  readonly clock?: Clock;
}

/** Starts one on a free loopback port. */
export async function startCmaf(fixture: CmafFixtureOptions = {}): Promise<CmafFixture> {
  const { authoriser = testKeys, clock = systemClock } = fixture;
  const metrics = new Metrics();
  const hub = new RecordingHub();
  const log = createMemoryLog();
  const ingest = new CmafIngest(
    { ...CMAF_DEFAULTS, ...fixture.options },
    { hub, authoriser, clock, log, metrics, randomBytes },
  );
  const server = await createHttpServer(
    { driver: 'node', host: '127.0.0.1', port: 0, limits: { ...ROOMY, ...fixture.limits } },
    { log, metrics, clock: systemClock },
    createCallHandler((request) => ingest.handle(request)),
  );
  return {
    ingest,
    port: server.port,
    url: `http://127.0.0.1:${server.port}/ingest/`,
    hub,
    log: log.lines,
    async metric(name, labels = {}) {
      const { values } = (await metrics.registry.getSingleMetric(`headwater_${name}`)?.get()) ?? {
        values: [],
      };
      const wanted = Object.entries(labels);
      return values
        .filter((value) =>
          wanted.every(([key, text]) => (value.labels as Record<string, unknown>)[key] === text),
        )
        .reduce((sum, value) => sum + value.value, 0);
    },
    publisher: () => until(() => hub.publishers[0], 'a publisher'),
    async close() {
      ingest.close();
      await server.close();
    },
  };
}

/** Header that shows the key of a stream. */
export function bearer(stream: string): Record<string, string> {
  return { authorization: `Bearer key-of-${stream}` };
}
