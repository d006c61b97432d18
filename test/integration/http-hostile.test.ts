import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { corsHeaderBlock } from '../../src/http/cors.ts';
import type { HttpHandler, HttpResponse } from '../../src/http/types.ts';
import { DRIVERS, TestListeners } from '../support/http-listener.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { until } from '../support/until.ts';

const PLAIN = corsHeaderBlock([['Content-Type', 'text/plain']]);

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

/** Writes bytes on a bare connection; what came back by the time the server closed it or `withinMs` had passed. */
async function exchange(
  port: number,
  bytes: string,
  withinMs: number,
): Promise<{ got: string; closed: boolean }> {
  const socket = connect(port, '127.0.0.1');
  let got = '';
  let closed = false;
  socket.on('data', (data) => (got += data.toString('latin1')));
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  socket.write(bytes, 'latin1');
  await until(() => closed || got.includes('\r\n\r\n'), 'an answer or the close', withinMs).catch(
    () => undefined,
  );
  // A second answer, should there wrongly be one, gets the time to come; so does the close after the first.
  await delay(300);
  socket.destroy();
  return { got, closed };
}

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
const FIVE = 'hello';

/** Requests that two parties could read differently, or that are none at all. */
const MALFORMED: readonly (readonly [what: string, bytes: string])[] = [
  [
    'Content-Length and Transfer-Encoding',
    `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    'Transfer-Encoding and Content-Length',
    `GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    'two different Content-Length',
    `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n${FIVE}${SMUGGLED}`,
  ],
  [
    'two equal Content-Length',
    `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n${FIVE}${SMUGGLED}`,
  ],
  ['a list as Content-Length', `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n${FIVE}${SMUGGLED}`],
  ['a signed Content-Length', `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n${FIVE}${SMUGGLED}`],
  ['a negative Content-Length', `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n${SMUGGLED}`],
  [
    'a hexadecimal Content-Length',
    `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n${FIVE}${SMUGGLED}`,
  ],
  [
    'a Content-Length with a letter',
    `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5a\r\n\r\n${FIVE}${SMUGGLED}`,
  ],
  [
    'Transfer-Encoding: xchunked',
    `GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    'Transfer-Encoding: chunked, identity',
    `GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    'a space before the colon',
    `GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  ['a chunk size that is none', 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc'],
  [
    'a huge chunk size',
    'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nabc',
  ],
  ['two Host', `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`],
  ['no Host', 'GET / HTTP/1.1\r\nAccept: */*\r\n\r\n'],
  ['a header block over the limit', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
  ['a request line over the limit', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
  ['too many headers', `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(90)}\r\n`],
  ['far too many headers', `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(500)}Host: a\r\n\r\n`],
  ['a folded header', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n'],
  ['a NUL in a header', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n'],
  ['a header without a colon', 'GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n'],
  ['no version', 'GET /\r\n\r\n'],
  ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(300, '\x07')],
  ['garbage', `${'\x00\xff\x80'.repeat(200)}\r\n\r\n`],
];

/** Shapes that a parser may take in its stride, as long as nothing is smuggled and nothing breaks. */
const TOLERABLE = new Set(['a folded header']);
/** Shapes that only show after the headers: the request may have its answer, then the connection must go. */
const LATE = new Set(['a chunk size that is none', 'a huge chunk size']);

describe.each(DRIVERS)('%s driver', (driver) => {
  const seen: string[] = [];
  const answering: HttpHandler = (request, response) => {
    seen.push(request.path);
    response.send({ status: 200, headers: PLAIN, body: Buffer.from('ok') });
  };

  it('refuses or closes on malformed requests, sees no smuggled one, and lives on', async () => {
    seen.length = 0;
    const { port } = await listeners.start(driver, answering);
    const outcomes = await Promise.all(
      MALFORMED.map(async ([what, bytes]) => ({ what, ...(await exchange(port, bytes, 15_000)) })),
    );
    for (const { what, got, closed } of outcomes) {
      const refused = /^HTTP\/1\.[01] (4|5)\d\d /.test(got) || (got === '' && closed);
      const dropped = closed && LATE.has(what);
      expect(refused || dropped || TOLERABLE.has(what), `${what}: ${JSON.stringify(got.slice(0, 100))}`).toBe(
        true,
      );
      expect(got.match(/HTTP\/1\.1 /g)?.length ?? 0, what).toBeLessThanOrEqual(1);
    }
    expect(seen).not.toContain('/smuggled');
    const client = dial(port);
    client.request('GET', '/alive');
    expect((await client.answer()).status).toBe(200);
  });

  it('closes connections that never finish their headers, and serves others meanwhile', async () => {
    const { port, metric } = await listeners.start(driver, answering, { headersTimeoutMs: 1000 });
    const silent = Array.from({ length: 20 }, () => dial(port));
    const dripping = Array.from({ length: 20 }, () => dial(port));
    for (const client of dripping) client.write('GET / HTTP/1.1\r\nHost: a\r\n');
    const all = [...silent, ...dripping];
    const startMs = performance.now();
    await until(
      () => {
        for (const client of dripping) if (!client.closed) client.write('X: y\r\n');
        return all.filter((client) => client.closed).length > 0;
      },
      'the first slow connection to be closed',
      16_000,
    );
    const other = dial(port);
    other.request('GET', '/');
    expect((await other.answer()).status).toBe(200);
    other.destroy();
    await until(() => all.every((client) => client.closed), 'all slow connections to be closed', 16_000);
    expect(performance.now() - startMs).toBeLessThan(driver === 'node' ? 6000 : 15_000);
    await until(async () => (await metric('http_open_connections')) === 0, 'no connection left open');
  });

  it('refuses connections past the total limit, and takes new ones when some have gone', async () => {
    const { port, metric } = await listeners.start(driver, answering, { maxConnections: 10 });
    const kept = Array.from({ length: 10 }, () => dial(port));
    for (const client of kept) client.request('GET', '/');
    for (const client of kept) await client.answer();
    const refused = Array.from({ length: 5 }, () => dial(port));
    for (const client of refused) await client.untilClosed();
    expect(await metric('http_refused_connections_total', { reason: 'total' })).toBe(5);
    for (const client of kept) {
      client.request('GET', '/');
      expect((await client.answer(1)).status).toBe(200);
    }
    kept[0]?.destroy();
    await until(async () => (await metric('http_open_connections')) === 9, 'one connection to be gone');
    const next = dial(port);
    next.request('GET', '/');
    expect((await next.answer()).status).toBe(200);
  });

  it('refuses connections past the limit of one address while another address is served', async () => {
    const { port, metric } = await listeners.start(driver, answering, { maxConnectionsPerAddress: 10 });
    const served = async (client: RawClient): Promise<boolean> => {
      client.request('GET', '/');
      return client.answer().then(
        () => true,
        () => false,
      );
    };
    // Connections that come and go do not count against it.
    for (let round = 0; round < 5; round++) {
      const passing = Array.from({ length: 8 }, () => dial(port));
      expect(await Promise.all(passing.map(served))).not.toContain(false);
      for (const client of passing) client.destroy();
      await until(
        async () => (await metric('http_open_connections')) === 0,
        'the passing clients to be gone',
      );
    }
    const kept = Array.from({ length: 10 }, () => dial(port));
    expect(await Promise.all(kept.map(served))).not.toContain(false);
    const flood = Array.from({ length: 10 }, () => dial(port));
    expect(await Promise.all(flood.map(served))).not.toContain(true);
    expect(await metric('http_refused_connections_total', { reason: 'per_address' })).toBe(10);
    const other = Array.from({ length: 5 }, () => dial(port, { localAddress: '127.0.0.2' }));
    expect(await Promise.all(other.map(served))).not.toContain(false);
    // The count comes down again when they go, though others stay connected.
    for (const client of kept) client.destroy();
    await until(() => served(dial(port)), 'the address to be served again');
  });

  it('cuts a connection on which requests pile up unanswered', async () => {
    const parked: HttpResponse[] = [];
    const { port } = await listeners.start(driver, (_request, response) => void parked.push(response));
    const client = dial(port);
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(200));
    await client.untilClosed();
    expect(parked.length).toBeLessThanOrEqual(16);
    await until(() => parked.every((response) => response.aborted), 'all of them to be aborted');
  });
});

describe('uws driver', () => {
  it.runIf(DRIVERS.includes('uws'))(
    'takes no bodies: other methods get 405, a page can read it',
    async () => {
      const { port } = await listeners.start('uws', () => {
        throw new Error('must not be reached');
      });
      for (const request of [
        'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
        'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
        'DELETE / HTTP/1.1\r\nHost: a\r\n\r\n',
        'BREW / HTTP/1.1\r\nHost: a\r\n\r\n',
      ]) {
        const client = dial(port);
        client.write(request);
        const answer = await client.answer();
        expect(answer.status).toBe(405);
        expect(answer.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
        expect(answer.headers.get('access-control-allow-origin')).toBe('*');
        await client.untilClosed();
      }
    },
  );
});

describe('node driver', () => {
  const upper: HttpHandler = async (request, response) => {
    if (request.path === '/unread') return response.send({ status: 404, headers: PLAIN });
    const body = Buffer.from(await request.body(20_000));
    response.send({
      status: 200,
      headers: PLAIN,
      body: Buffer.from(`${body.length} ${body.toString().toUpperCase().slice(0, 20)}`),
    });
  };

  it('reads bodies up to the limit, counted or chunked, and keeps the connection', async () => {
    const { port, origin } = await listeners.start('node', upper);
    const client = dial(port);
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe');
    await delay(50);
    client.write('llo');
    expect((await client.answer()).body.toString()).toBe('5 HELLO');
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    );
    expect((await client.answer(1)).body.toString()).toBe('5 ABCDE');
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi');
    expect((await client.answer(2)).body.toString()).toBe('2 HI');
    const whole = await fetch(origin, { method: 'POST', body: 'x'.repeat(20_000) });
    expect(await whole.text()).toBe(`20000 ${'X'.repeat(20)}`);
  });

  it('answers 413 to an endless chunked body at its limit and closes', async () => {
    const { port } = await listeners.start('node', upper);
    const client = dial(port);
    client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    let sent = 0;
    await until(() => {
      if (!client.closed && client.reader.answers.length === 0) {
        client.write(`2000\r\n${'x'.repeat(8192)}\r\n`);
        sent += 8192;
      }
      return client.reader.answers.length > 0;
    }, 'the answer');
    const answer = await client.answer();
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'HTTP_BODY_TOO_LARGE' });
    expect(answer.headers.get('connection')).toBe('close');
    expect(sent).toBeLessThan(200_000);
    await client.untilClosed();
  });

  it.each([
    [
      'a Content-Length over the limit',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20001\r\n\r\nbegin',
      413,
    ],
    [
      '… also when the peer waits for 100 Continue',
      'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20001\r\n\r\n',
      413,
    ],
    [
      'a compressed body',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello',
      415,
    ],
    ['a body nobody reads', 'POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin', 404],
  ])('answers %s and closes', async (_what, bytes, status) => {
    const { port } = await listeners.start('node', upper);
    const client = dial(port);
    client.write(bytes);
    const answer = await client.answer();
    expect(answer.status).toBe(status);
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    if (status !== 415) await client.untilClosed();
  });

  it('lets a peer that goes on sending for a moment still read the answer', async () => {
    const { port } = await listeners.start('node', upper);
    const client = dial(port, { paused: true });
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 150000\r\n\r\n');
    // A connection closed with bytes unread is reset, and the reset takes the unread answer with it.
    for (let i = 0; i < 10; i++) {
      client.write('x'.repeat(15_000));
      await delay(15);
    }
    client.startReading();
    expect((await client.answer()).status).toBe(413);
    await client.untilClosed();
  });

  it('ends a body that drips in past the request time', async () => {
    const { port, metric } = await listeners.start('node', upper, {
      headersTimeoutMs: 500,
      requestTimeoutMs: 1000,
    });
    const client = dial(port);
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n');
    await until(
      () => {
        if (!client.closed) client.write('x');
        return client.closed;
      },
      'the connection to be closed',
      10_000,
    );
    expect(await metric('http_malformed_requests_total', { reason: 'timeout' })).toBe(1);
  });

  it('serves HTTP/1.0, where a growing body ends with the connection', async () => {
    const { port } = await listeners.start('node', (_request, response) => {
      const stream = response.open(200, PLAIN);
      stream.write({ data: Buffer.from('bare'), framed: () => Buffer.from('framed') });
      stream.end();
    });
    const { got } = await exchange(port, 'GET / HTTP/1.0\r\n\r\n', 5000);
    expect(got).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nbare$/);
  });

  it('queues growing bodies of pipelined requests behind each other', async () => {
    const { port } = await listeners.start('node', async (request, response) => {
      const { path } = request;
      const stream = response.open(200, PLAIN);
      for (let i = 0; i < 3; i++) {
        const data = Buffer.from(`${path}${i};`);
        stream.write({
          data,
          framed: () => Buffer.from(`${data.length.toString(16)}\r\n${data.toString()}\r\n`),
        });
        // The first request is the last to end.
        await delay(path === '/a' ? 60 : 5);
      }
      stream.end();
    });
    const client = dial(port);
    client.write(['/a', '/b', '/c'].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    await client.answer(2);
    expect(client.reader.answers.map((answer) => answer.body.toString())).toEqual([
      '/a0;/a1;/a2;',
      '/b0;/b1;/b2;',
      '/c0;/c1;/c2;',
    ]);
  });

  it('takes the absolute form of a target', async () => {
    const seen: string[] = [];
    const { port } = await listeners.start('node', (request, response) => {
      seen.push(`${request.path}?${request.query}`);
      response.send({ status: 200, headers: PLAIN });
    });
    await exchange(port, 'GET http://a:80/x/y?z=1 HTTP/1.1\r\nHost: a\r\n\r\n', 5000);
    expect(seen).toEqual(['/x/y?z=1']);
  });
});
