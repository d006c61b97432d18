import { afterEach, describe, expect, it } from 'vitest';
import { headerBlock } from '../../src/http/header-block.ts';
import type { HttpHandler } from '../../src/http/types.ts';
import { TestListeners } from '../support/http-listener.ts';
import { RawClient } from '../support/http-raw-client.ts';
import { until } from '../support/until.ts';

const PLAIN = headerBlock([['Content-Type', 'text/plain']]);
const listeners = new TestListeners();
const clients: RawClient[] = [];

function dial(port: number): RawClient {
  const client = new RawClient(port);
  clients.push(client);
  client.reader.expect('PUT');
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await listeners.closeAll();
});

const HEAD = 'PUT / HTTP/1.1\r\nHost: a\r\n';

describe('a request body read as it comes', () => {
  it('is given on while the request is open, past the time limit of a whole request', async () => {
    const got: string[] = [];
    const handler: HttpHandler = async (request, response) => {
      for await (const piece of request.bodyPieces(new AbortController().signal)) {
        got.push(Buffer.from(piece).toString());
      }
      response.send({ status: 200, headers: PLAIN });
    };
    const { port } = await listeners.start('node', handler, { requestTimeoutMs: 300, headersTimeoutMs: 300 });
    const client = dial(port);
    client.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    const startMs = performance.now();
    for (const text of ['a', 'b', 'c']) {
      client.write(`1\r\n${text}\r\n`);
      await until(() => got.join('').endsWith(text), `piece ${text}`);
      await until(() => performance.now() - startMs > got.length * 250, 'a quarter of a second');
    }
    client.write('0\r\n\r\n');
    expect((await client.answer()).status).toBe(200);
    client.reader.expect('PUT');
    client.write(`${HEAD}Content-Length: 4\r\n\r\nnext`);
    expect((await client.answer(1)).status).toBe(200);
    expect(got).toEqual(['a', 'b', 'c', 'next']);
  });

  it('holds the peer back while a piece is being looked at', async () => {
    let release = (): void => undefined;
    let held = false;
    let received = 0;
    const handler: HttpHandler = async (request, response) => {
      for await (const piece of request.bodyPieces(new AbortController().signal)) {
        if (received === 0) {
          await new Promise<void>((resolve) => {
            release = resolve;
            held = true;
          });
        }
        received += piece.length;
      }
      response.send({ status: 200, headers: PLAIN });
    };
    const { port } = await listeners.start('node', handler);
    const client = dial(port);
    const size = 64 * 1024 * 1024;
    client.write(`${HEAD}Content-Length: ${size}\r\n\r\n`);
    client.write(new Uint8Array(size));
    await until(() => held, 'the first piece');
    const heldSinceMs = performance.now();
    await until(() => performance.now() - heldSinceMs > 500, 'time in which all of it could have come');
    // Far more than sockets and parsers hold was not taken.
    expect(client.socket.writableLength).toBeGreaterThan(0);
    expect(received).toBe(0);
    release();
    expect((await client.answer()).status).toBe(200);
    expect(received).toBe(size);
  });

  it('throws when the body breaks off, and what its reader aborts with', async () => {
    const thrown: unknown[] = [];
    let pieces = 0;
    const abort = new AbortController();
    const handler: HttpHandler = async (request, response) => {
      try {
        for await (const piece of request.bodyPieces(abort.signal)) pieces += Math.sign(piece.length);
      } catch (error) {
        thrown.push(error);
        response.send({ status: 408, headers: PLAIN });
      }
    };
    const { port } = await listeners.start('node', handler);
    const broken = dial(port);
    broken.write(`${HEAD}Content-Length: 10\r\n\r\nabc`);
    const stopped = dial(port);
    stopped.write(`${HEAD}Content-Length: 10\r\n\r\nabc`);
    await until(() => pieces === 2, 'both to be read');
    broken.destroy();
    await until(() => thrown.length === 1, 'the break');
    expect(thrown[0]).toMatchObject({ code: 'HTTP_BAD_REQUEST' });
    const reason = new Error('enough');
    abort.abort(reason);
    expect((await stopped.answer()).status).toBe(408);
    expect(thrown[1]).toBe(reason);
    await stopped.untilClosed();
  });

  it('may be given up by its reader, whose answer still arrives', async () => {
    const handler: HttpHandler = async (request, response) => {
      for await (const piece of request.bodyPieces(new AbortController().signal)) {
        if (piece.length > 0) return response.send({ status: 413, headers: PLAIN });
      }
    };
    const { port } = await listeners.start('node', handler);
    const client = dial(port);
    client.write(`${HEAD}Content-Length: 1000000\r\n\r\nbegin`);
    expect((await client.answer()).status).toBe(413);
    await client.untilClosed();
  });
});
