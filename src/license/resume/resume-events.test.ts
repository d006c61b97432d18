import { afterEach, describe, expect, it } from 'vitest';
import type { FakeResponse } from '../../../test/support/fake-exchange.ts';
import { ADMIN_TOKEN } from '../../../test/support/license-fixture.ts';
import { until } from '../../../test/support/until.ts';
import { eventsOf, ViewerFixture, type ViewerFixtureInit } from '../../../test/support/viewer-fixture.ts';

const opened: ViewerFixture[] = [];

async function open(init: ViewerFixtureInit = {}): Promise<ViewerFixture> {
  const fixture = await ViewerFixture.open(init);
  opened.push(fixture);
  return fixture;
}

afterEach(async () => {
  for (const fixture of opened.splice(0)) await fixture.close();
});

/** Titles of the records that a device was sent, in their order. */
function titlesIn(stream: FakeResponse): unknown[] {
  return eventsOf(stream).flatMap(({ event, data }) => (event === 'record' ? [data['title']] : []));
}

async function watch(
  fixture: ViewerFixture,
  user: string,
  title: string,
  positionMs = 60_000,
): Promise<number> {
  const epoch = await fixture.claim(user, title);
  const { json } = await fixture.report(user, title, { epoch, seq: 1, positionMs });
  return (json['record'] as { version: number }).version;
}

/** Everything that has been stored has been sent: the last title stands for what came before. */
async function settled(fixture: ViewerFixture, user: string, stream: FakeResponse): Promise<void> {
  await watch(fixture, user, 'last');
  await until(() => titlesIn(stream).includes('last'), 'the last event');
}

describe('an event stream', () => {
  it('brings what is there, then every change, with its version as id', async () => {
    const fixture = await open();
    const first = await watch(fixture, 'anna', 'film');
    const stream = await fixture.listen('anna');
    expect(stream.header('content-type')).toBe('text/event-stream');
    expect(stream.header('cache-control')).toBe('no-store');
    expect(stream.header('access-control-allow-origin')).toBe('*');
    await until(() => titlesIn(stream).length > 0, 'what is there');
    const second = await watch(fixture, 'anna', 'clip');
    await until(() => titlesIn(stream).includes('clip'), 'the change');
    expect(stream.text()).toMatch(/^retry: 2000\n\n/);
    const records = eventsOf(stream).filter(({ event }) => event === 'record');
    expect(records.map(({ id }) => id)).toEqual([String(first), String(second)]);
    expect(records[1]?.data).toMatchObject({ title: 'clip', positionMs: 60_000, version: second });
  });

  it('goes on after the version that the device has seen, by header or query', async () => {
    const fixture = await open();
    const seen = await watch(fixture, 'anna', 'film');
    await watch(fixture, 'anna', 'clip');
    const byHeader = await fixture.listen('anna', '', { 'last-event-id': String(seen) });
    const byQuery = await fixture.listen('anna', `?after=${seen}`);
    await settled(fixture, 'anna', byHeader);
    await settled(fixture, 'anna', byQuery);
    expect(titlesIn(byHeader)).not.toContain('film');
    expect(titlesIn(byHeader)).toContain('clip');
    expect(titlesIn(byQuery)).toEqual(titlesIn(byHeader).slice(0, titlesIn(byQuery).length));
  });

  it('is of one profile and one user', async () => {
    const fixture = await open();
    const kids = await fixture.listen('anna', '?profile=kids');
    const bert = await fixture.listen('bert');
    const anna = await fixture.listen('anna');
    await watch(fixture, 'anna', 'film');
    await settled(fixture, 'anna', anna);
    await settled(fixture, 'bert', bert);
    expect(titlesIn(kids)).toEqual([]);
    expect(titlesIn(bert)).toEqual(['last']);
    expect(titlesIn(anna)).toEqual(['film', 'last']);
  });

  it('makes up for every message that was lost, after the gap', async () => {
    const fixture = await open();
    const stream = await fixture.listen('anna');
    await settled(fixture, 'anna', stream);
    fixture.pubSub.losing = true;
    await watch(fixture, 'anna', 'film');
    await watch(fixture, 'anna', 'clip');
    await fixture.call('anna', 'DELETE', '/v1/resume/last');
    expect(titlesIn(stream)).toEqual(['last']);
    fixture.pubSub.losing = false;
    fixture.pubSub.gap();
    await until(() => titlesIn(stream).length === 4, 'what was missed');
    expect(titlesIn(stream)).toEqual(['last', 'film', 'clip', 'last']);
    expect(eventsOf(stream).at(-1)?.data['isDeleted']).toBe(true);
  });

  it('tells of sessions that ended during a gap by those that are alive', async () => {
    const fixture = await open();
    const { license } = fixture;
    const login = license.login({ user: 'anna' });
    const [one, two] = [await license.begin({}, login), await license.begin({}, login)];
    const stream = await fixture.listen('anna');
    const told = (): unknown => eventsOf(stream).findLast(({ event }) => event === 'sessions')?.data['alive'];
    await until(() => told() !== undefined, 'the sessions');
    expect(new Set(told() as string[])).toEqual(new Set([one.sessionId, two.sessionId]));
    fixture.pubSub.losing = true;
    await license.as(one.token, `/v1/sessions/${one.sessionId}`, { method: 'DELETE' });
    fixture.pubSub.gap();
    await until(() => (told() as string[]).length === 1, 'the sessions after the gap');
    expect(told()).toEqual([two.sessionId]);
  });

  it('goes on once the store is there again', async () => {
    const fixture = await open();
    const stream = await fixture.listen('anna');
    await settled(fixture, 'anna', stream);
    await watch(fixture, 'anna', 'film');
    fixture.store.failing = true;
    fixture.pubSub.gap();
    await until(
      async () => (await fixture.license.metric('resume_syncs_total', { outcome: 'failed' })) > 0,
      'a failure',
    );
    fixture.pubSub.losing = true;
    fixture.store.failing = false;
    await watch(fixture, 'anna', 'clip');
    await until(() => {
      fixture.clock.advance(500);
      return titlesIn(stream).includes('clip');
    }, 'what came meanwhile');
  });

  it('begins anew when everything of the user was erased', async () => {
    const fixture = await open();
    const stream = await fixture.listen('anna');
    await settled(fixture, 'anna', stream);
    await fixture.call('anna', 'DELETE', '/v1/resume');
    await until(() => eventsOf(stream).some(({ event }) => event === 'reset'), 'the reset');
    const again = await fixture.listen('anna', '?after=4000000000');
    await until(() => eventsOf(again).some(({ event }) => event === 'reset'), 'the reset of who was away');
    await watch(fixture, 'anna', 'film');
    await until(() => titlesIn(again).includes('film'), 'what came after');
    await until(() => titlesIn(stream).at(-1) === 'film', 'what came after, here too');
  });

  it('brings nothing after an erasure that was read before it', async () => {
    const fixture = await open();
    await watch(fixture, 'anna', 'film');
    let release = (): void => undefined;
    fixture.store.holding = new Promise((resolve) => (release = resolve));
    const stream = await fixture.listen('anna');
    await until(() => fixture.store.lists > 0, 'the state is being read');
    await fixture.call('anna', 'DELETE', '/v1/resume');
    await until(() => eventsOf(stream).some(({ event }) => event === 'reset'), 'the reset');
    release();
    await settled(fixture, 'anna', stream);
    expect(titlesIn(stream)).toEqual(['last']);
  });

  it('is awake, and ends with the token that opened it', async () => {
    const fixture = await open();
    const stream = await fixture.listen('anna');
    fixture.clock.advance(15_000);
    expect(stream.text()).toContain(': ping\n\n');
    fixture.clock.advance(3_600_000);
    expect(stream.finished).toBe(true);
    expect(await fixture.license.metric('resume_stream_cuts_total', { reason: 'token' })).toBe(1);
    expect(fixture.pubSub.channels).toBe(0);
  });

  it('of a device that does not read is cut, and the others go on', async () => {
    const fixture = await open({ resume: { maxStreamBacklogBytes: 4096 } });
    const [slow, quick] = [await fixture.listen('anna'), await fixture.listen('anna')];
    await settled(fixture, 'anna', slow);
    if (slow.body) slow.body.backlogBytes = 4097;
    await watch(fixture, 'anna', 'film');
    await until(() => slow.finished, 'the cut');
    await until(() => titlesIn(quick).includes('film'), 'the others');
    expect(titlesIn(slow)).not.toContain('film');
    expect(await fixture.license.metric('resume_stream_cuts_total', { reason: 'backlog' })).toBe(1);
    expect(await fixture.license.metric('resume_streams_connections')).toBe(1);
  });

  it('is one of so many, by user, by address and in all', async () => {
    const fixture = await open({
      resume: { maxStreamsPerViewer: 2, maxStreamsPerAddress: 3, maxStreams: 4 },
    });
    const codeOf = (stream: FakeResponse): unknown =>
      stream.status === 200 ? 200 : (JSON.parse(stream.text()) as { code: string }).code;
    const statuses: unknown[] = [];
    for (const [user, address] of [
      ['anna', '10.0.0.1'],
      ['anna', '10.0.0.1'],
      ['anna', '10.0.0.2'],
      ['bert', '10.0.0.1'],
      ['cora', '10.0.0.1'],
      ['cora', '10.0.0.3'],
      ['dora', '10.0.0.4'],
    ] as const) {
      statuses.push(codeOf(await fixture.listen(user, '', {}, address)));
    }
    const full = 'RESUME_STREAMS_FULL';
    expect(statuses).toEqual([200, 200, full, 200, full, 200, full]);
  });

  it('gives its place back when the device leaves, and when it cannot be opened', async () => {
    const fixture = await open({ resume: { maxStreamsPerViewer: 1 } });
    const first = await fixture.listen('anna');
    first.abort();
    fixture.pubSub.failing = true;
    const refused = await fixture.listen('anna');
    expect([refused.status, refused.header('retry-after')]).toEqual([503, '2']);
    fixture.pubSub.failing = false;
    const second = await fixture.listen('anna');
    expect(second.status).toBe(200);
    second.abort();
    expect(await fixture.license.metric('resume_streams_connections')).toBe(0);
    expect(fixture.pubSub.channels).toBe(0);
  });

  it('reads the state once for all devices that have seen the same', async () => {
    const fixture = await open();
    const streams = await Promise.all(Array.from({ length: 5 }, () => fixture.listen('anna')));
    for (const stream of streams) await settled(fixture, 'anna', stream);
    const before = fixture.store.lists;
    await watch(fixture, 'anna', 'film');
    for (const stream of streams) await until(() => titlesIn(stream).includes('film'), 'the event');
    expect(fixture.store.lists - before).toBeLessThanOrEqual(2);
  });

  it('leaves nothing behind when the server stops', async () => {
    const fixture = await open();
    const stream = await fixture.listen('anna');
    const { clock } = fixture;
    fixture.license.service.release();
    expect(stream.finished).toBe(true);
    await until(() => fixture.pubSub.channels === 0, 'nothing is listened to');
    expect(fixture.pubSub.gapListeners).toBe(0);
    await until(() => clock.pendingTimers === 1, 'only the sweeper of the session store is left');
  });

  it('answers HEAD without a stream', async () => {
    const fixture = await open();
    const head = await fixture.license.as(fixture.license.login(), '/v1/resume/events', { method: 'HEAD' });
    expect([head.status, head.finished]).toEqual([200, true]);
    expect(await fixture.license.metric('resume_streams_connections')).toBe(0);
  });
});

describe('a ticket', () => {
  it('opens one stream, once, within its time', async () => {
    const fixture = await open();
    const ticket = async (): Promise<unknown> =>
      (await fixture.call('anna', 'POST', '/v1/resume/events/ticket')).json['ticket'];
    const query = `?ticket=${String(await ticket())}`;
    const stream = await fixture.listen('nobody', query, { authorization: '' });
    expect(stream.status).toBe(200);
    await watch(fixture, 'anna', 'film');
    await until(() => titlesIn(stream).includes('film'), 'the event');
    expect((await fixture.listen('nobody', query, { authorization: '' })).status).toBe(401);
    const late = `?ticket=${String(await ticket())}`;
    fixture.clock.advance(31_000);
    expect((await fixture.listen('nobody', late, { authorization: '' })).status).toBe(401);
  });

  it('is good for nothing else, and no token is a ticket', async () => {
    const fixture = await open();
    const { json } = await fixture.call('anna', 'POST', '/v1/resume/events/ticket');
    const ticket = String(json['ticket']);
    for (const [method, path] of [
      ['GET', '/v1/resume'],
      ['POST', '/v1/sessions'],
      ['POST', '/v1/sessions/x/heartbeat'],
      ['PUT', '/v1/resume/film'],
    ] as const) {
      expect((await fixture.license.as(ticket, path, { method, body: {} })).status).not.toBeLessThan(400);
    }
    const login = fixture.license.login({ user: 'anna' });
    const { token } = await fixture.license.begin();
    // What a login token is, with all that a ticket has, but not for what a ticket is.
    const { ring, clock } = fixture.license;
    const seconds = Math.floor(clock.wallMs() / 1000);
    const claims = { iss: 'headwater', sub: 'x', exp: seconds + 20, until: seconds + 20, jti: 'x' };
    const alike = ring.sign({ ...claims, aud: 'headwater:login' });
    for (const wrong of [login, token, alike, '', 'x.y.z', ticket.slice(0, -2)]) {
      const stream = await fixture.listen('anna', `?ticket=${wrong}`, { authorization: '' });
      expect(stream.status).toBe(401);
    }
  });
});

describe('the end of a session', () => {
  const ends = (stream: FakeResponse): unknown[] =>
    eventsOf(stream).flatMap(({ event, data }) => (event === 'session' ? [data] : []));

  it.each([
    ['by the operator', 'revoked', 'POST', (id: string) => `/v1/sessions/${id}/revoke`],
    ['by the operator, deleted', 'revoked', 'DELETE', (id: string) => `/v1/sessions/${id}`],
  ])('%s is told to the devices of the user, and no licence is given', async (_name, state, method, path) => {
    const fixture = await open();
    const { license } = fixture;
    const session = await license.begin({}, license.login({ user: 'anna' }));
    const [stream, other] = [await fixture.listen('anna'), await fixture.listen('bert')];
    const killed = await license.call(path(session.sessionId), {
      method,
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    expect(killed.status).toBe(204);
    await until(() => ends(stream).length > 0, 'the event');
    expect(ends(stream)).toEqual([{ sessionId: session.sessionId, state }]);
    expect(ends(other)).toEqual([]);
    const body = license.licenseBody([license.kid('SD')]);
    const refused = await license.as(session.token, '/license/clearkey', { body });
    expect(JSON.parse(refused.text())).toMatchObject({ code: 'LICENSE_SESSION_REVOKED' });
    const beat = await license.as(session.token, `/v1/sessions/${session.sessionId}/heartbeat`);
    expect(beat.status).toBe(410);
  });

  it('cannot be asked for with a wrong admin token', async () => {
    const fixture = await open();
    const session = await fixture.license.begin();
    const answer = await fixture.license.call(`/v1/sessions/${session.sessionId}`, {
      method: 'DELETE',
      headers: { authorization: 'Bearer no-admin' },
    });
    expect(answer.status).toBe(401);
    expect(await fixture.license.store.standing(session.sessionId, fixture.clock.wallMs())).toBe('alive');
  });

  it('by the user, by another session in its place, with its user or its device is told as well', async () => {
    const fixture = await open({ license: { maxSessions: 1 } });
    const { license } = fixture;
    const login = license.login({ user: 'anna' });
    const stream = await fixture.listen('anna');
    const admin = { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } };
    const first = await license.begin({}, login);
    await license.as(first.token, `/v1/sessions/${first.sessionId}`, { method: 'DELETE' });
    const second = await license.begin({}, login);
    const third = await license.begin({ replaces: second.sessionId }, login);
    await license.call('/v1/viewers/revoke', { ...admin, body: { user: 'anna' } });
    await until(() => ends(stream).length === 3, 'the events');
    expect(ends(stream)).toEqual([
      { sessionId: first.sessionId, state: 'ended' },
      { sessionId: second.sessionId, state: 'ended' },
      { sessionId: third.sessionId, state: 'revoked' },
    ]);
  });
});
