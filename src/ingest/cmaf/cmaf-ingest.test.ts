import { describe, expect, it } from 'vitest';
import { fragmentBytes, initBytes, labelled, VIDEO } from '../../../test/support/cmaf-bytes.ts';
import { FakeClock } from '../../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../../test/support/memory-log.ts';
import { RecordingHub } from '../../../test/support/rtmp-hub.ts';
import { Metrics } from '../../base/metrics.ts';
import { type Authoriser, createOpenAuthoriser, type PublishRequest } from '../authorise.ts';
import { CmafIngest, type IngestRequest } from './cmaf-ingest.ts';
import { CMAF_DEFAULTS } from './cmaf-options.ts';

interface Asked {
  readonly ingest: CmafIngest;
  readonly clock: FakeClock;
  readonly hub: RecordingHub;
  readonly requests: PublishRequest[];
}

function start(extra: { localOnly?: boolean } = {}): Asked {
  const clock = new FakeClock();
  const hub = new RecordingHub();
  const requests: PublishRequest[] = [];
  const open = createOpenAuthoriser();
  const authoriser: Authoriser = {
    authorise(request, signal) {
      requests.push(request);
      return open.authorise(request, signal);
    },
  };
  let ids = 0;
  const randomBytes = (size: number): Uint8Array => new Uint8Array(size).fill(++ids);
  const ingest = new CmafIngest(CMAF_DEFAULTS, {
    hub,
    authoriser,
    clock,
    log: createMemoryLog(),
    metrics: new Metrics(),
    randomBytes,
    ...extra,
  });
  return { ingest, clock, hub, requests };
}

function put(path: string, body: readonly Uint8Array[], extra: Partial<IngestRequest> = {}): IngestRequest {
  return {
    method: 'PUT',
    path: `/ingest/${path}`,
    query: '',
    remoteAddress: '203.0.113.7',
    header: (name) => (name === 'authorization' ? 'Bearer secret' : ''),
    async *bodyPieces() {
      yield* body;
    },
    ...extra,
  };
}

const segment = (n: number): Uint8Array =>
  fragmentBytes([labelled('v', { baseTicks: BigInt(n) * 90_000n, count: 30, duration: 3000 })]);

describe('CmafIngest', () => {
  it('asks about each request until the stream is published, always as the same session, and then no more', async () => {
    const { ingest, clock, hub, requests } = start();
    await ingest.handle(put('studio/', []));
    await ingest.handle(put('studio/v.cmfv', [initBytes([VIDEO])]));
    await ingest.handle(put('studio/v.cmfv', [segment(0)]));
    expect(hub.publishers).toHaveLength(0);
    clock.advance(CMAF_DEFAULTS.gatherMs);
    expect(hub.publishers).toHaveLength(1);
    expect(requests).toHaveLength(3);
    expect(requests[0]).toMatchObject({ protocol: 'cmaf', app: 'live', key: 'studio', password: 'secret' });
    const sessions = new Set(requests.map(({ session }) => session));
    expect([...sessions]).toEqual([hub.publishers[0]?.info.session]);
    for (let n = 1; n < 5; n++) expect(await ingest.handle(put('studio/v.cmfv', [segment(n)]))).toEqual({});
    expect(requests).toHaveLength(3);
    await ingest.handle(put('studio/v.cmfv', [segment(5)], { header: () => '' }));
    expect(requests).toHaveLength(4);
    expect(hub.publishers[0]?.samples).toHaveLength(180);
  });

  it('waits with publishing for the tracks that are declared meanwhile, and no longer than it may', async () => {
    const { ingest, clock, hub } = start();
    await ingest.handle(put('studio/small.cmfv', [initBytes([{ ...VIDEO, width: 640, height: 360 }])]));
    await ingest.handle(put('studio/small.cmfv', [segment(0)]));
    clock.advance(CMAF_DEFAULTS.gatherMs - 1);
    await ingest.handle(put('studio/large.cmfv', [initBytes([VIDEO])]));
    expect(hub.publishers).toHaveLength(0);
    clock.advance(1);
    await ingest.handle(put('studio/large.cmfv', [segment(0)]));
    const [publisher] = hub.publishers;
    expect(publisher?.samples.map(({ track }) => track)).toEqual([
      ...Array.from({ length: 30 }, () => 1),
      ...Array.from({ length: 30 }, () => 0),
    ]);
  });

  it('serves only peers of this machine where it is told to', async () => {
    const { ingest, requests } = start({ localOnly: true });
    const refused = await ingest.handle(put('studio/', []));
    expect(refused.error).toMatchObject({ code: 'INGEST_CMAF_FORBIDDEN', status: 403 });
    expect(requests).toHaveLength(0);
    for (const remoteAddress of ['127.0.0.1', '::1']) {
      expect(await ingest.handle(put('studio/', [], { remoteAddress }))).toEqual({});
    }
  });

  it('forgets whom it let in when nothing comes of it, and leaves no timer behind', async () => {
    const { ingest, clock, requests } = start();
    await ingest.handle(put('studio/', []));
    clock.advance(10_000);
    await ingest.handle(put('studio/', []));
    expect(new Set(requests.map(({ session }) => session)).size).toBe(2);
    await ingest.handle(put('other/v.cmfv', [initBytes([VIDEO])]));
    await ingest.handle(put('other/v.cmfv', [segment(0)]));
    ingest.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('cuts a body that brings nothing whole for as long as the silence limit', async () => {
    const { ingest, clock } = start();
    const reply = ingest.handle(
      put('studio/v.cmfv', [], {
        async *bodyPieces(signal) {
          yield Buffer.from('\0\0\x40\0moov');
          for (;;) {
            yield Uint8Array.of(0);
            clock.advance(500);
            await Promise.resolve();
            signal.throwIfAborted();
          }
        },
      }),
    );
    expect((await reply).error).toMatchObject({ code: 'INGEST_CMAF_SILENT', status: 408 });
    expect(clock.monotonicMs()).toBeLessThanOrEqual(CMAF_DEFAULTS.silenceTimeoutMs + 1000);
  });
});
