import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import type { FetchOptions, FetchOutcome } from '../../src/validate/fetcher.ts';
import { HttpClient } from '../../src/validate/http-client.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Connections that are closed as soon as somebody asks for more on them. */
const spent = new WeakSet();

const ANSWERS: Readonly<Record<string, Answer>> = {
  '/text': (_request, response) => response.setHeader('X-Own', 'yes').end('hello'),
  '/headers': (request, response) => response.end(JSON.stringify(request.headers)),
  '/packed': (_request, response) => {
    response.setHeader('Content-Encoding', 'gzip').end(gzipSync('hello '.repeat(1000)));
  },
  '/damaged': (_request, response) =>
    void response.setHeader('Content-Encoding', 'gzip').end('no gzip at all'),
  '/missing': (_request, response) => response.writeHead(404).end('gone'),
  '/moved': (_request, response) => response.writeHead(302, { location: 'text?moved' }).end(),
  '/circle': (_request, response) => response.writeHead(302, { location: '/circle' }).end(),
  '/big': (_request, response) => response.end('x'.repeat(200)),
  '/endless': (_request, response) => response.write('begun'),
  '/silent': () => {},
  '/growing': async (_request, response) => {
    for (const piece of ['one', 'two', 'three']) {
      response.write(piece);
      await delay(60);
    }
    response.end();
  },
  '/crumbs': (_request, response) => {
    for (let i = 0; i < 50; i++) response.write('x');
    response.end();
  },
  '/once': (request, response) => {
    spent.add(request.socket);
    response.end('kept');
  },
  '/cut': (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half');
    setImmediate(() => response.destroy());
  },
};

describe('the HTTP client of the validator', () => {
  let server: Server;
  let base: string;
  let client: HttpClient;

  beforeEach(async () => {
    server = createServer((request, answer) => {
      if (spent.has(request.socket)) request.socket.resetAndDestroy();
      else ANSWERS[request.url?.split('?')[0] ?? '']?.(request, answer);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    client = new HttpClient(systemClock);
  });
  afterEach(async () => {
    client.close();
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  });

  const get = (path: string, options: Partial<FetchOptions> = {}): Promise<FetchOutcome> =>
    client.get(path.startsWith('/') ? base + path : path, {
      signal: new AbortController().signal,
      timeoutMs: 5000,
      maxBytes: 10_000,
      ...options,
    });

  async function response(path: string, options?: Partial<FetchOptions>) {
    const outcome = await get(path, options);
    if (outcome.kind === 'failed') throw new Error(outcome.detail);
    return outcome;
  }

  it('gives body, headers, status and times', async () => {
    const result = await response('/text');
    expect(result).toMatchObject({ status: 200, url: `${base}/text`, redirects: 0 });
    expect(Buffer.from(result.body).toString()).toBe('hello');
    expect(result.headers.get('x-own')).toBe('yes');
    const times = [result.startedMs, result.headersMs, result.firstByteMs, result.endedMs];
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.abs(result.endedWallMs - systemClock.wallMs())).toBeLessThan(5000);
  });

  it('gives an answer of any status', async () => {
    expect(await response('/missing')).toMatchObject({ status: 404 });
  });

  it('asks for gzip only when told to, and unpacks it', async () => {
    const plain = JSON.parse(Buffer.from((await response('/headers')).body).toString());
    expect(plain).not.toHaveProperty('accept-encoding');
    const headers = { 'accept-encoding': 'gzip', range: 'bytes=0-1' };
    const own = JSON.parse(Buffer.from((await response('/headers', { headers })).body).toString());
    expect(own).toMatchObject(headers);
    expect((await response('/packed')).body).toHaveLength(6000);
  });

  it('follows a redirect and counts it', async () => {
    expect(await response('/moved')).toMatchObject({ url: `${base}/text?moved`, redirects: 1 });
  });

  it('tells when each piece of a growing body came', async () => {
    const { chunks, firstByteMs, endedMs } = await response('/growing');
    expect(chunks.map(({ endOffset }) => endOffset)).toEqual([3, 6, 11]);
    expect(endedMs - firstByteMs).toBeGreaterThan(100);
    expect((chunks[2]?.atMs ?? 0) - (chunks[0]?.atMs ?? 0)).toBeGreaterThan(80);
  });

  it.each<readonly [string, string, string, Partial<FetchOptions>]>([
    ['a body over the limit', '/packed', 'too-large', { maxBytes: 10 }],
    ['a body over the limit once unpacked', '/packed', 'too-large', { maxBytes: 3000 }],
    ['a damaged coding', '/damaged', 'bad-encoding', {}],
    ['redirects in a circle', '/circle', 'too-many-redirects', {}],
    ['no answer', '/silent', 'timeout', { timeoutMs: 80 }],
    ['a body without end', '/endless', 'timeout', { timeoutMs: 80 }],
    ['a body cut short', '/cut', 'network', {}],
    ['nobody there', 'http://127.0.0.1:1/', 'network', {}],
    ['another scheme', 'ftp://127.0.0.1/', 'bad-url', {}],
    ['no URL', 'nonsense', 'bad-url', {}],
  ])('fails with a reason: %s', async (_what, path, reason, options) => {
    const outcome = await get(path, options);
    expect(outcome).toMatchObject({ kind: 'failed', reason });
    if (outcome.kind === 'failed') expect(outcome.detail).not.toBe('');
  });

  it('asks again, once, when a kept connection turns out to be closed', async () => {
    expect(Buffer.from((await response('/once')).body).toString()).toBe('kept');
    expect(Buffer.from((await response('/text')).body).toString()).toBe('hello');
  });

  it('holds no more than its limits, in pieces or in all bodies together', async () => {
    const narrow = new HttpClient(systemClock, { maxPieces: 20, maxHeldBytes: 100 });
    const ask = (path: string): Promise<FetchOutcome> =>
      narrow.get(base + path, {
        signal: new AbortController().signal,
        timeoutMs: 5000,
        maxBytes: 10_000,
        headers: {},
      });
    try {
      expect(await ask('/crumbs')).toMatchObject({ kind: 'failed', reason: 'too-large' });
      expect(await ask('/packed')).toMatchObject({ kind: 'response' });
      expect(await ask('/missing')).toMatchObject({ status: 404 });
      expect(await ask('/big')).toMatchObject({ kind: 'failed', reason: 'too-large' });
      expect(await ask('/text')).toMatchObject({ kind: 'response' });
    } finally {
      narrow.close();
    }
  });

  it('gives up when told to', async () => {
    const giveUp = new AbortController();
    const outcome = get('/silent', { signal: giveUp.signal });
    setImmediate(() => giveUp.abort());
    expect(await outcome).toMatchObject({ kind: 'failed', reason: 'aborted' });
  });

  it('finds no protocol where there is no TLS', async () => {
    expect(await client.negotiate(base.replace('http', 'https'), 2000)).toBeUndefined();
  });
});
