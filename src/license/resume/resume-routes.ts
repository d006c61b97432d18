import { addressGroup } from '../../base/address-group.ts';
import type { Clock } from '../../base/clock.ts';
import { AppError, type ErrorCode } from '../../base/errors.ts';
import { parseQuery } from '../../http/query.ts';
import type { PathParams, Route, RouteHandler } from '../../http/router.ts';
import type { HttpAnswer, HttpRequest, HttpResponse } from '../../http/types.ts';
import type { ProfileKey } from '../../state/resume-store.ts';
import type { PlaybackSession, SessionStore } from '../../state/session-store.ts';
import type { Credentials } from '../authorised-request.ts';
import { emptyAnswer, jsonAnswer, licenseHeaders, licenseProblem, timeText } from '../license-problem.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import type { EventHub } from './event-hub.ts';
import type { EventTickets } from './event-tickets.ts';
import type { ResumeMetrics } from './resume-metrics.ts';
import {
  readBatch,
  readClaim,
  readLimit,
  readObject,
  readProfile,
  readReport,
  readTitle,
  readVersion,
} from './resume-request.ts';
import { MAX_LISTED, type ReportOutcome, type ReportVia, type ResumeService } from './resume-service.ts';
import type { AccessOutcome, KnownViewer, ViewerAccess } from './viewer-access.ts';

export interface ResumeRouteDeps {
  readonly service: ResumeService;
  readonly access: ViewerAccess;
  readonly hub: EventHub;
  readonly tickets: EventTickets;
  readonly sessions: SessionStore;
  readonly credentials: (request: HttpRequest) => Credentials;
  readonly byAddress: RateLimiter;
  readonly byViewer: RateLimiter;
  readonly clock: Clock;
  readonly metrics: ResumeMetrics;
}

/** Largest body of a call; a batch has more to say. */
const MAX_BODY_BYTES = 8 * 1024;
const MAX_BATCH_BYTES = 128 * 1024;
/** Reports of a batch that count as one call. */
const REPORTS_PER_TURN = 20;
/** Sessions in a copy of one's data. */
const MAX_SESSIONS = 1000;
const STREAM_HEAD: HttpAnswer = { status: 200, headers: licenseHeaders('text/event-stream') };

/** What a call works on: read off the request before anything was awaited. */
interface Asked {
  readonly credentials: Credentials;
  readonly query: ReadonlyMap<string, string>;
  readonly lastEventId: string;
  readonly params: PathParams;
  readonly request: HttpRequest;
}

interface Call {
  /** For the metric. */
  readonly name: string;
  /** By a login token, unless told otherwise. */
  readonly identify?: (asked: Asked) => Promise<AccessOutcome>;
  /** Undefined: it has answered by itself. */
  answer(asked: Asked, viewer: KnownViewer, response: HttpResponse): Promise<HttpAnswer | undefined>;
}

/** What players call to keep and to find where a viewer is, and to hear of it. */
export function resumeRoutes(deps: ResumeRouteDeps): Route[] {
  const { service, access, hub, tickets, clock, metrics } = deps;

  const route = (call: Call): RouteHandler => {
    return async (request, response, params) => {
      const asked: Asked = {
        credentials: deps.credentials(request),
        query: parseQuery(request.query),
        lastEventId: request.header('last-event-id'),
        params,
        request,
      };
      const isHead = request.method === 'HEAD';
      const { answer, outcome } = await settle(call, asked, response, isHead);
      metrics.calls.inc({ call: call.name, outcome });
      if (answer) response.send(answer);
    };
  };

  async function settle(
    call: Call,
    asked: Asked,
    response: HttpResponse,
    isHead: boolean,
  ): Promise<{ readonly answer: HttpAnswer | undefined; readonly outcome: string }> {
    try {
      takeTurn(deps.byAddress, addressGroup(asked.credentials.address), 'address');
      const known = await (call.identify?.(asked) ?? access.byLogin(asked.credentials));
      if (!known.ok) return { answer: licenseProblem(known.error, known.headers), outcome: known.error.code };
      takeTurn(deps.byViewer, known.viewer, 'viewer');
      if (isHead && call.name === 'events') return { answer: STREAM_HEAD, outcome: 'ok' };
      return { answer: await call.answer(asked, known, response), outcome: 'ok' };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const after = error instanceof Limited ? error.retryAfterSeconds : RETRY_AFTER[error.code];
      const extra = after === undefined ? [] : ([['Retry-After', String(after)]] as const);
      return { answer: licenseProblem(error, extra), outcome: error.code };
    }
  }

  function takeTurn(limiter: RateLimiter, name: string, scope: 'address' | 'viewer', turns = 1): void {
    for (let turn = 0; turn < turns; turn++) {
      const waitMs = limiter.take(name);
      if (waitMs === 0) continue;
      metrics.limited.inc({ scope });
      throw new Limited(waitMs);
    }
  }

  /** One profile of whoever asks, by the query. */
  const keyOf = ({ viewer }: KnownViewer, { query }: Asked): ProfileKey => ({
    viewer,
    profile: readProfile(query.get('profile')),
  });

  const json = (status: number, body: object): HttpAnswer =>
    jsonAnswer(status, { ...body, serverTimeMs: clock.wallMs() });

  const claim: Call = {
    name: 'claim',
    async answer({ params, request }, { viewer }) {
      const title = readTitle(params['title']);
      const { profile } = readClaim(readObject(await request.body(MAX_BODY_BYTES)));
      const { epoch, record = null } = await service.claim({ viewer, profile }, title);
      return json(201, { epoch, record });
    },
  };

  const reporting = (name: string, via: ReportVia, body: (asked: Asked) => Promise<object>): Call => ({
    name,
    async identify(asked) {
      const title = readTitle(asked.params['title']);
      return access.byLoginOrPlayback(
        via === 'beacon' ? withBodyToken(asked.credentials, await body(asked)) : asked.credentials,
        title,
      );
    },
    async answer(asked, { viewer }) {
      const title = readTitle(asked.params['title']);
      const { profile, report } = readReport({ ...(await body(asked)) }, title);
      const outcome = await service.report({ viewer, profile }, report, via);
      return reportAnswer(outcome, clock.wallMs());
    },
  });

  const batch: Call = {
    name: 'batch',
    async answer({ request }, { viewer }) {
      const { profile, ...asked } = readBatch(readObject(await request.body(MAX_BATCH_BYTES)));
      const turns = Math.ceil(asked.reports.length / REPORTS_PER_TURN) - 1;
      takeTurn(deps.byViewer, viewer, 'viewer', turns);
      const results = await service.batch({ viewer, profile }, asked);
      return json(200, {
        results: results.map(({ title, outcome, record = null }) => ({ title, outcome, record })),
      });
    },
  };

  const list: Call = {
    name: 'list',
    async answer(asked, viewer) {
      return json(200, await service.list(keyOf(viewer, asked), readVersion(asked.query.get('after'))));
    },
  };

  const continueWatching: Call = {
    name: 'continue',
    async answer(asked, viewer) {
      const limit = readLimit(asked.query.get('limit'), MAX_LISTED);
      return json(200, await service.continueWatching(keyOf(viewer, asked), limit));
    },
  };

  const find: Call = {
    name: 'find',
    async answer(asked, viewer) {
      const title = readTitle(asked.params['title']);
      const record = (await service.find(keyOf(viewer, asked), title)) ?? null;
      return json(200, { record });
    },
  };

  const remove: Call = {
    name: 'remove',
    async answer(asked, viewer) {
      await service.remove(keyOf(viewer, asked), readTitle(asked.params['title']));
      return emptyAnswer();
    },
  };

  const exportAll: Call = {
    name: 'export',
    async answer(_asked, { viewer }) {
      return json(200, await exported(viewer, service, deps.sessions, clock));
    },
  };

  const erase: Call = {
    name: 'erase',
    async answer(_asked, { viewer }) {
      return json(200, { erased: await service.erase(viewer) });
    },
  };

  const ticket: Call = {
    name: 'ticket',
    async answer(_asked, viewer) {
      return json(201, tickets.mint(viewer));
    },
  };

  const events: Call = {
    name: 'events',
    async identify({ credentials, query }) {
      const given = query.get('ticket');
      if (given === undefined) return access.byLogin(credentials);
      const known = await tickets.redeem(given);
      return known
        ? { ok: true, ...known }
        : { ok: false, error: new AppError('TOKEN_INVALID'), headers: [] };
    },
    async answer(asked, viewer, response) {
      const { address } = asked.credentials;
      const after = readVersion(asked.lastEventId || asked.query.get('after'));
      await hub.open({ ...keyOf(viewer, asked), after, address, untilMs: viewer.untilMs }, response);
      return undefined;
    },
  };

  const fromRequest = async ({ request }: Asked): Promise<object> =>
    readObject(await request.body(MAX_BODY_BYTES));

  return [
    { method: 'GET', path: '/v1/resume', handler: route(list) },
    { method: 'DELETE', path: '/v1/resume', handler: route(erase) },
    { method: 'POST', path: '/v1/resume/batch', handler: route(batch) },
    { method: 'GET', path: '/v1/resume/continue', handler: route(continueWatching) },
    { method: 'GET', path: '/v1/resume/export', handler: route(exportAll) },
    { method: 'GET', path: '/v1/resume/events', handler: route(events) },
    { method: 'POST', path: '/v1/resume/events/ticket', handler: route(ticket) },
    { method: 'GET', path: '/v1/resume/:title', handler: route(find) },
    { method: 'POST', path: '/v1/resume/:title', handler: route(claim) },
    { method: 'PUT', path: '/v1/resume/:title', handler: route(reporting('report', 'call', fromRequest)) },
    { method: 'DELETE', path: '/v1/resume/:title', handler: route(remove) },
    {
      method: 'POST',
      path: '/v1/resume/:title/report',
      handler: route(reporting('beacon', 'beacon', once(fromRequest))),
    },
  ];
}

/** Seconds to wait before asking again, where the fault is ours. */
const RETRY_AFTER: Readonly<Partial<Record<ErrorCode, number>>> = {
  RESUME_UNAVAILABLE: 2,
  PUBSUB_UNAVAILABLE: 2,
  LICENSE_STATE_UNAVAILABLE: 2,
  RESUME_STREAMS_FULL: 10,
};

class Limited extends AppError {
  readonly retryAfterSeconds: number;

  constructor(waitMs: number) {
    super('RESUME_RATE_LIMITED');
    this.retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  }
}

/** What became of a report. */
function reportAnswer(outcome: ReportOutcome, serverTimeMs: number): HttpAnswer {
  const { kind, record = null } = outcome;
  if (kind === 'conflict')
    return licenseProblem(new AppError('RESUME_CONFLICT'), [], { record, serverTimeMs });
  return jsonAnswer(200, { record, serverTimeMs, ...(kind === 'held' && { held: true }) });
}

/** Everything of a user, for a copy of one's own data. */
export async function exported(
  viewer: string,
  service: ResumeService,
  sessions: SessionStore,
  clock: Clock,
): Promise<object> {
  const [profiles, alive] = await Promise.all([
    service.export(viewer),
    sessions.list({ viewer }, MAX_SESSIONS, clock.wallMs()),
  ]);
  return { profiles, sessions: alive.map(renderSession) };
}

function renderSession({ id, content, device, startedMs, endsMs }: PlaybackSession): object {
  return {
    sessionId: id,
    content,
    device: device ?? null,
    startedAt: timeText(startedMs),
    expiresAt: timeText(endsMs),
  };
}

/** A beacon has no headers: its token and its proof are in the body. Headers that are there count. */
function withBodyToken(credentials: Credentials, body: object): Credentials {
  if (credentials.authorization !== '') return credentials;
  const { token, proof } = body as { readonly token?: unknown; readonly proof?: unknown };
  if (typeof token !== 'string') return credentials;
  const isBound = typeof proof === 'string';
  return {
    ...credentials,
    authorization: `${isBound ? 'DPoP' : 'Bearer'} ${token}`,
    proof: isBound ? proof : '',
  };
}

/** A body can be read once; who asks again gets the same. */
function once(read: (asked: Asked) => Promise<object>): (asked: Asked) => Promise<object> {
  const known = new WeakMap<Asked, Promise<object>>();
  return (asked) => {
    const reading = known.get(asked) ?? read(asked);
    known.set(asked, reading);
    return reading;
  };
}
