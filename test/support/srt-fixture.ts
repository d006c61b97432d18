import { createHash, randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { Authoriser, PublishRequest } from '../../src/ingest/authorise.ts';
import type { PayloadFeed } from '../../src/ingest/srt/payload-feed.ts';
import { SRT_DEFAULTS, type SrtOptions } from '../../src/ingest/srt/srt-options.ts';
import type { PullSource } from '../../src/ingest/srt/srt-puller.ts';
import { SrtServer } from '../../src/ingest/srt/srt-server.ts';
import { createMemoryLog, type LogLine } from './memory-log.ts';
import { RecordingHub } from './rtmp-hub.ts';

export const PASSPHRASE = 'correct horse battery';

/**
 * Knows one key: `good` publishes `studio`, `good-<x>` publishes `<x>`. `secret-<x>` publishes `<x>` if it encrypts with
 * {@link PASSPHRASE}, which `either` may do as well.
 */
export const srtAuthoriser: Authoriser = {
  async authorise({ app, key }) {
    if (app !== 'live') return { allow: false, code: 'app_unknown' };
    if (key === 'good') return { allow: true, stream: 'studio' };
    if (key.startsWith('good-')) return { allow: true, stream: key.slice(5) };
    if (key === 'either') {
      return { allow: true, stream: key, encryption: { passphrase: PASSPHRASE, required: false } };
    }
    if (key.startsWith('secret-')) {
      return { allow: true, stream: key.slice(7), encryption: { passphrase: PASSPHRASE, required: true } };
    }
    return { allow: false, code: 'key_unknown' };
  },
};

/** What came over one connection, counted as samples so that it is not taken for silent. */
export class RecordedPayload implements PayloadFeed {
  readonly stream: string;
  unsupported: string | undefined;
  readonly hash = createHash('sha256');
  sizeBytes = 0;
  samples = 0;
  gaps = 0;
  flushed = 0;
  /** Is told each payload. */
  onPayload: ((bytes: Buffer) => void) | undefined;

  constructor(stream: string) {
    this.stream = stream;
  }

  push(bytes: Buffer): void {
    this.sizeBytes += bytes.length;
    this.samples += 1;
    this.hash.update(bytes);
    this.onPayload?.(bytes);
  }

  gap(): void {
    this.gaps += 1;
  }

  flush(): void {
    this.flushed += 1;
  }

  report(): void {}

  get digest(): string {
    return this.hash.copy().digest('hex');
  }
}

export interface SrtFixture {
  readonly server: SrtServer;
  readonly port: number;
  readonly hub: RecordingHub;
  readonly log: LogLine[];
  /** By the time of their publish; empty when real samples are made. */
  readonly payloads: RecordedPayload[];
  /** Everything the authoriser was asked. */
  readonly requests: PublishRequest[];
  /** `ingest_srt_closed_total` by reason, without the zeros. */
  closed(): Promise<Record<string, number>>;
  /** The sum of a metric over its labels. */
  metric(name: string): Promise<number>;
}

export interface SrtFixtureOptions {
  readonly options?: Partial<SrtOptions>;
  readonly authoriser?: Authoriser;
  readonly clock?: Clock;
  /** Makes samples of MPEG-TS, as the product does, and does not keep the payload. */
  readonly samples?: boolean;
  readonly pulls?: readonly PullSource[];
}

/** Starts one on a free loopback port. The caller closes `server`. */
export async function startSrt(fixture: SrtFixtureOptions = {}): Promise<SrtFixture> {
  const { authoriser = srtAuthoriser, clock = systemClock, samples = false } = fixture;
  const options = { ...SRT_DEFAULTS, maxConnectionsPerAddress: 100, port: 0, ...fixture.options };
  const metrics = new Metrics();
  const hub = new RecordingHub();
  const log = createMemoryLog();
  const payloads: RecordedPayload[] = [];
  const requests: PublishRequest[] = [];
  const server = new SrtServer(options, {
    hub,
    authoriser: {
      authorise: (request, signal) => {
        requests.push(request);
        return authoriser.authorise(request, signal);
      },
    },
    clock,
    log,
    metrics,
    randomBytes,
    pulls: fixture.pulls ?? [],
    ...(!samples && {
      openFeed: ({ stream }) => {
        const payload = new RecordedPayload(stream);
        payloads.push(payload);
        return payload;
      },
    }),
  });
  const port = await server.listen();
  const valuesOf = async (name: string) => {
    const metric = metrics.registry.getSingleMetric(`headwater_${name}`);
    if (metric === undefined) throw new Error(`no metric ${name}`);
    return (await metric.get()).values;
  };
  return {
    server,
    port,
    hub,
    log: log.lines,
    payloads,
    requests,
    async closed() {
      const values = await valuesOf('ingest_srt_closed_total');
      return Object.fromEntries(values.map(({ labels, value }) => [String(labels['reason']), value]));
    },
    async metric(name) {
      return (await valuesOf(name)).reduce((sum, { value }) => sum + value, 0);
    },
  };
}
