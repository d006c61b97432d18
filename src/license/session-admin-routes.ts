import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { headerBlock } from '../http/header-block.ts';
import { problemAnswer } from '../http/problem.ts';
import { parseQuery } from '../http/query.ts';
import type { PathParams, Route, RouteHandler } from '../http/router.ts';
import type { HttpAnswer, HttpRequest } from '../http/types.ts';
import type { PlaybackSession, Revocable, SessionStore } from '../state/session-store.ts';
import { isThumbprint } from './jwk-thumbprint.ts';
import type { LicenseMetrics } from './license-metrics.ts';
import { timeText } from './license-problem.ts';
import type { Resume } from './resume/open-resume.ts';
import { exported } from './resume/resume-routes.ts';
import type { ResumeService } from './resume/resume-service.ts';
import { SESSION_REVOCATION_MS, type ViewerNames } from './viewer-sessions.ts';

/** The answer that refuses a request without the admin token; undefined when it has it. */
export type AdminAccess = (request: HttpRequest) => HttpAnswer | undefined;

export interface SessionAdminDeps {
  readonly access: AdminAccess;
  readonly store: SessionStore;
  readonly names: ViewerNames;
  /** Where viewers are, and word to their devices; undefined: nobody keeps it. */
  readonly resume: Pick<Resume, 'service' | 'notices'> | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: LicenseMetrics;
}

/** Sessions or revocations in one answer. */
const MAX_LISTED = 1000;
/** Sessions that are looked through for those of a device that is taken away. */
const MAX_SEARCHED = 100_000;
const MAX_BODY_BYTES = 16 * 1024;
const SESSION_ID = /^[A-Za-z0-9_-]{1,64}$/;
/** Devices and users: until they are given back. */
const FOREVER_MS = 100 * 365 * 24 * 3_600_000;

// No CORS headers: a page in a browser has no business with the admin calls.
const COMMON_HEADERS = [
  ['Cache-Control', 'no-store'],
  ['X-Content-Type-Options', 'nosniff'],
] as const;
const JSON_HEADERS = headerBlock([['Content-Type', 'application/json'], ...COMMON_HEADERS]);
const PROBLEM_HEADERS = headerBlock([['Content-Type', 'application/problem+json'], ...COMMON_HEADERS]);
const NO_CONTENT: HttpAnswer = { status: 204, headers: headerBlock(COMMON_HEADERS) };

type AdminCall = (request: HttpRequest, params: PathParams) => HttpAnswer | Promise<HttpAnswer>;

export interface SessionAdminCalls {
  readonly routes: readonly Route[];
  /** Takes a session away. */
  readonly endSession: RouteHandler;
}

/** What operators call, with the admin token: see sessions, and take away sessions, devices and users. */
export function sessionAdminCalls(deps: SessionAdminDeps): SessionAdminCalls {
  const { store, names, clock, log, metrics } = deps;

  const guarded = (call: AdminCall): RouteHandler => {
    return async (request, response, params) => {
      const refusal = deps.access(request);
      if (refusal) return response.send(refusal);
      try {
        response.send(await call(request, params));
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        response.send({ ...problemAnswer(error), headers: PROBLEM_HEADERS });
      }
    };
  };

  /** Sessions that a revocation ends; to be looked up before it, as they are not alive after. */
  const affected = async ({ kind, id }: Revocable): Promise<readonly PlaybackSession[]> => {
    const nowMs = clock.wallMs();
    if (kind === 'viewer') return store.list({ viewer: id }, MAX_LISTED, nowMs);
    if (kind === 'session') return [await store.find(id)].filter((session) => session !== undefined);
    return (await store.list({}, MAX_SEARCHED, nowMs)).filter(({ device }) => device === id);
  };

  const revoke = async (what: Revocable, forMs: number): Promise<HttpAnswer> => {
    const ended = deps.resume ? await affected(what) : [];
    await store.revoke(what, clock.wallMs() + forMs);
    for (const { viewer, id } of ended)
      deps.resume?.notices.tell(viewer, { kind: 'session', sessionId: id, end: 'revoked' });
    metrics.ends.inc({ by: 'operator' });
    log.info({ event: 'revocation', kind: what.kind, id: what.id }, 'taken away by an operator');
    return NO_CONTENT;
  };

  const restore = async (what: Revocable): Promise<HttpAnswer> => {
    const known = await store.restore(what);
    if (!known) throw new AppError('SESSION_NOT_FOUND', `this ${what.kind} was not taken away`);
    log.info({ event: 'restoration', kind: what.kind, id: what.id }, 'given back by an operator');
    return NO_CONTENT;
  };

  const listSessions: AdminCall = async ({ query }) => {
    const asked = parseQuery(query);
    const issuer = asked.get('issuer') ?? 'headwater';
    const user = asked.get('user');
    const viewer = user === undefined ? asked.get('viewer') : names.of(issuer, user);
    const sessions = await store.list({ viewer }, MAX_LISTED, clock.wallMs());
    return json({ sessions: sessions.map(renderSession) });
  };

  const getSession: AdminCall = async (_request, { id = '' }) => {
    const session = await store.find(id);
    if (session === undefined) throw new AppError('SESSION_NOT_FOUND');
    return json({ ...renderSession(session), standing: await store.standing(id, clock.wallMs()) });
  };

  const revokeSession: AdminCall = async (_request, { id = '' }) => {
    if (!SESSION_ID.test(id) || (await store.find(id)) === undefined) throw new AppError('SESSION_NOT_FOUND');
    return revoke({ kind: 'session', id }, SESSION_REVOCATION_MS);
  };

  const deviceOf = ({ thumbprint }: PathParams): Revocable => {
    if (!isThumbprint(thumbprint)) {
      throw new AppError(
        'SESSION_REQUEST_MALFORMED',
        'expected the thumbprint of a device (RFC 7638, 43 characters)',
      );
    }
    return { kind: 'device', id: thumbprint };
  };

  const viewerOf = async (request: HttpRequest): Promise<Revocable> => {
    const { issuer = 'headwater', user } = parseBody(await request.body(MAX_BODY_BYTES));
    if (typeof issuer !== 'string' || typeof user !== 'string' || user === '') {
      throw new AppError(
        'SESSION_REQUEST_MALFORMED',
        'expected {"user": "…"} and, for an outside one, "issuer"',
      );
    }
    return { kind: 'viewer', id: names.of(issuer, user) };
  };

  const routes: Route[] = [
    { method: 'GET', path: '/v1/sessions', handler: guarded(listSessions) },
    { method: 'GET', path: '/v1/sessions/:id', handler: guarded(getSession) },
    { method: 'POST', path: '/v1/sessions/:id/revoke', handler: guarded(revokeSession) },
    {
      method: 'POST',
      path: '/v1/devices/:thumbprint/revoke',
      handler: guarded((_request, params) => revoke(deviceOf(params), FOREVER_MS)),
    },
    {
      method: 'DELETE',
      path: '/v1/devices/:thumbprint/revoke',
      handler: guarded((_request, params) => restore(deviceOf(params))),
    },
    {
      method: 'POST',
      path: '/v1/viewers/revoke',
      handler: guarded(async (request) => revoke(await viewerOf(request), FOREVER_MS)),
    },
    {
      method: 'POST',
      path: '/v1/viewers/restore',
      handler: guarded(async (request) => restore(await viewerOf(request))),
    },
    {
      method: 'GET',
      path: '/v1/revocations',
      handler: guarded(async () => {
        const found = await store.revocations(MAX_LISTED, clock.wallMs());
        return json({
          revocations: found.map(({ kind, id, untilMs }) => ({ kind, id, until: timeText(untilMs) })),
        });
      }),
    },
  ];
  if (deps.resume) routes.push(...dataRoutes(deps.resume.service, deps, guarded, viewerOf));
  return { routes, endSession: guarded(revokeSession) };
}

/** A user's data, when it asks the operator and not the server: a copy of it, or that it goes. */
function dataRoutes(
  service: ResumeService,
  { store, clock, log }: SessionAdminDeps,
  guarded: (call: AdminCall) => RouteHandler,
  viewerOf: (request: HttpRequest) => Promise<Revocable>,
): Route[] {
  const copy: AdminCall = async (request) =>
    json(await exported((await viewerOf(request)).id, service, store, clock));
  const erase: AdminCall = async (request) => {
    const erased = await service.erase((await viewerOf(request)).id);
    log.info({ event: 'erasure', erased }, 'the data of a user was erased by an operator');
    return json({ erased });
  };
  return [
    { method: 'POST', path: '/v1/viewers/export', handler: guarded(copy) },
    { method: 'POST', path: '/v1/viewers/erase', handler: guarded(erase) },
  ];
}

function renderSession(session: PlaybackSession): object {
  const { id, viewer, device, content, robustness, tiers, startedMs, aliveUntilMs, endsMs } = session;
  return {
    sessionId: id,
    viewer,
    device: device ?? null,
    content,
    robustness,
    tiers,
    startedAt: timeText(startedMs),
    aliveUntil: timeText(aliveUntilMs),
    expiresAt: timeText(endsMs),
  };
}

function json(body: object): HttpAnswer {
  return { status: 200, headers: JSON_HEADERS, body: Buffer.from(JSON.stringify(body)) };
}

/** @throws AppError SESSION_REQUEST_MALFORMED */
function parseBody(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw new AppError('SESSION_REQUEST_MALFORMED', 'expected a JSON object', { cause });
  }
  throw new AppError('SESSION_REQUEST_MALFORMED', 'expected a JSON object');
}
