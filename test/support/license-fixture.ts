import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '../../src/base/errors.ts';
import { Metrics } from '../../src/base/metrics.ts';
import type { ContentKey, KeyDirectory, KeyEntry, KeyOwner } from '../../src/drm/content-key.ts';
import { problemAnswer } from '../../src/http/problem.ts';
import type { LicenseGate } from '../../src/license/authorised-request.ts';
import { mintLoginToken } from '../../src/license/login-token.ts';
import type { LicenseOptions } from '../../src/license/license-options.ts';
import {
  type LicenseService,
  type LicenseServiceDeps,
  openLicenseService,
  openTokenRing,
} from '../../src/license/license-service.ts';
import { TIERS } from '../../src/license/tiers.ts';
import type { TokenRing } from '../../src/license/token-ring.ts';
import { openLmdbSessionStore } from '../../src/state/lmdb-session-store.ts';
import type { ReplayCache, SessionStore } from '../../src/state/session-store.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeRequest, FakeResponse } from './fake-exchange.ts';
import { createMemoryLog, type LogLine } from './memory-log.ts';

export const ORIGIN = 'http://play.example.org';
export const ADMIN_TOKEN = 'admin-canary-7d1f0a';
/** Crypto periods of the fake keys. */
export const ROTATION_MS = 300_000;
const LEAD_MS = 30_000;

/** Content keys of every stream and title, made from their names: two periods back, the current, and the next in its lead time. */
export class FakeKeyDirectory implements KeyDirectory {
  /** Keys that were unwrapped, in hex. */
  readonly unwrapped: string[] = [];
  failing = false;

  readonly #entries = new Map<string, KeyEntry>();

  find(kid: Uint8Array): KeyEntry | undefined {
    return this.#entries.get(Buffer.from(kid).toString('hex'));
  }

  isObtainable(entry: KeyEntry, nowMs: number): boolean {
    return this.obtainable(entry.owner, nowMs).includes(entry);
  }

  obtainable(owner: KeyOwner, nowMs: number): readonly KeyEntry[] {
    if (owner.id === 'unprotected') return [];
    const current = Math.floor(nowMs / ROTATION_MS);
    const last = (current + 1) * ROTATION_MS - nowMs <= LEAD_MS ? current + 1 : current;
    const periods = Array.from({ length: last - current + 3 }, (_, i) => current - 2 + i);
    return periods.flatMap((index) => TIERS.map((tier) => this.entry(owner, tier, index)));
  }

  entry(owner: KeyOwner, tier: KeyEntry['tier'], index: number): KeyEntry {
    const period = { index, startMs: index * ROTATION_MS, endMs: (index + 1) * ROTATION_MS };
    const kid = bytesOf('kid', owner, tier, index);
    const known = this.find(kid);
    if (known) return known;
    const made: KeyEntry = { owner, tier, period, scheme: 'cbcs', kid };
    this.#entries.set(kid.toString('hex'), made);
    return made;
  }

  async unwrap({ owner, tier, kid, period, scheme }: KeyEntry): Promise<ContentKey> {
    if (this.failing) throw new AppError('DRM_KEYS_UNAVAILABLE');
    const key = bytesOf('key', owner, tier, period.index);
    this.unwrapped.push(key.toString('hex'));
    return { tier, kid, key, scheme, constantIv: new Uint8Array(16), systems: undefined };
  }

  /** What {@link unwrap} would give. */
  keyOf(owner: KeyOwner, tier: KeyEntry['tier'], index: number): Buffer {
    return bytesOf('key', owner, tier, index);
  }
}

function bytesOf(...parts: readonly unknown[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, 16);
}

/** A device with a key of its own, as a browser has it. */
export class TestDevice {
  readonly jwk: { readonly kty: string; readonly crv: string; readonly x: string; readonly y: string };
  readonly thumbprint: string;
  readonly #key: KeyObject;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { kty = '', crv = '', x = '', y = '' } = publicKey.export({ format: 'jwk' });
    this.jwk = { kty, crv, x, y };
    this.thumbprint = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
    this.#key = privateKey;
  }

  /** The private part, to show that it is refused. */
  get privateJwk(): object {
    return this.#key.export({ format: 'jwk' });
  }

  /** A DPoP proof; `header` and `claims` replace what would be right. */
  proof(
    request: { method: string; url: string; token: string; nowMs: number },
    overrides: { header?: object; claims?: object; sign?: (data: string) => Buffer } = {},
  ): string {
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: this.jwk, ...overrides.header };
    const claims = {
      jti: randomBytes(12).toString('base64url'),
      htm: request.method,
      htu: request.url,
      iat: Math.floor(request.nowMs / 1000),
      ath: createHash('sha256').update(request.token).digest('base64url'),
      ...overrides.claims,
    };
    const signed = `${encodeJson(header)}.${encodeJson(claims)}`;
    const signature =
      overrides.sign?.(signed) ??
      sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }
}

export function encodeJson(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

export const LICENSE_OPTIONS: Omit<LicenseOptions, 'dataDir'> = {
  issuers: [],
  tokenAlgorithm: 'HS256',
  deviceProof: 'optional',
  proofNonce: false,
  publicUrl: ORIGIN,
  mediaUrl: '',
  trustedProxies: '',
  countryHeader: '',
  addresses: { allow: '', deny: '' },
  countries: { allow: '', deny: '' },
  maxSessions: 3,
  heartbeatMs: 30_000,
  ttlMs: 90_000,
  maxSessionMs: 24 * 3_600_000,
  maxLicenseMs: 24 * 3_600_000,
  tokenMs: 600_000,
  pathTokenMs: 4 * 3_600_000,
  foreignIdleMs: 900_000,
  maxKeysPerLicense: 64,
  maxPerAddressPerSecond: 0,
  maxPerSessionPerSecond: 0,
  maxSessionCallsPerAddressPerSecond: 0,
};

/** One call as a player makes it. */
export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly remoteAddress?: string;
}

/** What a session's start answered. */
export interface Started {
  readonly sessionId: string;
  readonly token: string;
  readonly tokenType: string;
  readonly tokenExpiresAt: string;
  readonly manifests: { readonly hls: string; readonly dash: string };
  readonly licenseUrl: string;
  readonly heartbeatSeconds: number;
  readonly expiresAt: string;
  readonly tiers: readonly string[];
}

/** A licence server over a real store in a folder of its own, with time in the test's hand. */
export class LicenseFixture {
  readonly clock = new FakeClock();
  readonly keys = new FakeKeyDirectory();
  readonly lines: LogLine[] = [];
  metrics = new Metrics();
  service!: LicenseService;
  store!: SessionStore & ReplayCache;
  ring!: TokenRing;
  dataDir = '';
  readonly #options: Partial<LicenseOptions>;
  readonly #deps: Partial<LicenseServiceDeps>;

  private constructor(options: Partial<LicenseOptions>, deps: Partial<LicenseServiceDeps>) {
    this.#options = options;
    this.#deps = deps;
  }

  static async open(
    options: Partial<LicenseOptions> = {},
    deps: Partial<LicenseServiceDeps> = {},
  ): Promise<LicenseFixture> {
    const fixture = new LicenseFixture(options, deps);
    fixture.dataDir = await mkdtemp(join(tmpdir(), 'headwater-license-'));
    await fixture.start();
    return fixture;
  }

  async start(): Promise<void> {
    const { clock, keys } = this;
    this.metrics = new Metrics();
    const log = createMemoryLog(this.lines);
    this.store = await openLmdbSessionStore(join(this.dataDir, 'state', 'sessions.mdb'), { clock, log });
    const options = { ...LICENSE_OPTIONS, dataDir: this.dataDir, ...this.#options };
    this.service = await openLicenseService(options, {
      keys,
      store: this.store,
      replay: this.store,
      adminAccess: (request) =>
        request.header('authorization') === `Bearer ${ADMIN_TOKEN}`
          ? undefined
          : problemAnswer(new AppError('HTTP_UNAUTHORIZED')),
      clock,
      log,
      metrics: this.metrics,
      randomBytes,
      ...this.#deps,
    });
    this.ring = await openTokenRing(options, { clock, randomBytes });
  }

  async close(): Promise<void> {
    await this.service.close();
    await this.store.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  get gate(): LicenseGate {
    const { gate } = this.service;
    if (gate === undefined) throw new Error('this server gives out no licences');
    return gate;
  }

  get periodIndex(): number {
    return Math.floor(this.clock.wallMs() / ROTATION_MS);
  }

  login(claims: Partial<Parameters<typeof mintLoginToken>[1]> = {}): string {
    const full = {
      user: 'viewer@example.org',
      seconds: 3600,
      device: undefined,
      content: undefined,
      tiers: undefined,
      maxSessions: undefined,
      ...claims,
    };
    return mintLoginToken(this.ring, full, this.clock, randomBytes);
  }

  /** Puts one request to the server, as a listener would. */
  async call(
    path: string,
    { method = 'POST', headers = {}, body, remoteAddress }: Call = {},
  ): Promise<FakeResponse> {
    const bytes = body === undefined || body instanceof Uint8Array ? body : Buffer.from(asText(body));
    const request = new FakeRequest(path, {
      method,
      headers: { host: 'play.example.org', ...headers },
      ...(bytes && { body: bytes }),
      ...(remoteAddress !== undefined && { remoteAddress }),
    });
    const response = new FakeResponse();
    const running = this.service.handler(request, response);
    request.expire();
    await running;
    return response;
  }

  /** The same with a token, and a proof of the device's key when there is a device. */
  as(token: string, path: string, call: Call = {}, device?: TestDevice): Promise<FakeResponse> {
    const { method = 'POST' } = call;
    const nowMs = this.clock.wallMs();
    const proof = device && { dpop: device.proof({ method, url: ORIGIN + path, token, nowMs }) };
    const authorization = `${device ? 'DPoP' : 'Bearer'} ${token}`;
    return this.call(path, { ...call, headers: { authorization, ...proof, ...call.headers } });
  }

  /** Begins a session that must be begun. */
  async begin(body: object = {}, login = this.login(), device?: TestDevice): Promise<Started> {
    const content = { kind: 'live', id: 'studio' };
    const response = await this.as(login, '/v1/sessions', { body: { content, ...body } }, device);
    if (response.status !== 201) throw new Error(`no session: ${response.text()}`);
    return JSON.parse(response.text()) as Started;
  }

  /** Kid of a key of `live/studio` in base64url. */
  kid(tier: KeyEntry['tier'], index = this.periodIndex, owner: KeyOwner = STUDIO): string {
    return Buffer.from(this.keys.entry(owner, tier, index).kid).toString('base64url');
  }

  licenseBody(kids: readonly string[]): object {
    return { kids, type: 'temporary' };
  }

  /** Sum of a metric over the label sets that contain `labels`. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const { values } = (await this.metrics.registry.getSingleMetric(`headwater_${name}`)?.get()) ?? {
      values: [],
    };
    const wanted = Object.entries(labels);
    return values
      .filter((value) =>
        wanted.every(([key, text]) => (value.labels as Record<string, unknown>)[key] === text),
      )
      .reduce((sum, { value }) => sum + value, 0);
  }
}

export const STUDIO: KeyOwner = { kind: 'live', id: 'studio' };

function asText(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(body);
}

/** Tiers of the keys in a licence, each once, in order; throws on a key that nobody has. */
export function tiersIn(fixture: LicenseFixture, body: string, owner: KeyOwner = STUDIO): string[] {
  const { keys } = JSON.parse(body) as { keys: { kid: string; k: string }[] };
  const index = fixture.periodIndex;
  const known = new Map<string, string>();
  for (let i = index - 3; i <= index + 2; i++) {
    for (const tier of TIERS) {
      known.set(
        `${fixture.kid(tier, i, owner)} ${fixture.keys.keyOf(owner, tier, i).toString('base64url')}`,
        tier,
      );
    }
  }
  const found = new Set<string>();
  for (const { kid, k } of keys) {
    const tier = known.get(`${kid} ${k}`);
    if (tier === undefined) throw new Error('a key that nobody has');
    found.add(tier);
  }
  return TIERS.filter((tier) => found.has(tier));
}
