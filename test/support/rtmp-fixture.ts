import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { Authoriser } from '../../src/ingest/authorise.ts';
import { RTMP_DEFAULTS, type RtmpOptions } from '../../src/ingest/rtmp/rtmp-options.ts';
import { RtmpServer } from '../../src/ingest/rtmp/rtmp-server.ts';
import { createMemoryLog, type LogLine } from './memory-log.ts';
import { RecordingHub } from './rtmp-hub.ts';

/** A running RTMP server with a hub that remembers. */
export interface RtmpFixture {
  readonly server: RtmpServer;
  readonly port: number;
  readonly hub: RecordingHub;
  readonly log: LogLine[];
  /** `ingest_rtmp_closed_total` by reason, without the zeros. */
  closed(): Promise<Record<string, number>>;
  /** The values of a metric by its one label. */
  labelled(name: string, label: string): Promise<Record<string, number>>;
  /** The value of a metric without labels. */
  metric(name: string): Promise<number>;
}

/** Knows one key: `good` publishes `studio`, `good-<x>` publishes `<x>`. */
export const testAuthoriser: Authoriser = {
  async authorise({ app, key }) {
    if (app !== 'live') return { allow: false, code: 'app_unknown' };
    if (key === 'good') return { allow: true, stream: 'studio' };
    if (key.startsWith('good-')) return { allow: true, stream: key.slice(5) };
    return { allow: false, code: 'key_unknown' };
  },
};

export interface RtmpFixtureOptions {
  readonly options?: Partial<RtmpOptions>;
  readonly authoriser?: Authoriser;
  readonly clock?: Clock;
}

/** Starts one on a free loopback port. The caller closes `server`. */
export async function startRtmp(fixture: RtmpFixtureOptions = {}): Promise<RtmpFixture> {
  const { authoriser = testAuthoriser, clock = systemClock } = fixture;
  const options = { ...RTMP_DEFAULTS, maxConnectionsPerAddress: 100, port: 0, ...fixture.options };
  const metrics = new Metrics();
  const hub = new RecordingHub();
  const log = createMemoryLog();
  const server = new RtmpServer(options, { hub, authoriser, clock, log, metrics, randomBytes });
  const port = await server.listen();
  const valuesOf = async (name: string) => {
    const metric = metrics.registry.getSingleMetric(`headwater_${name}`);
    if (metric === undefined) throw new Error(`no metric ${name}`);
    return (await metric.get()).values;
  };
  const labelled = async (name: string, label: string) =>
    Object.fromEntries((await valuesOf(name)).map(({ labels, value }) => [String(labels[label]), value]));
  return {
    server,
    port,
    hub,
    log: log.lines,
    closed: () => labelled('ingest_rtmp_closed_total', 'reason'),
    labelled,
    async metric(name) {
      return (await valuesOf(name))[0]?.value ?? 0;
    },
  };
}
