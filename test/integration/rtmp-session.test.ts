import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import type { PublishDecision, PublishRequest } from '../../src/ingest/authorise.ts';
import { MESSAGE } from '../../src/ingest/rtmp/protocol.ts';
import { amf0Object, writeAmf0 } from '../../src/media/amf0.ts';
import { FakeClock } from '../support/fake-clock.ts';
import {
  audioFrame,
  encodeControl,
  encodePublish,
  RtmpTestClient,
  videoFrame,
} from '../support/rtmp-client.ts';
import { type RtmpFixture, type RtmpFixtureOptions, startRtmp } from '../support/rtmp-fixture.ts';
import type { RecordedPublisher } from '../support/rtmp-hub.ts';
import { until } from '../support/until.ts';

/** The session's state machine, step by step, with a client that does exactly as told. */

const running: RtmpFixture[] = [];

async function start(options: RtmpFixtureOptions = {}): Promise<RtmpFixture> {
  const fixture = await startRtmp(options);
  running.push(fixture);
  return fixture;
}

afterEach(async () => {
  for (const { server } of running.splice(0)) await server.close();
});

async function publisherOf(rtmp: RtmpFixture): Promise<RecordedPublisher> {
  return until(() => rtmp.hub.publishers.at(-1), 'a publisher');
}

/** An authoriser whose answers the test gives. */
function manualAuthoriser() {
  const asked: {
    request: PublishRequest;
    signal: AbortSignal;
    answer: (decision: PublishDecision) => void;
    fail: (e: Error) => void;
  }[] = [];
  const authorise = (request: PublishRequest, signal: AbortSignal) =>
    new Promise<PublishDecision>((answer, fail) => asked.push({ request, signal, answer, fail }));
  return { asked, authoriser: { authorise } };
}

describe('commands', () => {
  it('connects, creates a stream and answers what senders ask on the way', async () => {
    const { port } = await start();
    const client = await RtmpTestClient.shaken(port);
    client.command('connect', 1, amf0Object({ app: 'live' }));
    client.command('releaseStream', 2, null, 'good');
    client.command('FCPublish', 3, null, 'good');
    client.command('createStream', 4, null);
    client.command('getStreamLength', 5, null, 'good');
    client.command('getStreamLength', 0, null, 'good');
    client.command('_checkbw', 6, null);
    await client.untilCommand('_error', 6);
    const answers = client.commands.map(({ name, transactionId, args }) => [name, transactionId, args[1]]);
    expect(answers).toEqual([
      ['_result', 1, expect.any(Map)],
      ['_result', 2, undefined],
      ['_result', 3, undefined],
      ['_result', 4, 1],
      ['_error', 5, expect.any(Map)],
      ['_error', 6, expect.any(Map)],
    ]);
    expect(client.messages.slice(0, 3).map(({ type }) => type)).toEqual([5, 6, 1]);
    client.end();
  });

  it('takes commands wrapped in AMF3 messages', async () => {
    const { port } = await start();
    const client = await RtmpTestClient.shaken(port);
    const payload = Buffer.concat([Buffer.from([0]), writeAmf0(['connect', 1, amf0Object({ app: 'live' })])]);
    client.send({ type: MESSAGE.commandAmf3, streamId: 0, payload }, 3);
    await client.untilCommand('_result', 1);
    client.end();
  });

  it('answers pings, and acknowledges by the window the peer sets', async () => {
    const { port } = await start();
    const client = await RtmpTestClient.publishing(port, 'good');
    client.send({ type: MESSAGE.userControl, streamId: 0, payload: Buffer.from('0006deadbeef', 'hex') }, 2);
    client.raw(encodeControl(MESSAGE.windowAckSize, 10_000));
    client.send({ payload: videoFrame('x'.repeat(10_000)) });
    const pong = () =>
      client.messages.find(({ type, payload }) => type === 4 && payload.readUInt16BE(0) === 7);
    expect((await until(pong, 'the answer to the ping')).payload.toString('hex')).toBe('0007deadbeef');
    const ack = await until(() => client.messages.find(({ type }) => type === 3), 'an acknowledgement');
    expect(ack.payload.readUInt32BE(0)).toBeGreaterThan(10_000);
    client.end();
  });
});

describe('publishing', () => {
  it('gives the hub what arrives: configuration, metadata, samples and parts of aggregates', async () => {
    const rtmp = await start();
    const client = await RtmpTestClient.publishing(rtmp.port, 'good?x=1');
    const metadata = new Map([
      ['videocodecid', 7],
      ['audiocodecid', 0],
    ]);
    client.send({ type: MESSAGE.data, payload: writeAmf0(['@setDataFrame', 'onMetaData', metadata]) }, 4);
    client.send(
      { type: MESSAGE.data, payload: writeAmf0(['onMetaData', amf0Object({ audiocodecid: 'mp4a' })]) },
      4,
    );
    client.send(
      { type: MESSAGE.data, payload: writeAmf0(['onMetaData', amf0Object({ title: 'no codec' })]) },
      4,
    );
    client.send(
      { type: MESSAGE.data, payload: writeAmf0(['onTextData', amf0Object({ videocodecid: 7 })]) },
      4,
    );
    client.send(
      { type: MESSAGE.dataAmf3, payload: Buffer.concat([Buffer.from([0]), writeAmf0(['onCuePoint'])]) },
      4,
    );
    client.send({ payload: Buffer.from([0x17, 0, 0, 0, 0, 1, 2, 3]) });
    client.send({ type: MESSAGE.audio, payload: Buffer.from([0xaf, 0, 0x12, 0x10]) }, 7);
    client.send({ timestamp: 0xfffffff0, payload: Buffer.from([0x27, 1, 0xff, 0xff, 0xfe, 0x61]) });
    client.send({ type: MESSAGE.audio, timestamp: 5, payload: audioFrame('b') }, 7);
    client.send({ payload: Buffer.alloc(0) });
    const part = Buffer.concat([
      Buffer.from([8, 0, 0, 3, 0, 0, 9, 0, 0, 0, 0]),
      audioFrame('c'),
      Buffer.alloc(4),
    ]);
    client.send({ type: MESSAGE.aggregate, timestamp: 40, payload: Buffer.concat([part, part]) });
    const publisher = await publisherOf(rtmp);
    await until(() => publisher.samples.length === 4, 'all samples');
    expect(
      publisher.samples.map((sample) => ({ ...sample, data: Buffer.from(sample.data).toString() })),
    ).toEqual([
      { kind: 'video', track: 0, dts: 0xfffffff0, compositionOffset: -2, key: false, data: 'a' },
      { kind: 'audio', dts: 5, compositionOffset: 0, key: true, data: 'b' },
      { kind: 'audio', dts: 40, compositionOffset: 0, key: true, data: 'c' },
      { kind: 'audio', dts: 40, compositionOffset: 0, key: true, data: 'c' },
    ]);
    expect(publisher.videoConfigs.map((config) => [...config])).toEqual([[1, 2, 3]]);
    expect(publisher.audioConfigs.map((config) => [...config])).toEqual([[0x12, 0x10]]);
    expect(publisher.announcements).toEqual([
      { video: true, audio: false },
      { video: false, audio: true },
    ]);
    expect(await rtmp.metric('ingest_rtmp_publishers')).toBe(1);
    client.end();
  });

  it.each(['FCUnpublish', 'deleteStream', 'closeStream'])('ends gracefully on %s', async (name) => {
    const rtmp = await start();
    const client = await RtmpTestClient.publishing(rtmp.port, 'good');
    client.command(name, 9, null, 1);
    await client.untilStatus('NetStream.Unpublish.Success');
    await client.untilClosed();
    expect((await publisherOf(rtmp)).closes).toEqual(['unpublished']);
  });

  it('lets a publisher that said goodbye close the connection by itself, for a second', async () => {
    const clock = new FakeClock();
    const rtmp = await start({ clock });
    const client = await RtmpTestClient.publishing(rtmp.port, 'good');
    // As GStreamer does it; what comes after the first goodbye changes nothing any more.
    client.command('FCUnpublish', 9, null, 'good');
    await client.untilStatus('NetStream.Unpublish.Success');
    client.command('deleteStream', 10, null, 1);
    client.send({ payload: videoFrame('late') });
    expect((await publisherOf(rtmp)).closes).toEqual(['unpublished']);
    clock.advance(999);
    const other = await RtmpTestClient.publishing(rtmp.port, 'good');
    expect([client.closedAtMs, rtmp.server.sessionCount]).toEqual([undefined, 2]);
    clock.advance(1);
    await client.untilClosed();
    await until(() => rtmp.server.sessionCount === 1, 'the session to go');
    expect(rtmp.hub.publishers.map(({ samples }) => samples)).toEqual([[], []]);
    other.end();
  });

  it('ends as disconnected when the socket closes, and frees the stream for the next', async () => {
    const rtmp = await start();
    for (let i = 0; i < 3; i++) {
      const client = await RtmpTestClient.publishing(rtmp.port, 'good');
      client.end();
      await until(() => rtmp.hub.publishers[i]?.closes.length === 1, 'the publisher to close');
    }
    expect(rtmp.hub.publishers.map(({ closes }) => closes)).toEqual([
      ['disconnected'],
      ['disconnected'],
      ['disconnected'],
    ]);
    expect(await rtmp.closed()).toEqual({ disconnected: 3 });
  });

  it('ends when the hub says so, without telling the hub again', async () => {
    const rtmp = await start();
    const client = await RtmpTestClient.publishing(rtmp.port, 'good');
    const publisher = await publisherOf(rtmp);
    publisher.kick('STREAM_KICKED');
    expect(await client.untilStatus('NetStream.Publish.Failed')).toContain('disconnected by an operator');
    await client.untilClosed();
    publisher.kick('STREAM_KICKED');
    expect(publisher.closes).toEqual([]);
    expect(await rtmp.closed()).toEqual({ hub: 1 });
  });

  it('turns the second publisher of a stream away and leaves the first alone', async () => {
    const rtmp = await start();
    const first = await RtmpTestClient.publishing(rtmp.port, 'good');
    const second = await RtmpTestClient.ready(rtmp.port);
    second.raw(Buffer.concat([encodePublish('good')]));
    second.send({ payload: videoFrame('INTRUDER') });
    await second.untilStatus('NetStream.Publish.BadName');
    await second.untilClosed();
    first.send({ payload: videoFrame('mine') });
    const publisher = await publisherOf(rtmp);
    await until(() => publisher.samples.length > 0, 'a sample');
    expect(rtmp.hub.everything).toBe('mine');
    expect(await rtmp.closed()).toEqual({ stream_busy: 1 });
    first.end();
  });

  it.each([
    [new AppError('STREAM_LIMIT'), 'stream_limit'],
    [new AppError('STREAM_NAME_INVALID'), 'stream_invalid'],
    [new AppError('STREAM_CLOSING'), 'stream_closing'],
    [new Error('a bug'), 'internal'],
  ])('tells the peer no more than BadName when the hub throws %s', async (failure, reason) => {
    const rtmp = await start();
    rtmp.hub.failure = failure;
    const client = await RtmpTestClient.ready(rtmp.port);
    client.publish('good');
    expect(await client.untilStatus('NetStream.Publish.BadName')).toContain('Publishing is not allowed.');
    await client.untilClosed();
    expect(await rtmp.closed()).toEqual({ [reason]: 1 });
  });

  it('ends only the one connection when serving it meets a bug', async () => {
    const rtmp = await start();
    const client = await RtmpTestClient.publishing(rtmp.port, 'good');
    const other = await RtmpTestClient.publishing(rtmp.port, 'good-other');
    const publisher = await until(() => rtmp.hub.publishers[0], 'the first publisher');
    publisher.write = () => {
      throw new Error('a bug in the hub');
    };
    client.send({ payload: videoFrame('x') });
    await client.untilClosed();
    other.send({ payload: videoFrame('still here') });
    await until(() => rtmp.hub.everything === 'still here', 'the other stream');
    expect(await rtmp.closed()).toEqual({ internal: 1 });
    expect(rtmp.log.filter(({ level }) => level === 'error').length).toBe(1);
    other.end();
  });
});

describe('authorisation', () => {
  it('happens before Publish.Start, with whatever is pipelined behind it held unread', async () => {
    const { asked, authoriser } = manualAuthoriser();
    const rtmp = await start({ authoriser });
    const client = await RtmpTestClient.ready(rtmp.port);
    client.raw(Buffer.concat([encodePublish('hw_key?token=t'), encodeControl(MESSAGE.setChunkSize, 4096)]));
    client.send({ payload: videoFrame('early') });
    await until(() => asked.length === 1, 'the authoriser to be asked');
    expect(asked[0]?.request).toEqual({
      protocol: 'rtmp',
      session: expect.any(String),
      app: 'live',
      key: 'hw_key',
      query: 'token=t',
      remoteAddress: '127.0.0.1',
    });
    client.send({ payload: videoFrame('late') });
    await delay(50);
    expect(client.statuses).toEqual([]);
    expect(rtmp.hub.publishers).toEqual([]);
    asked[0]?.answer({ allow: true, stream: 'studio' });
    await client.untilStatus('NetStream.Publish.Start');
    await until(() => rtmp.hub.everything === 'early late', 'what was held');
    client.end();
  });

  it('holds little of a peer that floods while it waits', async () => {
    const { asked, authoriser } = manualAuthoriser();
    const rtmp = await start({ authoriser });
    const client = await RtmpTestClient.ready(rtmp.port);
    client.publish('hw_key');
    await until(() => asked.length === 1, 'the authoriser to be asked');
    for (let i = 0; i < 32; i++) client.raw(Buffer.alloc(1024 * 1024));
    await delay(200);
    expect(rtmp.server.bufferedBytes).toBeLessThanOrEqual(64 * 1024);
    expect(await rtmp.metric('ingest_rtmp_received_bytes_total')).toBeLessThan(256 * 1024);
    client.end();
  });

  it('refuses a wrong key: BadName, then the socket is destroyed within 100 ms though the peer stays', async () => {
    const rtmp = await start();
    const client = await RtmpTestClient.ready(rtmp.port);
    client.socket.pause();
    const refusedAt = until(
      async () => ((await rtmp.closed())['auth_refused'] ? performance.now() : 0),
      'the refusal',
    );
    client.publish('bad');
    const startMs = await refusedAt;
    await until(() => rtmp.server.sessionCount === 0, 'the socket to be destroyed', 2_000);
    // 100 ms, and what the scheduling of a busy machine adds.
    expect(performance.now() - startMs).toBeLessThan(400);
    client.socket.resume();
    await client.untilStatus('NetStream.Publish.BadName');
    client.end();
  });

  it('says the same to an unknown key, a malformed one, a wrong application and a busy stream', async () => {
    const rtmp = await start();
    await RtmpTestClient.publishing(rtmp.port, 'good');
    const statuses: string[] = [];
    const attempts = [
      ['live', 'bad'],
      ['live', '../../etc/passwd'],
      ['live', ''],
      ['vod', 'good'],
      ['live', 'good'],
    ];
    for (const [app, key] of attempts as [string, string][]) {
      const client = await RtmpTestClient.ready(rtmp.port, app);
      client.publish(key);
      statuses.push(await client.untilStatus('NetStream.Publish.BadName'));
      client.end();
    }
    expect(new Set(statuses)).toEqual(new Set(['NetStream.Publish.BadName: Publishing is not allowed.']));
  });

  it('says no when the authoriser takes too long, and does not count a late yes', async () => {
    const { asked, authoriser } = manualAuthoriser();
    const clock = new FakeClock();
    const rtmp = await start({ authoriser, clock });
    const client = await RtmpTestClient.ready(rtmp.port);
    client.publish('slow');
    await until(() => asked.length === 1, 'the authoriser to be asked');
    clock.advance(2_499);
    expect(asked[0]?.signal.aborted).toBe(false);
    clock.advance(1);
    expect(asked[0]?.signal.aborted).toBe(true);
    await client.untilStatus('NetStream.Publish.BadName');
    asked[0]?.answer({ allow: true, stream: 'studio' });
    clock.advance(100);
    await client.untilClosed();
    expect(rtmp.hub.publishers).toEqual([]);
    expect(await rtmp.closed()).toEqual({ auth_timeout: 1 });
  });

  it('says no when the authoriser fails', async () => {
    const { asked, authoriser } = manualAuthoriser();
    const rtmp = await start({ authoriser });
    const client = await RtmpTestClient.ready(rtmp.port);
    client.publish('k');
    (await until(() => asked[0], 'the authoriser to be asked')).fail(new Error('webhook down'));
    await client.untilStatus('NetStream.Publish.BadName');
    expect(await rtmp.closed()).toEqual({ auth_error: 1 });
    expect(rtmp.hub.publishers).toEqual([]);
    client.end();
  });

  it('checks no more than ten wrong keys a minute of one address, nor then a right one', async () => {
    const clock = new FakeClock();
    let checked = 0;
    const authoriser = {
      async authorise({ key }: PublishRequest): Promise<PublishDecision> {
        checked += 1;
        return key === 'good' ? { allow: true, stream: 'studio' } : { allow: false, code: 'key_unknown' };
      },
    };
    const rtmp = await start({ authoriser, clock });
    const attempt = async (key: string): Promise<string> => {
      const client = await RtmpTestClient.ready(rtmp.port);
      client.publish(key);
      const status = await until(() => client.statuses[0], 'an answer');
      client.end();
      return status;
    };
    for (let i = 0; i < 30; i++) expect(await attempt(`bad-${i}`)).toContain('BadName');
    expect(await attempt('good')).toContain('BadName');
    expect(checked).toBe(10);
    clock.advance(60_000);
    expect(await attempt('good')).toContain('NetStream.Publish.Start');
    expect(await rtmp.closed()).toMatchObject({ auth_refused: 10, auth_rate: 21 });
  });
});

describe('time limits', () => {
  it('closes an idle connection after the handshake time, and half a handshake too', async () => {
    const clock = new FakeClock();
    const rtmp = await start({ clock });
    const idle = await RtmpTestClient.connect(rtmp.port);
    const half = await RtmpTestClient.connect(rtmp.port);
    half.raw(Buffer.concat([Buffer.from([3]), Buffer.alloc(700)]));
    const slow = await RtmpTestClient.connect(rtmp.port);
    slow.raw(Buffer.concat([Buffer.from([3]), Buffer.alloc(1536)]));
    await until(() => rtmp.server.sessionCount === 3 && slow.receivedBytes > 0, 'three sessions');
    clock.advance(4_999);
    slow.raw(Buffer.alloc(1000));
    expect(rtmp.server.sessionCount).toBe(3);
    clock.advance(1);
    await Promise.all([idle.untilClosed(), half.untilClosed(), slow.untilClosed()]);
    expect(await rtmp.closed()).toEqual({ handshake_timeout: 3 });
  });

  it('closes a peer that never publishes, though it keeps talking', async () => {
    const clock = new FakeClock();
    const rtmp = await start({ clock });
    const client = await RtmpTestClient.ready(rtmp.port);
    clock.advance(9_999);
    client.command('_checkbw', 8, null);
    await client.untilCommand('_error', 8);
    clock.advance(1);
    await client.untilClosed();
    expect(await rtmp.closed()).toEqual({ command_timeout: 1 });
  });

  it('gives a publisher up that has sent no media for the silence time, pings or not', async () => {
    const clock = new FakeClock();
    const rtmp = await start({ clock });
    const client = await RtmpTestClient.publishing(rtmp.port, 'good');
    const publisher = await publisherOf(rtmp);
    for (let i = 1; i <= 3; i++) {
      clock.advance(4_000);
      client.send({ payload: videoFrame('x') });
      await until(() => publisher.samples.length === i, 'a sample');
    }
    clock.advance(3_000);
    client.send({ payload: Buffer.alloc(0) });
    client.send({ type: MESSAGE.userControl, streamId: 0, payload: Buffer.from('000600000001', 'hex') }, 2);
    await until(
      () => client.messages.find(({ type, payload }) => type === 4 && payload.readUInt16BE(0) === 7),
      'the answer',
    );
    clock.advance(1_999);
    expect(publisher.closes).toEqual([]);
    clock.advance(1);
    expect(publisher.closes).toEqual(['timeout']);
    await client.untilStatus('NetStream.Publish.Failed');
    clock.advance(100);
    await client.untilClosed();
    expect(await rtmp.closed()).toEqual({ silence_timeout: 1 });
    await until(() => rtmp.server.sessionCount === 0, 'the session to be gone');
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('RtmpServer', () => {
  it('carries no more connections than it may, in all and from one address', async () => {
    const inAll = await start({ options: { maxConnections: 3 } });
    const fromOne = await start({ options: { maxConnectionsPerAddress: 2 } });
    for (const [rtmp, limit, reason] of [
      [inAll, 3, 'connection_limit'],
      [fromOne, 2, 'address_limit'],
    ] as const) {
      const kept = await Promise.all([...Array(limit)].map(() => RtmpTestClient.shaken(rtmp.port)));
      const extra = await RtmpTestClient.connect(rtmp.port);
      await extra.untilClosed();
      expect(await rtmp.closed()).toEqual({ [reason]: 1 });
      kept[0]?.end();
      await until(() => rtmp.server.sessionCount === limit - 1, 'a free place');
      await RtmpTestClient.shaken(rtmp.port);
    }
  });

  it('closes every session and the listener, twice if asked', async () => {
    const rtmp = await start();
    const publishing = await RtmpTestClient.publishing(rtmp.port, 'good');
    const idle = await RtmpTestClient.connect(rtmp.port);
    await until(() => rtmp.server.sessionCount === 2, 'both sessions');
    await Promise.all([rtmp.server.close(), rtmp.server.close()]);
    await Promise.all([publishing.untilClosed(), idle.untilClosed()]);
    expect(rtmp.server.sessionCount).toBe(0);
    expect((await publisherOf(rtmp)).closes).toEqual(['disconnected']);
    expect(await rtmp.closed()).toEqual({ shutdown: 2 });
    expect(await rtmp.metric('ingest_rtmp_sessions')).toBe(0);
    await expect(RtmpTestClient.connect(rtmp.port)).rejects.toThrow('ECONNREFUSED');
  });

  it('reports an address in use with its own code', async () => {
    const { port } = await start();
    await expect(startRtmp({ options: { port } })).rejects.toMatchObject({ code: 'INGEST_LISTEN_FAILED' });
  });
});
