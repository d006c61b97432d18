import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type ImpairOptions, impairTcp, type ImpairTcpOptions, impairUdp } from '../support/impair.ts';
import { until } from '../support/until.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

async function udp(onMessage: (socket: UdpSocket, text: string, port: number) => void): Promise<UdpSocket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1024 * 1024 });
  socket.on('message', (bytes, { port }) => onMessage(socket, bytes.toString(), port));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  cleanUp.push(() => socket.close());
  return socket;
}

/** Sends 0…count-1 through a bad path to an echo and gives what each side got. */
async function sendUdp(options: Omit<ImpairOptions, 'target'>, count = 400) {
  const got: number[] = [];
  const echoed: number[] = [];
  const echo = await udp((socket, text, port) => {
    got.push(Number(text));
    socket.send(text, port, '127.0.0.1');
  });
  const path = await impairUdp({ ...options, target: echo.address().port });
  cleanUp.push(() => path.close());
  const sender = await udp((_, text) => echoed.push(Number(text)));
  for (let i = 0; i < count; i++) {
    sender.send(`${i}`, path.port, '127.0.0.1');
    // A burst may overflow a socket's buffer, and that loss is not of our making.
    if (i % 20 === 19) await new Promise((turn) => setTimeout(turn, 1));
  }
  const settled = ({
    received,
    lost,
    blackedOut,
    duplicated,
    forwarded,
  }: (typeof path.stats)['up']): boolean => received - lost - blackedOut + duplicated === forwarded;
  await until(() => path.stats.up.received === count && settled(path.stats.up), 'all on its way');
  await until(() => got.length === path.stats.up.forwarded, 'all there');
  await until(() => path.stats.down.received === got.length && settled(path.stats.down), 'all back');
  await until(() => echoed.length === path.stats.down.forwarded, 'all received');
  return { got, echoed, stats: path.stats };
}

describe('a UDP path', () => {
  it('passes everything on in order, both ways, when nothing is asked for', async () => {
    const { got, echoed } = await sendUdp({ seed: 1 });
    expect(got).toEqual(Array.from({ length: 400 }, (_, i) => i));
    expect(echoed).toEqual(got);
  });

  it('loses the same datagrams on the same seed, and others on another', async () => {
    const first = await sendUdp({ seed: 7, loss: 0.1 });
    const again = await sendUdp({ seed: 7, loss: 0.1, delayMs: 3 });
    const other = await sendUdp({ seed: 8, loss: 0.1 });
    expect(again.got).toEqual(first.got);
    expect(again.echoed).toEqual(first.echoed);
    expect(other.got).not.toEqual(first.got);
    expect(first.stats.up.lost).toBeGreaterThan(20);
    expect(first.stats.up.lost).toBeLessThan(65);
    expect(first.stats.down.lost).toBeGreaterThan(15);
  });

  it('lets datagrams be overtaken and doubles them, and none is gone by that', async () => {
    const { got, stats } = await sendUdp({ seed: 3, reorder: 0.1, duplicate: 0.05, down: { reorder: 0 } });
    expect(new Set(got).size).toBe(400);
    expect(got.length).toBe(400 + stats.up.duplicated);
    expect(stats.up.duplicated).toBeGreaterThan(5);
    expect(got.filter((number, i) => number < (got[i - 1] ?? -1)).length).toBeGreaterThan(15);
  });

  it('keeps the order under jitter', async () => {
    const { got } = await sendUdp({ seed: 4, delayMs: 5, jitterMs: 20 }, 200);
    expect(got).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('is dark in an outage', async () => {
    const { got, stats } = await sendUdp({ seed: 5, outages: [{ fromMs: 0, forMs: 5 }] });
    expect(stats.up.blackedOut).toBeGreaterThan(0);
    expect(got[0]).toBe(stats.up.blackedOut);
  });
});

/** A server behind a bad path, and one connection through it. */
async function openTcp(options: Omit<ImpairTcpOptions, 'target'>) {
  const got: Buffer[] = [];
  let ended = '';
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      got.push(bytes);
      socket.write(bytes);
    });
    socket.on('end', () => (ended ||= 'end'));
    socket.on('error', (error: NodeJS.ErrnoException) => (ended ||= error.code ?? 'error'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.push(() => server.close());
  const path = await impairTcp({ ...options, target: (server.address() as AddressInfo).port });
  cleanUp.push(() => path.close());
  const client: Socket = connect(path.port, '127.0.0.1');
  const echoed: Buffer[] = [];
  let clientEnded = '';
  client.on('data', (bytes) => echoed.push(bytes));
  client.on('error', (error: NodeJS.ErrnoException) => (clientEnded ||= error.code ?? 'error'));
  await once(client, 'connect');
  cleanUp.push(() => client.destroy());
  return {
    path,
    client,
    text: () => Buffer.concat(got).toString(),
    echo: () => Buffer.concat(echoed).toString(),
    ended: () => ended,
    clientEnded: () => clientEnded,
  };
}

describe('a TCP path', () => {
  it('delays and cuts into pieces, and every byte arrives in order, both ways', async () => {
    const sent = Array.from({ length: 500 }, (_, i) => `${i};`).join('');
    const bad = { seed: 2, delayMs: 2, jitterMs: 10, loss: 0.1, pieceBytes: 7 };
    const { client, text, echo, path } = await openTcp(bad);
    for (let at = 0; at < sent.length; at += 100) client.write(sent.slice(at, at + 100));
    await until(() => echo().length === sent.length, 'the echo');
    expect(text()).toBe(sent);
    expect(echo()).toBe(sent);
    expect(path.stats.connections).toBe(1);
  });

  it('stands still in an outage and gives all of it afterwards', async () => {
    const { client, text, path } = await openTcp({ seed: 2 });
    client.write('before ');
    await until(() => text() === 'before ', 'what came before');
    path.setOutage(true);
    client.write('after');
    await until(() => path.stats.up.blackedOut > 0, 'what is held');
    expect(text()).toBe('before ');
    path.setOutage(false);
    await until(() => text() === 'before after', 'what came after');
  });

  it('cuts with a reset on both sides', async () => {
    const { client, ended, clientEnded } = await openTcp({ seed: 2, resetAfterBytes: 5 });
    client.write('123456');
    await until(() => ended() && clientEnded(), 'both ends');
    expect([ended(), clientEnded()]).toEqual(['ECONNRESET', 'ECONNRESET']);
  });

  it('passes an end on', async () => {
    const { client, ended, text } = await openTcp({ seed: 2, delayMs: 5 });
    client.end('bye');
    await until(() => ended(), 'the end');
    expect([text(), ended()]).toEqual(['bye', 'end']);
  });
});
