import { addressGroup } from '../base/address-group.ts';
import type { Clock } from '../base/clock.ts';
import { AppError, type ErrorCode, errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ResumeRecord } from '../state/resume-store.ts';
import type { PlaybackSession, SessionStore, Standing } from '../state/session-store.ts';
import { type AccessRule, allAllow } from './access-rules.ts';
import type { Credentials } from './authorised-request.ts';
import type { Entitlement, Entitlements } from './entitlement.ts';
import { LOCAL_AUDIENCES, type VerifiedToken } from './issuer-tokens.ts';
import { jwkThumbprint } from './jwk-thumbprint.ts';
import type { LicenseMetrics } from './license-metrics.ts';
import type { PathTokens } from './path-token.ts';
import { contentName, type PlaybackClaims, parsePlaybackClaims } from './playback-claims.ts';
import type { RateLimiter } from './rate-limiter.ts';
import type { Resume } from './resume/open-resume.ts';
import type { ReportRequest } from './resume/resume-request.ts';
import type { ReportOutcome } from './resume/resume-service.ts';
import type { SessionRequest } from './session-request.ts';
import {
  commonTiers,
  type KeyTier,
  type LicenseSystem,
  type Robustness,
  robustnessAt,
  tiersOf,
} from './tiers.ts';
import type { DeviceProofPolicy, GuardOutcome, TokenGuard } from './token-guard.ts';
import { LOCAL_ISSUER, type TokenRing } from './token-ring.ts';
import type { RunningEntitlements } from './running-entitlements.ts';
import { SESSION_REVOCATION_MS, type ViewerNames } from './viewer-sessions.ts';

export interface SessionServiceOptions {
  readonly deviceProof: DeviceProofPolicy;
  /** Sessions of one user at once, unless the entitlement has a number of its own. */
  readonly maxSessions: number;
  /** A session without a heartbeat for so long is over. */
  readonly ttlMs: number;
  /** How often players are asked to send a heartbeat. */
  readonly heartbeatMs: number;
  /** Longest session, at most 24 h. */
  readonly maxSessionMs: number;
  /** Life of a playback token; each heartbeat brings a new one. */
  readonly tokenMs: number;
  /** Life of the token in the manifest's URL; each heartbeat brings a new one. */
  readonly pathTokenMs: number;
}

export interface SessionServiceDeps {
  readonly guard: TokenGuard;
  readonly ring: TokenRing;
  readonly pathTokens: PathTokens;
  readonly store: SessionStore;
  readonly names: ViewerNames;
  readonly entitlements: Entitlements;
  /** Judges sessions that play; undefined: what was allowed at the start stays so. */
  readonly running: RunningEntitlements | undefined;
  readonly rules: readonly AccessRule[];
  readonly byAddress: RateLimiter;
  /** Where viewers are in titles; undefined: nobody keeps it. */
  readonly resume: Pick<Resume, 'service' | 'notices'> | undefined;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: LicenseMetrics;
}

/** What a player is given for its session, and anew with each heartbeat. */
export interface SessionGrant {
  readonly sessionId: string;
  readonly token: string;
  readonly tokenType: 'DPoP' | 'Bearer';
  readonly tokenExpiresMs: number;
  readonly expiresMs: number;
  /** Paths from the server's root, with the path token. */
  readonly manifestPaths: { readonly hls: string; readonly dash: string };
  /** What the manifests list. */
  readonly tiers: readonly KeyTier[];
  readonly drm: LicenseSystem;
  readonly heartbeatSeconds: number;
  /** Of a title; undefined where nobody keeps it. */
  readonly resume: SessionResume | undefined;
}

/** The epoch of a play gesture, and where the viewer was before. */
export interface ResumeClaim {
  readonly epoch: number;
  readonly record: ResumeRecord | undefined;
}

/** What a session's start or report says of where the viewer is. */
export type SessionResume =
  | {
      readonly kind: 'claimed';
      /** Undefined: the store cannot be used now. Playing goes on without it. */
      readonly claim: ResumeClaim | undefined;
    }
  | { readonly kind: 'reported'; readonly outcome: ReportOutcome; readonly serverTimeMs: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly serverTimeMs: number };

export type SessionOutcome =
  | { readonly ok: true; readonly grant: SessionGrant }
  | {
      readonly ok: false;
      readonly error: AppError;
      readonly headers: Extract<GuardOutcome, { ok: false }>['headers'];
      /** Of the same user, in the way of a new one. */
      readonly conflicts?: readonly PlaybackSession[];
    };

/** 128 bits: not to be guessed. */
const SESSION_ID_BYTES = 16;
const JTI_BYTES = 12;

const HEARTBEAT_CODE: Readonly<Record<Exclude<Standing, 'alive'>, ErrorCode>> = {
  ended: 'SESSION_ENDED',
  session_revoked: 'SESSION_REVOKED',
  viewer_revoked: 'SESSION_REVOKED',
  device_revoked: 'SESSION_REVOKED',
};
const START_CODE: Readonly<Record<Exclude<Standing, 'alive' | 'ended'>, ErrorCode>> = {
  session_revoked: 'LICENSE_SESSION_REVOKED',
  viewer_revoked: 'LICENSE_VIEWER_REVOKED',
  device_revoked: 'LICENSE_DEVICE_REVOKED',
};

type Refused = Extract<SessionOutcome, { ok: false }>;

/** A session, and what may be played in it now. */
interface Playing {
  readonly session: PlaybackSession;
  readonly countries: readonly string[] | undefined;
  /** When somebody last said so, ms since the Unix epoch; undefined: nobody is asked again. */
  readonly allowedAtMs: number | undefined;
}

/** Begins playback sessions, keeps them going and ends them. */
export class SessionService {
  readonly #options: SessionServiceOptions;
  readonly #deps: SessionServiceDeps;

  constructor(options: SessionServiceOptions, deps: SessionServiceDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Takes a turn of the address; the refusal when it has none left. To be asked before the body is read. */
  limit(credentials: Credentials): Refused | undefined {
    const waitMs = this.#deps.byAddress.take(addressGroup(credentials.address));
    if (waitMs === 0) return undefined;
    this.#deps.metrics.limited.inc({ scope: 'address' });
    const seconds = Math.max(1, Math.ceil(waitMs / 1000));
    return refuse('LICENSE_RATE_LIMITED', undefined, [['Retry-After', String(seconds)]]);
  }

  /** @throws AppError LICENSE_STATE_UNAVAILABLE */
  async start(credentials: Credentials, request: SessionRequest): Promise<SessionOutcome> {
    const outcome = await this.#start(credentials, request);
    this.#deps.metrics.starts.inc({ outcome: outcome.ok ? 'started' : outcome.error.code });
    this.#deps.log.info(
      {
        event: 'session',
        outcome: outcome.ok ? 'started' : outcome.error.code,
        content: contentName(request.owner),
        remoteAddress: credentials.address,
        ...(outcome.ok && { session: outcome.grant.sessionId, tiers: outcome.grant.tiers }),
      },
      'playback session asked for',
    );
    return outcome;
  }

  async #start(credentials: Credentials, request: SessionRequest): Promise<SessionOutcome> {
    const { guard, entitlements, running, store, rules, clock, names } = this.#deps;
    const checked = await guard.check(credentials, 'login');
    if (!checked.ok) return checked;
    const device = this.#deviceOf(request, checked.device);
    if (typeof device !== 'string' && device !== undefined) return device;
    const { token } = checked;
    const { owner } = request;
    const nowMs = clock.wallMs();
    const { address, country } = credentials;
    const entitlement = await entitlements.entitle({ ...token, owner, country, nowMs }).catch(unentitled);
    if (entitlement === undefined) return refuse('LICENSE_NOT_ENTITLED');
    if ('ok' in entitlement) return entitlement;
    const here = entitlement.countries?.includes(country ?? '') ?? true;
    if (!here || !(await allAllow(rules, { address, country, owner })))
      return refuse('LICENSE_REGION_REFUSED');
    const viewer = names.of(token.issuer, token.subject);
    const begun = this.#newSession(viewer, device, request, entitlement, nowMs);
    const session = running ? { ...begun, login: running.seal(begun.id, token) } : begun;
    const maxAlive = entitlement.maxSessions ?? this.#options.maxSessions;
    const replaced = await this.#replaced(request, session.viewer);
    const created = await store.create(session, { maxAlive, replaces: request.replaces, nowMs });
    if (created.kind === 'limit') return { ...refuse('SESSION_LIMIT'), conflicts: created.sessions };
    if (created.kind === 'refused') return refuse(START_CODE[created.standing]);
    if (replaced !== undefined) this.#tellEnd(session.viewer, replaced);
    const resume = await this.#claim(session.viewer, request);
    const playing = { session, countries: entitlement.countries, allowedAtMs: running && nowMs };
    return { ok: true, grant: this.#grant(playing, request.drm, resume) };
  }

  /** The session that gives its place to a new one, where it is the same user's. */
  async #replaced({ replaces }: SessionRequest, viewer: string): Promise<string | undefined> {
    if (replaces === undefined) return undefined;
    const old = await this.#deps.store.find(replaces);
    return old?.viewer === viewer ? replaces : undefined;
  }

  /** The device that it was on learns of it. */
  #tellEnd(viewer: string, sessionId: string): void {
    this.#deps.resume?.notices.tell(viewer, { kind: 'session', sessionId, end: 'ended' });
  }

  /** A session on a title is a play gesture. */
  async #claim(viewer: string, { owner, profile }: SessionRequest): Promise<SessionResume | undefined> {
    const { resume } = this.#deps;
    if (resume === undefined || owner.kind !== 'vod') return undefined;
    try {
      return { kind: 'claimed', claim: await resume.service.claim({ viewer, profile }, owner.id) };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return { kind: 'claimed', claim: undefined };
    }
  }

  /** The device to bind to; a refusal when there must be one and is none, or two that differ. */
  #deviceOf({ device: given }: SessionRequest, proven: string | undefined): string | undefined | Refused {
    const named = given && jwkThumbprint(given);
    if (named !== undefined && proven !== undefined && named !== proven) return refuse('TOKEN_PROOF_INVALID');
    const device = proven ?? named;
    if (device === undefined && this.#options.deviceProof === 'required') {
      return refuse(
        'TOKEN_PROOF_MISSING',
        'a session must be bound to the key of a device: send a proof, or "device"',
      );
    }
    // A device that has proven itself is held to it even where nobody asks for it.
    return this.#options.deviceProof === 'off' ? proven : device;
  }

  #newSession(
    viewer: string,
    device: string | undefined,
    request: SessionRequest,
    entitlement: Entitlement,
    nowMs: number,
  ): PlaybackSession {
    const endsMs = Math.min(nowMs + this.#options.maxSessionMs, entitlement.untilMs);
    return {
      id: Buffer.from(this.#deps.randomBytes(SESSION_ID_BYTES)).toString('base64url'),
      viewer,
      device,
      content: contentName(request.owner),
      robustness: robustnessAt(request.drm, request.robustness),
      tiers: entitlement.tiers,
      startedMs: nowMs,
      aliveUntilMs: Math.min(nowMs + this.#options.ttlMs, endsMs),
      endsMs,
    };
  }

  /** @throws AppError LICENSE_STATE_UNAVAILABLE */
  async heartbeat(credentials: Credentials, id: string, report?: ReportRequest): Promise<SessionOutcome> {
    const outcome = await this.#heartbeat(credentials, id, report);
    this.#deps.metrics.heartbeats.inc({ outcome: outcome.ok ? 'alive' : outcome.error.code });
    return outcome;
  }

  async #heartbeat(
    credentials: Credentials,
    id: string,
    report: ReportRequest | undefined,
  ): Promise<SessionOutcome> {
    const { store, clock } = this.#deps;
    const owned = await this.#owned(credentials, id);
    if (!owned.ok) return owned;
    const nowMs = clock.wallMs();
    const standing = await store.heartbeat(id, nowMs + this.#options.ttlMs, nowMs);
    if (standing !== 'alive') return refuse(HEARTBEAT_CODE[standing]);
    const session = await store.find(id);
    if (session === undefined) return refuse('SESSION_ENDED');
    const playing = await this.#judgeAgain(session, owned, credentials.country);
    if ('error' in playing) return playing;
    const resume = report && (await this.#report(session.viewer, owned.claims, report));
    return { ok: true, grant: this.#grant(playing, drmOf(owned.token), resume) };
  }

  /** What may be played is not settled at the start: catalogues change, subscriptions end. */
  async #judgeAgain(
    session: PlaybackSession,
    { token, claims }: Owned,
    country: string | undefined,
  ): Promise<Playing | Refused> {
    const { running, clock, metrics } = this.#deps;
    const { id, login } = session;
    if (!running || login === undefined)
      return { session, countries: claims.countries, allowedAtMs: undefined };
    const allowedAtMs = allowedAtOf(token);
    const verdict = await running.judge({ id, login, owner: claims.owner, country, allowedAtMs });
    metrics.rejudged.inc({ outcome: verdict.kind });
    if (verdict.kind === 'refused') return this.#takeAway(session);
    if (verdict.kind === 'overdue') return this.#endOverdue(session);
    // While nobody answers as far as that last yes went, which may be less than what the session began with.
    if (verdict.kind === 'kept')
      return { ...narrowed(session, { ...claims, untilMs: claims.entitledUntilMs }), allowedAtMs };
    const playing = { ...narrowed(session, verdict.entitlement), allowedAtMs: clock.wallMs() };
    return playing.session.tiers.length === 0 ? this.#takeAway(session) : playing;
  }

  /** As an operator would: licences and reports are refused too. */
  async #takeAway({ id, viewer }: PlaybackSession): Promise<Refused> {
    const { store, clock, resume, metrics, log } = this.#deps;
    await store.revoke({ kind: 'session', id }, clock.wallMs() + SESSION_REVOCATION_MS);
    resume?.notices.tell(viewer, { kind: 'session', sessionId: id, end: 'revoked' });
    metrics.ends.inc({ by: 'entitlement' });
    log.info(
      { event: 'session', outcome: 'refused', session: id },
      'playback session is not allowed any more',
    );
    return refuse('SESSION_REVOKED', 'the user may not play this any more');
  }

  /** Another may be begun as soon as somebody answers again. */
  async #endOverdue({ id, viewer }: PlaybackSession): Promise<Refused> {
    const { store, clock, metrics, log } = this.#deps;
    if (await store.end(id, clock.wallMs())) {
      this.#tellEnd(viewer, id);
      metrics.ends.inc({ by: 'entitlement' });
      log.info(
        { event: 'session', outcome: 'overdue', session: id },
        'nobody says whether a session may go on',
      );
    }
    return refuse('SESSION_ENDED', 'nobody has said for too long whether the user may play this');
  }

  /** A position that cannot be stored keeps no session from going on. */
  async #report(
    viewer: string,
    { owner }: PlaybackClaims,
    { profile, report }: ReportRequest,
  ): Promise<SessionResume | undefined> {
    const { resume, clock } = this.#deps;
    if (resume === undefined || owner.kind !== 'vod') return undefined;
    try {
      const titled = { ...report, title: owner.id };
      const outcome = await resume.service.report({ viewer, profile }, titled, 'heartbeat');
      return { kind: 'reported', outcome, serverTimeMs: clock.wallMs() };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return { kind: 'failed', code: errorCode(error), serverTimeMs: clock.wallMs() };
    }
  }

  /** Ends a session for whoever holds its token. @throws AppError LICENSE_STATE_UNAVAILABLE */
  async end(credentials: Credentials, id: string): Promise<Refused | undefined> {
    const owned = await this.#owned(credentials, id);
    if (!owned.ok) return owned;
    if (await this.#deps.store.end(id, this.#deps.clock.wallMs())) {
      this.#deps.metrics.ends.inc({ by: 'viewer' });
      this.#tellEnd(owned.token.subject, id);
      this.#deps.log.info({ event: 'session', outcome: 'ended', session: id }, 'playback session ended');
    }
    return undefined;
  }

  /** Only with the token of that very session; another's is told no more than that it is the wrong one. */
  async #owned(credentials: Credentials, id: string): Promise<({ readonly ok: true } & Owned) | Refused> {
    const checked = await this.#deps.guard.check(credentials, 'playback');
    if (!checked.ok) return checked;
    const { token } = checked;
    const claims = parsePlaybackClaims(token);
    if (claims === undefined || !token.local || claims.sessionId !== id) return refuse('TOKEN_INVALID');
    return { ok: true, token, claims };
  }

  #grant(
    { session, countries, allowedAtMs }: Playing,
    drm: LicenseSystem,
    resume: SessionResume | undefined,
  ): SessionGrant {
    const { ring, clock, pathTokens, randomBytes } = this.#deps;
    const nowMs = clock.wallMs();
    const tokenExpiresMs = Math.min(nowMs + this.#options.tokenMs, session.endsMs);
    const entitled = session.tiers as readonly KeyTier[];
    const robustness = session.robustness as Robustness;
    const token = ring.sign({
      iss: LOCAL_ISSUER,
      aud: LOCAL_AUDIENCES.playback,
      sub: session.viewer,
      sid: session.id,
      cid: session.content,
      tiers: entitled,
      rb: robustness,
      drm,
      iat: Math.floor(nowMs / 1000),
      exp: Math.floor(tokenExpiresMs / 1000),
      ent: Math.floor(session.endsMs / 1000),
      jti: Buffer.from(randomBytes(JTI_BYTES)).toString('base64url'),
      ...(session.device !== undefined && { cnf: { jkt: session.device } }),
      ...(countries && { geo: countries }),
      ...(allowedAtMs !== undefined && { [ALLOWED_AT]: Math.floor(allowedAtMs / 1000) }),
    });
    const tiers = commonTiers(entitled, tiersOf(robustnessAt(drm, robustness)));
    return {
      sessionId: session.id,
      token,
      tokenType: session.device === undefined ? 'Bearer' : 'DPoP',
      tokenExpiresMs,
      expiresMs: session.endsMs,
      manifestPaths: manifestPaths(pathTokens, session, tiers, nowMs + this.#options.pathTokenMs),
      tiers,
      drm,
      heartbeatSeconds: Math.round(this.#options.heartbeatMs / 1000),
      resume,
    };
  }
}

function manifestPaths(
  pathTokens: PathTokens,
  { id, content, endsMs }: PlaybackSession,
  tiers: readonly KeyTier[],
  untilMs: number,
): SessionGrant['manifestPaths'] {
  const prefix = `/${content}/`;
  const token = pathTokens.mint({ sessionId: id, prefix, tiers, expiresMs: Math.min(untilMs, endsMs) });
  return { hls: `/t/${token}${prefix}index.m3u8`, dash: `/t/${token}${prefix}index.mpd` };
}

/** Whose session a token is of. */
interface Owned {
  readonly token: VerifiedToken;
  readonly claims: PlaybackClaims;
}

/** Claim of our own playback tokens: when somebody last said that it may be played, in seconds. */
const ALLOWED_AT = 'ent_at';

/** A token from before there was such a claim was given out when somebody had. */
function allowedAtOf({ claims }: VerifiedToken): number {
  const at = claims[ALLOWED_AT] ?? claims['iat'];
  return typeof at === 'number' ? at * 1000 : 0;
}

/** Never more than the session began with. */
function narrowed(
  session: PlaybackSession,
  { tiers, untilMs, countries }: Pick<Entitlement, 'tiers' | 'untilMs' | 'countries'>,
): Omit<Playing, 'allowedAtMs'> {
  const left = commonTiers(session.tiers as readonly KeyTier[], tiers);
  return { session: { ...session, tiers: left, endsMs: Math.min(session.endsMs, untilMs) }, countries };
}

/** A question that nobody answers is a no; one that may be answered later says so. */
function unentitled(error: unknown): Refused {
  return errorCode(error) === 'SESSION_ENTITLEMENT_UNAVAILABLE'
    ? refuse('SESSION_ENTITLEMENT_UNAVAILABLE', undefined, [['Retry-After', '2']])
    : refuse('LICENSE_NOT_ENTITLED');
}

function drmOf({ claims }: VerifiedToken): LicenseSystem {
  const { drm } = claims;
  return drm === 'widevine' || drm === 'playready' || drm === 'fairplay' ? drm : 'clearkey';
}

function refuse(code: ErrorCode, message?: string, headers: Refused['headers'] = []): Refused {
  return { ok: false, error: new AppError(code, message), headers };
}
