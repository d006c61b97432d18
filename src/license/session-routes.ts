import { AppError } from '../base/errors.ts';
import type { PathParams, Route } from '../http/router.ts';
import type { HttpRequest, HttpResponse } from '../http/types.ts';
import type { Credentials } from './authorised-request.ts';
import { emptyAnswer, jsonAnswer, licenseProblem, timeText } from './license-problem.ts';
import { parseSessionRequest } from './session-request.ts';
import type { SessionGrant, SessionOutcome, SessionService } from './session-service.ts';
import { LICENSE_SYSTEMS, type LicenseSystem } from './tiers.ts';

export interface SessionRouteOptions {
  readonly credentials: (request: HttpRequest) => Credentials;
  /** Where manifests are, when that is elsewhere than these calls: scheme and host, no slash at the end; '' = here. */
  readonly mediaUrl: string;
}

/** Largest body of a call about sessions. */
const MAX_BODY_BYTES = 16 * 1024;

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
    await request.body(MAX_BODY_BYTES);
    const outcome = await settle(service.heartbeat(credentials, id));
    if (!outcome.ok) return sendRefusal(response, outcome);
    response.send(jsonAnswer(200, renderGrant(outcome.grant, base, options)));
  }

  async function end(request: HttpRequest, response: HttpResponse, { id = '' }: PathParams): Promise<void> {
    const credentials = options.credentials(request);
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
    return { ok: false, error, headers: [['Retry-After', '2']] };
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
  };
}
