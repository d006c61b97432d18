import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { FakeResponse } from '../../test/support/fake-exchange.ts';
import { type Started, STUDIO, tiersIn } from '../../test/support/license-fixture.ts';
import { until } from '../../test/support/until.ts';
import { eventsOf, ViewerFixture } from '../../test/support/viewer-fixture.ts';
import { AppError } from '../base/errors.ts';
import type { Entitlement, EntitlementQuestion } from './entitlement.ts';
import { timeText } from './license-problem.ts';
import { RunningEntitlements } from './running-entitlements.ts';

const GRACE_MS = 600_000;
const BEAT_MS = 30_000;
const ALL: Entitlement = {
  tiers: ['AUDIO', 'SD', 'HD', 'UHD'],
  untilMs: Number.POSITIVE_INFINITY,
  countries: undefined,
  maxSessions: undefined,
};

/** A back end that says what a test lets it say. */
class Backend {
  readonly asked: EntitlementQuestion[] = [];
  says: Entitlement | undefined | 'nothing' = ALL;

  async entitle(question: EntitlementQuestion): Promise<Entitlement | undefined> {
    this.asked.push(question);
    if (this.says === 'nothing') throw new AppError('SESSION_ENTITLEMENT_UNAVAILABLE');
    return this.says;
  }
}

describe('a session that plays', () => {
  let backend: Backend;
  let fixture: ViewerFixture;

  beforeEach(async () => {
    backend = new Backend();
    fixture = await ViewerFixture.open({
      license: { countryHeader: 'X-Country', trustedProxies: '127.0.0.1' },
      deps: { entitlements: backend, entitlementGraceMs: GRACE_MS },
    });
  });
  afterEach(() => fixture.close());

  const begin = (): Promise<Started> =>
    fixture.license.begin({ robustness: 'L1', drm: 'widevine' }, fixture.license.login({ user: 'anna' }));

  /** One heartbeat later. */
  async function beat(session: Started): Promise<FakeResponse> {
    fixture.clock.advance(BEAT_MS);
    return fixture.license.as(session.token, `/v1/sessions/${session.sessionId}/heartbeat`, { body: {} });
  }

  async function kept(session: Started): Promise<Started> {
    const answer = await beat(session);
    expect([answer.status, answer.text()]).toEqual([200, expect.any(String)]);
    return JSON.parse(answer.text()) as Started;
  }

  const refusal = (answer: FakeResponse): unknown[] => [
    answer.status,
    (JSON.parse(answer.text()) as { code: string }).code,
  ];

  const licence = (session: Started): Promise<FakeResponse> =>
    fixture.license.as(session.token, '/license/clearkey', {
      body: fixture.license.licenseBody([fixture.license.kid('SD'), fixture.license.kid('HD')]),
    });

  it('is judged again at a heartbeat, with the words of its start and the country of now', async () => {
    const session = await begin();
    fixture.clock.advance(BEAT_MS);
    const headers = { 'x-country': 'AT' };
    const path = `/v1/sessions/${session.sessionId}/heartbeat`;
    expect((await fixture.license.as(session.token, path, { body: {}, headers })).status).toBe(200);
    const [first, again] = backend.asked;
    const { iat: _, exp: __, jti: ___, ...lasting } = first?.claims ?? {};
    expect(again).toEqual({
      ...{ issuer: first?.issuer, subject: 'anna', claims: lasting },
      ...{ owner: STUDIO, country: 'AT', nowMs: fixture.clock.wallMs() },
    });
  });

  it('is taken away as soon as the answer is no: no heartbeat, no licence, and its device hears of it', async () => {
    const stream = await fixture.listen('anna');
    const session = await begin();
    expect((await licence(session)).status).toBe(200);
    backend.says = undefined;
    expect(refusal(await beat(session))).toEqual([410, 'SESSION_REVOKED']);
    await until(() => eventsOf(stream).some(({ event }) => event === 'session'), 'the event');
    expect(eventsOf(stream).find(({ event }) => event === 'session')?.data).toEqual({
      sessionId: session.sessionId,
      state: 'revoked',
    });
    expect(refusal(await licence(session))).toEqual([403, 'LICENSE_SESSION_REVOKED']);
    backend.says = ALL;
    expect(refusal(await beat(session))).toEqual([410, 'SESSION_REVOKED']);
    expect(await fixture.license.metric('session_ends_total', { by: 'entitlement' })).toBe(1);
    await begin();
  });

  it('is taken away where it may not be played in the country of now', async () => {
    const session = await begin();
    backend.says = { ...ALL, countries: ['DE'] };
    expect(refusal(await beat(session))).toEqual([410, 'SESSION_REVOKED']);
  });

  it('is taken away when nothing is left of its tiers', async () => {
    backend.says = { ...ALL, tiers: ['SD'] };
    const session = await begin();
    backend.says = { ...ALL, tiers: ['HD'] };
    expect(refusal(await beat(session))).toEqual([410, 'SESSION_REVOKED']);
  });

  it('goes on while nobody answers, for the grace after the last yes, and then ends', async () => {
    const stream = await fixture.listen('anna');
    let session = await kept(await begin());
    backend.says = 'nothing';
    for (let ms = BEAT_MS; ms < GRACE_MS; ms += BEAT_MS) session = await kept(session);
    expect((await licence(session)).status).toBe(200);
    expect(refusal(await beat(session))).toEqual([410, 'SESSION_ENDED']);
    await until(() => eventsOf(stream).some(({ event }) => event === 'session'), 'the event');
    expect(eventsOf(stream).find(({ event }) => event === 'session')?.data).toMatchObject({ state: 'ended' });
    expect(refusal(await licence(session))).toEqual([401, 'LICENSE_SESSION_ENDED']);
    expect(await fixture.license.metric('session_rejudged_total', { outcome: 'overdue' })).toBe(1);
  });

  it('has the whole grace again after a yes in between', async () => {
    let session = await begin();
    backend.says = 'nothing';
    for (let i = 0; i < 15; i++) session = await kept(session);
    backend.says = ALL;
    session = await kept(session);
    backend.says = 'nothing';
    for (let i = 0; i < 15; i++) session = await kept(session);
  });

  it('counts the grace over a restart of the server', async () => {
    const { license } = fixture;
    let session = await begin();
    backend.says = 'nothing';
    for (let i = 0; i < 10; i++) session = await kept(session);
    await license.service.close();
    await license.store.close();
    await license.start();
    for (let i = 0; i < 9; i++) session = await kept(session);
    expect(refusal(await beat(session))).toEqual([410, 'SESSION_ENDED']);
  });

  it('gets no more than what is allowed now, also while nobody answers, and never more than at its start', async () => {
    const tiersOf = ({ token }: Started): unknown =>
      (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { tiers: unknown })
        .tiers;
    backend.says = { ...ALL, tiers: ['AUDIO', 'SD', 'HD'] };
    let session = await begin();
    backend.says = { ...ALL, tiers: ['AUDIO'] };
    session = await kept(session);
    expect([tiersOf(session), session.tiers]).toEqual([['AUDIO'], ['AUDIO']]);
    expect(tiersIn(fixture.license, (await licence(session)).text())).toEqual(['AUDIO']);
    backend.says = 'nothing';
    session = await kept(session);
    expect(tiersOf(session)).toEqual(['AUDIO']);
    backend.says = ALL;
    session = await kept(session);
    expect(tiersOf(session)).toEqual(['AUDIO', 'SD', 'HD']);
  });

  it('ends when what is allowed now ends', async () => {
    let session = await begin();
    const untilMs = fixture.clock.wallMs() + 120_000;
    backend.says = { ...ALL, untilMs };
    session = await kept(session);
    expect(session.expiresAt).toBe(timeText(untilMs));
  });

  it('has the name of its user in no store and no answer', async () => {
    const session = await begin();
    const stored = JSON.stringify(await fixture.license.store.find(session.sessionId));
    expect(stored).toContain('"login"');
    expect(stored).not.toMatch(/anna|headwater:login/);
    const exported = await fixture.call('anna', 'GET', '/v1/resume/export');
    expect(JSON.stringify(exported.json)).not.toContain('"login"');
  });
});

describe('a session by a login token alone', () => {
  it('is not judged again: what the token says does not change', async () => {
    const fixture = await ViewerFixture.open();
    try {
      const { sessionId } = await fixture.license.begin();
      expect((await fixture.license.store.find(sessionId))?.login).toBeUndefined();
    } finally {
      await fixture.close();
    }
  });
});

describe('the login of a session', () => {
  const open = (key: Uint8Array, backend: Backend): RunningEntitlements =>
    new RunningEntitlements(
      { graceMs: 1000 },
      { entitlements: backend, key, randomBytes, clock: new FakeClock() },
    );
  const session = { id: 'one', owner: STUDIO, country: undefined, allowedAtMs: 0 };
  const login = { issuer: 'headwater', subject: 'anna', claims: { plan: 'gold' } };

  it.each([
    ['of another session', (sealed: string) => ({ ...session, id: 'two', login: sealed })],
    ['that was changed', (sealed: string) => ({ ...session, login: `${sealed.slice(0, -2)}xx` })],
    ['that is too short', () => ({ ...session, login: 'AAAA' })],
    ['that is nothing', () => ({ ...session, login: '' })],
  ])('%s counts as no answer', async (_, asked) => {
    const backend = new Backend();
    const running = open(randomBytes(32), backend);
    const sealed = running.seal('one', login);
    expect((await running.judge({ ...session, login: sealed })).kind).toBe('allowed');
    expect((await running.judge(asked(sealed))).kind).toBe('overdue');
    expect(backend.asked).toHaveLength(1);
  });

  it('opens with no other key', async () => {
    const backend = new Backend();
    const sealed = open(randomBytes(32), backend).seal('one', login);
    expect((await open(randomBytes(32), backend).judge({ ...session, login: sealed })).kind).toBe('overdue');
    expect(backend.asked).toHaveLength(0);
  });
});
