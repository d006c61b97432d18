import { createHash, randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { headerBlock } from '../../src/http/header-block.ts';
import { sharedBytes } from '../../src/http/shared-bytes.ts';
import type { BodyStream, HttpHandler, HttpResponse, SharedBytes } from '../../src/http/types.ts';
import { DRIVERS, TestListeners } from '../support/http-listener.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { until } from '../support/until.ts';

const VIDEO = headerBlock([['Content-Type', 'video/mp4']]);
const MIB = 1024 * 1024;

const listeners = new TestListeners();
const clients: RawClient[] = [];

function dial(...args: ConstructorParameters<typeof RawClient>): RawClient {
  const client = new RawClient(...args);
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await listeners.closeAll();
});

function sha256(parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** All streams of a listener that serves nothing but growing bodies. */
function collectStreams(): { streams: BodyStream[]; responses: HttpResponse[]; handler: HttpHandler } {
  const streams: BodyStream[] = [];
  const responses: HttpResponse[] = [];
  return {
    streams,
    responses,
    handler: (_request, response) => {
      responses.push(response);
      streams.push(response.open(200, VIDEO));
    },
  };
}

describe.each(DRIVERS)('%s driver', (driver) => {
  it('sends large bodies of several buffers byte for byte to 20 slow readers and again on the same connections', async () => {
    const parts = [1, 3 * MIB, 100, 15_999, 16_001, 4 * MIB, 0, 70_000].map((size) => randomBytes(size));
    const digest = sha256(parts);
    const { port, metric } = await listeners.start(driver, (_request, response) =>
      response.send({ status: 200, headers: VIDEO, body: parts }),
    );
    const readers = Array.from({ length: 20 }, (_, i) =>
      dial(port, { paused: true, pace: { bytes: 200_000 + 20_000 * i, everyMs: 5 } }),
    );
    for (const reader of readers) reader.request('GET', '/');
    // Nobody reads until every socket is full.
    await delay(500);
    for (const reader of readers) reader.startReading();
    for (let round = 0; round < 2; round++) {
      if (round > 0) for (const reader of readers) reader.request('GET', '/');
      for (const reader of readers) expect((await reader.answer(round)).sha256).toBe(digest);
    }
    expect(await metric('http_cut_readers_total')).toBe(0);
  });

  it('sends growing bodies of chunks from 1 B to 200 KB byte for byte to fast and slow readers at once', async () => {
    const { streams, handler } = collectStreams();
    const { port, metric } = await listeners.start(driver, handler, {
      maxBacklogBytes: 64 * MIB,
      stallTimeoutMs: 60_000,
    });
    const fast = Array.from({ length: 10 }, () => dial(port));
    const slow = Array.from({ length: 10 }, (_, i) =>
      dial(port, { paused: true, pace: { bytes: 100_000 + 30_000 * i, everyMs: 4 } }),
    );
    for (const reader of [...fast, ...slow]) reader.request('GET', '/');
    await until(() => streams.length === 20, 'all streams to be open');
    const chunks: SharedBytes[] = [1, 2, 15_999, 16_000, 16_001, 32_000, 65_536, 200_000]
      .concat(Array.from({ length: 90 }, () => randomInt(1, 200_000)))
      .map((size) => sharedBytes(randomBytes(size)));
    for (const [index, chunk] of chunks.entries()) {
      for (const stream of streams) stream.write(chunk);
      if (index % 4 === 0) await delay(2);
      if (index === 60) for (const reader of slow) reader.startReading();
    }
    for (const stream of streams) stream.end();
    const digest = sha256(chunks.map((chunk) => chunk.data));
    for (const reader of [...fast, ...slow]) expect((await reader.answer()).sha256).toBe(digest);
    expect(await metric('http_cut_readers_total')).toBe(0);
  });

  it('writes to the growing bodies of others from within the handler of a request', async () => {
    const streams: BodyStream[] = [];
    const chunks: SharedBytes[] = [];
    const { port } = await listeners.start(
      driver,
      (request, response) => {
        if (request.path === '/read') return void streams.push(response.open(200, VIDEO));
        const chunk = sharedBytes(randomBytes(randomInt(1, 150_000)));
        chunks.push(chunk);
        for (const stream of streams) stream.write(chunk);
        response.send({ status: 200, headers: VIDEO, body: Buffer.alloc(30_000) });
        for (const stream of streams) stream.write(chunk);
        return undefined;
      },
      { maxBacklogBytes: 64 * MIB },
    );
    const readers = Array.from({ length: 10 }, () => dial(port, { pace: { bytes: 300_000, everyMs: 3 } }));
    for (const reader of readers) reader.request('GET', '/read');
    await until(() => streams.length === 10, 'all streams to be open');
    const writer = dial(port);
    for (let i = 0; i < 40; i++) {
      writer.request('GET', '/write');
      expect((await writer.answer(i)).bodyBytes).toBe(30_000);
    }
    for (const stream of streams) stream.end();
    const digest = sha256(chunks.flatMap((chunk) => [chunk.data, chunk.data]));
    for (const reader of readers) expect((await reader.answer()).sha256).toBe(digest);
  });

  it('cuts a reader at the backlog limit and leaves the others alone', async () => {
    const { streams, responses, handler } = collectStreams();
    const { port, metric } = await listeners.start(driver, handler, { maxBacklogBytes: MIB });
    const healthy = Array.from({ length: 3 }, () => dial(port));
    for (const reader of healthy) reader.request('GET', '/');
    await until(() => streams.length === 3, 'the healthy streams');
    const stalled = dial(port, { paused: true });
    stalled.request('GET', '/');
    await until(() => streams.length === 4, 'the stalled stream');
    const told: string[] = [];
    responses[3]?.onAbort(() => told.push('stalled'));
    const sent: Uint8Array[] = [];
    while (told.length === 0 && sent.length < 1000) {
      const chunk = sharedBytes(randomBytes(40_000));
      sent.push(chunk.data);
      for (const stream of streams) stream.write(chunk);
      await delay(1);
    }
    expect(told).toEqual(['stalled']);
    expect(responses[3]?.aborted).toBe(true);
    expect(await metric('http_cut_readers_total', { reason: 'backlog' })).toBe(1);
    for (const stream of streams) stream.end();
    for (const reader of healthy) expect((await reader.answer()).sha256).toBe(sha256(sent));
    stalled.startReading();
    await stalled.untilClosed();
    expect(stalled.reader.answers).toHaveLength(0);
  });

  it('cuts a reader of a growing body that takes nothing for the stall time, at a rate far below the backlog limit', async () => {
    const { streams, responses, handler } = collectStreams();
    const { port, metric } = await listeners.start(driver, handler, {
      maxBacklogBytes: 64 * MIB,
      stallTimeoutMs: 600,
    });
    const stalled = dial(port, { paused: true });
    const healthy = dial(port);
    for (const reader of [stalled, healthy]) reader.request('GET', '/');
    await until(() => streams.length === 2, 'both streams');
    const fill = sharedBytes(randomBytes(8 * MIB));
    for (const stream of streams) stream.write(fill);
    const drip = sharedBytes(randomBytes(1000));
    const gone = (): number => responses.filter((response) => response.aborted).length;
    await until(() => {
      for (const stream of streams) stream.write(drip);
      return gone() === 1;
    }, 'the stalled reader to be cut');
    expect(await metric('http_cut_readers_total', { reason: 'stalled' })).toBe(1);
    for (const stream of streams) stream.end();
    await healthy.answer();
  });

  it('cuts a reader of a whole body that takes nothing for the stall time, not one that is slow', async () => {
    const body = randomBytes(10 * MIB);
    const aborted: string[] = [];
    const { port, metric } = await listeners.start(
      driver,
      (request, response) => {
        const { path } = request;
        response.onAbort(() => aborted.push(path));
        response.send({ status: 200, headers: VIDEO, body });
      },
      { stallTimeoutMs: 800 },
    );
    const stalled = dial(port, { paused: true });
    stalled.request('GET', '/stalled');
    const slow = dial(port, { pace: { bytes: 500_000, everyMs: 120 } });
    slow.request('GET', '/slow');
    await until(() => aborted.length > 0, 'the stalled reader to be cut');
    expect((await slow.answer()).sha256).toBe(sha256([body]));
    expect(aborted).toEqual(['/stalled']);
    expect(await metric('http_cut_readers_total', { reason: 'stalled' })).toBe(1);
  });
});
