import { hkdfSync } from 'node:crypto';
import { join } from 'node:path';
import { addressBlocks } from '../base/address-blocks.ts';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { OutgoingHttp } from '../base/outgoing-http.ts';
import { createSecretFile, readSecretFile } from '../base/secret-file.ts';
import { JwksUrlKeys, PublicKeyFile, SharedSecretFile, type TokenKeys } from '../base/token-keys.ts';
import type { KeyDirectory } from '../drm/content-key.ts';
import { createRouter, type Route } from '../http/router.ts';
import type { HttpHandler, HttpRequest } from '../http/types.ts';
import type { ReplayCache, SessionStore } from '../state/session-store.ts';
import { type AccessRule, addressRule, countryRule } from './access-rules.ts';
import { Admission } from './admission.ts';
import type { Credentials, LicenseGate } from './authorised-request.ts';
import { clearKeyRoutes } from './clearkey-routes.ts';
import { readCredentials } from './credentials.ts';
import { DeviceProofs } from './device-proof.ts';
import { claimEntitlements, type Entitlements } from './entitlement.ts';
import { IssuerTokens, type TokenIssuer } from './issuer-tokens.ts';
import { createLicenseGate } from './license-gate.ts';
import { LicenseMetrics } from './license-metrics.ts';
import type { IssuerSettings, LicenseOptions } from './license-options.ts';
import { PLAYER_REQUEST_HEADERS } from './license-problem.ts';
import { PathTokens } from './path-token.ts';
import { ProofNonces } from './proof-nonces.ts';
import { RateLimiter } from './rate-limiter.ts';
import { openResume, type ResumeDeps, type ResumeOptions, type ResumeState } from './resume/open-resume.ts';
import { type AdminAccess, sessionAdminCalls } from './session-admin-routes.ts';
import { RunningEntitlements } from './running-entitlements.ts';
import { sessionRoutes } from './session-routes.ts';
import { SessionService } from './session-service.ts';
import { TokenGuard } from './token-guard.ts';
import { TokenRing } from './token-ring.ts';
import { TokenSessions, ViewerNames } from './viewer-sessions.ts';

export interface LicenseServiceDeps {
  /** Undefined: no licences are given out, there are only sessions. */
  readonly keys: KeyDirectory | undefined;
  /** Closed by whoever opened it, after the service. */
  readonly store: SessionStore;
  /** As that. */
  readonly replay: ReplayCache;
  /** Says no to admin calls without the admin token. */
  readonly adminAccess: AdminAccess;
  /** Routes of the proxies to other systems' licence servers. */
  readonly proxies?: ((gate: LicenseGate) => readonly Route[]) | undefined;
  /** What users may play, when not by their login token. */
  readonly entitlements?: Entitlements | undefined;
  /** Where they do not answer, a session that plays goes on for so long after the last yes; undefined: not at all. */
  readonly entitlementGraceMs?: number | undefined;
  /** Where viewers are is kept here; undefined: nowhere. */
  readonly resume?:
    | (ResumeState & { readonly options: ResumeOptions; readonly factsOf: ResumeDeps['factsOf'] })
    | undefined;
  /** Rules on where something may be played, besides those that are configured. */
  readonly rules?: readonly AccessRule[] | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** The licence server: sessions, licences and what goes with them. */
export interface LicenseService {
  /** Whether a path is one of its own. */
  owns(path: string): boolean;
  readonly handler: HttpHandler;
  /** Undefined where no licences are given out. */
  readonly gate: LicenseGate | undefined;
  /** For the origin, which takes them off paths. */
  readonly pathTokens: PathTokens;
  /** Ends the event streams, which would hold a stop up. Idempotent. */
  release(): void;
  /** Turns away who still waits. Idempotent. */
  close(): Promise<void>;
}

/** Of the secret at {@link licenseKeyPath}. */
export const SECRET_BYTES = 32;
const LICENSE_ROOT = '/license';
const RESUME_ROOT = '/v1/resume';
const ROOTS = ['/v1/sessions', '/v1/devices', '/v1/viewers', '/v1/revocations'];

/** For fetching the key sets of token issuers. */
const JWKS_LIMITS = { timeoutMs: 2000, maxAnswerBytes: 256 * 1024, maxConcurrent: 8, maxWaiting: 64 };

/**
 * How much is worked on at once, and what waits. Deciding is work for the processor, not waiting: a few dozen fill the
 * time that the store takes for a batch of writes.
 */
const ADMISSION = { maxConcurrent: 64, maxWaiting: 2_000, maxWaitMs: 100, holdMs: 1_000, maxHeld: 10_000 };
const MAX_ADDRESSES = 100_000;
const MAX_SESSIONS = 100_000;
/** Turns at once after a pause, as a multiple of those a second. */
const BURST = 3;
/** A signing key signs for 30 days and verifies for two more. */
const KEY_LIFE_MS = 30 * 24 * 3_600_000;
const KEY_OVERLAP_MS = 48 * 3_600_000;

/** Where the secret is that users' names, path tokens and the like are made with. */
export function licenseKeyPath(dataDir: string): string {
  return join(dataDir, 'secrets', 'license.key');
}

/** Where the keys of our own tokens are. */
export function tokenRingPath(dataDir: string): string {
  return join(dataDir, 'secrets', 'playback-token-keys.json');
}

/** Opens the keys that sign our own tokens, and makes them when they are not there. */
export function openTokenRing(
  options: Pick<LicenseOptions, 'dataDir' | 'tokenAlgorithm' | 'keepsTokenKeys'>,
  deps: Pick<LicenseServiceDeps, 'clock' | 'randomBytes'>,
): Promise<TokenRing> {
  return TokenRing.open(
    {
      path: tokenRingPath(options.dataDir),
      algorithm: options.tokenAlgorithm,
      keyLifeMs: options.keepsTokenKeys ? Number.POSITIVE_INFINITY : KEY_LIFE_MS,
      overlapMs: KEY_OVERLAP_MS,
    },
    deps,
  );
}

/**
 * Opens the licence server; the caller closes it. Secrets that are missing are made, for their owner only.
 * @throws AppError SECRET_FILE_UNSAFE, TOKEN_KEY_UNUSABLE
 */
export async function openLicenseService(
  options: LicenseOptions,
  deps: LicenseServiceDeps,
): Promise<LicenseService> {
  const { clock, log, store, replay, randomBytes } = deps;
  const metrics = new LicenseMetrics(deps.metrics);
  const secret = await openSecret(licenseKeyPath(options.dataDir), randomBytes);
  const ring = await openTokenRing(options, deps);
  const http = new OutgoingHttp(JWKS_LIMITS, clock);
  const tokens = new IssuerTokens(issuersOf(options.issuers, http, clock, metrics), { ring, clock });
  await tokens.open();
  const nonces = options.proofNonce ? new ProofNonces(derive(secret, 'proof-nonce'), clock) : undefined;
  const guard = new TokenGuard({
    tokens,
    nonces,
    proofs: new DeviceProofs({ clock, replay, nonces }),
  });
  const names = new ViewerNames(derive(secret, 'viewer-name'));
  const pathTokens = new PathTokens(derive(secret, 'path-token'), clock);
  const rules = [...configuredRules(options), ...(deps.rules ?? [])];
  const limiter = (perSecond: number, maxNames: number): RateLimiter =>
    new RateLimiter({ perSecond, burst: perSecond * BURST, maxNames }, clock);
  const access = {
    trustedProxies: addressBlocks(options.trustedProxies),
    countryHeader: options.countryHeader.toLowerCase(),
    publicUrl: options.publicUrl.replace(/\/+$/, ''),
  };
  const admission = new Admission(ADMISSION, clock);
  const openGate = (keys: KeyDirectory): LicenseGate =>
    createLicenseGate(
      {
        ...access,
        deviceProof: options.deviceProof,
        limits: { maxTtlMs: options.maxLicenseMs, maxKeys: options.maxKeysPerLicense },
      },
      {
        guard,
        sessions: new TokenSessions(
          store,
          names,
          { maxSessions: options.maxSessions, idleMs: options.foreignIdleMs },
          clock,
        ),
        replay,
        keys,
        rules,
        admission,
        byAddress: limiter(options.maxPerAddressPerSecond, MAX_ADDRESSES),
        bySession: limiter(options.maxPerSessionPerSecond, MAX_SESSIONS),
        clock,
        log,
        metrics,
      },
    );
  const { keys } = deps;
  const licenses = keys && { keys, gate: openGate(keys) };
  const credentials = (request: HttpRequest): Credentials => readCredentials(request, access);
  const resume =
    deps.resume &&
    openResume(deps.resume.options, {
      ...deps.resume,
      ...{ sessions: store, replay, guard, names, ring, credentials, clock, randomBytes },
      log: log.child({ area: 'resume' }),
      metrics: deps.metrics,
    });
  const entitlements = deps.entitlements ?? claimEntitlements;
  const running =
    entitlements === claimEntitlements
      ? // What a token says of itself does not change, and when it ends the session does.
        undefined
      : new RunningEntitlements(
          { graceMs: deps.entitlementGraceMs ?? 0 },
          { entitlements, key: derive(secret, 'session-login'), randomBytes, clock },
        );
  const sessions = new SessionService(options, {
    guard,
    ring,
    pathTokens,
    store,
    names,
    entitlements,
    running,
    rules,
    byAddress: limiter(options.maxSessionCallsPerAddressPerSecond, MAX_ADDRESSES),
    resume,
    randomBytes,
    clock,
    log,
    metrics,
  });
  const admin = sessionAdminCalls({ access: deps.adminAccess, store, names, resume, clock, log, metrics });
  const handler = createRouter(
    [
      ...(licenses ? clearKeyRoutes(licenses.gate, licenses.keys) : []),
      ...((licenses && deps.proxies?.(licenses.gate)) ?? []),
      ...sessionRoutes(sessions, {
        credentials,
        adminEnd: admin.endSession,
        mediaUrl: options.mediaUrl.replace(/\/+$/, ''),
      }),
      ...admin.routes,
      ...(resume?.routes ?? []),
    ],
    { requestHeaders: PLAYER_REQUEST_HEADERS },
  );
  const roots = [...ROOTS, ...(licenses ? [LICENSE_ROOT] : []), ...(resume ? [RESUME_ROOT] : [])];
  return {
    owns: (path) => roots.some((root) => path === root || path.startsWith(`${root}/`)),
    handler,
    gate: licenses?.gate,
    pathTokens,
    release: () => resume?.close(),
    async close() {
      resume?.close();
      admission.close();
      http.close();
    },
  };
}

async function openSecret(path: string, randomBytes: (size: number) => Uint8Array): Promise<Buffer> {
  await createSecretFile(path, SECRET_BYTES, randomBytes);
  return readSecretFile(path, SECRET_BYTES);
}

/** One secret on disk, another for each purpose (RFC 5869). */
function derive(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(
    hkdfSync('sha256', secret, new Uint8Array(0), `headwater license ${purpose}`, SECRET_BYTES),
  );
}

function configuredRules({ addresses, countries }: LicenseOptions): AccessRule[] {
  return [
    addressRule({ allow: addressBlocks(addresses.allow), deny: addressBlocks(addresses.deny) }),
    countryRule({ allow: countryList(countries.allow), deny: countryList(countries.deny) }),
  ];
}

function countryList(text: string): string[] {
  return text
    .toUpperCase()
    .split(/[\s,]+/)
    .filter((code) => code !== '');
}

function issuersOf(
  settings: readonly IssuerSettings[],
  http: OutgoingHttp,
  clock: Clock,
  metrics: LicenseMetrics,
): TokenIssuer[] {
  return settings.map((setting) => ({ ...setting, keys: keysOf(setting, http, clock, metrics) }));
}

function keysOf(
  { jwksUrl, keyPath, algorithms }: IssuerSettings,
  http: OutgoingHttp,
  clock: Clock,
  metrics: LicenseMetrics,
): TokenKeys {
  if (jwksUrl !== undefined) {
    return new JwksUrlKeys(jwksUrl, {
      http,
      clock,
      onFetch: (outcome) => metrics.jwksFetches.inc({ outcome }),
      unavailable: () => new AppError('TOKEN_ISSUER_UNAVAILABLE'),
    });
  }
  const path = keyPath ?? '';
  return algorithms.every((name) => name.startsWith('HS'))
    ? new SharedSecretFile(path)
    : new PublicKeyFile(path);
}
