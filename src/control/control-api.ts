import { AppError } from '../base/errors.ts';
import { headerBlock } from '../http/header-block.ts';
import type { HttpAnswer, HttpHandler, HttpRequest } from '../http/types.ts';
import { type AdminAccess, COMMON_HEADERS, problem } from './admin-access.ts';
import { type DocumentedApi, OPENAPI_PATH, renderOpenApi } from './openapi.ts';
import { JOB_EVENTS_PATH, type JobEvents } from './job-events.ts';
import { CONTROL_ROUTES, type CallResult, type ControlRoute, type ControlServices } from './routes.ts';
import { RECORDING_ROUTES } from './recording-routes.ts';
import { TITLE_ROUTES } from './title-routes.ts';

/** Longest path that is looked at. */
const MAX_PATH_LENGTH = 1024;
/** Longest body that is read. */
const MAX_BODY_BYTES = 64 * 1024;

interface ControlApiOptions {
  readonly services: ControlServices;
  /** Refuses a request without the admin token. */
  readonly access: AdminAccess;
  /** Of the package, for the OpenAPI document. */
  readonly version: string;
  /** Tells of jobs as they go on; there where VOD is. */
  readonly jobEvents?: JobEvents | undefined;
  /** What else is on this port, for the document. */
  readonly documented?: DocumentedApi | undefined;
  /** Answers every path that is not the control API's: the media routes share its port. */
  readonly next: HttpHandler;
}

const JSON_HEADERS = headerBlock([['Content-Type', 'application/json'], ...COMMON_HEADERS]);

/** The control API, health and readiness over HTTP. */
export function createControlApi(options: ControlApiOptions): HttpHandler {
  const { access, services, jobEvents } = options;
  const routes = [
    ...CONTROL_ROUTES,
    ...(services.recordings ? RECORDING_ROUTES : []),
    ...(services.titles ? TITLE_ROUTES : []),
  ];
  const document = jsonAnswer({
    status: 200,
    json: renderOpenApi(routes, options.version, options.documented),
  });

  return async (request, response) => {
    const { path, method } = request;
    if (!isControlPath(path)) return options.next(request, response);
    try {
      if (path === OPENAPI_PATH)
        return response.send(isRead(method) ? document : methodNotAllowed(['GET', 'HEAD']));
      if (jobEvents && path === JOB_EVENTS_PATH && method === 'GET') {
        const refusal = access(request);
        if (refusal) return response.send(refusal);
        if (!(await jobEvents.join(response))) response.send(problem(new AppError('CONTROL_READERS_FULL')));
        return;
      }
      const found = findRoute(routes, method, path);
      if ('allowed' in found) return response.send(methodNotAllowed(found.allowed));
      const { route, id } = found;
      const refusal = route.auth === 'admin' ? access(request) : undefined;
      if (refusal) return response.send(refusal);
      const body = route.requestSchema === undefined ? undefined : await readJson(request);
      response.send(jsonAnswer(await route.call(services, id, body)));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      response.send(problem(error));
    }
  };
}

function isControlPath(path: string): boolean {
  return path === '/healthz' || path === '/readyz' || path === '/v1' || path.startsWith('/v1/');
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

type Found = { readonly route: ControlRoute; readonly id: string } | { readonly allowed: readonly string[] };

/** @throws AppError HTTP_NOT_FOUND */
function findRoute(routes: readonly ControlRoute[], method: string, path: string): Found {
  const matches = path.length > MAX_PATH_LENGTH ? [] : routes.flatMap((route) => matchRoute(route, path));
  if (matches.length === 0) throw new AppError('HTTP_NOT_FOUND');
  const wanted = method === 'HEAD' ? 'GET' : method;
  const allowed = matches.flatMap(({ route }) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  return matches.find(({ route }) => route.method === wanted) ?? { allowed };
}

/** @throws AppError HTTP_BAD_REQUEST, HTTP_BODY_TOO_LARGE */
async function readJson(request: HttpRequest): Promise<unknown> {
  const bytes = await request.body(MAX_BODY_BYTES);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown;
  } catch {
    throw new AppError('HTTP_BAD_REQUEST', 'the body is not JSON');
  }
}

/** Nothing is decoded: a percent sign in a name is as wrong as any other odd character. */
function matchRoute(route: ControlRoute, path: string): { route: ControlRoute; id: string }[] {
  const template = route.path.split('/');
  const segments = path.split('/');
  if (segments.length !== template.length) return [];
  const id = segments[template.indexOf('{id}')] ?? '';
  const fits = template.every((part, index) => (part === '{id}' ? id !== '' : part === segments[index]));
  return fits ? [{ route, id }] : [];
}

function methodNotAllowed(allowed: readonly string[]): HttpAnswer {
  return problem(new AppError('HTTP_METHOD_NOT_ALLOWED'), [['Allow', allowed.join(', ')]]);
}

function jsonAnswer({ status, json }: CallResult): HttpAnswer {
  if (json === undefined) return { status, headers: JSON_HEADERS };
  return { status, headers: JSON_HEADERS, body: Buffer.from(JSON.stringify(json)) };
}
