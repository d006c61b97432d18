import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { type ImpairedPath, impairUdp, type ImpairOptions } from '../support/impair.ts';
import { SrtTestCaller, type SrtCallerOptions } from '../support/srt-caller.ts';
import {
  PASSPHRASE,
  type RecordedPayload,
  type SrtFixture,
  type SrtFixtureOptions,
  startSrt,
} from '../support/srt-fixture.ts';
import { LibsrtSender, type LibsrtSenderOptions } from '../support/srt-sender.ts';
import { until } from '../support/until.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(options: SrtFixtureOptions = {}): Promise<SrtFixture> {
  const fixture = await startSrt(options);
  closers.push(() => fixture.server.close());
  return fixture;
}

async function impair(options: ImpairOptions): Promise<ImpairedPath> {
  const path = await impairUdp(options);
  closers.push(() => path.close());
  return path;
}

async function sender(options: LibsrtSenderOptions): Promise<LibsrtSender> {
  const made = await LibsrtSender.start(options);
  closers.push(() => made.kill());
  return made;
}

/** Waits until every byte sent has come. */
async function arrival(payload: RecordedPayload | undefined, from: LibsrtSender): Promise<void> {
  await until(() => payload && payload.sizeBytes >= from.sizeBytes, `${from.sizeBytes} bytes`, 10_000);
}

const payloadOf = (fixture: SrtFixture, stream: string): Promise<RecordedPayload> =>
  until(() => fixture.payloads.find((each) => each.stream === stream), `publisher of ${stream}`);

/** A caller of ours on a socket of its own. */
async function ownCaller(port: number, options: SrtCallerOptions): Promise<SrtTestCaller> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  closers.push(() => socket.close());
  const caller = new SrtTestCaller(options, (packet) => socket.send(packet, port, '127.0.0.1'));
  socket.on('message', (bytes) => caller.receive(bytes));
  await caller.prepareKeys();
  caller.induce();
  await until(() => caller.cookie !== 0, 'cookie');
  caller.conclude();
  return caller;
}

describe('SRT from libsrt', () => {
  it.each([
    ['in the clear', 'streamid=live/good-a', 'a'],
    ['with AES-128', `streamid=publish:secret-b&passphrase=${PASSPHRASE}&pbkeylen=16`, 'b'],
    ['with AES-192', `streamid=publish:secret-c&passphrase=${PASSPHRASE}&pbkeylen=24`, 'c'],
    ['with AES-256', `streamid=publish:secret-d&passphrase=${PASSPHRASE}&pbkeylen=32`, 'd'],
    [
      'with keys that change',
      `streamid=publish:secret-e&passphrase=${PASSPHRASE}&pbkeylen=16&kmrefreshrate=256&kmpreannounce=64`,
      'e',
    ],
  ])('arrives byte for byte %s', async (_how, query, stream) => {
    const fixture = await start();
    const from = await sender({ port: fixture.port, query });
    const payload = await payloadOf(fixture, stream);
    await from.feed(2_500);
    await arrival(payload, from);
    expect(payload.digest).toBe(from.sha256.copy().digest('hex'));
    expect(payload.gaps).toBe(0);
    expect(fixture.server.snapshots()).toMatchObject([{ stream, stats: { undecrypted: 0, dropped: 0 } }]);
    await from.end();
    await until(async () => (await fixture.closed())['unpublished'], 'goodbye');
    expect(fixture.hub.publishers[0]?.closes).toEqual(['unpublished']);
  });

  it('refuses a wrong passphrase, a missing one, one too many, and an unknown key, and says why', async () => {
    const fixture = await start();
    const queries = [
      'streamid=publish:secret-a&passphrase=wrong-passphrase&pbkeylen=16',
      'streamid=publish:secret-a',
      `streamid=publish:good&passphrase=${PASSPHRASE}&pbkeylen=16`,
      'streamid=publish:nobody',
      'streamid=read:good',
    ];
    const senders = await Promise.all(queries.map((query) => sender({ port: fixture.port, query })));
    await until(
      async () => Object.values(await fixture.closed()).reduce((a, b) => a + b, 0) >= 5,
      'refusals',
    );
    expect(await fixture.closed()).toEqual({
      bad_secret: 1,
      unsecure: 2,
      auth_refused: 1,
      mode_refused: 1,
    });
    // This libsrt has no words for codes of access control.
    const [passphrase, unsecure, other] = ['Incorrect passphrase', 'Password required', 'Unknown or'];
    const words = [passphrase, unsecure, unsecure, other, other];
    for (const [i, each] of senders.entries()) {
      await until(() => each.stderr.includes(words[i] ?? '?'), `${words[i]} in: ${each.stderr}`, 5_000);
    }
    expect(fixture.hub.publishers).toEqual([]);
    expect(JSON.stringify(fixture.log)).not.toContain('nobody');
    expect(JSON.stringify(fixture.log)).not.toContain('wrong-passphrase');
  });

  it('may encrypt or not where either is allowed', async () => {
    const fixture = await start();
    const clear = await sender({ port: fixture.port, query: 'streamid=publish:either' });
    await clear.feed(200);
    const first = await payloadOf(fixture, 'either');
    await arrival(first, clear);
    await clear.end();
    await until(async () => (await fixture.closed())['unpublished'], 'goodbye');
    const query = `streamid=publish:either&passphrase=${PASSPHRASE}&pbkeylen=32`;
    const encrypted = await sender({ port: fixture.port, query });
    const second = await until(() => fixture.payloads[1], 'second publisher');
    await encrypted.feed(500);
    await arrival(second, encrypted);
    expect(second.digest).toBe(encrypted.sha256.copy().digest('hex'));
  });

  it('carries twenty callers on one port without mixing them up', async () => {
    const fixture = await start();
    const senders = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        sender({ port: fixture.port, query: `streamid=live/good-s${i}`, bitrateBps: 500_000, seed: i + 1 }),
      ),
    );
    const payloads = await Promise.all(senders.map((_, i) => payloadOf(fixture, `s${i}`)));
    await Promise.all(senders.map((each) => each.feed(2_000)));
    await Promise.all(senders.map((each, i) => arrival(payloads[i], each)));
    expect(payloads.map(({ digest }) => digest)).toEqual(
      senders.map(({ sha256 }) => sha256.copy().digest('hex')),
    );
    expect(fixture.server.snapshots()).toHaveLength(20);
    expect(await fixture.metric('ingest_srt_publishers')).toBe(20);
    await Promise.all(senders.map((each) => each.end()));
    await until(async () => (await fixture.closed())['unpublished'] === 20, 'twenty goodbyes');
    expect(await fixture.metric('ingest_srt_publishers')).toBe(0);
  });

  it('arrives whole through loss, reordering, doubling and delay, encrypted', async () => {
    const fixture = await start();
    const bad = { loss: 0.05, reorder: 0.03, duplicate: 0.02, delayMs: 15, jitterMs: 5 };
    const path = await impair({ target: fixture.port, seed: 7, ...bad });
    const query = `streamid=publish:secret-a&passphrase=${PASSPHRASE}&pbkeylen=32&latency=600`;
    const from = await sender({ port: path.port, query });
    const payload = await payloadOf(fixture, 'a');
    await from.feed(5_000);
    await arrival(payload, from);
    expect(payload.digest).toBe(from.sha256.copy().digest('hex'));
    const [snapshot] = fixture.server.snapshots();
    expect(snapshot?.stats.lost).toBeGreaterThan(50);
    expect(snapshot?.stats.rttMs).toBeGreaterThan(25);
    expect(path.stats.up.lost).toBeGreaterThan(50);
  });

  it('fills an outage from what the sender still has, and goes on with a gap after a longer one', async () => {
    const fixture = await start();
    const outages = [
      { fromMs: 1_000, forMs: 500 },
      { fromMs: 3_000, forMs: 2_500 },
    ];
    const path = await impair({ target: fixture.port, seed: 3, outages });
    const from = await sender({ port: path.port, query: 'streamid=live/good-a' });
    const payload = await payloadOf(fixture, 'a');
    await from.feed(2_000);
    await arrival(payload, from);
    expect([payload.digest, payload.gaps]).toEqual([from.sha256.copy().digest('hex'), 0]);
    await from.feed(4_000);
    const beforeBytes = payload.sizeBytes;
    await from.feed(1_000);
    await until(() => payload.sizeBytes >= beforeBytes + 450_000, 'media after the outage');
    expect(payload.gaps).toBeGreaterThan(0);
    expect(fixture.server.snapshots()).toHaveLength(1);
  });

  it('frees the stream of a killed sender within six seconds', async () => {
    const fixture = await start();
    const from = await sender({ port: fixture.port, query: 'streamid=live/good-a' });
    await from.feed(500);
    await payloadOf(fixture, 'a');
    await from.kill();
    const killedMs = performance.now();
    await until(async () => (await fixture.closed())['peer_idle'], 'idle end', 8_000);
    expect(performance.now() - killedMs).toBeLessThan(6_000);
    expect(fixture.hub.publishers[0]?.closes).toEqual(['disconnected']);
  });
});

describe('SRT listener', () => {
  it('lets go of a peer that is there but sends no media', async () => {
    const fixture = await start({ options: { silenceTimeoutMs: 1_000 } });
    const caller = await ownCaller(fixture.port, { streamId: 'live/good-a' });
    await until(() => caller.accepted, 'connection');
    const keepAlive = setInterval(() => caller.control(1), 200);
    closers.push(() => clearInterval(keepAlive));
    await until(async () => (await fixture.closed())['silence_timeout'], 'silence', 5_000);
    expect(fixture.hub.publishers[0]?.closes).toEqual(['timeout']);
    await until(() => caller.of(5).length > 0, 'shutdown packet');
  });

  it('lets go of a publisher that sends nothing that can be carried, and says what it was', async () => {
    const fixture = await start();
    const caller = await ownCaller(fixture.port, { streamId: 'live/good-a' });
    const payload = await until(() => fixture.payloads[0], 'connection');
    payload.unsupported = 'MPEG-2 video';
    await until(async () => (await fixture.closed())['codec_unsupported'], 'end', 5_000);
    expect(fixture.log.at(-1)?.fields).toMatchObject({ reason: 'codec_unsupported', codec: 'MPEG-2 video' });
    await until(() => caller.of(5).length > 0, 'shutdown packet');
  });

  it('waits for a slow authoriser while the caller repeats itself, and asks once', async () => {
    let allow = (): void => {};
    const gate = new Promise<void>((resolve) => {
      allow = resolve;
    });
    const fixture = await start({
      authoriser: {
        async authorise({ key }) {
          await gate;
          return { allow: true, stream: key };
        },
      },
    });
    const path = await impair({ target: fixture.port, seed: 1 });
    const from = await sender({ port: path.port, query: 'streamid=live/slow' });
    await until(() => fixture.requests.length > 0, 'request');
    const { up } = path.stats;
    const asked = up.forwarded;
    await until(() => up.forwarded >= asked + 4, 'the caller to ask four times more');
    expect([fixture.requests.length, fixture.hub.publishers.length]).toEqual([1, 0]);
    allow();
    const payload = await payloadOf(fixture, 'slow');
    await from.feed(300);
    await arrival(payload, from);
    expect(payload.digest).toBe(from.sha256.copy().digest('hex'));
  });

  it('says no when the authoriser takes too long or fails', async () => {
    const never = new Promise<never>(() => {});
    const fixture = await start({
      options: { authTimeoutMs: 300 },
      authoriser: { authorise: ({ key }) => (key === 'slow' ? never : Promise.reject(new Error('down'))) },
    });
    const slow = await ownCaller(fixture.port, { streamId: 'slow' });
    const failing = await ownCaller(fixture.port, { streamId: 'x' });
    await until(() => slow.answer === 1500 && failing.answer === 1500, 'both answers');
    expect(await fixture.closed()).toEqual({ auth_timeout: 1, auth_error: 1 });
  });

  it('tells a second publisher of a stream that it is taken, and goes on with the first', async () => {
    const fixture = await start();
    const first = await ownCaller(fixture.port, { streamId: 'good' });
    await until(() => first.accepted, 'first');
    const second = await ownCaller(fixture.port, { streamId: 'good' });
    await until(() => second.answer === 1409, 'conflict');
    first.data(Buffer.from('mine'));
    await until(() => fixture.payloads[0]?.sizeBytes === 4, 'payload');
  });

  it('hands on user, password, token, role and query of all forms of stream id', async () => {
    const fixture = await start();
    const ids = [
      'live/good-a?token=t&role=backup',
      'publish:good-b:ann:pw',
      '%23!%3A%3Ar%3Dgood-c%2Cm%3Dpublish%2Cu%3Dann%2Ctoken%3Dt%2Crole%3Dbackup',
    ];
    for (const streamId of ids) {
      const caller = await ownCaller(fixture.port, { streamId, socketId: ids.indexOf(streamId) + 1 });
      await until(() => caller.accepted, streamId);
    }
    expect(fixture.requests).toMatchObject([
      {
        protocol: 'srt',
        app: 'live',
        key: 'good-a',
        query: 'token=t&role=backup',
        remoteAddress: '127.0.0.1',
      },
      { key: 'good-b', user: 'ann', password: 'pw' },
      { key: 'good-c', user: 'ann', token: 't', query: 'role=backup' },
    ]);
    const infos = fixture.hub.publishers.map(({ info }) => [
      info.protocol,
      info.role,
      info.timescale,
      info.wrapBits,
    ]);
    expect(infos).toEqual([
      ['srt', 'backup', 90_000, 33],
      ['srt', 'primary', 90_000, 33],
      ['srt', 'backup', 90_000, 33],
    ]);
  });

  it('stops asking the authoriser for an address that guesses', async () => {
    const fixture = await start({ options: { maxAuthFailuresPerMinute: 3 } });
    const answers: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      const caller = await ownCaller(fixture.port, { streamId: `guess${i}` });
      await until(() => (caller.answer ?? 0) >= 1000, 'answer');
      answers.push(caller.answer);
    }
    expect(answers).toEqual([1401, 1401, 1401, 1403, 1403]);
    expect(fixture.requests).toHaveLength(3);
  });

  it('is not moved by forged packets to a live id from another address', async () => {
    const fixture = await start();
    const caller = await ownCaller(fixture.port, { streamId: 'good' });
    await until(() => caller.accepted, 'connection');
    caller.data(Buffer.from('one'));
    const forger = createSocket('udp4');
    closers.push(() => forger.close());
    const forge = (first: number): Buffer => {
      const packet = caller.packetOf(caller.nextSequence, Buffer.from('forged'));
      if (first !== 0) packet.writeUInt32BE(first, 0);
      return packet;
    };
    // Data, shutdown, drop request, acknowledgement, key request, handshake.
    for (const first of [0, 0x8005_0000, 0x8007_0000, 0x8002_0000, 0xffff_0003, 0x8000_0000]) {
      forger.send(forge(first), fixture.port, '127.0.0.1');
    }
    await until(async () => (await fixture.metric('ingest_srt_ignored_packets_total')) >= 6, 'forgeries');
    caller.data(Buffer.from('two'));
    await until(() => fixture.payloads[0]?.sizeBytes === 6, 'payload');
    expect(fixture.payloads[0]).toMatchObject({ gaps: 0, samples: 2 });
    expect(await fixture.closed()).toEqual({});
  });

  it('ends a publisher that the hub closes, and one that sends too much', async () => {
    const fixture = await start({ options: { maxBitrateBps: 100_000 } });
    const kicked = await ownCaller(fixture.port, { streamId: 'good-a' });
    await until(() => kicked.accepted, 'connection');
    fixture.hub.publishers[0]?.kick('STREAM_KICKED');
    await until(() => kicked.of(5).length > 0, 'shutdown');
    expect(fixture.hub.publishers[0]?.closes).toEqual([]);
    const greedy = await ownCaller(fixture.port, { streamId: 'good-b' });
    await until(() => greedy.accepted, 'connection');
    for (let i = 0; i < 120; i++) greedy.data(Buffer.alloc(1316));
    await until(() => greedy.of(5).length > 0, 'shutdown');
    expect(await fixture.closed()).toEqual({ hub: 1, bitrate: 1 });
    expect(fixture.log.filter(({ fields }) => fields['code'] === 'STREAM_KICKED')).toHaveLength(1);
  });

  it('closes with live and waiting callers, tells them, and can be opened again on its port', async () => {
    const never = new Promise<never>(() => {});
    const fixture = await start({
      authoriser: {
        authorise: ({ key }) => (key === 'wait' ? never : Promise.resolve({ allow: true, stream: key })),
      },
    });
    const live = await ownCaller(fixture.port, { streamId: 'a' });
    await until(() => live.accepted, 'connection');
    const waiting = await ownCaller(fixture.port, { streamId: 'wait' });
    await until(() => fixture.requests.length === 2, 'request');
    await Promise.all([fixture.server.close(), fixture.server.close()]);
    await until(() => live.of(5).length > 0 && waiting.answer === 1007, 'farewells');
    expect(fixture.hub.publishers[0]?.closes).toEqual(['disconnected']);
    const again = await start({ options: { port: fixture.port } });
    expect(again.port).toBe(fixture.port);
  });

  it('says so when its port is taken', async () => {
    const fixture = await start();
    await expect(startSrt({ options: { port: fixture.port } })).rejects.toMatchObject({
      code: 'INGEST_LISTEN_FAILED',
    });
  });
});
