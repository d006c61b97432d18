import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { HttpLimits } from '../../src/http/types.ts';
import { ORIGIN_DEFAULTS, type OriginOptions } from '../../src/origin/origin-options.ts';
import { Origin } from '../../src/origin/origin.ts';
import type { Segment } from '../../src/stream/live-window.ts';
import type { WireAnswer } from '../support/http-reader.ts';
import { type DriverName, DRIVERS, TestListeners, type TestListener } from '../support/http-listener.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { PackagedStream } from '../support/packaged-stream.ts';
import { until } from '../support/until.ts';

const listeners = new TestListeners();
const cleanups: (() => void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
  await listeners.closeAll();
});

/** A packaged stream with some seconds of media behind an origin on a real listener. */
class Site {
  private constructor(
    readonly stream: PackagedStream,
    readonly metrics: Metrics,
    readonly listener: TestListener,
  ) {}

  static async open(
    driver: DriverName,
    options: { origin?: Partial<OriginOptions>; limits?: Partial<HttpLimits>; frameBytes?: number } = {},
  ): Promise<Site> {
    const stream = new PackagedStream(40, options.frameBytes);
    stream.step();
    stream.stepUntil(
      () => stream.rendition('audio').segments.filter((s) => s.state === 'closed').length === 3,
    );
    const metrics = new Metrics();
    const origin = new Origin(
      { ...ORIGIN_DEFAULTS, ...options.origin },
      {
        directory: { window: (name) => (name === 'cam' ? stream.window : undefined) },
        liveStreams: () => ['cam'],
        clock: systemClock,
        log: createMemoryLog(),
        metrics,
        pages: new Map(),
      },
    );
    cleanups.push(
      () => origin.close(),
      () => stream.close(),
    );
    return new Site(stream, metrics, await listeners.start(driver, origin.handler, options.limits));
  }

  dial(options: ConstructorParameters<typeof RawClient>[1] = {}): RawClient {
    const client = new RawClient(this.listener.port, options);
    cleanups.push(() => client.destroy());
    return client;
  }

  /** Sends one request and leaves its answer to come. */
  ask(path: string, headers: Record<string, string> = {}, method = 'GET'): RawClient {
    const client = this.dial();
    client.request(method, path.startsWith('/') ? path : `/live/cam/${path}`, headers);
    return client;
  }

  async get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<WireAnswer> {
    const client = this.ask(path, headers, method);
    const answer = await client.answer();
    client.destroy();
    return answer;
  }

  async metric(name: string): Promise<number> {
    const text = await this.metrics.registry.metrics();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`headwater_${name} `));
    return Number(line?.split(' ').at(-1) ?? 0);
  }

  segmentUrl(segment: Segment, id = 'video'): string {
    return `${id}/${segment.period.id}/${segment.number}.m4s`;
  }
}

function sha256(pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

function segmentHash(segment: Segment): string {
  return sha256(segment.chunks.map((chunk) => chunk.bytes));
}

/** Small numbers without a pattern, the same in every run. */
function createDice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * sides);
  };
}

describe.each(DRIVERS)('the origin on the %s driver', (driver) => {
  it.each(['video', 'audio'] as const)(
    'gives the same bytes of a %s segment to whoever joins at any moment, afterwards, and as parts',
    async (id) => {
      const site = await Site.open(driver);
      const { stream } = site;
      const dice = createDice(7);
      const number = stream.newest(id).number + 1;
      const url = `${id}/${stream.newest(id).period.id}/${number}.m4s`;

      const readers = [site.ask(url)];
      stream.stepUntil(() => stream.newest(id).number === number);
      const segment = stream.newest(id);
      while (segment.state === 'open') {
        if (dice(8) === 0) readers.push(site.ask(url));
        stream.step();
        for (let turns = dice(4); turns > 0; turns -= 1) await nextTurn();
      }
      readers.push(site.ask(url));

      const answers = await Promise.all(readers.map((reader) => reader.answer()));
      expect(answers.length).toBeGreaterThan(8);
      expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
      expect(new Set(answers.map((answer) => answer.sha256))).toEqual(new Set([segmentHash(segment)]));
      expect(answers.filter((answer) => answer.chunkSizes.length > 1).length).toBeGreaterThan(3);

      const parts = await Promise.all(
        segment.parts.map((part) => site.get(`${id}/${segment.period.id}/${number}.${part.index}.m4s`)),
      );
      expect(parts.length).toBeGreaterThan(5);
      expect(sha256(parts.map((part) => part.body))).toBe(segmentHash(segment));
      expect(parts.map((part) => part.headers.get('content-length'))).toEqual(
        segment.parts.map((part) => String(part.sizeBytes)),
      );
      const whole = await site.get(url);
      expect(whole.headers.get('content-length')).toBe(String(segment.sizeBytes));
      expect(whole.chunkSizes).toEqual([]);
    },
  );

  it('sends only whole CMAF chunks while a segment grows', async () => {
    const site = await Site.open(driver);
    const { stream } = site;
    stream.stepUntil(
      () => stream.newest('video').state === 'open' && stream.newest('video').chunks.length > 4,
    );
    const segment = stream.newest('video');
    const reader = site.ask(site.segmentUrl(segment));
    await until(() => reader.reader.bodyBytes === segment.sizeBytes, 'the finished chunks to arrive');
    while (segment.state === 'open') {
      stream.step();
      await until(
        () => segment.state !== 'open' || reader.reader.bodyBytes === segment.sizeBytes,
        'the new chunk',
      );
    }
    const answer = await reader.answer();
    const starts = new Set([0]);
    let offset = 0;
    for (const chunk of segment.chunks) starts.add((offset += chunk.bytes.length));
    let position = 0;
    for (const size of answer.chunkSizes) expect(starts.has((position += size))).toBe(true);
    expect(answer.chunkSizes.length).toBeGreaterThan(20);
  });

  it('sends no byte of a hinted part before it is complete, then all of it', async () => {
    const site = await Site.open(driver);
    const { stream } = site;
    stream.stepUntil(() => stream.newest('video').parts.length === 2);
    const segment = stream.newest('video');
    const reader = site.ask(`video/${segment.period.id}/${segment.number}.2.m4s`);
    await until(
      async () => (await site.metric('origin_waiters{kind="part"}')) === 1,
      'the request to be held',
    );
    stream.stepUntil(() => segment.chunks.length === (segment.parts.at(-1)?.endChunk ?? 0) + 2);
    for (let turns = 0; turns < 20; turns += 1) await nextTurn();
    expect(reader.receivedBytes).toBe(0);
    stream.stepUntil(() => segment.parts.length === 3);
    const answer = await reader.answer();
    const part = segment.parts[2];
    expect(answer.bodyBytes).toBe(part?.sizeBytes);
    expect(answer.sha256).toBe(
      sha256(segment.chunks.slice(part?.firstChunk, part?.endChunk).map((c) => c.bytes)),
    );
  });

  it('answers a thousand held reloads with one rendering', async () => {
    const site = await Site.open(driver);
    const { stream } = site;
    stream.stepUntil(() => stream.newest('video').parts.length === 2);
    const { number } = stream.newest('video');
    const url = `video.m3u8?_HLS_msn=${number}&_HLS_part=2`;
    const readers = Array.from({ length: 1000 }, (_, i) =>
      site.ask(url, i % 2 ? { 'Accept-Encoding': 'gzip' } : {}),
    );
    await until(
      async () => (await site.metric('origin_waiters{kind="playlist"}')) === 1000,
      'all to be held',
    );
    stream.stepUntil(() => stream.newest('video').parts.length === 3);

    const answers = await Promise.all(readers.map((reader) => reader.answer()));
    expect(new Set(answers.map((answer) => answer.sha256)).size).toBe(2);
    const texts = answers.map((answer) =>
      (answer.headers.get('content-encoding') === 'gzip' ? gunzipSync(answer.body) : answer.body).toString(),
    );
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toContain(`${number}.2.m4s"`);
    expect(await site.metric('origin_renders_total{kind="playlist"}')).toBe(1);
    expect(await site.metric('origin_waiters{kind="playlist"}')).toBe(0);
  });

  it('forgets held requests and readers whose connections are lost', async () => {
    const site = await Site.open(driver);
    const { stream } = site;
    stream.stepUntil(() => stream.newest('video').parts.length === 2);
    const segment = stream.newest('video');
    const clients = [
      site.ask(`video.m3u8?_HLS_msn=${segment.number}&_HLS_part=5`),
      site.ask(`video/${segment.period.id}/${segment.number}.5.m4s`),
      site.ask(`video/${segment.period.id}/${segment.number + 1}.m4s`),
      site.ask(site.segmentUrl(segment)),
    ];
    const inside = async (): Promise<number[]> => [
      ...(await Promise.all(
        ['playlist', 'part', 'segment'].map((kind) => site.metric(`origin_waiters{kind="${kind}"}`)),
      )),
      await site.metric('origin_growing_readers'),
    ];
    await until(async () => (await inside()).every((count) => count === 1), 'all to be inside');
    for (const client of clients) client.destroy();
    await until(async () => (await inside()).every((count) => count === 0), 'all to be forgotten');
  });

  it('cuts a reader that does not read, and the others get every byte', async () => {
    const site = await Site.open(driver, { frameBytes: 200_000, limits: { maxBacklogBytes: 512 * 1024 } });
    const { stream } = site;
    stream.stepUntil(() => stream.newest('video').chunks.length === 1);
    const segment = stream.newest('video');
    const stalled = site.dial({ paused: true });
    stalled.request('GET', `/live/cam/${site.segmentUrl(segment)}`);
    const healthy = [site.ask(site.segmentUrl(segment)), site.ask(site.segmentUrl(segment))];
    await until(async () => (await site.metric('origin_growing_readers')) === 3, 'three readers');
    while (segment.state === 'open') {
      stream.step();
      await until(
        () =>
          healthy.every(
            (one) => one.reader.answers.length > 0 || one.reader.bodyBytes >= segment.sizeBytes - 400_000,
          ),
        'the healthy to keep up',
      );
    }
    const answers = await Promise.all(healthy.map((one) => one.answer()));
    expect(answers.map((answer) => answer.sha256)).toEqual(answers.map(() => segmentHash(segment)));
    expect(await site.listener.metric('http_cut_readers_total', { reason: 'backlog' })).toBe(1);
    await until(async () => (await site.metric('origin_growing_readers')) === 0, 'no reader to be left');
    stalled.startReading();
    await stalled.untilClosed();
    expect(stalled.reader.answers).toHaveLength(0);
  });

  it('lets everyone read each answer, whatever its status', async () => {
    const site = await Site.open(driver, { origin: { maxWaiters: 1 } });
    const { stream } = site;
    stream.stepUntil(() => stream.newest('video').parts.length === 2);
    const open = stream.newest('video');
    const done = stream.rendition('video').segments[0] ?? open;
    const url = site.segmentUrl(done);
    const etag = (await site.get(url)).headers.get('etag') ?? '';
    site.ask(`video.m3u8?_HLS_msn=${open.number}&_HLS_part=4`);
    await until(async () => (await site.metric('origin_waiters{kind="playlist"}')) === 1, 'one to be held');

    const rows: readonly (readonly [number, string, Record<string, string>?, string?])[] = [
      [200, url],
      [200, url, {}, 'HEAD'],
      [200, '/time', {}, 'HEAD'],
      [204, url, {}, 'OPTIONS'],
      [206, url, { Range: 'bytes=10-19' }],
      [304, url, { 'If-None-Match': etag }],
      [308, '/live/cam'],
      [400, 'video.m3u8?_HLS_part=1'],
      [404, 'video/p/5.m4s'],
      [404, '/live/nobody/index.m3u8'],
      [404, '/nothing/here'],
      [410, 'patch.mpp?publishTime=2020-01-01T00:00:00.000Z'],
      [416, url, { Range: 'bytes=999999999-' }],
      [503, `video.m3u8?_HLS_msn=${open.number}&_HLS_part=5`],
    ];
    for (const [status, path, headers, method] of rows) {
      const answer = await site.get(path, headers, method);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.headers.get('access-control-allow-origin'), path).toBe('*');
      expect(answer.headers.get('date'), path).toMatch(/ GMT$/);
      if (status === 204) continue;
      expect(answer.headers.get('cache-control'), path).toBeDefined();
    }
    const [range, head] = [await site.get(url, { Range: 'bytes=10-19' }), await site.get(url, {}, 'HEAD')];
    expect(range.body).toEqual(Buffer.concat(done.chunks.map((chunk) => chunk.bytes)).subarray(10, 20));
    expect(range.headers.get('content-range')).toBe(`bytes 10-19/${done.sizeBytes}`);
    expect([head.bodyBytes, head.headers.get('content-length')]).toEqual([0, String(done.sizeBytes)]);
  });
});
