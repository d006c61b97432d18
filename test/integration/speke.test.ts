import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { OutgoingHttp } from '../../src/base/outgoing-http.ts';
import { type ContentKeysOptions, openContentKeys } from '../../src/drm/content-keys.ts';
import type { CpixDocument } from '../../src/drm/cpix/cpix-document.ts';
import { type CpixRecipient, keyOpener } from '../../src/drm/cpix/key-wrapping.ts';
import { readCpix } from '../../src/drm/cpix/read-cpix.ts';
import type { KeyRequest } from '../../src/drm/key-source.ts';
import { kidText } from '../../src/drm/kid.ts';
import type { SignallingOptions } from '../../src/drm/signalling.ts';
import type { HttpHandler } from '../../src/http/types.ts';
import { VendorBackend } from '../../src/license/proxy/vendor-backend.ts';
import { VendorMetrics } from '../../src/license/proxy/vendor-metrics.ts';
import { openSpekeServer, openSpekeSource } from '../../src/license/speke/open-speke.ts';
import { isSpekeBroken, SpekeKeySource } from '../../src/license/speke/speke-key-source.ts';
import { createSpekeServer, type SpekeKeys } from '../../src/license/speke/speke-server.ts';
import { cpixSchemaErrors } from '../support/cpix-schema.ts';
import type { DrmService } from '../support/drm-services.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { exchange, type FakeResponse } from '../support/fake-exchange.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import {
  caseKid,
  SPEKE_CASES,
  SPEKE_PRESETS,
  schemeOf,
  type SpekeCase,
  spekeCaseRequest,
  SYSTEM_UUIDS,
} from '../support/speke-cases.ts';
import { makeRecipient, MemorySpekeKeys, serviceOf } from '../support/speke-peers.ts';
import { until } from '../support/until.ts';
import { find, parseXml, type XmlNode } from '../support/xml-tree.ts';

/** What a key server is asked for a live stream with four tiers; laid out for people. */
const GOLDEN_REQUEST = new URL('../support/golden/speke-request.xml', import.meta.url);

const API_KEY = randomBytes(24).toString('hex');
const ADMIN = randomBytes(24).toString('hex');
const SIGNALLING: SignallingOptions = {
  systems: ['clearkey', 'widevine', 'playready', 'fairplay'],
  licenseUrls: { clearkey: '/license/clearkey', playready: 'https://drm.example/playready' },
  widevineProvider: 'acme',
};

const STORE: ContentKeysOptions = {
  scheme: 'cbcs',
  rotationMs: 300_000,
  kek: { path: '', given: '' },
  signalling: SIGNALLING,
  leadMs: 60_000,
  windowMs: 60_000,
  licenseTtlMs: 3_600_000,
};

let folder: string;
let packager: CpixRecipient;
let stranger: CpixRecipient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'speke-'));
  packager = await makeRecipient(folder, 'packager');
  stranger = await makeRecipient(folder, 'stranger');
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Own {
  readonly keys: MemorySpekeKeys;
  readonly log: ReturnType<typeof createMemoryLog>;
  readonly metrics: Metrics;
  readonly handler: HttpHandler;
}

let own: Own;

function serverOf(keys: SpekeKeys, requireEncryption = false): Pick<Own, 'log' | 'metrics' | 'handler'> {
  const log = createMemoryLog();
  const metrics = new Metrics();
  const options = {
    apiKeys: [API_KEY],
    maxDocumentBytes: 262_144,
    requireEncryption,
    signalling: SIGNALLING,
  };
  const isAdmin = (token: string): boolean => token === ADMIN;
  return { log, metrics, handler: createSpekeServer(options, { keys, isAdmin, log, metrics, randomBytes }) };
}

beforeEach(() => {
  const keys = new MemorySpekeKeys();
  own = { keys, ...serverOf(keys) };
});

const HEADERS = {
  authorization: `Bearer ${API_KEY}`,
  'content-type': 'application/xml',
  'x-speke-version': '2.0',
};

async function post(
  handler: HttpHandler,
  xml: string,
  headers: Record<string, string> = HEADERS,
): Promise<FakeResponse> {
  const response = exchange(handler, '/speke/v2', { method: 'POST', headers, body: Buffer.from(xml) });
  await until(() => response.finished, 'an answer');
  return response;
}

/** Elements by name and attributes alone, without what was filled in. */
function shape(xml: string): unknown {
  const bare = (node: XmlNode): unknown => {
    const dropped = ['explicitIV'];
    const attributes = [...node.attributes]
      .filter(([name]) => !dropped.includes(name) && !name.startsWith('xmlns'))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const children = node.children.filter(({ name }) => name !== 'Data').map(bare);
    return { name: node.name, attributes, children };
  };
  return bare(parseXml(withoutColons(xml)));
}

/** For a reader that knows no prefixes in names. */
function withoutColons(xml: string): string {
  return xml.replaceAll(/<(\/?)(cpix|pskc|ds|enc):/g, '<$1').replaceAll(/ xmlns:[a-z]+="[^"]*"/g, '');
}

const tree = (xml: string): XmlNode => parseXml(withoutColons(xml));
const decoded = (node: XmlNode | undefined): Buffer => Buffer.from(node?.text ?? '', 'base64');
const aCase = (at: number): SpekeCase => {
  const found = SPEKE_CASES[at];
  if (!found) throw new Error('no such case');
  return found;
};

const MATRIX = SPEKE_CASES.flatMap((each) => SPEKE_PRESETS.map((presets) => ({ ...each, each, presets })));

describe('the key server for packagers, by the contract cases of SPEKE 2.0', () => {
  it.each(MATRIX)('fills in $name with $presets', async ({ each, presets }) => {
    const request = spekeCaseRequest(each, { presets });
    const response = await post(own.handler, request);
    expect(response.status).toBe(200);
    expect(response.header('content-type')).toBe('application/xml');
    expect(response.header('x-speke-version')).toBe('2.0');
    expect(response.header('x-speke-user-agent')).toBe('headwater');
    const xml = response.text();
    const expected = request.replaceAll('<cpix:PSSH />', '');
    expect(shape(xml)).toEqual(shape(expected));
    checkKeys(xml, each, presets);
    checkSystems(xml);
    expect(own.keys.made.map(({ tier, kid }) => [kidText(kid), tier])).toEqual(
      each.rules.map(({ tier }, at) => [caseKid(at), tier]),
    );
  });

  it('keeps to the schema in all of them', async () => {
    const requests = MATRIX.map(({ each, presets }, seed) => spekeCaseRequest(each, { presets, seed }));
    const answers = await Promise.all(
      requests.map(async (request) => (await post(own.handler, request)).text()),
    );
    expect(await cpixSchemaErrors(...requests, ...answers)).toEqual([]);
    const [answer = ''] = answers;
    expect(await cpixSchemaErrors(answer.replace('version="2.3"', ''))).not.toEqual([]);
    expect(await cpixSchemaErrors(answer.replace(/<cpix:DRMSystem kid="[^"]*"/, '$&x'))).not.toEqual([]);
  });

  function checkKeys(xml: string, { rules }: SpekeCase, presets: (typeof SPEKE_PRESETS)[number]): void {
    const keys = find(tree(xml), 'ContentKey');
    expect(keys).toHaveLength(rules.length);
    const values = keys.map((key) => find(key, 'PlainValue')[0]?.text ?? '');
    expect(new Set(values).size).toBe(rules.length);
    for (const value of values) expect(Buffer.from(value, 'base64')).toHaveLength(16);
    for (const key of keys) {
      expect(key.attributes.get('commonEncryptionScheme')).toBe(schemeOf(presets));
      const iv = key.attributes.get('explicitIV');
      expect(iv === undefined ? undefined : Buffer.from(iv, 'base64').length).toBe(
        presets.includes('fairplay') ? 16 : undefined,
      );
    }
  }

  function checkSystems(xml: string): void {
    for (const system of find(tree(xml), 'DRMSystem')) {
      const kid = (system.attributes.get('kid') ?? '').replaceAll('-', '');
      const [media, master] = find(system, 'HLSSignalingData').map((node) => decoded(node).toString());
      expect(media).toMatch(/^#EXT-X-KEY:METHOD=SAMPLE-AES(-CTR)?,URI="/);
      expect(master).toMatch(/^#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES(-CTR)?,URI="/);
      const pssh = find(system, 'PSSH').map(decoded);
      const descriptor = find(system, 'ContentProtectionData').map((node) => decoded(node).toString());
      switch (system.attributes.get('systemId')) {
        case SYSTEM_UUIDS.fairplay:
          expect([pssh, descriptor]).toEqual([[], []]);
          expect(media).toContain(`URI="skd://${kid}",KEYFORMAT="com.apple.streamingkeydelivery"`);
          break;
        case SYSTEM_UUIDS.widevine:
          expect(pssh[0]?.subarray(4, 8).toString()).toBe('pssh');
          expect(pssh[0]?.toString('hex')).toContain(kid);
          expect(descriptor[0]).toBe(
            `<cenc:pssh xmlns:cenc="urn:mpeg:cenc:2013">${pssh[0]?.toString('base64') ?? ''}</cenc:pssh>`,
          );
          break;
        default:
          expect(pssh[0]?.toString('utf16le')).toContain('https://drm.example/playready');
          expect(descriptor[0]).toMatch(
            /^<mspr:pro xmlns:mspr="urn:microsoft:playready">[A-Za-z0-9+/=]+<\/mspr:pro>$/,
          );
      }
    }
  }

  it('gives the same keys for the same request, and others for another', async () => {
    const keysOf = async (seed: number): Promise<string[]> => {
      const response = await post(own.handler, spekeCaseRequest(aCase(1), { seed }));
      return find(tree(response.text()), 'PlainValue').map(({ text }) => text);
    };
    const first = await keysOf(1);
    expect(await keysOf(1)).toEqual(first);
    expect((await keysOf(2)).filter((key) => first.includes(key))).toEqual([]);
  });

  it.each([
    ['live/studio', { kind: 'live', id: 'studio' }],
    ['vod/film', { kind: 'vod', id: 'film' }],
    ['abc 123', { kind: 'vod', id: 'abc 123' }],
  ])('keeps keys of %s as those of %j', async (contentId, owner) => {
    await post(own.handler, spekeCaseRequest(aCase(0), { contentId }));
    expect(own.keys.made[0]?.owner).toEqual(owner);
  });

  it('knows key periods by number and by time', async () => {
    await post(
      own.handler,
      spekeCaseRequest(aCase(0), { period: '<cpix:ContentKeyPeriod id="p1" index="7"/>' }),
    );
    expect(own.keys.made[0]?.period).toEqual({ index: 7, startMs: 0, endMs: Number.MAX_SAFE_INTEGER });
    const times = 'start="2026-11-23T00:00:00Z" end="2026-11-23T01:05:00+01:00"';
    const response = await post(
      own.handler,
      spekeCaseRequest(aCase(0), { seed: 1, period: `<cpix:ContentKeyPeriod id="p1" ${times}/>` }),
    );
    const startMs = Date.UTC(2026, 10, 23);
    expect(own.keys.made[2]?.period).toEqual({ index: startMs / 300_000, startMs, endMs: startMs + 300_000 });
    expect(await cpixSchemaErrors(response.text())).toEqual([]);
  });

  it('fills in Smooth Streaming where it is asked for', async () => {
    const request = spekeCaseRequest(aCase(0), { presets: ['playready'] }).replaceAll(
      '</cpix:DRMSystem>',
      '<cpix:SmoothStreamingProtectionHeaderData/></cpix:DRMSystem>',
    );
    const [header] = find(
      tree((await post(own.handler, request)).text()),
      'SmoothStreamingProtectionHeaderData',
    );
    expect(decoded(header).toString('utf16le')).toContain('<WRMHEADER');
  });
});

describe('encrypted documents', () => {
  it('are for the certificate in the request: its owner reads the keys, nobody else', async () => {
    const certificate = Buffer.from(packager.certificate).toString('base64');
    const response = await post(own.handler, spekeCaseRequest(aCase(1), { certificate }));
    const xml = response.text();
    expect(await cpixSchemaErrors(xml)).toEqual([]);
    for (const canary of own.keys.canaries()) expect(xml).not.toContain(canary);
    const document = readCpix(xml) as CpixDocument;
    const open = keyOpener(document, packager);
    if ('refused' in open) throw new Error(open.refused);
    const opened = document.contentKeys.map((entry) => open(entry));
    const expected = await Promise.all(
      document.contentKeys.map(async ({ kid }) => {
        const entry = own.keys.find(kid);
        return { key: entry && (await own.keys.unwrap(entry)).key };
      }),
    );
    expect(opened).toEqual(expected);
    expect(keyOpener(document, stranger)).toEqual({ refused: 'the document is not for our certificate' });
    const asStranger = { certificate: packager.certificate, privateKey: stranger.privateKey };
    expect(keyOpener(document, asStranger)).toEqual({
      refused: 'the keys of the document cannot be decrypted',
    });
  });

  it('can be asked for by policy, and are refused for a weak certificate', async () => {
    const { handler } = serverOf(own.keys, true);
    expect((await post(handler, spekeCaseRequest(aCase(0)))).status).toBe(422);
    expect(own.keys.made).toEqual([]);
    const weak = await makeRecipient(folder, 'weak', 1024);
    for (const bytes of [weak.certificate, Buffer.from('no certificate')]) {
      const certificate = Buffer.from(bytes).toString('base64');
      const response = await post(handler, spekeCaseRequest(aCase(0), { certificate }));
      expect([response.status, response.text()]).toEqual([
        422,
        'a delivery certificate is none of RSA with at least 2048 bits\n',
      ]);
    }
  });
});

describe('a request that cannot be answered', () => {
  it.each([
    ['no token', { authorization: '' }, 401],
    ['a wrong token', { authorization: `Bearer ${API_KEY}x` }, 401],
    ['another scheme', { authorization: `Basic ${API_KEY}` }, 401],
    ['no version', { 'x-speke-version': '' }, 422],
    ['version 1', { 'x-speke-version': '1.0' }, 422],
  ])('because of %s is an error in words', async (_what, headers, status) => {
    const response = await post(own.handler, spekeCaseRequest(aCase(0)), { ...HEADERS, ...headers });
    expect(response.status).toBe(status);
    expect(response.header('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.text()).not.toContain('<');
    expect(own.keys.made).toEqual([]);
  });

  it.each([
    ['the admin token', { authorization: `Bearer ${ADMIN}` }],
    ['the API key in a header of its own', { authorization: '', 'x-api-key': API_KEY }],
  ])('is not refused with %s', async (_what, headers) => {
    expect((await post(own.handler, spekeCaseRequest(aCase(0)), { ...HEADERS, ...headers })).status).toBe(
      200,
    );
  });

  it('does not take the admin token for an API key', async () => {
    const headers = { ...HEADERS, authorization: '', 'x-api-key': ADMIN };
    expect((await post(own.handler, spekeCaseRequest(aCase(0)), headers)).status).toBe(401);
  });

  const kid = caseKid(0);
  it.each<[string, (xml: string) => string]>([
    ['no XML', () => 'hello'],
    ['a DOCTYPE', (xml) => xml.replace('?>', '?><!DOCTYPE cpix>')],
    ['another root', (xml) => xml.replaceAll('cpix:CPIX', 'cpix:Other')],
    ['no contentId', (xml) => xml.replace('contentId="vod/film"', '')],
    ['the id of SPEKE 1', (xml) => xml.replace('contentId=', 'id=').replace(' version="2.3"', '')],
    ['another version of CPIX', (xml) => xml.replace('version="2.3"', 'version="2.2"')],
    ['no keys', (xml) => xml.replace(/<cpix:ContentKeyList>[\s\S]*<\/cpix:ContentKeyList>/, '')],
    ['no systems', (xml) => xml.replace(/<cpix:DRMSystemList>[\s\S]*<\/cpix:DRMSystemList>/, '')],
    [
      'no rules',
      (xml) => xml.replace(/<cpix:ContentKeyUsageRuleList>[\s\S]*<\/cpix:ContentKeyUsageRuleList>/, ''),
    ],
    ['a key twice', (xml) => xml.replaceAll(caseKid(1), kid)],
    ['a kid that is no UUID', (xml) => xml.replaceAll(kid, 'key-1')],
    ['no scheme', (xml) => xml.replace('commonEncryptionScheme="cenc"', '')],
    ['a scheme that we do not have', (xml) => xml.replace('"cenc"', '"cens"')],
    ['FairPlay with cenc', (xml) => xml.replaceAll(SYSTEM_UUIDS.widevine, SYSTEM_UUIDS.fairplay)],
    ['a system that nobody knows', (xml) => xml.replaceAll(SYSTEM_UUIDS.widevine, kid)],
    [
      'a system of another key',
      (xml) => xml.replace(`DRMSystem kid="${kid}"`, `DRMSystem kid="${caseKid(9)}"`),
    ],
    ['a key without a rule', (xml) => xml.replace(`UsageRule kid="${kid}"`, `UsageRule kid="${caseKid(1)}"`)],
    ['a shared key', (xml) => xml.replace('intendedTrackType="SD"', 'intendedTrackType="ALL"')],
    ['no track type', (xml) => xml.replace('intendedTrackType="SD"', '')],
    ['a rule without filters', (xml) => xml.replace('<cpix:VideoFilter maxPixels="589824"/>', '')],
    [
      'an audio filter for pictures',
      (xml) => xml.replace('<cpix:VideoFilter maxPixels="589824"/>', '<cpix:AudioFilter/>'),
    ],
    [
      'an unknown filter',
      (xml) => xml.replace('<cpix:VideoFilter', '<cpix:MoonFilter phase="full"/><cpix:VideoFilter'),
    ],
    [
      'a filter with an unknown condition',
      (xml) => xml.replace('maxPixels="589824"', 'maxPixels="589824" minMoons="1"'),
    ],
    ['rules that overlap', (xml) => xml.replace('minPixels="589825"', 'minPixels="589824"')],
    [
      'a filter of a period that is not there',
      (xml) => xml.replace('<cpix:VideoFilter', '<cpix:KeyPeriodFilter periodId="p9"/><cpix:VideoFilter'),
    ],
    [
      'a period without a filter',
      (xml) =>
        xml.replace(
          '<cpix:ContentKeyUsageRuleList>',
          '<cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod id="p1" index="1"/></cpix:ContentKeyPeriodList><cpix:ContentKeyUsageRuleList>',
        ),
    ],
    [
      'keys of its own',
      (xml) =>
        xml.replace(
          '</cpix:ContentKey>',
          '<cpix:Data><pskc:Secret><pskc:PlainValue>AAAAAAAAAAAAAAAAAAAAAA==</pskc:PlainValue></pskc:Secret></cpix:Data></cpix:ContentKey>',
        ),
    ],
    ['tags of SPEKE 1', (xml) => xml.replace('<cpix:PSSH/>', '<cpix:URIExtXKey/>')],
    [
      'more keys than may be',
      (xml) =>
        xml.replace('</cpix:ContentKeyList>', `${'<cpix:ContentKey/>'.repeat(600)}</cpix:ContentKeyList>`),
    ],
    ['base64 that is none', (xml) => xml.replace('<cpix:PSSH/>', '<cpix:PSSH>*</cpix:PSSH>')],
  ])('because of %s is an error in words, and no key is made', async (_what, spoil) => {
    const good = spekeCaseRequest(aCase(4));
    const spoilt = spoil(good);
    expect(spoilt).not.toBe(good);
    const response = await post(own.handler, spoilt);
    expect([400, 422]).toContain(response.status);
    expect(response.header('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.header('x-speke-version')).toBe('2.0');
    expect(response.text()).toMatch(/^[^<]+\n$/);
    expect(own.keys.made).toEqual([]);
  });

  it.each([
    ['another content', { contentId: 'vod/other' }],
    ['another scheme', { presets: ['fairplay'] }],
  ] as const)('because a kid is in use for %s is 409, and nothing is made', async (_what, options) => {
    await post(own.handler, spekeCaseRequest(aCase(0)));
    const made = own.keys.made.length;
    // Another case with the same first kids: of one more the kid is free, and stays so.
    const response = await post(own.handler, spekeCaseRequest(aCase(1), options));
    expect(response.status).toBe(409);
    expect(own.keys.made).toHaveLength(made);
  });

  it('because the keys cannot be had is 503 and says no more', async () => {
    own.keys.failure = new AppError('DRM_KEYS_UNAVAILABLE', 'canary: disk full');
    const response = await post(own.handler, spekeCaseRequest(aCase(0)));
    expect([response.status, response.text()]).toEqual([503, 'the keys are not available now\n']);
    expect(response.header('retry-after')).toBe('2');
  });

  it('has no key, token or document in the log and the metrics', async () => {
    await post(own.handler, spekeCaseRequest(aCase(1)));
    await post(own.handler, spekeCaseRequest(aCase(1)), { ...HEADERS, authorization: 'Bearer canary-token' });
    const text = JSON.stringify(own.log.lines) + (await own.metrics.registry.metrics());
    for (const canary of [...own.keys.canaries(), API_KEY, ADMIN, 'canary', caseKid(0)])
      expect(text).not.toContain(canary);
    expect(own.log.lines).toHaveLength(2);
  });
});

describe('with the real key store', () => {
  it('keys of other packagers are kept, found and given again after a restart', async () => {
    const dataDir = await mkdtemp(join(folder, 'data-'));
    const clock = new FakeClock();
    const open = () =>
      openContentKeys(dataDir, STORE, { clock, log: createMemoryLog(), metrics: new Metrics(), randomBytes });
    const request = spekeCaseRequest(aCase(1), {
      presets: ['widevine', 'fairplay'],
      period: '<cpix:ContentKeyPeriod id="p1" index="3"/>',
    });
    const first = await open();
    const before = (await post(serverOf(first).handler, request)).text();
    const entry = first.find(Buffer.from(caseKid(0).replaceAll('-', ''), 'hex'));
    expect(entry).toMatchObject({ owner: { kind: 'vod', id: 'film' }, tier: 'SD', scheme: 'cbcs' });
    await first.close();
    const second = await open();
    expect((await post(serverOf(second).handler, request)).text()).toBe(before);
    expect(
      second
        .obtainable({ kind: 'vod', id: 'film' }, clock.wallMs())
        .map(({ tier }) => tier)
        .sort(),
    ).toEqual(['AUDIO', 'AUDIO', 'HD', 'SD', 'UHD']);
    await second.close();
  });
});

describe('a licence service that asks by the KIDs of our own keys', () => {
  it('gets those keys, under their content and track type only', async () => {
    const dataDir = await mkdtemp(join(folder, 'own-'));
    const deps = { clock: new FakeClock(), log: createMemoryLog(), metrics: new Metrics(), randomBytes };
    const keys = await openContentKeys(dataDir, STORE, deps);
    const stream = keys.owner({ kind: 'live', id: 'studio' });
    const period = stream.periodAt(deps.clock.wallMs());
    const [sd, hd] = [stream.key(period, 'SD'), stream.key(period, 'HD')];
    const { handler } = serverOf(keys);
    const ask = (contentId: string, first: Uint8Array, second: Uint8Array): Promise<FakeResponse> => {
      const request = spekeCaseRequest(aCase(4), { contentId, presets: ['fairplay'] });
      return post(
        handler,
        request.replaceAll(caseKid(0), kidText(first)).replaceAll(caseKid(1), kidText(second)),
      );
    };
    const answer = await ask('live/studio', sd.kid, hd.kid);
    const given = find(tree(answer.text()), 'PlainValue').map(decoded);
    expect(given).toEqual([Buffer.from(sd.key), Buffer.from(hd.key)]);
    expect((await ask('live/studio', hd.kid, sd.kid)).status).toBe(409);
    expect((await ask('live/other', sd.kid, hd.kid)).status).toBe(409);
    await keys.close();
  });
});

describe('keys from a key server elsewhere', () => {
  const clock = new FakeClock();
  let http: OutgoingHttp;
  let service: DrmService;

  beforeEach(async () => {
    http = new OutgoingHttp(
      { timeoutMs: 5000, maxAnswerBytes: 262_144, maxConcurrent: 4, maxWaiting: 4 },
      clock,
    );
    service = await serviceOf(own.handler);
  });

  /** Keys of all tests so far: the log is that of all. */
  const canaries: string[] = [];

  afterEach(async () => {
    canaries.push(...own.keys.canaries());
    http.close();
    await service.close();
  });

  const log = createMemoryLog();

  function source(recipient?: CpixRecipient): SpekeKeySource {
    const breaker = { maxFailures: 3, pauseMs: 5000, maxPauseMs: 60_000 };
    const metrics = new VendorMetrics(new Metrics());
    const backend = new VendorBackend(
      { system: 'speke', breaker, isBroken: isSpekeBroken },
      { http, clock, log, metrics },
    );
    const headers = { Authorization: `Bearer ${API_KEY}` };
    return new SpekeKeySource(
      { url: service.url, headers, contentIdPrefix: '', recipient, signalling: SIGNALLING },
      backend,
      log,
    );
  }

  const kidOf = (at: number): Buffer => Buffer.from(caseKid(at, 77).replaceAll('-', ''), 'hex');
  const order: KeyRequest = {
    owner: { kind: 'live', id: 'studio' },
    period: { index: 5_900_000, startMs: 5_900_000 * 300_000, endMs: 5_900_001 * 300_000 },
    scheme: 'cbcs',
    keys: (['AUDIO', 'SD', 'HD', 'UHD'] as const).map((tier, at) => ({ tier, kid: kidOf(at) })),
  };

  it('come with what players are to be told, in the order asked', async () => {
    const keys = await source().fetch(order);
    expect(keys.map(({ kid }) => kid)).toEqual(order.keys.map(({ kid }) => kid));
    for (const [at, key] of keys.entries()) {
      const entry = own.keys.find(key.kid);
      const stored = entry && (await own.keys.unwrap(entry));
      expect([key.key, key.constantIv, entry?.tier]).toEqual([
        stored?.key,
        stored?.constantIv,
        order.keys[at]?.tier,
      ]);
      expect(key.systems?.map(({ system }) => system)).toEqual([
        'clearkey',
        'widevine',
        'playready',
        'fairplay',
      ]);
    }
    expect(own.keys.made[0]?.owner).toEqual(order.owner);
    const [call] = service.calls;
    expect(call?.headers).toMatchObject({
      'content-type': 'application/xml',
      'x-speke-version': '2.0',
      'x-speke-user-agent': 'headwater',
    });
    expect(await cpixSchemaErrors(call?.body.toString() ?? '')).toEqual([]);
    expect(call?.body.toString()).toBe(
      readFileSync(GOLDEN_REQUEST, 'utf8').replaceAll(/\n\s*/g, '').replace('?>', '?>\n') + '\n',
    );
  });

  it('come encrypted for us where we have a certificate', async () => {
    const keys = await source(packager).fetch(order);
    const entry = own.keys.find(kidOf(2));
    expect(keys[2]?.key).toEqual(entry && (await own.keys.unwrap(entry)).key);
    expect(await cpixSchemaErrors(service.calls[0]?.body.toString() ?? '')).toEqual([]);
  });

  it('of a title that does not rotate have no period', async () => {
    const title: KeyRequest = {
      ...order,
      owner: { kind: 'vod', id: 'film' },
      scheme: 'cenc',
      period: { index: 0, startMs: 0, endMs: Number.MAX_SAFE_INTEGER },
    };
    const keys = await source().fetch(title);
    expect(service.calls[0]?.body.toString()).not.toContain('KeyPeriod');
    expect(keys[0]?.systems?.map(({ system }) => system)).toEqual(['clearkey', 'widevine', 'playready']);
  });

  /** The server's good answer, changed on its way. */
  async function answered(change: (xml: string) => string, recipient?: CpixRecipient): Promise<unknown> {
    await source(recipient).fetch(order);
    const good = (await post(own.handler, service.calls[0]?.body.toString() ?? '')).text();
    const bad = change(good);
    expect(bad).not.toBe(good);
    service.misbehave = () => ({ status: 200, body: bad, contentType: 'application/xml' });
    return source(recipient).fetch(order);
  }

  const unavailable = { code: 'DRM_KEYS_UNAVAILABLE' };
  const secret = /<cpix:Data>[\s\S]*?<\/cpix:Data>/;

  it.each<[string, (xml: string) => string]>([
    ['that is cut off', (xml) => xml.slice(0, -20)],
    ['without a key', (xml) => xml.replace(secret, '')],
    ['with a key that is too short', (xml) => xml.replace(/<pskc:PlainValue>.{24}/, '<pskc:PlainValue>AAAA')],
    [
      'with one key for all tiers',
      (xml) => {
        const first = secret.exec(xml)?.[0] ?? '';
        return xml.replaceAll(new RegExp(secret, 'g'), first);
      },
    ],
    ['for another content', (xml) => xml.replace('live/studio', 'live/other')],
    ['of another version', (xml) => xml.replace('version="2.3"', 'version="2.2"')],
    ['with another scheme', (xml) => xml.replace('"cbcs"', '"cenc"')],
    ['with another kid', (xml) => xml.replaceAll(caseKid(0, 77), caseKid(9, 77))],
    [
      'with the keys of two tiers exchanged',
      (xml) =>
        xml.replaceAll(
          /(UsageRule kid=")[^"]*(" intendedTrackType="(SD|HD)")/g,
          (_all, before: string, after: string, tier: string) =>
            `${before}${caseKid(tier === 'SD' ? 2 : 1, 77)}${after}`,
        ),
    ],
    [
      'without rules',
      (xml) => xml.replace(/<cpix:ContentKeyUsageRuleList>[\s\S]*<\/cpix:ContentKeyUsageRuleList>/, ''),
    ],
    [
      'with a rule that nobody knows',
      (xml) => xml.replace('</cpix:ContentKeyUsageRule>', '<cpix:MoonFilter/></cpix:ContentKeyUsageRule>'),
    ],
    [
      'with a box that is none',
      (xml) => xml.replace(/<cpix:PSSH>[^<]*/, `<cpix:PSSH>${Buffer.alloc(40).toString('base64')}`),
    ],
    [
      'with a box of another system',
      (xml) => xml.replaceAll(/<cpix:PSSH>[^<]*/g, /<cpix:PSSH>[^<]*/.exec(xml)?.[0] ?? ''),
    ],
  ])('are none when the answer is one %s', async (_what, change) => {
    await expect(answered(change)).rejects.toMatchObject(unavailable);
  });

  it.each<[string, (xml: string) => string]>([
    [
      'whose keys are in the clear',
      (xml) =>
        xml.replace(
          /(<cpix:ContentKeyList>[\s\S]*?)<cpix:Data>[\s\S]*?<\/cpix:Data>/,
          '$1<cpix:Data><pskc:Secret><pskc:PlainValue>AAAAAAAAAAAAAAAAAAAAAA==</pskc:PlainValue></pskc:Secret></cpix:Data>',
        ),
    ],
    ['without MACs', (xml) => xml.replace(/<pskc:ValueMAC>[^<]*<\/pskc:ValueMAC>/, '')],
    [
      'with a wrong MAC',
      (xml) => xml.replace(/<pskc:ValueMAC>[^<]*/, `<pskc:ValueMAC>${Buffer.alloc(64).toString('base64')}`),
    ],
    [
      'with a changed cipher text',
      (xml) =>
        xml.replace(
          /(<cpix:ContentKeyList>[\s\S]*?<enc:CipherValue>)[^<]*/,
          (_all, before: string) => before + Buffer.alloc(48).toString('base64'),
        ),
    ],
    ['for nobody', (xml) => xml.replace(/<cpix:DeliveryDataList>[\s\S]*<\/cpix:DeliveryDataList>/, '')],
    ['without a document key', (xml) => xml.replace(/<cpix:DocumentKey[\s\S]*<\/cpix:DocumentKey>/, '')],
  ])('are none when we asked for encryption and the answer is one %s', async (_what, change) => {
    await expect(answered(change, packager)).rejects.toMatchObject(unavailable);
  });

  it.each([
    ['refused', () => ({ status: 403, body: 'no' })],
    ['answered with a page', () => ({ status: 200, body: '<html/>' })],
    ['answered 500', () => ({ status: 500, body: '' })],
  ])('are none when we are %s', async (_what, behaviour) => {
    service.misbehave = behaviour;
    await expect(source().fetch(order)).rejects.toMatchObject(unavailable);
  });

  it('are none when the server is silent, and it is left alone after several failures', async () => {
    service.misbehave = () => undefined;
    const one = source();
    const silent = one.fetch(order);
    await until(() => service.calls.length === 1, 'the call');
    clock.advance(5000);
    await expect(silent).rejects.toMatchObject(unavailable);
    service.misbehave = () => ({ status: 503, body: '' });
    for (let i = 0; i < 3; i++) await expect(one.fetch(order)).rejects.toMatchObject(unavailable);
    expect(service.calls).toHaveLength(3);
    clock.advance(5000);
    service.misbehave = undefined;
    expect(await one.fetch(order)).toHaveLength(4);
  });

  it('go through the key store, which makes none of its own in their place', async () => {
    const dataDir = await mkdtemp(join(folder, 'store-'));
    const keys = await openContentKeys(dataDir, STORE, {
      clock,
      log: createMemoryLog(),
      metrics: new Metrics(),
      randomBytes,
      source: source(),
    });
    const stream = keys.owner(order.owner);
    service.misbehave = () => ({ status: 500, body: '' });
    await expect(stream.prepare(order.period)).rejects.toMatchObject(unavailable);
    expect(() => stream.key(order.period, 'HD')).toThrow(expect.objectContaining(unavailable) as Error);
    service.misbehave = undefined;
    await stream.prepare(order.period);
    const key = stream.key(order.period, 'HD');
    const entry = own.keys.find(key.kid);
    expect(key.key).toEqual(entry && (await own.keys.unwrap(entry)).key);
    expect(stream.protection(key).systems.map(({ system }) => system)).toEqual(SIGNALLING.systems);
    await keys.close();
  });

  it('leave no trace in the log', () => {
    const text = JSON.stringify(log.lines);
    expect(canaries.length).toBeGreaterThan(100);
    for (const canary of [...canaries, API_KEY, service.url]) expect(text).not.toContain(canary);
    expect(log.lines.length).toBeGreaterThan(5);
  });
});

describe('opened from the configuration', () => {
  async function secretFile(name: string, content: string, mode = 0o600): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, content, { mode });
    return path;
  }

  const vendor = { timeoutMs: 5000, maxConcurrent: 4, maxFailures: 3, pauseMs: 5000 };

  it('a packager and a key server understand each other, encrypted', async () => {
    const clock = new FakeClock();
    const log = createMemoryLog();
    const apiKeysPath = await secretFile('api.keys', `# packagers\n\n${API_KEY}\n${'b'.repeat(32)}\n`);
    const serving = {
      apiKeysPath,
      maxDocumentBytes: 262_144,
      requireEncryption: true,
      signalling: SIGNALLING,
    };
    const deps = { keys: own.keys, isAdmin: () => false, log, metrics: new Metrics(), randomBytes };
    const service = await serviceOf(await openSpekeServer(serving, deps));
    const peer = await openSpekeSource(
      {
        url: service.url,
        authHeader: 'X-Api-Key',
        authPath: await secretFile('credential', `${API_KEY}\n`),
        contentIdPrefix: 'site-1/',
        certPath: join(folder, 'packager.crt'),
        keyPath: join(folder, 'packager.key'),
        vendor,
        signalling: SIGNALLING,
      },
      { clock, log, metrics: new VendorMetrics(new Metrics()) },
    );
    const period = { index: 0, startMs: 0, endMs: Number.MAX_SAFE_INTEGER };
    const owner = { kind: 'vod', id: 'film' } as const;
    const keys = [{ tier: 'SD', kid: randomBytes(16) }] as const;
    expect(await peer.source.fetch({ owner, period, scheme: 'cenc', keys })).toHaveLength(1);
    expect(own.keys.made[0]?.owner).toEqual({ kind: 'vod', id: 'site-1/vod/film' });
    peer.close();
    await service.close();
  });

  it.each([
    ['short keys', 'short\n'.repeat(10), 0o600],
    ['keys that others may read', 'a'.repeat(40), 0o644],
    ['no keys', `#${'a'.repeat(40)}`, 0o600],
  ])('not with %s', async (_what, content, mode) => {
    const apiKeysPath = await secretFile('bad.keys', content, mode);
    await chmod(apiKeysPath, mode);
    const serving = { apiKeysPath, maxDocumentBytes: 4096, requireEncryption: false, signalling: SIGNALLING };
    const { log, keys } = own;
    const deps = { keys, isAdmin: () => false, log, metrics: new Metrics(), randomBytes };
    await expect(openSpekeServer(serving, deps)).rejects.toMatchObject({ code: 'SECRET_FILE_UNSAFE' });
  });

  it('not with a certificate and a key that do not belong together', async () => {
    const options = {
      url: 'https://keys.example/',
      authHeader: 'Authorization',
      authPath: '',
      contentIdPrefix: '',
      certPath: join(folder, 'packager.crt'),
      keyPath: join(folder, 'stranger.key'),
      vendor,
      signalling: SIGNALLING,
    };
    const deps = { clock: new FakeClock(), log: own.log, metrics: new VendorMetrics(new Metrics()) };
    await expect(openSpekeSource(options, deps)).rejects.toMatchObject({ code: 'TOKEN_KEY_UNUSABLE' });
  });
});
