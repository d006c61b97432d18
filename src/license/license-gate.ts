import { addressGroup } from '../base/address-group.ts';
import type { Clock } from '../base/clock.ts';
import { AppError, type ErrorCode, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KeyDirectory, KeyEntry, KeyOwner } from '../drm/content-key.ts';
import type { HttpRequest } from '../http/types.ts';
import type { ReplayCache } from '../state/session-store.ts';
import { type AccessRule, allAllow } from './access-rules.ts';
import type { Admission } from './admission.ts';
import type { Credentials, LicenseAsk, LicenseGate, LicenseVerdict } from './authorised-request.ts';
import { type CredentialsOptions, readCredentials } from './credentials.ts';
import { TOKEN_LEEWAY_MS, type VerifiedToken } from './issuer-tokens.ts';
import { ObtainableKeys } from './obtainable-keys.ts';
import type { LicenseMetrics } from './license-metrics.ts';
import {
  decideLicense,
  type PolicyDecision,
  type PolicyLimits,
  type PolicyRefusal,
} from './license-policy.ts';
import { contentName, type PlaybackClaims, parsePlaybackClaims } from './playback-claims.ts';
import type { RateLimiter } from './rate-limiter.ts';
import type { DeviceProofPolicy, TokenGuard } from './token-guard.ts';
import type { PlaybackHolder, TokenSessions } from './viewer-sessions.ts';

export interface LicenseGateOptions extends CredentialsOptions {
  readonly deviceProof: DeviceProofPolicy;
  readonly limits: PolicyLimits;
}

export interface LicenseGateDeps {
  readonly guard: TokenGuard;
  readonly sessions: TokenSessions;
  readonly replay: ReplayCache;
  readonly keys: KeyDirectory;
  readonly rules: readonly AccessRule[];
  readonly admission: Admission;
  readonly byAddress: RateLimiter;
  readonly bySession: RateLimiter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: LicenseMetrics;
}

const CODE_OF: Readonly<Record<PolicyRefusal, ErrorCode>> = {
  not_entitled: 'LICENSE_NOT_ENTITLED',
  region: 'LICENSE_REGION_REFUSED',
  session_ended: 'LICENSE_SESSION_ENDED',
  session_revoked: 'LICENSE_SESSION_REVOKED',
  viewer_revoked: 'LICENSE_VIEWER_REVOKED',
  device_revoked: 'LICENSE_DEVICE_REVOKED',
};

/** Seconds that a client is asked to wait when there is more to do than can be done. */
const OVERLOAD_RETRY_SECONDS = '2';
const FAULT_LOG_PERIOD_MS = 1000;

type Refused = Extract<LicenseVerdict, { granted: false }>;

/** What the audit line says of who asked; grows as it becomes known. */
interface Audit {
  holder?: PlaybackHolder;
  claims?: PlaybackClaims;
}

/** Takes every licence request through limits, token, proof, session and policy, and writes down what was decided. */
export function createLicenseGate(options: LicenseGateOptions, deps: LicenseGateDeps): LicenseGate {
  const { clock, metrics, admission } = deps;
  const obtainable = new ObtainableKeys(deps.keys);
  let lastFaultMs = Number.NEGATIVE_INFINITY;

  async function authorise(credentials: Credentials, ask: LicenseAsk): Promise<LicenseVerdict> {
    const waitMs = deps.byAddress.take(addressGroup(credentials.address));
    if (waitMs > 0) return limited('address', waitMs);
    const sinceMs = clock.monotonicMs();
    const admitted = await admission.enter();
    metrics.waiting.set(admission.waiting);
    if (!admitted) {
      metrics.shed.inc();
      return refuse('LICENSE_OVERLOADED', [['Retry-After', OVERLOAD_RETRY_SECONDS]]);
    }
    const audit: Audit = {};
    try {
      const verdict = await decide(credentials, ask, audit).catch(failed);
      record(credentials, ask, audit, verdict);
      return verdict;
    } finally {
      admission.leave();
      metrics.waiting.set(admission.waiting);
      metrics.seconds.observe((clock.monotonicMs() - sinceMs) / 1000);
    }
  }

  async function decide(credentials: Credentials, ask: LicenseAsk, audit: Audit): Promise<LicenseVerdict> {
    const checked = await deps.guard.check(credentials, 'playback');
    if (!checked.ok) return { granted: false, error: checked.error, headers: checked.headers };
    const { token } = checked;
    const claims = parsePlaybackClaims(token);
    const holder = claims && deps.sessions.holderOf(token, claims);
    if (claims === undefined || holder === undefined) return refuse('TOKEN_INVALID');
    audit.holder = holder;
    audit.claims = claims;
    if (claims.device === undefined && options.deviceProof === 'required')
      return refuse('TOKEN_PROOF_MISSING');
    const waitMs = deps.bySession.take(holder.id);
    if (waitMs > 0) return limited('session', waitMs);
    if (!(await isFirstUse(token, claims))) return refuse('TOKEN_USED');
    const decision = await judge(credentials, ask, token, claims, holder);
    if (!decision.granted) return refuse(CODE_OF[decision.refusal]);
    const session = { ...holder, device: checked.device, owner: claims.owner };
    return { ...decision, session, expiresMs: clock.wallMs() + decision.ttlMs };
  }

  async function isFirstUse(token: VerifiedToken, { onceId }: PlaybackClaims): Promise<boolean> {
    if (onceId === undefined) return true;
    const nowMs = clock.wallMs();
    const untilMs = token.expiresMs + TOKEN_LEEWAY_MS;
    return deps.replay.claim(`t:${token.issuer.slice(0, 100)}:${onceId}`, untilMs, nowMs);
  }

  async function judge(
    { address, country }: Credentials,
    { system, kids, robustness }: LicenseAsk,
    token: VerifiedToken,
    claims: PlaybackClaims,
    holder: PlaybackHolder,
  ): Promise<PolicyDecision> {
    const { owner } = claims;
    const [standing, regionAllowed] = await Promise.all([
      deps.sessions.standing(token, claims, holder),
      allAllow(deps.rules, { address, country, owner }),
    ]);
    const nowMs = clock.wallMs();
    return decideLicense({
      claims,
      standing,
      request: { system, robustness, country, regionAllowed },
      asked: askedKeys(deps.keys, kids, owner, nowMs),
      obtainable: obtainable.of(owner, nowMs),
      nowMs,
      limits: options.limits,
    });
  }

  /** What goes wrong on our side refuses, with an answer that has players ask again. */
  function failed(error: unknown): LicenseVerdict {
    const known = error instanceof AppError ? error : new AppError('INTERNAL', undefined, { cause: error });
    if (known.status >= 500) reportFault(known.code, error);
    return { granted: false, error: known, headers: known.status === 503 ? [['Retry-After', '2']] : [] };
  }

  /** One line a second: the rest is counted by decision. */
  function reportFault(code: ErrorCode, error: unknown): void {
    const nowMs = clock.monotonicMs();
    if (nowMs - lastFaultMs < FAULT_LOG_PERIOD_MS) return;
    lastFaultMs = nowMs;
    deps.log.error({ code, err: error }, 'licences cannot be decided');
  }

  function limited(scope: 'address' | 'session', waitMs: number): Refused {
    metrics.limited.inc({ scope });
    return refuse('LICENSE_RATE_LIMITED', [['Retry-After', String(Math.max(1, Math.ceil(waitMs / 1000)))]]);
  }

  /** The audit line, and the count. */
  function record(credentials: Credentials, ask: LicenseAsk, audit: Audit, verdict: LicenseVerdict): void {
    const { holder, claims } = audit;
    const outcome = verdict.granted ? 'granted' : errorCode(verdict.error);
    metrics.decided(ask.system, outcome, verdict.granted ? verdict.keys.map(({ tier }) => tier) : []);
    deps.log.info(
      {
        event: 'license',
        outcome,
        system: ask.system,
        renewal: ask.renewal,
        askedKeys: ask.kids.length,
        remoteAddress: credentials.address,
        ...(holder && { session: holder.id, viewer: holder.viewer }),
        ...(claims && { content: contentName(claims.owner), device: claims.device }),
        ...(verdict.granted && {
          grantedKeys: verdict.keys.length,
          tiers: verdict.tiers,
          robustness: verdict.robustness,
          ttlSeconds: Math.floor(verdict.ttlMs / 1000),
        }),
      },
      'licence decision',
    );
  }

  return {
    credentials: (request: HttpRequest) => readCredentials(request, options),
    authorise,
  };
}

/** Kids are no secret, every manifest has them; what is not known is the same as what may not be had. */
function askedKeys(
  keys: KeyDirectory,
  kids: readonly Uint8Array[],
  owner: KeyOwner,
  nowMs: number,
): readonly KeyEntry[] {
  return kids.flatMap((kid) => {
    const entry = keys.find(kid, owner);
    return entry && keys.isObtainable(entry, nowMs) ? [entry] : [];
  });
}

function refuse(code: ErrorCode, headers: Refused['headers'] = []): Refused {
  return { granted: false, error: new AppError(code), headers };
}
