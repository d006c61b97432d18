import { randomBytes } from 'node:crypto';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { corsHeaderBlock } from '../../src/http/cors.ts';
import { createHttpServer } from '../../src/http/create-http-server.ts';
import { resetSocket } from '../../src/http/reset-socket.ts';
import { sharedBytes } from '../../src/http/shared-bytes.ts';
import type { HttpHandler, HttpResponse } from '../../src/http/types.ts';
import { DRIVERS, ROOMY, TestListeners } from '../support/http-listener.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { openFiles } from '../support/open-files.ts';
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

/** Parks every request but those to /now. */
function parking(): { parked: HttpResponse[]; handler: HttpHandler } {
  const parked: HttpResponse[] = [];
  return {
    parked,
    handler: (request, response) => {
      if (request.path === '/now') response.send({ status: 200, headers: PLAIN });
      else parked.push(response);
    },
  };
}

async function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    setTimeout(() => socket.destroy(), 500);
  });
}

describe.each(DRIVERS)('%s driver', (driver) => {
  it('takes a free port when asked for port 0 and tells it', async () => {
    const first = await listeners.start(driver, () => undefined);
    const second = await listeners.start(driver, () => undefined);
    expect(first.server.driver).toBe(driver);
    expect(first.port).toBeGreaterThan(0);
    expect(second.port).not.toBe(first.port);
  });

  it.each(DRIVERS)('says clearly that a port is in use (by %s)', async (holder) => {
    const { port } = await listeners.start(holder, () => undefined);
    const opening = createHttpServer(
      { driver, host: '127.0.0.1', port, limits: ROOMY },
      { log: createMemoryLog(), metrics: new Metrics(), clock: systemClock },
      () => undefined,
    );
    const error = await opening.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({
      code: 'HTTP_LISTEN_FAILED',
      message: `cannot listen on 127.0.0.1:${port}: the port is in use`,
    });
  });

  it('listens whatever the limits of time are: headers never get longer than the whole request', async () => {
    const limits = { headersTimeoutMs: 60_000, requestTimeoutMs: 1000 };
    const { port } = await listeners.start(driver, () => undefined, limits);
    expect(port).toBeGreaterThan(0);
  });

  it('says clearly that an address is not ours', async () => {
    const opening = createHttpServer(
      { driver, host: '192.0.2.1', port: 0, limits: ROOMY },
      { log: createMemoryLog(), metrics: new Metrics(), clock: systemClock },
      () => undefined,
    );
    await expect(opening).rejects.toThrow('no such address');
  });

  it('closes at once by default: parked requests are aborted, connections gone', async () => {
    const { parked, handler } = parking();
    const { server, port } = await listeners.start(driver, handler);
    const waiting = Array.from({ length: 20 }, () => dial(port));
    for (const client of waiting) client.request('GET', '/');
    await until(() => parked.length === 20, 'the parked requests');
    const closing = server.close();
    expect(server.close()).toBe(closing);
    await closing;
    expect(parked.every((response) => response.aborted)).toBe(true);
    for (const client of waiting) await client.untilClosed();
    expect(await canConnect(port)).toBe(false);
  });

  it('as a lame duck lets answers finish, marks them Connection: close, and takes no new connections', async () => {
    const { parked, handler } = parking();
    const { server, port } = await listeners.start(driver, handler);
    const waiting = dial(port);
    waiting.request('GET', '/');
    const kept = dial(port);
    kept.request('GET', '/now');
    await kept.answer();
    await until(() => parked.length === 1, 'the parked request');

    let closed = false;
    const closing = server.close(20_000).finally(() => {
      closed = true;
    });
    await until(async () => !(await canConnect(port)), 'new connections to be refused');
    kept.request('GET', '/now');
    const last = await kept.answer(1);
    expect(last.status).toBe(200);
    expect(last.headers.get('connection')).toBe('close');
    await kept.untilClosed();

    expect(closed).toBe(false);
    const body = randomBytes(3_000_000);
    parked[0]?.send({ status: 200, headers: PLAIN, body });
    const answer = await waiting.answer();
    expect(answer.bodyBytes).toBe(body.length);
    expect(answer.headers.get('connection')).toBe('close');
    waiting.destroy();
    await closing;
  });

  it('as a lame duck finishes whole and growing bodies that are under way to slow readers', async () => {
    const body = randomBytes(9_000_000);
    let finishStream: (() => void) | undefined;
    const { server, port } = await listeners.start(
      driver,
      (request, response) => {
        if (request.path === '/whole') return response.send({ status: 200, headers: PLAIN, body });
        const stream = response.open(200, PLAIN);
        stream.write(sharedBytes(body));
        finishStream = () => {
          stream.write(sharedBytes(Buffer.from('the end')));
          stream.end();
        };
        return undefined;
      },
      { maxBacklogBytes: 20_000_000 },
    );
    const pace = { bytes: 400_000, everyMs: 60 };
    const whole = dial(port, { pace });
    whole.request('GET', '/whole');
    const growing = dial(port, { pace });
    growing.request('GET', '/growing');
    await until(() => finishStream && whole.reader.bodyBytes > 0, 'both bodies to be under way');
    const closing = server.close(20_000);
    finishStream?.();
    expect((await whole.answer()).bodyBytes).toBe(9_000_000);
    expect((await growing.answer()).bodyBytes).toBe(9_000_007);
    whole.destroy();
    growing.destroy();
    await closing;
  });

  it('cuts what is left when the grace is over', async () => {
    const { parked, handler } = parking();
    const { server, port } = await listeners.start(driver, handler);
    const waiting = dial(port);
    waiting.request('GET', '/');
    await until(() => parked.length === 1, 'the parked request');
    const startMs = performance.now();
    await server.close(300);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(295);
    expect(parked[0]?.aborted).toBe(true);
    await waiting.untilClosed();
  });

  it('gives every file descriptor back after churn and close', async () => {
    const { parked, handler } = parking();
    const warmUp = await listeners.start(driver, handler);
    await warmUp.server.close();
    const before = openFiles();
    const { server, port, metric } = await listeners.start(driver, handler);
    for (let round = 0; round < 10; round++) {
      const batch = Array.from({ length: 60 }, () => dial(port));
      for (const [index, client] of batch.entries())
        client.request('GET', index % 3 === 0 ? '/parked' : '/now');
      await until(
        () => batch.every((client, index) => index % 3 === 0 || client.reader.answers.length === 1),
        'the answers of one batch',
      );
      for (const client of batch) client.destroy();
    }
    await until(async () => (await metric('http_open_connections')) === 0, 'all connections to be gone');
    expect(parked).toHaveLength(200);
    expect(parked.every((response) => response.aborted)).toBe(true);
    await server.close();
    await until(() => openFiles() <= before + 3, `open files to come back to ${before}`);
  });

  it('keeps the metrics of two listeners on one registry apart', async () => {
    const metrics = new Metrics();
    const open = (listener: string) =>
      createHttpServer(
        { driver, host: '127.0.0.1', port: 0, limits: ROOMY, listener },
        { log: createMemoryLog(), metrics, clock: systemClock },
        parking().handler,
      );
    const servers = [await open('media'), await open('control')];
    const client = dial(servers[0]?.port ?? 0);
    client.request('GET', '/now');
    await client.answer();
    const text = await metrics.registry.metrics();
    expect(text).toContain(
      `headwater_http_requests_total{listener="media",driver="${driver}",status_class="2xx"} 1`,
    );
    expect(text).toContain(
      `headwater_http_requests_total{listener="control",driver="${driver}",status_class="2xx"} 0`,
    );
    for (const server of servers) await server.close();
  });
});

describe('resetSocket', () => {
  it.each([
    ['open', () => undefined],
    ['being shut down', (socket: Socket) => void socket.end()],
  ])('closes a socket that is %s', async (_what, before) => {
    const closed: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', (error) => closed.push(error.message)).on('close', () => closed.push('closed'));
      before(socket);
      // When the shutdown has reached the handle.
      setImmediate(() => resetSocket(socket));
      resetSocket(socket);
    }).listen(0, '127.0.0.1');
    await until(() => server.listening, 'the listener');
    const { port } = server.address() as AddressInfo;
    const client = connect(port, '127.0.0.1').on('error', () => undefined);
    await until(() => closed.length > 0, 'the socket to be closed', 3000).finally(() => {
      client.destroy();
      server.close();
    });
    expect(closed).toEqual(['closed']);
  });
});

describe('createHttpServer', () => {
  it('takes the driver it can with auto', async () => {
    const log = createMemoryLog();
    const server = await createHttpServer(
      { driver: 'auto', host: '127.0.0.1', port: 0, limits: ROOMY },
      { log, metrics: new Metrics(), clock: systemClock },
      () => undefined,
    );
    expect(server.driver).toBe(DRIVERS[0]);
    expect(log.lines).toHaveLength(DRIVERS.includes('uws') ? 0 : 1);
    await server.close();
  });
});
