import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { RecordingHub } from '../../test/support/rtmp-hub.ts';
import { AppError, type ErrorCode } from '../base/errors.ts';
import { Metrics } from '../base/metrics.ts';
import type { PublisherInfo } from '../stream/publisher.ts';
import type { Authoriser, PublishDecision, PublishRequest } from './authorise.ts';
import { GateMetrics } from './gate-metrics.ts';
import { PublishGate } from './publish-gate.ts';

const NO_SIGNAL = new AbortController().signal;

function request(session: string): PublishRequest {
  return { protocol: 'rtmp', session, app: 'live', key: 'SECRET', query: '', remoteAddress: '192.0.2.1' };
}

function info(session: string): PublisherInfo {
  return {
    protocol: 'rtmp',
    role: 'primary',
    session,
    remoteAddress: '192.0.2.1:5',
    timescale: 1000,
    wrapBits: 32,
  };
}

function setUp() {
  const clock = new FakeClock();
  const log = createMemoryLog();
  const metrics = new Metrics();
  const hub = new RecordingHub();
  const ended: string[] = [];
  let next: PublishDecision | Error = { allow: true, stream: 'studio', admittedBy: 'key' };
  const inner: Authoriser = {
    authorise: async () => {
      if (next instanceof Error) throw next;
      return next;
    },
  };
  const gate = new PublishGate({
    authoriser: inner,
    clock,
    log,
    metrics: new GateMetrics(metrics),
    onEnded: ({ request: { session }, stream, lastedMs }, another) =>
      ended.push(`${session} ${stream} ${lastedMs}${another ? ' another' : ''}`),
  });
  const target = gate.guard(hub);
  const authorise = (session: string, decision?: PublishDecision | Error) => {
    if (decision) next = decision;
    return gate.authorise(request(session), NO_SIGNAL);
  };
  /** Lets a session in and has it publish. */
  const publish = async (session: string, decision?: PublishDecision) => {
    const granted = await authorise(session, decision);
    if (!granted.allow) throw new Error('refused');
    const closed: ErrorCode[] = [];
    const publisher = target.publish(granted.stream, info(session), (code) => closed.push(code));
    return { publisher, closed };
  };
  const values = async (name: string) => {
    const metric = await metrics.registry.getSingleMetric(`headwater_${name}`)?.get();
    return metric?.values.map(({ labels, value }) => [...Object.values(labels), value].join(' '));
  };
  return { clock, log, hub, ended, gate, target, authorise, publish, values };
}

const BY_KEY = { allow: true, stream: 'studio', admittedBy: 'key' } as const;
const BY_TOKEN = { allow: true, stream: 'studio', admittedBy: 'token' } as const;
const BY_HOOK = { allow: true, stream: 'studio', admittedBy: 'webhook' } as const;

describe('PublishGate', () => {
  it('hands everything of a publisher on to the hub', async () => {
    const { publish, hub } = setUp();
    const { publisher } = await publish('a');
    publisher.videoConfig('avc1', Buffer.from('v'));
    publisher.audioConfig('mp4a', Buffer.from('a'));
    publisher.announce({ video: true, audio: false });
    const sample = {
      kind: 'video',
      dts: 1,
      compositionOffset: 0,
      key: true,
      data: Buffer.from('x'),
    } as const;
    publisher.write(sample);
    publisher.event({ kind: 'id3', pts: 1, data: Buffer.from('e') });
    publisher.close('unpublished');
    expect(hub.publishers[0]).toMatchObject({
      stream: 'studio',
      samples: [sample],
      videoConfigs: [Buffer.from('v')],
      audioConfigs: [Buffer.from('a')],
      announcements: [{ video: true, audio: false }],
      events: [{ kind: 'id3' }],
      closes: ['unpublished'],
    });
  });

  it('cuts who came in by the old key when it is rotated, once', async () => {
    const { publish, hub, gate, log, values } = setUp();
    const { publisher, closed } = await publish('a');
    gate.keyChanged('other', 'rotated');
    expect(closed).toEqual([]);
    gate.keyChanged('studio', 'rotated');
    gate.keyChanged('studio', 'rotated');
    expect(closed).toEqual(['INGEST_KEY_REVOKED']);
    expect(hub.publishers[0]?.closes).toEqual(['disconnected']);
    publisher.close('error');
    expect(await values('ingest_publishers_cut_total')).toEqual(['rotated 1']);
    expect(log.lines).toEqual([
      expect.objectContaining({
        level: 'warn',
        fields: expect.objectContaining({ stream: 'studio', session: 'a', reason: 'rotated' }),
      }),
    ]);
  });

  it.each([BY_TOKEN, BY_HOOK, { allow: true, stream: 'studio' } as const])(
    'leaves %j alone when the key is rotated, and cuts it when it is revoked',
    async (decision) => {
      const { publish, gate } = setUp();
      const { closed } = await publish('a', decision);
      gate.keyChanged('studio', 'rotated');
      expect(closed).toEqual([]);
      gate.keyChanged('studio', 'revoked');
      expect(closed).toEqual(['INGEST_KEY_REVOKED']);
    },
  );

  it('lets nothing reach the hub of who was let in before the key changed and publishes after it', async () => {
    const { authorise, target, gate, hub } = setUp();
    await authorise('a', BY_KEY);
    gate.keyChanged('studio', 'rotated');
    const closed: ErrorCode[] = [];
    const publisher = target.publish('studio', info('a'), (code) => closed.push(code));
    publisher.videoConfig('avc1', Buffer.from('v'));
    expect(closed).toEqual([]);
    await Promise.resolve();
    expect(closed).toEqual(['INGEST_KEY_REVOKED']);
    expect(hub.publishers).toEqual([]);
  });

  it('cuts a publisher when its time is over, however long that is and however the wall clock steps', async () => {
    const { clock, publish } = setUp();
    const days = 40 * 24 * 3_600_000;
    const { closed } = await publish('a', { ...BY_TOKEN, untilMs: clock.wallMs() + days });
    clock.advance(days - 1);
    expect(closed).toEqual([]);
    clock.stepWall(-5000);
    clock.advance(4999);
    expect(closed).toEqual([]);
    clock.advance(2);
    expect(closed).toEqual(['INGEST_GRANT_EXPIRED']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('goes by the newest answer when a protocol asks again while it publishes', async () => {
    const { clock, publish, authorise, ended } = setUp();
    const { closed } = await publish('a', { ...BY_HOOK, untilMs: clock.wallMs() + 1000 });
    await authorise('a', { ...BY_HOOK, untilMs: clock.wallMs() + 5000 });
    clock.advance(4999);
    expect(closed).toEqual([]);
    clock.advance(1);
    expect([closed, ended]).toEqual([['INGEST_GRANT_EXPIRED'], ['a studio 5000']]);
  });

  it('tells once of the end of a publisher that the webhook let in, however it ended', async () => {
    const { clock, publish, hub, ended } = setUp();
    const a = await publish('a', BY_HOOK);
    clock.advance(1500);
    a.publisher.close('unpublished');
    a.publisher.close('error');
    await publish('b', BY_HOOK);
    hub.publishers[1]?.kick('STREAM_KICKED');
    hub.publishers[1]?.close('error');
    const c = await publish('c', BY_KEY);
    c.publisher.close('unpublished');
    expect(ended).toEqual(['a studio 1500', 'b studio 0']);
  });

  it('tells that another publishes the stream when one was replaced', async () => {
    const { publish, hub, ended, target, authorise } = setUp();
    await publish('a', BY_HOOK);
    await authorise('b', BY_HOOK);
    const first = hub.publishers[0];
    const inner = hub.publish.bind(hub);
    hub.publish = (...args) => {
      first?.close('disconnected');
      first?.kick('STREAM_KICKED');
      return inner(...args);
    };
    target.publish('studio', info('b'), () => {});
    expect(ended).toEqual(['a studio 0 another']);
  });

  it('tells of the end of a grant that was not used: the peer left, or the hub refused', async () => {
    const { clock, authorise, target, hub, ended } = setUp();
    await authorise('a', BY_HOOK);
    clock.advance(29_999);
    expect(ended).toEqual([]);
    clock.advance(1);
    expect(ended).toEqual(['a studio 30000']);
    await authorise('b', BY_HOOK);
    hub.failure = new AppError('STREAM_BUSY');
    expect(() => target.publish('studio', info('b'), () => {})).toThrow(hub.failure);
    expect(ended).toEqual(['a studio 30000', 'b studio 0']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets nothing reach the hub of who was not let in, or not any more, or publishes already', async () => {
    const { target, hub, authorise, clock } = setUp();
    const closed: string[] = [];
    const publish = (session: string, stream = 'studio') => {
      target
        .publish(stream, info(session), (code) => closed.push(`${session} ${code}`))
        .announce({ video: true, audio: true });
    };
    publish('stranger');
    await authorise('slow', BY_KEY);
    clock.advance(30_000);
    publish('slow');
    await authorise('elsewhere', BY_KEY);
    publish('elsewhere', 'other');
    await authorise('twice', BY_KEY);
    publish('twice');
    publish('twice');
    await Promise.resolve();
    expect(closed).toEqual(
      ['stranger', 'slow', 'elsewhere', 'twice'].map((who) => `${who} INGEST_GRANT_EXPIRED`),
    );
    expect(hub.publishers.map(({ info: { session } }) => session)).toEqual(['twice']);
  });

  it('remembers no more than ten thousand unused grants', async () => {
    const { clock, authorise, ended } = setUp();
    for (let i = 0; i <= 10_000; i++) await authorise(`s${i}`, BY_HOOK);
    expect([ended, clock.pendingTimers]).toEqual([['s0 studio 0'], 10_000]);
  });

  it('leaves no timer behind', async () => {
    const { clock, authorise, publish, gate } = setUp();
    await publish('a', { ...BY_TOKEN, untilMs: clock.wallMs() + 1000 });
    await authorise('b', BY_KEY);
    gate.close();
    gate.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('counts what was decided', async () => {
    const { authorise, values } = setUp();
    await authorise('a', BY_KEY);
    await authorise('b', { allow: false, code: 'denied' });
    await expect(authorise('c', new AppError('INGEST_AUTH_UNAVAILABLE'))).rejects.toThrow();
    expect(await values('ingest_publish_decisions_total')).toEqual([
      'rtmp key 1',
      'rtmp denied 1',
      'rtmp unavailable 1',
    ]);
  });
});
