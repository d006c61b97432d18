import { AppError } from '../base/errors.ts';
import type { PathParams, Route, RouteHandler } from '../http/router.ts';
import type { HttpRequest, HttpResponse } from '../http/types.ts';
import type { Credentials } from './authorised-request.ts';
import { emptyAnswer, jsonAnswer, licenseProblem, timeText } from './license-problem.ts';
import { parseObject, type ReportRequest, readReport, requireObject } from './resume/resume-request.ts';
import { parseSessionRequest } from './session-request.ts';
import type {
  ResumeClaim,
  SessionGrant,
  SessionOutcome,
  SessionResume,
  SessionService,
} from './session-service.ts';
import { LICENSE_SYSTEMS, type LicenseSystem } from './tiers.ts';

export interface SessionRouteOptions {
  readonly credentials: (request: HttpRequest) => Credentials;
  /** Ends a session for an operator; checks the admin token itself. */
  readonly adminEnd: RouteHandler;
  /** Where manifests are, when that is elsewhere than these calls: scheme and host, no slash at the end; '' = here. */
  readonly mediaUrl: string;
}

/** Largest body of a call about sessions. */
const MAX_BODY_BYTES = 16 * 1024;
const JWT = /^eyJ[^.]*\.[^.]*\.[^.]*$/;

/** What players call: begin a session, keep it, end it. */
export function sessionRoutes(service: SessionService, options: SessionRouteOptions): Route[] {
  async function start(request: HttpRequest, response: HttpResponse): Promise<void> {
    const credentials = options.credentials(request);
    const base = baseOf(credentials, request);
    const limited = service.limit(credentials);
    if (limited) return response.send(licenseProblem(limited.error, limited.headers));
    const asked = parseSessionRequest(await request.body(MAX_BODY_BYTES));
    if ('problem' in asked) {
      return response.send(licenseProblem(new AppError('SESSION_REQUEST_MALFORMED', asked.problem)));
    }
    const outcome = await settle(service.start(credentials, asked));
    if (!outcome.ok) return sendRefusal(response, outcome);
    const { grant } = outcome;
    const location = [['Location', `/v1/sessions/${grant.sessionId}`]] as const;
    response.send(jsonAnswer(201, renderGrant(grant, base, options), location));
  }

  async function heartbeat(
    request: HttpRequest,
    response: HttpResponse,
    { id = '' }: PathParams,
  ): Promise<void> {
    const credentials = options.credentials(request);
    const base = baseOf(credentials, request);
    const limited = service.limit(credentials);
    if (limited) return response.send(licenseProblem(limited.error, limited.headers));
    const body = await request.body(MAX_BODY_BYTES);
    const outcome = await settle(keep(credentials, id, body));
    if (!outcome.ok) return sendRefusal(response, outcome);
    response.send(jsonAnswer(200, renderGrant(outcome.grant, base, options)));
  }

  async function keep(credentials: Credentials, id: string, body: Uint8Array): Promise<SessionOutcome> {
    return service.heartbeat(credentials, id, readSessionReport(body));
  }

  async function end(request: HttpRequest, response: HttpResponse, params: PathParams): Promise<void> {
    const { id = '' } = params;
    const credentials = options.credentials(request);
    // Not a token of ours or of an issuer: what else could it be but the admin token?
    if (isOpaque(credentials)) return options.adminEnd(request, response, params);
    const limited = service.limit(credentials);
    if (limited) return response.send(licenseProblem(limited.error, limited.headers));
    const refused = await service.end(credentials, id);
    response.send(refused ? licenseProblem(refused.error, refused.headers) : emptyAnswer());
  }

  return [
    { method: 'POST', path: '/v1/sessions', handler: start },
    { method: 'POST', path: '/v1/sessions/:id/heartbeat', handler: heartbeat },
    { method: 'DELETE', path: '/v1/sessions/:id', handler: end },
  ];
}

/** A bearer token that has not the form of a JWT. */
function isOpaque({ authorization }: Credentials): boolean {
  const text = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  return text !== undefined && !JWT.test(text);
}

/** Where the player finds this server. */
function baseOf({ url }: Credentials, { path }: HttpRequest): string {
  return url.slice(0, url.length - path.length);
}

type Refused = Extract<SessionOutcome, { ok: false }>;

/** A store that cannot be used is a refusal like any other, with an answer that pages can read. */
async function settle(outcome: Promise<SessionOutcome>): Promise<SessionOutcome> {
  try {
    return await outcome;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { ok: false, error, headers: error.status === 503 ? [['Retry-After', '2']] : [] };
  }
}

function sendRefusal(response: HttpResponse, { error, headers, conflicts }: Refused): void {
  const more = conflicts && {
    sessions: conflicts.map(({ id, content, startedMs }) => ({
      sessionId: id,
      content,
      startedAt: timeText(startedMs),
    })),
  };
  response.send(licenseProblem(error, headers, more));
}

function renderGrant(grant: SessionGrant, base: string, { mediaUrl }: SessionRouteOptions): object {
  const media = mediaUrl === '' ? base : mediaUrl;
  const licenseUrl = (system: LicenseSystem): string => `${base}/license/${system}`;
  return {
    sessionId: grant.sessionId,
    token: grant.token,
    tokenType: grant.tokenType,
    tokenExpiresAt: timeText(grant.tokenExpiresMs),
    manifests: { hls: media + grant.manifestPaths.hls, dash: media + grant.manifestPaths.dash },
    licenseUrl: licenseUrl(grant.drm),
    licenseUrls: Object.fromEntries(LICENSE_SYSTEMS.map((system) => [system, licenseUrl(system)])),
    heartbeatSeconds: grant.heartbeatSeconds,
    expiresAt: timeText(grant.expiresMs),
    tiers: grant.tiers,
    ...(grant.resume && { resume: renderResume(grant.resume) }),
  };
}

/** `resume` of a heartbeat's body; bodies of players that do not report are not looked at. */
function readSessionReport(body: Uint8Array): ReportRequest | undefined {
  const { resume } = parseObject(body) ?? {};
  if (resume === undefined || resume === null) return undefined;
  // The title is that of the session, whatever is asked.
  return readReport(requireObject(resume), '');
}

function renderResume(resume: SessionResume): object | null {
  if (resume.kind === 'claimed') return resume.claim === undefined ? null : renderClaim(resume.claim);
  const { serverTimeMs } = resume;
  if (resume.kind === 'failed') return { error: resume.code, serverTimeMs };
  const { kind, record = null } = resume.outcome;
  if (kind === 'conflict') return { conflict: { code: 'RESUME_CONFLICT', record }, serverTimeMs };
  return { record, serverTimeMs, ...(kind === 'held' && { held: true }) };
}

function renderClaim({ epoch, record }: ResumeClaim): object {
  return { epoch, record: record ?? null };
}
