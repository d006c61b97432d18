import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AuthBackend, say, startAuthBackend } from '../../test/support/auth-backend.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { until } from '../../test/support/until.ts';
import { Metrics } from '../base/metrics.ts';
import { OutgoingHttp } from '../base/outgoing-http.ts';
import type { EntitlementQuestion } from './entitlement.ts';
import { parseEntitlementAnswer } from './entitlement-answer.ts';
import { EntitlementMetrics } from './entitlement-metrics.ts';
import { EntitlementWebhook, type EntitlementWebhookOptions } from './entitlement-webhook.ts';

const SECRET = Buffer.from('s'.repeat(32));
const ALLOW = '{"allow":true,"tiers":["SD","AUDIO"],"maxSessions":2}';

let backend: AuthBackend;
let clock: FakeClock;
let http: OutgoingHttp;

beforeEach(async () => {
  backend = await startAuthBackend(say(200, ALLOW));
  clock = new FakeClock();
  http = new OutgoingHttp({ timeoutMs: 2000, maxAnswerBytes: 4096, maxConcurrent: 4, maxWaiting: 4 }, clock);
});
afterEach(async () => {
  http.close();
  await backend.close();
});

function open(options: Partial<EntitlementWebhookOptions> = {}): EntitlementWebhook {
  return new EntitlementWebhook(
    {
      ...{ url: `${backend.url}/entitle`, secret: SECRET, cacheMs: 60_000, maxCached: 100 },
      breaker: { maxFailures: 3, pauseMs: 5000, maxPauseMs: 60_000 },
      ...options,
    },
    { http, clock, log: createMemoryLog(), metrics: new EntitlementMetrics(new Metrics()) },
  );
}

function question(more: Partial<EntitlementQuestion> = {}): EntitlementQuestion {
  return {
    ...{ issuer: 'https://id.example', subject: 'anna', country: 'DE', nowMs: clock.wallMs() },
    claims: { plan: 'gold', iat: 1, exp: 2, jti: 'a' },
    owner: { kind: 'vod', id: 'film' },
    ...more,
  };
}

const UNAVAILABLE = { code: 'SESSION_ENTITLEMENT_UNAVAILABLE' };

describe('the back end that says what may be played', () => {
  it('is asked in words that it can check, and obeyed', async () => {
    const found = await open().entitle(question());
    expect(found).toEqual({
      ...{ tiers: ['AUDIO', 'SD'], untilMs: Number.POSITIVE_INFINITY },
      ...{ countries: undefined, maxSessions: 2 },
    });
    const [call] = backend.calls;
    expect(JSON.parse(call?.body ?? '')).toEqual({
      ...{ event: 'entitle', issuer: 'https://id.example', subject: 'anna', country: 'DE' },
      claims: { plan: 'gold' },
      content: { kind: 'vod', id: 'film' },
    });
    const seconds = call?.headers['x-headwater-timestamp'];
    const signature = createHmac('sha256', SECRET)
      .update(`${String(seconds)}.${call?.body}`)
      .digest('hex');
    expect(call?.headers['x-headwater-signature']).toBe(`sha256=${signature}`);
  });

  it.each([
    ['allow', 200, ALLOW, true],
    ['deny', 200, '{"allow":false}', undefined],
    ['403', 403, '', undefined],
    ['404', 404, '', undefined],
  ])('that says %s is a yes or a no', async (_name, status, body, isLet) => {
    backend.answer = say(status, body);
    expect((await open().entitle(question())) !== undefined).toBe(isLet ?? false);
  });

  it.each([
    ['500', 500, ALLOW],
    ['a redirect', 302, ALLOW],
    ['no JSON', 200, 'yes'],
    ['no word on it', 200, '{}'],
    ['a tier that is none', 200, '{"allow":true,"tiers":["4K"]}'],
    ['a country that is none', 200, '{"allow":true,"countries":["Germany"]}'],
    ['too much', 200, `{"allow":true,"x":"${'x'.repeat(5000)}"}`],
  ])('that gives %s gives nothing', async (_name, status, body) => {
    backend.answer = say(status, body);
    await expect(open().entitle(question())).rejects.toMatchObject(UNAVAILABLE);
  });

  it('that does not answer in time gives nothing', async () => {
    backend.answer = () => undefined;
    const asking = open().entitle(question());
    const refused = expect(asking).rejects.toMatchObject(UNAVAILABLE);
    await until(() => backend.calls.length === 1, 'the call');
    clock.advance(2000);
    await refused;
  });

  it('is not asked the same again while its answer counts, whatever token the user has', async () => {
    const webhook = open();
    await webhook.entitle(question());
    await webhook.entitle(question({ claims: { plan: 'gold', iat: 7, exp: 8, jti: 'b' } }));
    expect(backend.calls).toHaveLength(1);
    for (const other of [
      { subject: 'bert' },
      { issuer: 'https://other.example' },
      { owner: { kind: 'vod', id: 'clip' } as const },
      { owner: { kind: 'live', id: 'film' } as const },
      { country: 'AT' },
      { claims: { plan: 'free' } },
    ]) {
      await webhook.entitle(question(other));
    }
    expect(backend.calls).toHaveLength(7);
    clock.advance(60_000);
    await webhook.entitle(question());
    expect(backend.calls).toHaveLength(8);
  });

  it('may say how long its answer counts, and a no counts for seconds', async () => {
    const webhook = open();
    backend.answer = say(200, '{"allow":true,"ttlSeconds":5}');
    await webhook.entitle(question());
    clock.advance(5_000);
    backend.answer = say(200, '{"allow":false}');
    expect(await webhook.entitle(question())).toBeUndefined();
    backend.answer = say(200, ALLOW);
    clock.advance(9_999);
    expect(await webhook.entitle(question())).toBeUndefined();
    clock.advance(1);
    expect(await webhook.entitle(question())).toBeDefined();
  });

  it('is asked once for many who ask the same at the same time', async () => {
    const webhook = open();
    const all = await Promise.all(Array.from({ length: 50 }, () => webhook.entitle(question())));
    expect(all.every((each) => each?.maxSessions === 2)).toBe(true);
    expect(backend.calls).toHaveLength(1);
  });

  it('holds so many answers and no more', async () => {
    const webhook = open({ maxCached: 2 });
    for (const subject of ['a', 'b', 'a', 'c']) await webhook.entitle(question({ subject }));
    expect(backend.calls).toHaveLength(3);
    await webhook.entitle(question({ subject: 'a' }));
    expect(backend.calls).toHaveLength(3);
    await webhook.entitle(question({ subject: 'b' }));
    expect(backend.calls).toHaveLength(4);
  });

  it('that fails is left alone for a while, and then tried once', async () => {
    const webhook = open();
    backend.answer = say(500);
    for (let i = 0; i < 5; i++) await expect(webhook.entitle(question())).rejects.toMatchObject(UNAVAILABLE);
    expect(backend.calls).toHaveLength(3);
    backend.answer = say(200, ALLOW);
    await expect(webhook.entitle(question())).rejects.toMatchObject(UNAVAILABLE);
    clock.advance(5000);
    expect(await webhook.entitle(question())).toBeDefined();
    expect(backend.calls).toHaveLength(4);
  });

  it('is believed that an entitlement is over', async () => {
    backend.answer = say(200, JSON.stringify({ allow: true, untilMs: clock.wallMs() + 1000 }));
    const webhook = open();
    expect(await webhook.entitle(question())).toBeDefined();
    clock.advance(1000);
    expect(await webhook.entitle(question())).toBeUndefined();
  });
});

describe('an answer', () => {
  it.each([
    '{"allow":true,"tiers":"SD"}',
    '{"allow":true,"untilMs":"soon"}',
    '{"allow":true,"untilMs":-1}',
    '{"allow":true,"maxSessions":0}',
    '{"allow":true,"maxSessions":1.5}',
    '{"allow":true,"ttlSeconds":-1}',
    '{"allow":1}',
    '{"allow":null}',
    '[]',
    'null',
  ])('with a member that is wrong is none at all: %s', (body) => {
    expect(parseEntitlementAnswer(200, body)).toEqual({ kind: 'broken' });
  });
});
