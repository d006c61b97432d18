import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { SrtTestCaller, type SrtCallerOptions } from '../../../test/support/srt-caller.ts';
import type { ConnectionEnd, SrtConnection } from './connection.ts';
import { parseAckNext } from './control-bodies.ts';
import { EXTENSION, findExtension, HANDSHAKE, parseCapabilities } from './handshake.ts';
import { KeyRing } from './key-ring.ts';
import { type ConnectRequest, SrtListener, type ListenerOptions, type SrtAddress } from './listener.ts';
import { CONTROL, USER } from './packet.ts';
import { SRT_DEFAULTS } from './srt-options.ts';

const HOME: SrtAddress = { address: '198.51.100.7', port: 4000 };

/** A listener and callers with nothing between them, in made-up time. */
class Net {
  nowMs = 1_000;
  readonly requests: ConnectRequest[] = [];
  readonly ignored: string[] = [];
  readonly refused: string[] = [];
  readonly listener: SrtListener;
  readonly #callers = new Map<string, SrtTestCaller>();

  constructor(options: Partial<ListenerOptions> = {}) {
    this.listener = new SrtListener(
      { ...SRT_DEFAULTS, ...options },
      {
        randomBytes,
        nowMs: () => this.nowMs,
        send: (packet, to) => this.#callers.get(`${to.address}:${to.port}`)?.receive(packet),
        onRequest: (request) => void this.requests.push(request),
        onIgnored: (why) => void this.ignored.push(why),
        onRefused: (why, code) => void this.refused.push(`${why} ${code}`),
      },
    );
  }

  caller(options: SrtCallerOptions = {}, from = HOME): SrtTestCaller {
    const caller = new SrtTestCaller({ streamId: 'live/key', ...options }, (packet) => {
      caller.nowMs = this.nowMs;
      this.listener.receive(Buffer.from(packet), from);
    });
    this.#callers.set(`${from.address}:${from.port}`, caller);
    return caller;
  }

  /** Moves time on in ticks. */
  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs = Math.min(end, this.nowMs + 10);
      this.listener.tick();
    }
  }
}

class Output {
  readonly delivered: string[] = [];
  readonly ends: ConnectionEnd[] = [];
  gaps = 0;

  payload = (bytes: Buffer): void => void this.delivered.push(bytes.toString());
  gap = (): void => void (this.gaps += 1);
  ended = (end: ConnectionEnd): void => void this.ends.push(end);
}

const text = (value: string): Buffer => Buffer.from(value);

interface Connected {
  readonly caller: SrtTestCaller;
  readonly output: Output;
  readonly connection: SrtConnection;
}

async function connected(net: Net, options: SrtCallerOptions = {}, from = HOME): Promise<Connected> {
  const caller = net.caller(options, from);
  await caller.prepareKeys();
  caller.induce();
  caller.conclude();
  const request = net.requests.at(-1);
  const output = new Output();
  const { keys } = request?.offer ?? {};
  const ring = keys && (await KeyRing.open(options.passphrase ?? '', keys.material));
  const connection = request?.accept(ring, output);
  if (!connection) throw new Error('not accepted');
  return { caller, output, connection };
}

describe('SrtListener', () => {
  it('keeps nothing of those who have not shown the right cookie', () => {
    const net = new Net();
    const caller = net.caller();
    for (let i = 0; i < 100; i++) caller.induce();
    expect(caller.answer).toBe(HANDSHAKE.induction);
    caller.cookie = (caller.cookie ^ 1) >>> 0;
    caller.conclude();
    expect([net.listener.size, net.requests.length, net.ignored]).toEqual([0, 0, ['cookie']]);
  });

  it('answers an induction with no more bytes than it had', () => {
    const net = new Net();
    const caller = net.caller();
    caller.induce();
    expect(caller.of(CONTROL.handshake)[0]?.body).toHaveLength(48);
  });

  it('takes a cookie only from the address and port it was given to, and not for ever', () => {
    const net = new Net();
    const caller = net.caller();
    caller.induce();
    const thief = net.caller({}, { ...HOME, port: 4001 });
    thief.cookie = caller.cookie;
    thief.conclude();
    net.nowMs += 60_001;
    caller.conclude();
    expect(net.ignored).toEqual(['cookie', 'cookie']);
  });

  it('asks once for a caller that repeats itself, and gives every repeat the same answer', () => {
    const net = new Net();
    const caller = net.caller();
    caller.induce();
    caller.conclude();
    caller.conclude();
    expect(net.requests).toHaveLength(1);
    expect(caller.answer).toBe(HANDSHAKE.induction);
    const first = net.requests[0]?.accept(undefined, new Output());
    expect(caller.accepted?.socketId).toBe(first?.localId);
    caller.accepted = undefined;
    caller.conclude();
    expect(caller.accepted).toMatchObject({ socketId: first?.localId });
    expect(net.requests).toHaveLength(1);
  });

  it('tells a refused caller the code, for as long as it may repeat itself', () => {
    const net = new Net();
    const caller = net.caller();
    caller.induce();
    caller.conclude();
    net.requests[0]?.reject(1401);
    expect(net.requests[0]?.accept(undefined, new Output())).toBeUndefined();
    expect(caller.answer).toBe(1401);
    caller.answer = undefined;
    net.pass(2_900);
    caller.conclude();
    expect(caller.answer).toBe(1401);
    net.pass(200);
    expect(net.listener.size).toBe(0);
  });

  it('agrees on the greater latency and on what both sides can do', async () => {
    const net = new Net();
    const { caller, connection } = await connected(net, { latencyMs: 300 });
    const answer = caller.accepted && findExtension(caller.accepted, EXTENSION.capabilityResponse);
    expect(answer && parseCapabilities(answer)).toEqual({
      version: 0x010500,
      flags: 0x3f,
      receiveLatencyMs: 300,
      sendLatencyMs: 300,
    });
    expect(connection.stats().latencyMs).toBe(300);
    const modest = await connected(net, { latencyMs: 20 }, { ...HOME, port: 4001 });
    expect(modest.connection.stats().latencyMs).toBe(120);
  });

  it('refuses more callers than it may hold, all together and of one address', () => {
    const net = new Net({ maxConnections: 3, maxConnectionsPerAddress: 2 });
    const answers = [1, 2, 3].map((port) => {
      const caller = net.caller({}, { ...HOME, port });
      caller.induce();
      caller.conclude();
      return caller.answer;
    });
    expect(answers).toEqual([1, 1, 1402]);
    for (const address of ['198.51.100.8', '198.51.100.9']) {
      const caller = net.caller({}, { address, port: 1 });
      caller.induce();
      caller.conclude();
    }
    expect(net.refused).toEqual(['address_limit 1402', 'connection_limit 1402']);
    expect(net.listener.size).toBe(3);
    // One that was refused makes room at once.
    net.requests[0]?.reject(1401);
    const next = net.caller({}, { ...HOME, port: 9 });
    next.induce();
    next.conclude();
    expect(net.requests).toHaveLength(4);
  });

  it('looks at no more handshakes a second than it may', () => {
    const net = new Net({ maxHandshakesPerSecond: 2, maxInductionsPerSecond: 3 });
    for (const port of [1, 2, 3, 4]) {
      const caller = net.caller({}, { ...HOME, port });
      caller.induce();
      caller.conclude();
    }
    expect(net.ignored).toEqual(['handshake_rate', 'induction_rate', 'cookie']);
    net.nowMs += 1_000;
    const caller = net.caller({}, { ...HOME, port: 9 });
    caller.induce();
    caller.conclude();
    expect(net.requests).toHaveLength(3);
  });

  it('refuses a caller of an older SRT without asking anybody', () => {
    const net = new Net();
    const caller = net.caller({ version: 0x010200 });
    caller.induce();
    caller.conclude();
    expect([caller.answer, net.requests.length, net.listener.size]).toEqual([1008, 0, 0]);
    expect(net.refused).toEqual(['handshake_refused 1008']);
  });

  it('gives connections ids of their own and takes packets only from the address of each', async () => {
    const net = new Net();
    const one = await connected(net);
    const two = await connected(net, {}, { ...HOME, port: 4001 });
    expect(one.connection.localId).not.toBe(two.connection.localId);
    one.caller.data(text('mine'));
    const forged = one.caller.packetOf(1001, text('forged'));
    net.listener.receive(forged, { ...HOME, port: 4001 });
    net.listener.receive(forged, { address: '203.0.113.1', port: HOME.port });
    const shutdown = Buffer.from(forged);
    shutdown.writeUInt32BE(0x8005_0000, 0);
    net.listener.receive(shutdown, { address: '203.0.113.1', port: HOME.port });
    one.caller.data(text('too'));
    expect(one.output.delivered).toEqual(['mine', 'too']);
    expect([one.output.ends, one.output.gaps]).toEqual([[], 0]);
    expect(net.ignored).toEqual(['wrong_address', 'wrong_address', 'wrong_address']);
  });

  it('takes any bytes from anybody and leaves live connections alone', async () => {
    const net = new Net({ maxInductionsPerSecond: 1_000_000 });
    const { caller, output, connection } = await connected(net);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(connection.localId);
    const packet = fc.tuple(fc.uint8Array({ maxLength: 120 }), fc.boolean()).map(([bytes, aimed]) => {
      const any = Buffer.from(bytes);
      if (aimed && any.length >= 16) header.copy(any, 12);
      return any;
    });
    fc.assert(
      fc.property(packet, fc.boolean(), (bytes, elsewhere) => {
        net.listener.receive(bytes, { ...HOME, port: elsewhere ? 5 : 6 });
      }),
      { numRuns: 3000 },
    );
    expect(net.listener.size).toBe(1);
    caller.data(text('still here'));
    expect(output.delivered).toEqual(['still here']);
  });
});

describe('SrtConnection', () => {
  let net: Net;
  beforeEach(() => {
    net = new Net();
  });

  it('delivers at once, acknowledges every 10 ms while there is news, and measures the round trip', async () => {
    const { caller, output, connection } = await connected(net, { initialSequence: 0x7fff_ffff });
    caller.data(text('a'));
    caller.data(text('b'));
    expect(output.delivered).toEqual(['a', 'b']);
    expect(caller.of(CONTROL.ack)).toEqual([]);
    net.pass(50);
    const acks = caller.of(CONTROL.ack);
    expect(acks.map(({ info }) => info)).toEqual([1]);
    expect(parseAckNext(acks[0]?.body ?? Buffer.alloc(0))).toBe(1);
    expect(connection.stats().rttMs).toBe(0);
  });

  it('repeats an acknowledgement that was not answered', async () => {
    const { caller, connection } = await connected(net);
    caller.data(text('a'));
    caller.output = () => {};
    net.pass(700);
    expect(caller.of(CONTROL.ack).map(({ info }) => info)).toEqual([1, 2, 3]);
    expect(connection.stats().rttMs).toBe(100);
  });

  it('sends a light acknowledgement every 64 packets between the full ones', async () => {
    const { caller } = await connected(net);
    for (let i = 0; i < 130; i++) caller.data(text('x'));
    expect(caller.of(CONTROL.ack).map(({ info, body }) => [info, body.length, parseAckNext(body)])).toEqual([
      [0, 4, 1064],
      [0, 4, 1128],
    ]);
  });

  it('gets what was lost by asking for it', async () => {
    const { caller, output, connection } = await connected(net);
    caller.data(text('a'));
    caller.data(text('b'), true);
    caller.data(text('c'));
    expect(output.delivered).toEqual(['a', 'b', 'c']);
    expect(connection.stats()).toMatchObject({ lost: 1, retransmitted: 1, dropped: 0, naksSent: 1 });
  });

  it('gives up what does not come within the latency, and says that something is missing', async () => {
    const { caller, output, connection } = await connected(net, { latencyMs: 200 });
    caller.retransmits = false;
    caller.data(text('a'));
    caller.data(text('b'), true);
    caller.data(text('c'));
    net.pass(190);
    expect([output.delivered, output.gaps]).toEqual([['a'], 0]);
    net.pass(20);
    expect([output.delivered, output.gaps]).toEqual([['a', 'c'], 1]);
    expect(connection.stats()).toMatchObject({ dropped: 1 });
    expect(caller.of(CONTROL.nak).length).toBeGreaterThan(1);
  });

  it.each([
    [0x010404, 5],
    [0x010500, 10],
  ])('asks a sender of version %i for what is missing %i times in 100 ms', async (version, count) => {
    const { caller } = await connected(net, { version, latencyMs: 200 });
    // The round trip is 0 from the first answer on: reports come as often as they may.
    caller.data(text('a'));
    net.pass(20);
    caller.retransmits = false;
    caller.data(text('b'), true);
    caller.data(text('c'));
    net.pass(100);
    expect(caller.of(CONTROL.nak)).toHaveLength(1 + count);
  });

  it('gives up what the sender says it will not send again', async () => {
    const { caller, output } = await connected(net);
    caller.retransmits = false;
    caller.data(text('a'));
    const sequence = caller.data(text('b'), true);
    caller.data(text('c'));
    const body = Buffer.alloc(8);
    body.writeUInt32BE(sequence, 0);
    body.writeUInt32BE(sequence, 4);
    caller.control(CONTROL.dropRequest, { info: 1, body });
    expect([output.delivered, output.gaps]).toEqual([['a', 'c'], 1]);
  });

  it('keeps a silent connection alive and ends it when nothing comes at all', async () => {
    const { caller, output } = await connected(net);
    for (let i = 0; i < 20; i++) {
      net.pass(500);
      caller.control(CONTROL.keepAlive);
    }
    expect(output.ends).toEqual([]);
    expect(caller.of(CONTROL.keepAlive).length).toBeGreaterThanOrEqual(8);
    net.pass(4_990);
    expect(output.ends).toEqual([]);
    net.pass(20);
    expect(output.ends).toEqual(['peer_idle']);
    expect(net.listener.size).toBe(0);
  });

  it('delivers what it holds when the peer says goodbye', async () => {
    const { caller, output } = await connected(net);
    caller.retransmits = false;
    caller.data(text('a'));
    caller.data(text('b'), true);
    caller.data(text('c'));
    caller.control(CONTROL.shutdown);
    expect(output.delivered).toEqual(['a', 'c']);
    expect(output.ends).toEqual(['peer_shutdown']);
    caller.data(text('d'));
    expect(output.delivered).toEqual(['a', 'c']);
    expect(net.listener.size).toBe(0);
  });

  it('tells the peer when we end it, and delivers nothing any more', async () => {
    const { caller, output, connection } = await connected(net);
    net.listener.end(connection);
    expect(caller.of(CONTROL.shutdown)).toHaveLength(1);
    caller.data(text('a'));
    expect([output.delivered, output.ends, net.listener.size]).toEqual([[], [], 0]);
  });

  it.each([16, 24, 32] as const)(
    'decrypts with a key of %i bytes and echoes the key material',
    async (keyBytes) => {
      const { caller, output } = await connected(net, { passphrase: 'correct horse', keyBytes });
      caller.data(text('secret'));
      caller.data(text('lost'), true);
      caller.data(text('words'));
      expect(output.delivered).toEqual(['secret', 'lost', 'words']);
      expect(caller.accepted && findExtension(caller.accepted, EXTENSION.keyResponse)).toBeDefined();
    },
  );

  it('changes keys in the middle of the stream without losing a packet', async () => {
    const { caller, output, connection } = await connected(net, { passphrase: 'correct horse' });
    const expected: string[] = [];
    for (let round = 0; round < 4; round++) {
      const switchKeys = caller.announceKey();
      caller.data(text(`old ${round}`));
      await new Promise(setImmediate);
      const answer = caller.of(CONTROL.user).at(-1);
      // The key material itself comes back: the sign that it was taken.
      expect([answer?.subtype, answer?.body.length]).toEqual([USER.keyResponse, 56]);
      switchKeys();
      caller.data(text(`new ${round}`));
      expected.push(`old ${round}`, `new ${round}`);
    }
    expect(output.delivered).toEqual(expected);
    expect(connection.stats().undecrypted).toBe(0);
  });

  it('answers keys it cannot open with the state of its own, and keeps the ones it has', async () => {
    const { caller, output } = await connected(net, { passphrase: 'correct horse' });
    caller.control(CONTROL.user, { subtype: USER.keyRequest, body: Buffer.alloc(72) });
    await new Promise(setImmediate);
    expect(caller.of(CONTROL.user).at(-1)?.body.toString('hex')).toBe('00000004');
    caller.data(text('still'));
    expect(output.delivered).toEqual(['still']);
  });

  it('does not deliver what is not encrypted as agreed, nor asks for it again', async () => {
    const { caller, output, connection } = await connected(net, { passphrase: 'correct horse' });
    caller.data(text('a'));
    const plain = new SrtTestCaller({ initialSequence: 1001 }, (packet) =>
      net.listener.receive(packet, HOME),
    );
    plain.accepted = caller.accepted;
    plain.data(text('in the clear'));
    expect([output.delivered, output.gaps]).toEqual([['a'], 1]);
    expect(connection.stats()).toMatchObject({ undecrypted: 1, naksSent: 0 });
    const clear = await connected(net, {}, { ...HOME, port: 4001 });
    const packet = clear.caller.packetOf(1000, text('x'));
    packet.writeUInt32BE((packet.readUInt32BE(4) | 0x0800_0000) >>> 0, 4);
    net.listener.receive(packet, { ...HOME, port: 4001 });
    expect(clear.output.delivered).toEqual([]);
  });

  it('takes any packet of its peer', async () => {
    const { caller, connection } = await connected(net, { passphrase: 'correct horse' });
    const packet = fc.uint8Array({ maxLength: 200 });
    fc.assert(
      fc.property(packet, fc.nat(50), (bytes, ms) => {
        const any = Buffer.from(bytes);
        if (any.length >= 16) any.writeUInt32BE(caller.destination, 12);
        net.nowMs += ms;
        connection.receive(any, net.nowMs);
        connection.tick(net.nowMs);
        expect(connection.stats().bufferedBytes).toBeLessThanOrEqual(SRT_DEFAULTS.maxBufferBytes);
      }),
      { numRuns: 3000 },
    );
  });
});
