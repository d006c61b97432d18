import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { KeyEntry } from '../../src/drm/content-key.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { OutgoingHttp } from '../../src/base/outgoing-http.ts';
import { createRouter } from '../../src/http/router.ts';
import type { HttpHandler } from '../../src/http/types.ts';
import { createFairPlayProxy, isFairPlayBroken } from '../../src/license/proxy/fairplay-proxy.ts';
import { openLicenseProxies, type OpenProxies } from '../../src/license/proxy/open-proxies.ts';
import { createPlayReadyProxy, isPlayReadyBroken } from '../../src/license/proxy/playready-proxy.ts';
import { PLAYER_REQUEST_HEADERS } from '../../src/license/license-problem.ts';
import type { LicenseProxy } from '../../src/license/proxy/proxy.ts';
import { proxyRoutes } from '../../src/license/proxy/proxy-routes.ts';
import { type VendorAnswer, VendorBackend } from '../../src/license/proxy/vendor-backend.ts';
import { VendorMetrics } from '../../src/license/proxy/vendor-metrics.ts';
import { createWidevineProxy, isWidevineBroken } from '../../src/license/proxy/widevine-proxy.ts';
import {
  CKC,
  type DrmService,
  fairPlayService,
  playReadyChallenge,
  playReadyFault,
  playReadyService,
  readEntitlement,
  SPC,
  widevineMessage,
  widevineService,
} from '../support/drm-services.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { exchange, type FakeRequestInit, type FakeResponse } from '../support/fake-exchange.ts';
import { TestListeners } from '../support/http-listener.ts';
import { FakeKeyDirectory, LicenseFixture, TestDevice } from '../support/license-fixture.ts';
import { contentKey, FakeGate, grantFor } from '../support/license-grant.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { until } from '../support/until.ts';

const SIGNER = { provider: 'acme', key: randomBytes(32), iv: randomBytes(16) };
const SECRET = randomBytes(32);
const HEADER = 'X-Headwater-Entitlement';
const BREAKER = { maxFailures: 3, pauseMs: 5000, maxPauseMs: 60_000 };
const LIMITS = {
  timeoutMs: 5000,
  maxAnswerBytes: 64 * 1024,
  maxConcurrent: 8,
  maxWaiting: 8,
  maxIdleConnections: 4,
};

/** Everything that a proxy is made of but the proxy. */
function setUp() {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const log = createMemoryLog();
  const http = new OutgoingHttp(LIMITS, clock);
  return {
    clock,
    metrics,
    vendorMetrics: new VendorMetrics(metrics),
    log,
    http,
    gate: new FakeGate(grantFor('L1')),
  };
}

let own: ReturnType<typeof setUp>;
const services: DrmService[] = [];

beforeEach(() => {
  own = setUp();
});

afterEach(async () => {
  own.http.close();
  await Promise.all(services.splice(0).map((service) => service.close()));
});

async function started(service: DrmService): Promise<DrmService> {
  services.push(await service.listen());
  return service;
}

function backend(
  system: LicenseProxy['system'],
  isBroken: ConstructorParameters<typeof VendorBackend>[0]['isBroken'],
) {
  const { http, clock, log, vendorMetrics } = own;
  return new VendorBackend(
    { system, breaker: BREAKER, isBroken },
    { http, clock, log, metrics: vendorMetrics },
  );
}

/** A proxy behind the router, as the licence server has it. */
interface Mounted {
  readonly handle: HttpHandler;
  readonly path: string;
}

function handlerOf(proxy: LicenseProxy): Mounted {
  const keys = { unwrap: (entry: KeyEntry) => Promise.resolve(contentKey(entry)) };
  const { gate, log, vendorMetrics } = own;
  const routes = proxyRoutes(
    [proxy],
    { maxChallengeBytes: 65_536 },
    { gate, keys, log, metrics: vendorMetrics },
  );
  const handle = createRouter(routes, { requestHeaders: PLAYER_REQUEST_HEADERS });
  return { handle, path: `/license/${proxy.system}` };
}

async function post(
  { handle, path }: Mounted,
  body: Uint8Array | string,
  init: FakeRequestInit = {},
  query = '',
): Promise<FakeResponse> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const response = exchange(handle, `${path}${query}`, { method: 'POST', body: bytes, ...init });
  await until(() => response.finished, 'an answer');
  return response;
}

const now = (): Date => new Date(own.clock.wallMs());

async function widevine(renewSeconds = 0) {
  const service = await started(widevineService(SIGNER.key, SIGNER.iv, SIGNER.provider));
  const options = { url: `${service.url}/acme`, signer: SIGNER, policy: { renewSeconds, renewalUrl: '' } };
  return { service, handler: handlerOf(createWidevineProxy(options, backend('widevine', isWidevineBroken))) };
}

interface WidevineKeys {
  readonly keys: readonly { readonly key: string; readonly key_id: string }[];
}

describe('the Widevine proxy', () => {
  it('hands the challenge to the service, signed, and its licence to the player', async () => {
    const { service, handler } = await widevine();
    const response = await post(handler, 'device:5');
    expect(response.status).toBe(200);
    expect((JSON.parse(response.text()) as WidevineKeys).keys).toHaveLength(4);
    expect(response.header('content-type')).toBe('application/octet-stream');
    expect(response.header('cache-control')).toBe('no-store');
    expect(response.header('access-control-allow-origin')).toBe('*');
    expect(widevineMessage(service.calls[0]).payload).toBe(Buffer.from('device:5').toString('base64'));
  });

  it('lets a device that claims more than it is have no HD key', async () => {
    const { handler } = await widevine();
    // Policy believed the claim of L1; the service knows the device and keeps to the levels of the keys.
    const { keys } = JSON.parse((await post(handler, 'device:2')).text()) as WidevineKeys;
    expect(keys.map(({ key_id }) => Buffer.from(key_id, 'base64')[0])).toEqual([0xa0, 0x50]);
  });

  it('sends no HD key at all for an L3 session', async () => {
    const { service, handler } = await widevine();
    own.gate.verdict = grantFor('L3', { periods: [1, 2] });
    await post(handler, 'device:5');
    const specs = widevineMessage(service.calls[0]).content_key_specs ?? [];
    expect(specs.map((spec) => spec.track_type).sort()).toEqual(['AUDIO', 'AUDIO', 'SD', 'SD']);
  });

  it('sends no key of a tier that the verdict does not name, whatever keys it lists', async () => {
    const { service, handler } = await widevine();
    own.gate.verdict = { ...grantFor('L1'), tiers: ['AUDIO', 'SD'] };
    await post(handler, 'device:5');
    const specs = widevineMessage(service.calls[0]).content_key_specs ?? [];
    expect(specs.map((spec) => spec.track_type).sort()).toEqual(['AUDIO', 'SD']);
  });

  it('is refused for a session that may have none of the keys', async () => {
    const { service, handler } = await widevine();
    own.gate.verdict = { ...grantFor('L1', { tiers: ['HD'] }), tiers: ['AUDIO', 'SD'] };
    expect((await post(handler, 'device:5')).status).toBe(403);
    expect(service.calls).toHaveLength(0);
  });

  it('asks the gate with the keys and the renewal that the query names, and calls nobody when it says no', async () => {
    const { service, handler } = await widevine();
    const error = new AppError('LICENSE_SESSION_REVOKED');
    own.gate.verdict = { granted: false, error, headers: [['X-Reason', 'test']] };
    const kid = '50505050-5050-5050-5050-505050505001';
    const response = await post(
      handler,
      'device:5',
      { headers: { authorization: 'Bearer t' } },
      `?kid=${kid}&renewal=1`,
    );
    expect([response.status, response.header('x-reason')]).toEqual([403, 'test']);
    expect(response.header('content-type')).toBe('application/problem+json');
    expect(own.gate.asks[0]?.ask).toMatchObject({ system: 'widevine', renewal: true });
    expect(own.gate.asks[0]?.ask.kids.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual([
      kid.replaceAll('-', ''),
    ]);
    expect(own.gate.asks[0]?.credentials.authorization).toBe('Bearer t');
    expect(service.calls).toHaveLength(0);
  });

  it('judges each renewal again', async () => {
    const { service, handler } = await widevine(300);
    expect((await post(handler, 'device:5')).status).toBe(200);
    expect(widevineMessage(service.calls[0]).policy_overrides).toMatchObject({
      can_renew: true,
      license_duration_seconds: 360,
    });
    own.gate.verdict = { granted: false, error: new AppError('LICENSE_SESSION_REVOKED'), headers: [] };
    expect((await post(handler, 'device:5', {}, '?renewal=1')).status).toBe(403);
    expect(service.calls).toHaveLength(1);
  });

  it('forwards a request for the certificate without any key', async () => {
    const { service, handler } = await widevine();
    const response = await post(handler, Buffer.from([8, 4]));
    expect([response.status, response.text()]).toEqual([200, 'certificate of the service']);
    expect(Object.keys(widevineMessage(service.calls[0])).sort()).toEqual(['payload', 'provider']);
  });

  it.each([
    ['INVALID_LICENSE_CHALLENGE', 400],
    ['DRM_DEVICE_CERTIFICATE_REVOKED', 403],
    ['ACCESS_DENIED', 403],
    ['SIGNATURE_FAILED', 502],
    ['UNKNOWN_PROVIDER', 502],
    ['INTERNAL_ERROR', 503],
    ['canary-4711 <script>', 502],
  ])('answers %s of the service with %i', async (status, code) => {
    const { service, handler } = await widevine();
    service.misbehave = () => ({ status: 200, body: JSON.stringify({ status, license: 'AAAA' }) });
    const response = await post(handler, 'device:5');
    expect(response.status).toBe(code);
    expect(response.header('access-control-allow-origin')).toBe('*');
    expect(JSON.stringify(own.log.lines) + response.text()).not.toContain('canary');
  });

  it.each([
    ['no JSON', 'hello'],
    ['a licence that is not base64', JSON.stringify({ status: 'OK', license: 'no!' })],
    ['an empty licence', JSON.stringify({ status: 'OK', license: '' })],
    ['a list', '[]'],
    ['null', 'null'],
  ])('takes %s for no licence', async (_what, body) => {
    const { service, handler } = await widevine();
    service.misbehave = () => ({ status: 200, body });
    expect((await post(handler, 'device:5')).status).toBe(502);
  });

  it.each([
    ['an empty challenge', '', ''],
    ['a kid that is none', 'device:5', '?kid=xyz'],
    ['more kids than may be', 'device:5', `?kid=${Array(33).fill('0'.repeat(32)).join(',')}`],
  ])('refuses %s before the gate is asked', async (_what, body, query) => {
    const { handler } = await widevine();
    expect((await post(handler, body, {}, query)).status).toBe(400);
    expect(own.gate.asks).toHaveLength(0);
  });
});

describe('a service that fails', () => {
  it('is answered 503 when it is silent, too long or gone, with a time to come again', async () => {
    const { service, handler } = await widevine();
    service.misbehave = () => undefined;
    const silent = post(handler, 'device:5');
    await until(() => service.calls.length === 1, 'the call');
    own.clock.advance(LIMITS.timeoutMs);
    expect((await silent).status).toBe(503);
    service.misbehave = () => ({ status: 200, body: Buffer.alloc(LIMITS.maxAnswerBytes + 1, 0x20) });
    expect((await post(handler, 'device:5')).status).toBe(503);
    await service.close();
    services.splice(0);
    const gone = await post(handler, 'device:5');
    expect([gone.status, gone.header('retry-after')]).toEqual([503, '2']);
  });

  it('is not asked for a while after it has failed several times, and then once to see', async () => {
    const { service, handler } = await widevine();
    service.misbehave = () => ({ status: 503, body: 'down' });
    for (let i = 0; i < BREAKER.maxFailures; i++) expect((await post(handler, 'device:5')).status).toBe(503);
    const spared = await post(handler, 'device:5');
    expect([spared.status, spared.header('retry-after')]).toEqual([503, '5']);
    expect(service.calls).toHaveLength(BREAKER.maxFailures);
    expect(await own.metrics.registry.metrics()).toContain(
      'headwater_license_vendor_breaker_state{system="widevine",state="open"} 1',
    );
    own.clock.advance(BREAKER.pauseMs);
    service.misbehave = undefined;
    expect((await post(handler, 'device:5')).status).toBe(200);
    expect((await post(handler, 'device:5')).status).toBe(200);
    expect(service.calls).toHaveLength(BREAKER.maxFailures + 2);
  });

  it('is not blamed for a player that leaves', async () => {
    const { service, handler } = await widevine();
    service.misbehave = () => undefined;
    for (let i = 0; i < BREAKER.maxFailures + 1; i++) {
      const response = exchange(handler.handle, '/license/widevine', {
        method: 'POST',
        body: Buffer.from('device:5'),
      });
      await until(() => service.calls.length === i + 1, 'the call');
      response.abort();
    }
    service.misbehave = undefined;
    await until(() => own.http.underWay === 0, 'the calls to end');
    expect((await post(handler, 'device:5')).status).toBe(200);
  });

  it('is asked over a kept connection, and again over a new one when that was just closed', async () => {
    const { service, handler } = await widevine();
    for (let i = 0; i < 3; i++) expect((await post(handler, 'device:5')).status).toBe(200);
    expect(service.connections).toBe(1);
    service.oneRequestEach = true;
    expect((await post(handler, 'device:5')).status).toBe(200);
    expect(service.connections).toBe(2);
  });
});

describe('the PlayReady proxy', () => {
  async function playReady(sendsKeys = false) {
    const service = await started(playReadyService(SECRET, HEADER, now));
    const options = {
      url: service.url,
      entitlementHeader: HEADER,
      entitlement: { secret: SECRET, sendsKeys },
    };
    const proxy = createPlayReadyProxy(options, backend('playready', isPlayReadyBroken), {
      clock: own.clock,
      randomBytes,
    });
    return { service, handler: handlerOf(proxy) };
  }

  it('sends the challenge on byte for byte with our entitlement, and the licence back', async () => {
    const { service, handler } = await playReady();
    const challenge = playReadyChallenge('app data &amp; more');
    const response = await post(handler, challenge, {
      headers: { 'content-type': 'text/xml; charset=utf-8' },
    });
    expect(response.status).toBe(200);
    expect(response.header('content-type')).toBe('text/xml; charset=utf-8');
    expect(response.text()).toContain('AcquireLicenseResponse');
    expect(service.calls[0]?.body.toString()).toBe(challenge);
    const token = String(service.calls[0]?.headers[HEADER.toLowerCase()]);
    expect(token.split('.')).toHaveLength(3);
    expect(await readEntitlement(token, SECRET, 'playready', now())).toMatchObject({
      sub: 'viewer-1',
      sid: 'session-1',
      content_id: 'live/studio',
      robustness: 'L1',
      license_seconds: 3600,
      persistent: false,
      keys: [
        { kid: 'a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001', tier: 'AUDIO', output: 'none', security_level: 2000 },
        { kid: '50505050-5050-5050-5050-505050505001', tier: 'SD', output: 'none', security_level: 2000 },
        { kid: 'd0d0d0d0-d0d0-d0d0-d0d0-d0d0d0d0d001', tier: 'HD', output: 'hdcp1', security_level: 3000 },
        { kid: 'e0e0e0e0-e0e0-e0e0-e0e0-e0e0e0e0e001', tier: 'UHD', output: 'hdcp2.2', security_level: 3000 },
      ],
    });
  });

  it('names no HD key for an L3 session, and sends keys only encrypted', async () => {
    const { service, handler } = await playReady(true);
    own.gate.verdict = grantFor('L3');
    expect((await post(handler, playReadyChallenge())).status).toBe(200);
    const token = String(service.calls[0]?.headers[HEADER.toLowerCase()]);
    expect(token.split('.')).toHaveLength(5);
    const { keys } = await readEntitlement(token, SECRET, 'playready', now());
    expect(keys.map(({ tier }) => tier)).toEqual(['AUDIO', 'SD']);
    expect(keys[1]?.k).toBe(Buffer.from('af'.repeat(15) + 'fe', 'hex').toString('base64url'));
    await expect(readEntitlement(token, randomBytes(32), 'playready', now())).rejects.toThrow('decryption');
  });

  it('lets an entitlement count for a minute and for its own system', async () => {
    const { service, handler } = await playReady();
    await post(handler, playReadyChallenge());
    const token = String(service.calls[0]?.headers[HEADER.toLowerCase()]);
    await expect(readEntitlement(token, SECRET, 'fairplay', now())).rejects.toThrow('aud');
    own.clock.advance(61_000);
    await expect(readEntitlement(token, SECRET, 'playready', now())).rejects.toThrow('exp');
  });

  it('takes the playback token from the custom data where there is no header', async () => {
    const { handler } = await playReady();
    await post(handler, playReadyChallenge('aaa.bbb.ccc'));
    expect(own.gate.asks[0]?.credentials.authorization).toBe('Bearer aaa.bbb.ccc');
    await post(handler, playReadyChallenge('aaa.bbb.ccc'), { headers: { authorization: 'DPoP header' } });
    expect(own.gate.asks[1]?.credentials.authorization).toBe('DPoP header');
    await post(handler, playReadyChallenge('{"user":"x"}'));
    expect(own.gate.asks[2]?.credentials.authorization).toBe('');
  });

  it('unwraps the UTF-16 message of browsers', async () => {
    const { service, handler } = await playReady();
    const inner = Buffer.from(playReadyChallenge()).toString('base64');
    const message =
      '<PlayReadyKeyMessage type="LicenseAcquisition"><LicenseAcquisition Version="1"><Challenge encoding="base64encoded">' +
      `${inner}</Challenge><HttpHeaders/></LicenseAcquisition></PlayReadyKeyMessage>`;
    expect((await post(handler, Buffer.from(message, 'utf16le'))).status).toBe(200);
    expect(service.calls[0]?.body.toString()).toBe(playReadyChallenge());
  });

  it.each([
    ['8004C602', 403, true],
    ['8004C604', 403, true],
    ['8004C601', 400, true],
    ['8004FFFF', 502, false],
    ['8004C600', 503, false],
  ])('answers the fault %s with %i', async (code, status, shown) => {
    const { service, handler } = await playReady();
    service.misbehave = () => playReadyFault(code, 'words for the viewer');
    const response = await post(handler, playReadyChallenge());
    expect(response.status).toBe(status);
    expect(response.text().includes('words for the viewer')).toBe(shown);
    expect(response.header('access-control-allow-origin')).toBe('*');
  });

  it.each([
    ['text', 'hello'],
    ['another envelope', '<e:Envelope xmlns:e="x"><e:Body><Other/></e:Body></e:Envelope>'],
    ['a bomb', playReadyChallenge('&b;').replace('?>', '?><!DOCTYPE a [<!ENTITY b "c">]>')],
    ['elements without end', '<a>'.repeat(10_000)],
  ])('refuses %s', async (_what, body) => {
    const { service, handler } = await playReady();
    expect((await post(handler, body)).status).toBe(400);
    expect(service.calls).toHaveLength(0);
  });
});

describe('the FairPlay proxy', () => {
  async function fairPlay(format: 'binary' | 'form', sendsKeys = true) {
    const service = await started(fairPlayService(SECRET, HEADER, format, now));
    const options = {
      url: service.url,
      format,
      entitlementHeader: HEADER,
      entitlement: { secret: SECRET, sendsKeys },
    };
    const proxy = createFairPlayProxy(options, backend('fairplay', isFairPlayBroken), {
      clock: own.clock,
      randomBytes,
    });
    return { service, handler: handlerOf(proxy) };
  }

  const formBody = `spc=${encodeURIComponent(SPC.toString('base64'))}&assetId=live`;

  it.each(['binary', 'form'] as const)('speaks to a module that takes %s', async (format) => {
    const { service, handler } = await fairPlay(format);
    const binary = await post(handler, SPC, { headers: { 'content-type': 'application/octet-stream' } });
    expect([binary.status, binary.bytes()]).toEqual([200, CKC]);
    const form = await post(handler, formBody, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect([form.status, form.text()]).toEqual([200, CKC.toString('base64')]);
    const json = await post(handler, JSON.stringify({ spc: SPC.toString('base64') }));
    expect([json.status, json.text()]).toEqual([200, CKC.toString('base64')]);
    const token = String(service.calls[0]?.headers[HEADER.toLowerCase()]);
    const { keys } = await readEntitlement(token, SECRET, 'fairplay', now());
    expect(keys[0]?.iv).toBe(Buffer.from('11'.repeat(15) + '01', 'hex').toString('base64url'));
  });

  it('takes a base64 form whose plus signs were left as they are', async () => {
    const { handler } = await fairPlay('binary');
    const response = await post(handler, `spc=${SPC.toString('base64')}`);
    expect(response.status).toBe(200);
  });

  it.each([
    ['a page in the place of a CKC', { status: 200, body: '<html>Sign in</html>' }, 502],
    ['an empty answer', { status: 200, body: '' }, 502],
    ['403', { status: 403, body: '' }, 403],
    ['500', { status: 500, body: '' }, 503],
  ])('answers %s of the module with an error', async (_what, answer, status) => {
    const { service, handler } = await fairPlay('binary');
    service.misbehave = () => answer;
    expect((await post(handler, SPC)).status).toBe(status);
  });

  it.each([
    ['something short', 'short'],
    ['a form without it', 'spc='],
    ['a form that is not base64', 'spc=%%%'],
    ['JSON without it', '{"a":1}'],
  ])('refuses %s', async (_what, body) => {
    const { handler } = await fairPlay('binary');
    expect((await post(handler, body)).status).toBe(400);
  });
});

describe('every proxy', () => {
  it('answers a preflight and refuses other methods', async () => {
    const { handler } = await widevine();
    const preflight = exchange(handler.handle, '/license/widevine', { method: 'OPTIONS' });
    await until(() => preflight.finished, 'an answer');
    expect([preflight.status, preflight.header('access-control-allow-headers')]).toEqual([
      204,
      'Content-Type, Authorization, DPoP, SOAPAction, Last-Event-ID',
    ]);
    const get = exchange(handler.handle, '/license/widevine', {});
    await until(() => get.finished, 'an answer');
    expect([get.status, get.header('allow')]).toEqual([405, 'POST, OPTIONS']);
    expect(preflight.header('access-control-allow-methods')).toBe('POST, OPTIONS');
  });

  it('lets no secret into logs, metrics or errors', async () => {
    const { service, handler } = await widevine();
    service.misbehave = () => ({ status: 200, body: JSON.stringify({ status: 'SIGNATURE_FAILED' }) });
    const headers = { authorization: 'Bearer canary-token' };
    const refused = await post(handler, 'device:5', { headers });
    service.misbehave = () => ({ status: 500, body: 'canary-answer' });
    const failed = await post(handler, 'canary-challenge', { headers });
    const text = [
      JSON.stringify(own.log.lines),
      await own.metrics.registry.metrics(),
      refused.text(),
      failed.text(),
    ].join('');
    const canaries = ['canary', SIGNER.key.toString('base64'), SIGNER.iv.toString('base64'), service.url];
    for (const tier of ['AUDIO', 'SD', 'HD', 'UHD']) {
      const granted = grantFor('L1').keys.find((key) => key.tier === tier);
      if (granted) canaries.push(Buffer.from(contentKey(granted.entry).key).toString('base64').slice(0, 20));
    }
    for (const canary of canaries) expect(text).not.toContain(canary);
    expect(own.log.lines.length).toBeGreaterThan(1);
  });
});

describe('opened from the configuration', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'proxies-'));
    await writeFile(join(folder, 'key.hex'), `${SIGNER.key.toString('hex')}\n`, { mode: 0o600 });
    await writeFile(join(folder, 'iv.b64'), SIGNER.iv.toString('base64'), { mode: 0o600 });
    await writeFile(join(folder, 'secret.raw'), SECRET, { mode: 0o600 });
  });

  afterEach(() => rm(folder, { recursive: true }));

  function open(...flags: string[]): Promise<OpenProxies> {
    const loaded = loadConfig({ cwd: folder, env: {}, flags });
    if ('issues' in loaded) throw new Error(JSON.stringify(loaded.issues));
    const keys = { unwrap: (entry: KeyEntry) => Promise.resolve(contentKey(entry)) };
    const { clock, log, vendorMetrics: metrics } = own;
    return openLicenseProxies(loaded.config.license, { keys, clock, log, metrics, randomBytes });
  }

  it('there is a route for each service that has a URL, and each works', async () => {
    expect((await open()).routes(own.gate)).toEqual([]);
    const widevineAt = await started(widevineService(SIGNER.key, SIGNER.iv, SIGNER.provider));
    const playReadyAt = await started(playReadyService(SECRET, HEADER, now));
    const fairPlayAt = await started(fairPlayService(SECRET, HEADER, 'form', now));
    const proxies = await open(
      `license.widevine.url=${widevineAt.url}/acme`,
      'license.widevine.provider=acme',
      `license.widevine.signingKeyPath=${join(folder, 'key.hex')}`,
      `license.widevine.signingIvPath=${join(folder, 'iv.b64')}`,
      `license.playready.url=${playReadyAt.url}`,
      `license.playready.entitlementKeyPath=${join(folder, 'secret.raw')}`,
      `license.fairplay.url=${fairPlayAt.url}`,
      'license.fairplay.format=form',
      `license.fairplay.entitlementKeyPath=${join(folder, 'secret.raw')}`,
    );
    const handle = createRouter(proxies.routes(own.gate), { requestHeaders: PLAYER_REQUEST_HEADERS });
    const bodies = { widevine: 'device:5', playready: playReadyChallenge(), fairplay: SPC };
    for (const [system, body] of Object.entries(bodies))
      expect((await post({ handle, path: `/license/${system}` }, body)).status).toBe(200);
    proxies.close();
  });

  it.each([
    ['others may read', 'key.hex', 0o644],
    ['is too short', 'iv.b64', 0o600],
  ])('not with a key that %s', async (_what, file, mode) => {
    await chmod(join(folder, file), mode);
    const opening = open(
      'license.widevine.url=https://license.example/acme',
      'license.widevine.provider=acme',
      `license.widevine.signingKeyPath=${join(folder, file)}`,
      `license.widevine.signingIvPath=${join(folder, 'iv.b64')}`,
    );
    await expect(opening).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
    await expect(opening).rejects.not.toThrow(SIGNER.key.toString('hex'));
  });
});

describe('with the real licence server in front', () => {
  let fixture: LicenseFixture;
  let service: DrmService;
  let playReady: DrmService;

  beforeEach(async () => {
    const keys = new FakeKeyDirectory();
    service = await started(widevineService(SIGNER.key, SIGNER.iv, SIGNER.provider));
    playReady = await started(playReadyService(SECRET, HEADER, now));
    const { http, clock, log, vendorMetrics: metrics } = own;
    const at = (system: LicenseProxy['system'], isBroken: (answer: VendorAnswer) => boolean): VendorBackend =>
      new VendorBackend({ system, breaker: BREAKER, isBroken }, { http, clock, log, metrics });
    const policy = { renewSeconds: 300, renewalUrl: '' };
    const entitled = { entitlementHeader: HEADER, entitlement: { secret: SECRET, sendsKeys: false } };
    const proxies = [
      createWidevineProxy({ url: service.url, signer: SIGNER, policy }, at('widevine', isWidevineBroken)),
      createPlayReadyProxy({ url: playReady.url, ...entitled }, at('playready', isPlayReadyBroken), {
        clock,
        randomBytes,
      }),
    ];
    const limits = { maxChallengeBytes: 65_536 };
    fixture = await LicenseFixture.open(
      {},
      { keys, proxies: (gate) => proxyRoutes(proxies, limits, { gate, keys, log, metrics }) },
    );
  });

  afterEach(() => fixture.close());

  const tiersSent = (): string[] => {
    const specs = widevineMessage(service.calls.at(-1)).content_key_specs ?? [];
    return [...new Set(specs.map(({ track_type: type }) => type))].sort();
  };
  const challenge = { body: Buffer.from('device:5') };

  it('a session gets what its level may have, whatever keys it asks for', async () => {
    const l3 = await fixture.begin({ drm: 'widevine', robustness: 'L3' });
    const hd = Buffer.from(fixture.kid('HD'), 'base64url').toString('hex');
    expect((await fixture.as(l3.token, `/license/widevine?kid=${hd}`, challenge)).status).toBe(200);
    expect(tiersSent()).toEqual(['AUDIO', 'SD']);
    const l1 = await fixture.begin({ drm: 'widevine', robustness: 'L1' });
    expect((await fixture.as(l1.token, '/license/widevine', challenge)).status).toBe(200);
    expect(tiersSent()).toEqual(['AUDIO', 'HD', 'SD', 'UHD1']);
  });

  it('a renewal of a session that was ended is refused, and the service hears nothing of it', async () => {
    const session = await fixture.begin({ drm: 'widevine', robustness: 'L1' });
    expect((await fixture.as(session.token, '/license/widevine', challenge)).status).toBe(200);
    await fixture.as(session.token, `/v1/sessions/${session.sessionId}`, { method: 'DELETE' });
    const renewal = await fixture.as(session.token, '/license/widevine?renewal=1', challenge);
    expect([401, 403, 410]).toContain(renewal.status);
    expect(service.calls).toHaveLength(1);
  });

  it('a session that is bound to a device needs its proof', async () => {
    const device = new TestDevice();
    const session = await fixture.begin(
      { drm: 'widevine', robustness: 'L3', device: device.jwk },
      fixture.login(),
      device,
    );
    expect((await fixture.as(session.token, '/license/widevine', challenge)).status).toBe(401);
    expect((await fixture.as(session.token, '/license/widevine', challenge, new TestDevice())).status).toBe(
      401,
    );
    expect(service.calls).toHaveLength(0);
    expect((await fixture.as(session.token, '/license/widevine', challenge, device)).status).toBe(200);
  });

  it('a token in custom data of PlayReady opens as one in the header does, and no other text', async () => {
    const session = await fixture.begin({ drm: 'playready', robustness: 'L3' });
    const ask = (custom: string): Promise<FakeResponse> =>
      fixture.call('/license/playready', { body: Buffer.from(playReadyChallenge(custom)) });
    expect((await ask(session.token)).status).toBe(200);
    expect((await ask(`${session.token}x`)).status).toBe(401);
    expect((await ask('')).status).toBe(401);
    const token = String(playReady.calls[0]?.headers[HEADER.toLowerCase()]);
    const { keys } = await readEntitlement(token, SECRET, 'playready', now());
    expect([...new Set(keys.map(({ tier }) => tier))].sort()).toEqual(['AUDIO', 'SD']);
    expect(playReady.calls).toHaveLength(1);
  });
});

describe('over real HTTP', () => {
  const listeners = new TestListeners();
  afterEach(() => listeners.closeAll());

  it('a challenge goes in and a licence comes out, and a longer one is refused', async () => {
    const { handler } = await widevine();
    const { origin } = await listeners.start('node', handler.handle);
    const send = (body: string): Promise<Response> =>
      fetch(`${origin}/license/widevine`, { method: 'POST', body, headers: { Authorization: 'Bearer t' } });
    const good = await send('device:5');
    expect([good.status, good.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(((await good.json()) as WidevineKeys).keys).toHaveLength(4);
    const long = await send('a'.repeat(65_537));
    expect([long.status, long.headers.get('access-control-allow-origin')]).toEqual([413, '*']);
  });
});
