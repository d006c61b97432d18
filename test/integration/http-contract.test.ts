import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { Agent, get } from 'node:http';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { corsHeaderBlock } from '../../src/http/cors.ts';
import { headerBlock } from '../../src/http/header-block.ts';
import { createRouter } from '../../src/http/router.ts';
import { sharedBytes } from '../../src/http/shared-bytes.ts';
import type { BodyStream, HttpHandler, HttpRequest, HttpResponse } from '../../src/http/types.ts';
import { DRIVERS, TestListeners } from '../support/http-listener.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { until } from '../support/until.ts';

const TEXT = headerBlock([['Content-Type', 'text/plain']]);
const PLAIN = corsHeaderBlock([['Content-Type', 'text/plain']]);

function text(response: HttpResponse, body: string): void {
  response.send({ status: 200, headers: PLAIN, body: Buffer.from(body) });
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

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

describe.each(DRIVERS)('%s driver', (driver) => {
  const serve = (handler: HttpHandler, limits = {}) => listeners.start(driver, handler, limits);

  it('hands over method, path, query, headers and remote address as they were sent', async () => {
    const seen: Record<string, unknown>[] = [];
    const { port } = await serve((request, response) => {
      const { method, path, query, remoteAddress } = request;
      seen.push({
        method,
        path,
        query,
        remoteAddress,
        etag: request.header('if-none-match'),
        absent: request.header('range'),
      });
      text(response, 'ok');
    });
    const client = dial(port);
    client.request('GET', '/a/%2e%2e/../b//c?x=1&y=%20?z', { 'IF-None-Match': '"v1"' });
    await client.answer(0);
    client.request('GET', '/');
    await client.answer(1);
    expect(seen).toEqual([
      {
        method: 'GET',
        path: '/a/%2e%2e/../b//c',
        query: 'x=1&y=%20?z',
        remoteAddress: '127.0.0.1',
        etag: '"v1"',
        absent: '',
      },
      { method: 'GET', path: '/', query: '', remoteAddress: '127.0.0.1', etag: '', absent: '' },
    ]);
  });

  it('sends status, shared and own headers, Date and Content-Length', async () => {
    const { port } = await serve((_request, response) =>
      response.send({
        status: 206,
        headers: headerBlock([
          ['Content-Type', 'video/mp4'],
          ['Cache-Control', 'public, max-age=3600'],
        ]),
        extra: [
          ['Content-Range', 'bytes 0-3/10'],
          ['ETag', '"v1"'],
        ],
        body: Buffer.from('abcd'),
      }),
    );
    const client = dial(port);
    client.request('GET', '/');
    const { status, headers, body } = await client.answer();
    expect(status).toBe(206);
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'video/mp4',
      'cache-control': 'public, max-age=3600',
      'content-range': 'bytes 0-3/10',
      etag: '"v1"',
      'content-length': '4',
      date: expect.stringMatching(/GMT$/) as string,
    });
    expect(headers.get('server') ?? headers.get('uwebsockets')).toBeUndefined();
    expect(body.toString()).toBe('abcd');
  });

  it.each([
    ['a small body', () => Buffer.alloc(100, 1), '100'],
    ['a large body', () => Buffer.alloc(300_000, 1), '300000'],
    ['several buffers', () => [Buffer.alloc(10), Buffer.alloc(20_000)], '20010'],
    ['no body', () => undefined, '0'],
  ])('answers HEAD with the Content-Length of %s and without it', async (_what, make, length) => {
    const { port } = await serve((_request, response) => {
      const body = make();
      response.send({ status: 200, headers: TEXT, ...(body ? { body } : {}) });
    });
    const client = dial(port);
    client.request('HEAD', '/');
    const head = await client.answer(0);
    expect(head.headers.get('content-length')).toBe(length);
    client.request('GET', '/');
    expect((await client.answer(1)).bodyBytes).toBe(Number(length));
  });

  it.each([204, 304])(
    'sends %d without body and Content-Length, and the connection stays usable',
    async (status) => {
      const { port } = await serve((request, response) =>
        request.path === '/none'
          ? response.send({ status, headers: TEXT, extra: [['ETag', '"v"']], body: Buffer.from('left out') })
          : text(response, 'next'),
      );
      const client = dial(port);
      client.request('GET', '/none');
      const answer = await client.answer(0);
      expect(answer.status).toBe(status);
      expect(answer.headers.get('etag')).toBe('"v"');
      expect(answer.headers.has('content-length')).toBe(false);
      expect(answer.headers.has('transfer-encoding')).toBe(false);
      client.request('GET', '/');
      expect((await client.answer(1)).body.toString()).toBe('next');
    },
  );

  it('answers later, after other requests of other connections', async () => {
    let parked: HttpResponse | undefined;
    const { port } = await serve((request, response) => {
      if (request.path === '/parked') parked = response;
      else text(response, 'now');
    });
    const late = dial(port);
    late.request('GET', '/parked');
    await until(() => parked, 'the request to be parked');
    const other = dial(port);
    other.request('GET', '/');
    await other.answer();
    expect(late.reader.answers).toHaveLength(0);
    text(parked as HttpResponse, 'later');
    expect((await late.answer()).body.toString()).toBe('later');
    late.request('GET', '/');
    expect((await late.answer(1)).body.toString()).toBe('now');
  });

  it('answers 1000 parked requests at once', async () => {
    const parked: HttpResponse[] = [];
    const { port } = await serve((_request, response) => void parked.push(response));
    const waiting = Array.from({ length: 1000 }, () => dial(port));
    for (const client of waiting) client.request('GET', '/');
    await until(() => parked.length === 1000, '1000 parked requests');
    const body = randomBytes(2000);
    for (const response of parked) response.send({ status: 200, headers: PLAIN, body });
    const answers = await Promise.all(waiting.map((client) => client.answer()));
    expect(new Set(answers.map((answer) => answer.sha256))).toEqual(new Set([sha256(body)]));
  });

  it('runs onAbort once when the peer goes away, and touching the response afterwards is harmless', async () => {
    const aborts: string[] = [];
    let parked: HttpResponse | undefined;
    const { port, metric } = await serve((request, response) => {
      if (request.path !== '/parked') return text(response, 'ok');
      parked = response;
      response.onAbort(() => aborts.push('first'));
      response.onAbort(() => {
        throw new Error('a mistake in a callback');
      });
      response.onAbort(() => aborts.push('second'));
    });
    const client = dial(port);
    client.request('GET', '/parked');
    const response = await until(() => parked, 'the request to be parked');
    expect(response.aborted).toBe(false);
    client.destroy();
    await until(() => response.aborted, 'the abort');
    expect(aborts).toEqual(['first', 'second']);
    text(response, 'too late');
    const stream = response.open(200, PLAIN);
    stream.write(sharedBytes(Buffer.from('too late')));
    stream.end();
    response.onAbort(() => aborts.push('at once'));
    expect(aborts).toEqual(['first', 'second', 'at once']);
    expect(await metric('http_aborted_requests_total')).toBe(1);
    const next = dial(port);
    next.request('GET', '/');
    expect((await next.answer()).status).toBe(200);
  });

  it('does not call onAbort for an answer that was complete', async () => {
    let aborted = false;
    const { port, metric } = await serve((_request, response) => {
      response.onAbort(() => {
        aborted = true;
      });
      text(response, 'ok');
    });
    const client = dial(port);
    client.request('GET', '/');
    await client.answer();
    client.destroy();
    await until(async () => (await metric('http_open_connections')) === 0, 'the connection to be gone');
    expect(aborted).toBe(false);
  });

  it('sends the first answer only', async () => {
    const { port } = await serve((_request, response) => {
      text(response, 'first');
      text(response, 'second');
      response.open(200, PLAIN).write(sharedBytes(Buffer.from('third')));
    });
    const client = dial(port);
    client.request('GET', '/');
    expect((await client.answer()).body.toString()).toBe('first');
    client.request('GET', '/');
    expect((await client.answer(1)).body.toString()).toBe('first');
  });

  it('shows each chunk of a growing body at once, and ends it', async () => {
    let stream: BodyStream | undefined;
    const { port } = await serve((_request, response) => {
      stream = response.open(200, PLAIN);
    });
    const client = dial(port);
    client.request('GET', '/');
    const body = await until(() => stream, 'the stream to be open');
    const sent: Buffer[] = [];
    for (let i = 0; i < 5; i++) {
      const chunk = randomBytes(10_000 + i);
      sent.push(chunk);
      body.write(sharedBytes(chunk));
      const soFar = Buffer.concat(sent).length;
      await until(() => client.reader.bodyBytes === soFar, `chunk ${i} to arrive before the next is written`);
      expect(client.reader.answers).toHaveLength(0);
    }
    body.end();
    body.end();
    body.write(sharedBytes(Buffer.from('after the end')));
    const answer = await client.answer();
    expect(answer.headers.get('transfer-encoding')).toBe('chunked');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(answer.sha256).toBe(sha256(Buffer.concat(sent)));
  });

  it('opens and ends a growing body without any chunk', async () => {
    const { port } = await serve((_request, response) => {
      const stream = response.open(200, PLAIN);
      stream.write(sharedBytes(new Uint8Array(0)));
      stream.end();
    });
    const client = dial(port);
    client.request('GET', '/');
    expect((await client.answer()).bodyBytes).toBe(0);
    client.request('HEAD', '/');
    expect((await client.answer(1)).status).toBe(200);
    client.request('GET', '/');
    expect((await client.answer(2)).bodyBytes).toBe(0);
  });

  it('keeps a connection usable after each kind of answer', async () => {
    const large = randomBytes(700_000);
    const { port } = await serve((request, response) => {
      switch (request.path) {
        case '/large':
          return response.send({
            status: 200,
            headers: PLAIN,
            body: [large.subarray(0, 5), large.subarray(5)],
          });
        case '/chunked': {
          const stream = response.open(200, PLAIN);
          for (let at = 0; at < large.length; at += 50_000)
            stream.write(sharedBytes(large.subarray(at, at + 50_000)));
          return stream.end();
        }
        case '/none':
          return response.send({ status: 204, headers: PLAIN });
        case '/throws':
          throw new AppError('STREAM_NOT_FOUND');
        default:
          return text(response, 'small');
      }
    });
    const client = dial(port);
    const order = [
      ['GET', '/large'],
      ['GET', '/small'],
      ['GET', '/chunked'],
      ['HEAD', '/large'],
      ['GET', '/none'],
      ['GET', '/throws'],
      ['HEAD', '/chunked'],
      ['GET', '/large'],
      ['GET', '/chunked'],
      ['GET', '/chunked'],
      ['HEAD', '/throws'],
      ['GET', '/small'],
    ] as const;
    for (const [index, [method, path]] of order.entries()) {
      client.request(method, path);
      const answer = await client.answer(index);
      expect(answer.status).toBe(path === '/none' ? 204 : path === '/throws' ? 404 : 200);
      if (method === 'GET' && (path === '/large' || path === '/chunked'))
        expect(answer.sha256).toBe(sha256(large));
    }
    expect(client.closed).toBe(false);
  });

  it('answers pipelined requests in order', async () => {
    const { port } = await serve((request, response) => {
      if (request.path === '/4') return response.send({ status: 304, headers: PLAIN });
      text(response, request.path);
    });
    const client = dial(port);
    for (let i = 0; i < 8; i++) client.reader.expect('GET');
    client.write(Array.from({ length: 8 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    await client.answer(7);
    expect(client.reader.answers.map((answer) => answer.body.toString())).toEqual([
      '/0',
      '/1',
      '/2',
      '/3',
      '',
      '/5',
      '/6',
      '/7',
    ]);
  });

  it('closes the connection when the client asks for it', async () => {
    const large = randomBytes(400_000);
    const { port } = await serve((request, response) => {
      if (request.path === '/small') return text(response, 'small');
      if (request.path === '/large') return response.send({ status: 200, headers: PLAIN, body: large });
      const stream = response.open(200, PLAIN);
      stream.write(sharedBytes(large));
      stream.end();
    });
    for (const path of ['/small', '/large', '/chunked']) {
      const client = dial(port);
      client.request('GET', path, { Connection: 'close' });
      const answer = await client.answer();
      if (path !== '/small') expect(answer.sha256).toBe(sha256(large));
      await client.untilClosed();
    }
  });

  it('turns what a handler throws, at once or later, into a problem and lives on', async () => {
    const { port, log, metric } = await serve(async (request, response) => {
      if (request.path === '/later') await Promise.resolve();
      if (request.path === '/known') throw new AppError('STREAM_BUSY');
      if (request.path === '/ok') return text(response, 'ok');
      throw new TypeError('secret detail');
    });
    const syncThrow = await serve(() => {
      throw new Error('secret detail');
    });
    const client = dial(port);
    for (const [index, [path, status, code]] of [
      ['/now', 500, 'INTERNAL'],
      ['/later', 500, 'INTERNAL'],
      ['/known', 409, 'STREAM_BUSY'],
    ].entries()) {
      client.request('GET', String(path));
      const answer = await client.answer(index);
      expect(answer.status).toBe(status);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer.headers.get('access-control-allow-origin')).toBe('*');
      expect(JSON.parse(answer.body.toString())).toMatchObject({ status, code });
      expect(answer.body.toString()).not.toContain('secret');
    }
    client.request('GET', '/ok');
    expect((await client.answer(3)).status).toBe(200);
    const other = dial(syncThrow.port);
    other.request('GET', '/');
    expect((await other.answer()).status).toBe(500);
    expect(log.filter((line) => line.level === 'error').map((line) => line.fields['code'])).toEqual([
      'INTERNAL',
    ]);
    expect(await metric('http_handler_failures_total')).toBe(2);
    expect(await metric('http_requests_total', { status_class: '5xx' })).toBe(2);
  });

  it('cuts a growing body whose handler fails, so that it cannot look complete', async () => {
    const { port } = await serve(async (_request, response) => {
      response.open(200, PLAIN).write(sharedBytes(Buffer.from('begun')));
      await Promise.resolve();
      throw new Error('half way');
    });
    const client = dial(port);
    client.request('GET', '/');
    await client.untilClosed();
    expect(client.reader.answers).toHaveLength(0);
  });

  it('refuses an answer with an unclean header instead of sending it', async () => {
    const { port } = await serve((_request, response) =>
      response.send({ status: 200, headers: PLAIN, extra: [['X-Name', 'a\r\nSet-Cookie: b=c']] }),
    );
    const client = dial(port);
    client.request('GET', '/');
    const answer = await client.answer();
    expect(answer.status).toBe(500);
    expect(answer.headers.has('set-cookie')).toBe(false);
  });

  it('lets request headers be read only until the handler first awaits', async () => {
    let late: HttpRequest | undefined;
    const { port } = await serve((request, response) => {
      late = request;
      text(response, 'ok');
    });
    const client = dial(port);
    client.request('GET', '/x');
    await client.answer();
    expect(() => late?.header('host')).toThrow('after the handler');
    expect(late?.path).toBe('/x');
  });

  it('gives an empty body for a request without one', async () => {
    const { port } = await serve(async (request, response) => {
      text(response, String((await request.body(10)).length));
    });
    const client = dial(port);
    client.request('GET', '/');
    expect((await client.answer()).body.toString()).toBe('0');
  });

  it('routes: 404, 405 with Allow, and the preflight, all readable by a page', async () => {
    const router = createRouter([
      { method: 'GET', path: '/live/:stream/index.m3u8', handler: (_q, r, p) => text(r, p['stream'] ?? '') },
    ]);
    const { origin } = await serve(router);
    const url = `${origin}/live/cam/index.m3u8`;
    const page = { headers: { Origin: 'https://player.example' } };
    expect(await (await fetch(url, page)).text()).toBe('cam');

    const missing = await fetch(`${origin}/live/cam/none`, page);
    expect([missing.status, missing.headers.get('access-control-allow-origin')]).toEqual([404, '*']);
    expect(await missing.json()).toMatchObject({ code: 'HTTP_NOT_FOUND' });

    const refused = await fetch(url, { ...page, method: 'DELETE' });
    expect(refused.status).toBe(405);
    expect(refused.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
    expect(refused.headers.get('access-control-allow-origin')).toBe('*');
    expect(refused.headers.get('content-type')).toBe('application/problem+json');

    const preflight = await fetch(url, { ...page, method: 'OPTIONS' });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    expect(preflight.headers.get('access-control-allow-methods')).toBe('GET, HEAD, OPTIONS');
    expect(preflight.headers.get('access-control-allow-headers')).toContain('CMCD-Session');
    expect(preflight.headers.get('access-control-max-age')).toBe('86400');
  });

  it('is understood by fetch, the node client with keep-alive, and curl', async () => {
    const large = randomBytes(3_000_000);
    const { origin } = await serve((request, response) => {
      if (request.path === '/whole') return response.send({ status: 200, headers: PLAIN, body: large });
      const stream = response.open(200, PLAIN);
      for (let at = 0; at < large.length; at += 100_000)
        stream.write(sharedBytes(large.subarray(at, at + 100_000)));
      stream.end();
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const run = promisify(execFile);
    for (const path of ['/whole', '/chunked']) {
      const fetched = new Uint8Array(await (await fetch(origin + path)).arrayBuffer());
      expect(sha256(fetched)).toBe(sha256(large));
      for (let i = 0; i < 2; i++) {
        const digest = await new Promise<string>((resolve, reject) => {
          get(origin + path, { agent }, (message) => {
            sockets.add(message.socket);
            const hash = createHash('sha256');
            message
              .on('data', (chunk: Buffer) => hash.update(chunk))
              .on('end', () => resolve(hash.digest('hex')))
              .on('error', reject);
          }).on('error', reject);
        });
        expect(digest).toBe(sha256(large));
      }
      const { stdout } = await run('curl', ['-sS', '--fail', origin + path], {
        encoding: 'buffer',
        maxBuffer: 8_000_000,
      });
      expect(sha256(stdout)).toBe(sha256(large));
    }
    agent.destroy();
    expect(sockets.size).toBe(1);
  });
});
