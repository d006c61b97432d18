import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createOpenAuthoriser } from '../../src/ingest/authorise.ts';
import { writeChunks } from '../../src/ingest/rtmp/chunk-writer.ts';
import { MESSAGE } from '../../src/ingest/rtmp/protocol.ts';
import { type Amf0Value, amf0Object, writeAmf0 } from '../../src/media/amf0.ts';
import { run, sourceArgs } from '../support/ffmpeg.ts';
import {
  audioFrame,
  encode,
  encodeCommand,
  encodeControl,
  encodePublish,
  RtmpTestClient,
  videoFrame,
} from '../support/rtmp-client.ts';
import { type RtmpFixture, type RtmpFixtureOptions, startRtmp } from '../support/rtmp-fixture.ts';
import type { RecordingHub } from '../support/rtmp-hub.ts';
import { until } from '../support/until.ts';

/** What strangers and broken encoders send. A good stream runs beside every attack and must not notice. */

const EVIL = videoFrame('EVIL');
const MEGABYTE = 1024 * 1024;

/** Sends numbered frames from its start to its end, and knows which ones must have arrived. */
class GoodStream {
  readonly #client: RtmpTestClient;
  #sent = 0;
  #timer: NodeJS.Timeout;

  private constructor(client: RtmpTestClient) {
    this.#client = client;
    this.#timer = setInterval(() => this.#frame(), 5);
  }

  static async start(port: number): Promise<GoodStream> {
    return new GoodStream(await RtmpTestClient.publishing(port, 'good'));
  }

  #frame(): void {
    this.#client.send({
      timestamp: this.#sent * 5,
      payload: videoFrame(`f${this.#sent} ${'x'.repeat(2000)}`),
    });
    this.#sent += 1;
  }

  /** Stops, and gives how many frames were sent, and the numbers of those that the hub has in order. */
  async stop(hub: RecordingHub): Promise<{ sent: number; arrived: number }> {
    clearInterval(this.#timer);
    const publisher = hub.publishers.find(({ stream }) => stream === 'studio');
    await until(() => publisher?.samples.length === this.#sent, 'every good frame').catch(() => {});
    this.#client.end();
    const texts = publisher?.texts ?? [];
    return { sent: this.#sent, arrived: texts.filter((text, i) => text.startsWith(`f${i} `)).length };
  }
}

const running: RtmpFixture[] = [];

async function start(options: RtmpFixtureOptions = {}): Promise<RtmpFixture> {
  const fixture = await startRtmp(options);
  running.push(fixture);
  return fixture;
}

afterEach(async () => {
  for (const { server } of running.splice(0)) await server.close();
});

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

function invoke(payload: Buffer): Buffer {
  return encode({ type: MESSAGE.command, streamId: 0, payload }, 3);
}

function connectWith(...args: Amf0Value[]): Buffer {
  return encodeCommand('connect', 1, ...args);
}

/** The first 12 bytes of a chunk that begins a message of a declared length, and `fill` bytes of it. */
function begin(chunkStreamId: number, type: number, length: number, fill = 0): Buffer {
  const header = Buffer.alloc(11);
  header.writeUIntBE(length, 3, 3);
  header[6] = type;
  header[7] = 1;
  const basic =
    chunkStreamId < 64 ? [chunkStreamId] : [1, (chunkStreamId - 64) & 0xff, (chunkStreamId - 64) >> 8];
  return Buffer.concat([Buffer.from(basic), header, Buffer.alloc(fill)]);
}

const CONNECT = connectWith(amf0Object({ app: 'live' }));
const CREATE_STREAM = encodeCommand('createStream', 2, null);
const CHUNK_SIZE_1 = encodeControl(MESSAGE.setChunkSize, 1);
const NESTED = '03 0001 61';

/** How far the attacker goes by the book before it attacks. */
type Stage = 'tcp' | 'shaken' | 'ready' | 'publishing';

interface Attack {
  readonly what: string;
  readonly stage: Stage;
  readonly bytes: Buffer;
  /** Label of ingest_rtmp_closed_total. */
  readonly reason: string;
}

function attack(stage: Stage, what: string, reason: string, ...pieces: Buffer[]): Attack {
  return { what, stage, reason, bytes: Buffer.concat(pieces) };
}

const DEADLY: Attack[] = [
  attack('tcp', 'an HTTP request', 'handshake_invalid', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')),
  attack('tcp', 'a TLS hello', 'handshake_invalid', hex('160301 0200 010001fc 0303'), Buffer.alloc(500)),
  attack('tcp', 'RTMPE', 'handshake_invalid', Buffer.from([6]), Buffer.alloc(1536)),

  attack('shaken', 'connect without an object', 'command_invalid', connectWith()),
  attack(
    'shaken',
    'connect with an object without app',
    'command_invalid',
    connectWith(amf0Object({ tcUrl: 'x' })),
  ),
  attack('shaken', 'connect with app as a number', 'command_invalid', connectWith(amf0Object({ app: 1 }))),
  attack('shaken', 'a command without a transaction id', 'amf_invalid', invoke(writeAmf0(['connect']))),
  attack('shaken', 'an AMF number cut short', 'amf_invalid', invoke(hex('02 0007 636f6e6e656374 00 3ff0'))),
  attack('shaken', 'an AMF string cut short', 'amf_invalid', invoke(hex('02 00ff 63'))),
  attack('shaken', 'an unknown AMF type', 'amf_invalid', invoke(hex('02 0001 61 00 0000000000000000 7f'))),
  attack('shaken', 'an empty command', 'amf_invalid', invoke(Buffer.alloc(0))),
  attack(
    'shaken',
    'an AMF3 body',
    'amf_invalid',
    encode({ type: MESSAGE.commandAmf3, payload: hex('11 06 03 61') }, 3),
  ),
  attack(
    'shaken',
    'a strict array of 2^32-1',
    'amf_invalid',
    invoke(hex('02 0001 61 00 0000000000000000 0a ffffffff')),
  ),
  attack('shaken', 'objects nested 1000 deep', 'amf_invalid', invoke(hex(NESTED.repeat(1000)))),
  attack('shaken', 'objects nested 8000 deep', 'message_too_large', invoke(hex(NESTED.repeat(8000)))),
  attack(
    'shaken',
    '300 properties',
    'amf_invalid',
    connectWith(new Map([...Array(300)].map((_, i) => [`p${i}`, null]))),
  ),
  attack('shaken', 'chunk size 0', 'chunk_size', encodeControl(MESSAGE.setChunkSize, 0)),
  attack('shaken', 'chunk size 2^31', 'chunk_size', encodeControl(MESSAGE.setChunkSize, 2 ** 31)),
  attack('shaken', 'chunk size 2^31-1', 'chunk_size', encodeControl(MESSAGE.setChunkSize, 2 ** 31 - 1)),
  attack('shaken', 'an empty set-chunk-size', 'control_invalid', encode({ type: MESSAGE.setChunkSize }, 2)),
  attack('shaken', 'an empty abort', 'control_invalid', encode({ type: MESSAGE.abort }, 2)),
  attack(
    'shaken',
    'an empty user control message',
    'control_invalid',
    encode({ type: MESSAGE.userControl }, 2),
  ),
  attack(
    'shaken',
    'a ping without its stamp',
    'control_invalid',
    encode({ type: MESSAGE.userControl, payload: hex('0006') }, 2),
  ),
  attack(
    'shaken',
    'an acknowledgement window of 0',
    'control_invalid',
    encodeControl(MESSAGE.windowAckSize, 0),
  ),
  attack('shaken', 'a message of 16 MB', 'message_too_large', begin(6, MESSAGE.command, 16_000_000)),
  attack('shaken', 'media of 16 MB', 'message_too_large', begin(6, MESSAGE.video, 16_000_000)),
  attack(
    'shaken',
    '16 MB declared on 2000 chunk streams',
    'message_too_large',
    ...[...Array(2000)].map((_, i) => begin(3 + i, 9, 16_000_000)),
  ),
  attack(
    'shaken',
    '4 KB begun on 3 chunk streams',
    'bytes_in_flight',
    ...[4, 5, 6].map((id) => begin(id, 20, 4096, 128)),
  ),
  attack(
    'shaken',
    'a message on each of 2000 chunk streams',
    'chunk_streams',
    ...[...Array(2000)].map((_, i) => begin(3 + i, 30, 1, 1)),
  ),
  attack('shaken', 'a chunk that continues nothing', 'chunk_invalid', hex('c6 00')),
  attack(
    'shaken',
    'a length that grows in mid-message',
    'chunk_invalid',
    begin(4, 20, 1000, 128),
    begin(4, 20, 2000, 128),
  ),
  attack(
    'shaken',
    'a length that shrinks in mid-message',
    'chunk_invalid',
    begin(4, 20, 1000, 128),
    begin(4, 20, 200, 72),
  ),
  attack('shaken', 'video before connect', 'media_unauthorised', encode({ payload: EVIL })),
  attack('shaken', 'publish before connect', 'command_invalid', encodePublish('good')),
  attack('shaken', 'createStream before connect', 'command_invalid', CREATE_STREAM),
  attack(
    'shaken',
    'publish without a stream',
    'command_invalid',
    CONNECT,
    encodePublish('good-x'),
    encode({ payload: EVIL }),
  ),

  attack('ready', 'a second connect', 'command_invalid', CONNECT),
  attack('ready', 'publish without a name', 'command_invalid', encodeCommand('publish', 3, null)),
  attack(
    'ready',
    'publish with an object for a name',
    'command_invalid',
    encodeCommand('publish', 3, null, new Map()),
  ),
  attack('ready', 'createStream nine times', 'command_invalid', ...[...Array(9)].map(() => CREATE_STREAM)),
  attack('ready', 'video before publish', 'media_unauthorised', encode({ payload: EVIL })),
  attack(
    'ready',
    'audio before publish',
    'media_unauthorised',
    encode({ type: MESSAGE.audio, payload: audioFrame('EVIL') }),
  ),
  attack(
    'ready',
    'an aggregate before publish',
    'media_unauthorised',
    encode({ type: MESSAGE.aggregate, payload: EVIL }),
  ),
  attack(
    'ready',
    'metadata before publish',
    'media_unauthorised',
    encode({ type: MESSAGE.data, payload: writeAmf0(['onMetaData', new Map()]) }),
  ),
  attack(
    'ready',
    'a wrong key with media right behind it',
    'auth_refused',
    encodePublish('bad'),
    encode({ payload: EVIL }),
    encode({ payload: EVIL }),
  ),
  attack(
    'ready',
    'a taken stream with media right behind it',
    'stream_busy',
    encodePublish('good'),
    encode({ payload: EVIL }),
  ),
  attack(
    'ready',
    'a player that sends media',
    'play_refused',
    encodeCommand('play', 3, null, 'studio'),
    encode({ payload: EVIL }),
  ),
  attack(
    'ready',
    'a wrong key, then the right one',
    'auth_refused',
    encodePublish('bad'),
    encodePublish('good-x'),
    encode({ payload: EVIL }),
  ),

  attack('publishing', 'a second publish', 'second_publish', encodePublish('good-y')),
  attack('publishing', 'video of one byte', 'media_invalid', encode({ payload: hex('17') })),
  attack(
    'publishing',
    'an AAC body of one byte',
    'media_invalid',
    encode({ type: MESSAGE.audio, payload: hex('af') }),
  ),
  attack(
    'publishing',
    'an empty H.264 configuration',
    'media_invalid',
    encode({ payload: hex('17 00 000000') }),
  ),
  attack('publishing', 'MP3', 'codec_unsupported', encode({ type: MESSAGE.audio, payload: hex('2f ff fb') })),
  attack('publishing', 'VVC by FourCC', 'codec_unsupported', encode({ payload: hex('90 76766331 00') })),
  attack('publishing', 'AV1 as MPEG-2 TS', 'codec_unsupported', encode({ payload: hex('95 61763031 00') })),
  attack('publishing', 'a FourCC cut short', 'media_invalid', encode({ payload: hex('90 6876') })),
  attack(
    'publishing',
    'tracks inside tracks',
    'media_invalid',
    encode({ payload: hex('96 06 68766331 00 00') }),
  ),
  attack(
    'publishing',
    'a track of 16 MB',
    'media_invalid',
    encode({ payload: hex('96 11 68766331 00 ffffff') }),
  ),
  attack(
    'publishing',
    'endless modifiers',
    'media_invalid',
    encode({ payload: Buffer.alloc(999, hex('97 00 00')) }),
  ),
  attack(
    'publishing',
    'an aggregate whose part is too long',
    'media_invalid',
    encode({ type: MESSAGE.aggregate, payload: hex('09 ffffff 000000 00 000000 17') }),
  ),
  attack(
    'publishing',
    'an aggregate in an aggregate',
    'media_invalid',
    encode({ type: MESSAGE.aggregate, payload: hex('16 000001 000000 00 000000 00 00000000') }),
  ),
  attack(
    'publishing',
    'metadata cut short',
    'amf_invalid',
    encode({ type: MESSAGE.data, payload: hex('02 00ff 61') }),
  ),
  attack(
    'publishing',
    'video of 4 MiB and a byte',
    'message_too_large',
    begin(6, MESSAGE.video, 4 * MEGABYTE + 1),
  ),
  attack(
    'publishing',
    'a command of 16 KiB and a byte',
    'message_too_large',
    begin(3, MESSAGE.command, 16 * 1024 + 1),
  ),
  attack(
    'publishing',
    '4 MiB begun on 3 chunk streams',
    'bytes_in_flight',
    ...[6, 7, 8].map((id) => begin(id, 9, 4 * MEGABYTE, 128)),
  ),
  attack(
    'publishing',
    'a command right behind the goodbye',
    'unpublished',
    encodeCommand('deleteStream', 4, null, 1),
    encode({ payload: EVIL }),
  ),
];

async function reach(port: number, stage: Stage): Promise<RtmpTestClient> {
  if (stage === 'tcp') return RtmpTestClient.connect(port);
  if (stage === 'shaken') return RtmpTestClient.shaken(port);
  if (stage === 'ready') return RtmpTestClient.ready(port);
  return RtmpTestClient.publishing(port, 'good-attacker');
}

/** What an attack would have achieved: media of a peer that may not publish, in any stream. */
function hijacked(hub: RecordingHub): boolean {
  return hub.everything.includes('EVIL');
}

describe('a peer that breaks the rules', () => {
  let rtmp: RtmpFixture;
  let good: GoodStream;

  beforeAll(async () => {
    rtmp = await startRtmp({ options: { maxAuthFailuresPerMinute: 1_000 } });
    good = await GoodStream.start(rtmp.port);
  });

  afterAll(async () => {
    const { sent, arrived } = await good.stop(rtmp.hub);
    await rtmp.server.close();
    expect(sent).toBeGreaterThan(50);
    expect(arrived).toBe(sent);
  });

  it.each(DEADLY)('is closed for $what ($stage): $reason', async ({ stage, bytes, reason }) => {
    const before = await rtmp.closed();
    const client = await reach(rtmp.port, stage);
    client.raw(bytes);
    await client.untilClosed();
    await until(() => rtmp.server.sessionCount === 1, 'only the good stream to be left');
    const after = await rtmp.closed();
    expect({ ...after, [reason]: (after[reason] ?? 0) - 1 }).toEqual({ [reason]: 0, ...before });
    expect(hijacked(rtmp.hub)).toBe(false);
    expect(rtmp.server.bufferedBytes).toBeLessThan(64 * 1024);
    expect('polluted' in {}).toBe(false);
  });

  it.each(DEADLY)('is closed for $what ($stage) sent byte by byte too', async ({ stage, bytes, reason }) => {
    const before = (await rtmp.closed())[reason] ?? 0;
    const client = await reach(rtmp.port, stage);
    // Beyond the first few thousand bytes each case is more of the same.
    const head = bytes.subarray(0, 3000);
    for (const byte of head) client.raw(Buffer.from([byte]));
    client.raw(bytes.subarray(head.length));
    await client.untilClosed();
    await until(async () => (await rtmp.closed())[reason] === before + 1, `closed for ${reason}`);
    await until(() => rtmp.server.sessionCount === 1, 'only the good stream to be left');
    expect(hijacked(rtmp.hub)).toBe(false);
  });

  it('shows a hijack to this very test when the rules are off', async () => {
    const sabotaged = await start({
      authoriser: { authorise: async () => ({ allow: true, stream: 'studio' }) },
    });
    const pipelined = DEADLY.find(({ what }) => what === 'a wrong key with media right behind it');
    const client = await reach(sabotaged.port, 'ready');
    client.raw(pipelined?.bytes ?? Buffer.alloc(0));
    await until(() => hijacked(sabotaged.hub), 'the hijack');
    client.end();
  });
});

describe('a peer that is odd but within the rules', () => {
  const metadataBomb = writeAmf0(['onMetaData', new Map([['times', [...Array(1000)].map((_, i) => i)]])]);
  const evilNames = new Map<string, Amf0Value>([
    ['app', 'live'],
    ['__proto__', new Map([['polluted', true]])],
    ['constructor', new Map([['prototype', new Map([['polluted', true]])]])],
  ]);
  const harmless: [string, Stage, Buffer][] = [
    ['connects without a tcUrl', 'shaken', CONNECT],
    ['connects with a bad tcUrl', 'shaken', connectWith(amf0Object({ app: 'live', tcUrl: ':::not a url' }))],
    ['connects with __proto__ and constructor in its object', 'shaken', connectWith(evilNames)],
    [
      'calls commands named like object members',
      'ready',
      Buffer.concat(
        ['__proto__', 'constructor', 'hasOwnProperty', ''].map((name) => encodeCommand(name, 9, null)),
      ),
    ],
    ['sends an empty video message', 'publishing', encode({})],
    ['sends metadata with a long index', 'publishing', encode({ type: MESSAGE.data, payload: metadataBomb })],
    [
      'sends message types nobody knows',
      'publishing',
      Buffer.concat([0, 7, 16, 19, 23, 255].map((type) => encode({ type, payload: Buffer.from('x') }))),
    ],
    [
      'floods acknowledgements',
      'publishing',
      Buffer.concat([...Array(20_000)].map(() => encodeControl(MESSAGE.acknowledgement, 1))),
    ],
    ['aborts what it never began', 'publishing', encodeControl(MESSAGE.abort, 77)],
    [
      'aborts half a frame',
      'publishing',
      Buffer.concat([begin(6, 9, 1000, 128), encodeControl(MESSAGE.abort, 6)]),
    ],
    [
      'asks for an acknowledgement of every byte',
      'publishing',
      Buffer.concat([encodeControl(MESSAGE.windowAckSize, 1), ...[...Array(2000)].map(() => encode({}))]),
    ],
    ['sets the chunk size to 1', 'publishing', CHUNK_SIZE_1],
  ];

  it.each(harmless)('is served when it %s', async (_what, stage, bytes) => {
    const rtmp = await start();
    const client = await reach(rtmp.port, stage);
    client.raw(bytes);
    const chunkBytes = bytes.equals(CHUNK_SIZE_1) ? 1 : 128;
    const ping = { type: MESSAGE.userControl, streamId: 0, timestamp: 0, payload: hex('0006 00000001') };
    client.raw(writeChunks(ping, 2, chunkBytes));
    await until(
      () => client.messages.some(({ type, payload }) => type === 4 && payload[1] === 7),
      'the answer to a ping',
    );
    if (stage === 'publishing') {
      const frame = { type: MESSAGE.video, streamId: 1, timestamp: 0, payload: videoFrame('after') };
      client.raw(writeChunks(frame, 6, chunkBytes));
      await until(() => rtmp.hub.everything === 'after', 'the frame behind it');
    }
    expect(await rtmp.closed()).toEqual({});
    expect('polluted' in {}).toBe(false);
    client.end();
  });
});

describe('names', () => {
  const names = [
    '',
    '.',
    '..',
    '../x',
    '../../../../tmp/x',
    '%2e%2e%2fx',
    '..%5cx',
    '..\\x',
    '/etc/passwd',
    'a/b',
    'a//b',
    './a',
    'a/../b',
    'C:',
    'C:\\x',
    'x.',
    'x ',
    ' x',
    'x\n',
    'x\r\ny',
    '\0',
    'x\0y',
    '%00',
    '%0a',
    '*',
    '?',
    '#',
    ';id',
    '|id',
    '$(id)',
    '`id`',
    '&&id',
    '<script>',
    '"',
    "'",
    '{{7*7}}',
    '${x}',
    '%d%n',
    'ünï',
    '流',
    '🎥',
    '\u202Eevil',
    '\ufeffx',
    '__proto__.x',
    'a:b',
    'a@b',
    'a,b',
    'a;b',
    'a=b',
    'a+b',
    'a~b',
    '!',
    'x'.repeat(65),
    'x'.repeat(256),
    'x'.repeat(300),
    'x'.repeat(3_900),
    '../'.repeat(1_000),
    'data/../data',
    'nul\u2028',
    '\u001b[31m',
  ];

  it(`are refused with one and the same answer (${names.length} kinds)`, async () => {
    const rtmp = await start({
      authoriser: createOpenAuthoriser(),
      options: { maxAuthFailuresPerMinute: 1_000 },
    });
    const statuses = await Promise.all(
      names.map(async (name) => {
        const client = await RtmpTestClient.ready(rtmp.port);
        client.raw(Buffer.concat([encodePublish(name), encode({ payload: EVIL })]));
        const status = await until(() => client.statuses[0], `an answer to ${name}`);
        await client.untilClosed();
        return status;
      }),
    );
    expect(new Set(statuses)).toEqual(new Set(['NetStream.Publish.BadName: Publishing is not allowed.']));
    expect(rtmp.hub.publishers).toEqual([]);
    expect(await rtmp.closed()).toEqual({ auth_refused: names.length });
    expect(JSON.stringify(rtmp.log)).not.toContain('etc/passwd');
  });

  it.each([4_090, 5_000, 70_000])('of %i bytes are over the limit for a peer without leave', async (size) => {
    const rtmp = await start({ authoriser: createOpenAuthoriser() });
    const client = await RtmpTestClient.ready(rtmp.port);
    client.publish('x'.repeat(size));
    await client.untilClosed();
    expect(await rtmp.closed()).toEqual({ message_too_large: 1 });
  });
});

describe('a peer that wears the server down', () => {
  it('is closed when it drips its handshake', async () => {
    const rtmp = await start({ options: { handshakeTimeoutMs: 300 } });
    const client = await RtmpTestClient.connect(rtmp.port);
    const startMs = performance.now();
    const drip = setInterval(() => client.raw(Buffer.from([3])), 10);
    await client.untilClosed();
    clearInterval(drip);
    expect(performance.now() - startMs).toBeGreaterThan(250);
    expect(await rtmp.closed()).toEqual({ handshake_timeout: 1 });
  });

  it('is closed when it sends more than twice the allowed rate', async () => {
    const rtmp = await start({ options: { maxBitrateBps: 1_000_000 } });
    const client = await RtmpTestClient.publishing(rtmp.port, 'good');
    for (let i = 0; i < 30; i++) client.send({ payload: videoFrame('x'.repeat(50_000)) });
    await client.untilClosed();
    expect(await rtmp.closed()).toEqual({ bitrate: 1 });
    expect(rtmp.hub.publishers[0]?.samples.length).toBeLessThan(26);
  });

  it('is closed when it makes us answer and does not read', async () => {
    const rtmp = await start({ options: { maxBitrateBps: 200_000_000 } });
    const client = await RtmpTestClient.publishing(rtmp.port, 'good');
    client.socket.pause();
    const ping = encode({ type: MESSAGE.userControl, streamId: 0, payload: hex('0006 00000001') }, 2);
    const pings = Buffer.concat([...Array(5_000)].map(() => ping));
    let mostBuffered = 0;
    await until(async () => {
      for (let i = 0; i < 8; i++) client.raw(pings);
      await delay(1);
      mostBuffered = Math.max(mostBuffered, rtmp.server.bufferedBytes);
      return (await rtmp.closed())['send_queue'];
    }, 'the connection to be closed');
    expect(mostBuffered).toBeLessThan(400 * 1024);
    client.end();
  });

  it('costs little memory for 100 connections that all declare what they may and go no further', async () => {
    const rtmp = await start();
    // Warm: code compiled, pools filled.
    (await RtmpTestClient.ready(rtmp.port)).end();
    const beforeBytes = process.memoryUsage().external + process.memoryUsage().rss;
    const clients = await Promise.all([...Array(99)].map(() => RtmpTestClient.shaken(rtmp.port)));
    for (const client of clients) client.raw(Buffer.concat([begin(4, 20, 4096, 1), Buffer.alloc(0)]));
    await until(() => rtmp.server.bufferedBytes === 99 * 4096, 'every message to be begun');
    expect(process.memoryUsage().external + process.memoryUsage().rss - beforeBytes).toBeLessThan(
      64 * MEGABYTE,
    );
    for (const client of clients) client.end();
    await until(() => rtmp.server.sessionCount === 0, 'the sessions to be gone');
    expect(rtmp.server.bufferedBytes).toBe(0);
  });

  it('leaves nothing behind after 500 connections that come and go in every state', async () => {
    const rtmp = await start({ options: { maxAuthFailuresPerMinute: 10_000 } });
    for (let round = 0; round < 25; round++) {
      const stages: Stage[] = ['tcp', 'shaken', 'ready', 'tcp'];
      const clients = await Promise.all([...stages, ...stages].map((stage) => reach(rtmp.port, stage)));
      const publisher = await RtmpTestClient.publishing(rtmp.port, 'good');
      clients.forEach((client, i) => (i % 2 === 0 ? client.end() : client.socket.resetAndDestroy()));
      publisher.socket.resetAndDestroy();
      await until(() => rtmp.server.sessionCount === 0, 'the sessions to be gone');
    }
    expect(rtmp.hub.publishers.map(({ closes }) => closes.length)).toEqual(rtmp.hub.publishers.map(() => 1));
    expect(await rtmp.metric('ingest_rtmp_sessions')).toBe(0);
    expect(await rtmp.metric('ingest_rtmp_publishers')).toBe(0);
  });
});

describe('random input', () => {
  const anyPiece = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc
      .record({ type: fc.integer({ min: 0, max: 24 }), payload: fc.uint8Array({ maxLength: 300 }) })
      .map(({ type, payload }) => encode({ type, payload: Buffer.from(payload) }, 3 + (type % 7))),
    fc.constantFrom(
      CONNECT,
      CREATE_STREAM,
      encodePublish('bad'),
      encode({ payload: EVIL }),
      encodeCommand('play', 5, null, 'studio'),
    ),
    fc
      .tuple(fc.constantFrom(1, 2, 3, 5, 6), fc.nat(0xffffffff))
      .map(([type, value]) => encodeControl(type, value)),
  );

  it('never disturbs the good stream, nor reaches the hub (seed 20261122)', async () => {
    const rtmp = await start({ options: { maxAuthFailuresPerMinute: 100_000 } });
    const good = await GoodStream.start(rtmp.port);
    const stages = fc.constantFrom<Stage>('tcp', 'shaken', 'ready');
    await fc.assert(
      fc.asyncProperty(stages, fc.array(anyPiece, { maxLength: 10 }), async (stage, pieces) => {
        const client = await reach(rtmp.port, stage);
        for (const piece of pieces) client.raw(piece);
        client.socket.end();
        await until(() => rtmp.server.sessionCount === 1, 'the session to be gone');
        expect(hijacked(rtmp.hub)).toBe(false);
      }),
      // No shrinking: a session that hangs would be waited for again with every smaller input.
      { numRuns: 150, seed: 20_261_122, endOnFailure: true },
    );
    const { sent, arrived } = await good.stop(rtmp.hub);
    expect(arrived).toBe(sent);
    expect((await rtmp.closed())['internal']).toBeUndefined();
  });

  it('may be a real session with bits flipped: the server stays up and says why it closed', async () => {
    const rtmp = await start({ options: { maxAuthFailuresPerMinute: 100_000 } });
    const recorded = await recordFfmpegSession(rtmp.port);
    expect(recorded.length).toBeGreaterThan(20_000);
    const good = await GoodStream.start(rtmp.port);
    const flips = fc.array(fc.tuple(fc.nat(1_000_000), fc.nat(7)), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(flips, fc.boolean(), async (bits, early) => {
        const bytes = Buffer.from(recorded);
        // The first 3073 bytes are the handshake, the next kilobyte the commands: where flips matter most.
        const span = early ? 1500 : bytes.length - 3073;
        for (const [at, bit] of bits) {
          const offset = 3073 + (at % span);
          bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << bit), offset);
        }
        const socket = connect(rtmp.port, '127.0.0.1').on('error', () => {});
        socket.resume().end(bytes);
        await until(() => socket.closed && rtmp.server.sessionCount === 1, 'the session to be gone');
      }),
      { numRuns: 80, seed: 7, endOnFailure: true },
    );
    const { sent, arrived } = await good.stop(rtmp.hub);
    expect(arrived).toBe(sent);
    const closed = await rtmp.closed();
    expect(closed['internal']).toBeUndefined();
    expect(Object.keys(closed).length).toBeGreaterThan(3);
  });
});

/** The bytes ffmpeg sends in one short session, taken by a proxy. */
async function recordFfmpegSession(port: number): Promise<Buffer> {
  const taken: Buffer[] = [];
  const proxy = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1');
    socket.on('data', (data) => taken.push(data)).on('error', () => {});
    upstream.on('error', () => {});
    socket.pipe(upstream).pipe(socket);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  const proxyPort = typeof address === 'object' && address !== null ? address.port : 0;
  const url = `rtmp://127.0.0.1:${proxyPort}/live/good-recorded`;
  const result = await run('ffmpeg', [
    '-v',
    'error',
    ...sourceArgs({ seconds: 1, size: '160x90' }),
    '-f',
    'flv',
    url,
  ]);
  await new Promise((resolve) => proxy.close(resolve));
  expect(result.code).toBe(0);
  return Buffer.concat(taken);
}
