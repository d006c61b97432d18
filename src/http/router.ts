import { AppError } from '../base/errors.ts';
import { type PreflightOptions, preflightAnswer } from './cors.ts';
import { problemAnswer } from './problem.ts';
import type { HttpAnswer, HttpHandler, HttpRequest, HttpResponse } from './types.ts';

/** Values of a pattern's parameters by name; a `*name` rest keeps its inner slashes. */
export type PathParams = Readonly<Record<string, string>>;

/** Answers a request whose path matched. */
export type RouteHandler = (
  request: HttpRequest,
  response: HttpResponse,
  params: PathParams,
) => void | Promise<void>;

/** One URL of a listener. */
export interface Route {
  /** Upper case. GET answers HEAD too; OPTIONS is answered by the router. */
  readonly method: string;
  /** `/live/:stream/index.m3u8`; a last segment `*rest` takes one or more segments. */
  readonly path: string;
  readonly handler: RouteHandler;
}

/** Longest path that is looked at; a longer one is not found. */
export const MAX_PATH_LENGTH = 1024;

/**
 * What a parameter may look like. Nothing is decoded, so `%`, backslash, control characters and unicode simply do
 * not match, and `.` and `..` are refused: no later step can see a path other than the one matched here.
 */
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._~@=,+-]{1,255}$/;

interface Resource {
  readonly segments: readonly string[];
  readonly methods: Map<string, RouteHandler>;
  readonly preflight: HttpAnswer;
}

/**
 * Routes by exact path first, then by pattern in the order given. Unknown paths get 404, known ones with another
 * method 405 with Allow, OPTIONS the CORS preflight.
 * @throws Error when a method is given twice for one path.
 */
export function createRouter(
  routes: readonly Route[],
  preflight: Omit<PreflightOptions, 'methods'> = {},
): HttpHandler {
  const resources = collect(routes, preflight);
  const exact = new Map(resources.filter(isExact).map((resource) => [resource.segments.join('/'), resource]));
  const patterns = resources.filter((resource) => !isExact(resource));

  return (request, response) => {
    const { path } = request;
    if (path.length > MAX_PATH_LENGTH) return notFound(response);
    const fixed = exact.get(path);
    if (fixed) return answer(fixed, {}, request, response);
    const segments = path.split('/');
    for (const resource of patterns) {
      const params = match(resource.segments, segments);
      if (params) return answer(resource, params, request, response);
    }
    return notFound(response);
  };
}

function collect(routes: readonly Route[], preflight: Omit<PreflightOptions, 'methods'>): Resource[] {
  const byPath = new Map<string, Map<string, RouteHandler>>();
  for (const { method, path, handler } of routes) {
    const methods = byPath.get(path) ?? new Map<string, RouteHandler>();
    if (methods.has(method)) throw new Error(`two routes for ${method} ${path}`);
    methods.set(method, handler);
    byPath.set(path, methods);
  }
  return [...byPath].map(([path, methods]) => {
    const get = methods.get('GET');
    if (get && !methods.has('HEAD')) methods.set('HEAD', get);
    const allowed = [...methods.keys(), 'OPTIONS'];
    return {
      segments: path.split('/'),
      methods,
      preflight: preflightAnswer({ ...preflight, methods: allowed }),
    };
  });
}

function isExact(resource: Resource): boolean {
  return resource.segments.every((segment) => !segment.startsWith(':') && !segment.startsWith('*'));
}

function match(pattern: readonly string[], segments: readonly string[]): PathParams | undefined {
  const params: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [index, part] of pattern.entries()) {
    if (part.startsWith('*')) {
      const rest = segments.slice(index);
      if (rest.length === 0 || !rest.every((segment) => SEGMENT.test(segment))) return undefined;
      params[part.slice(1)] = rest.join('/');
      return params;
    }
    const segment = segments[index];
    if (segment === undefined) return undefined;
    if (!part.startsWith(':')) {
      if (segment !== part) return undefined;
    } else if (SEGMENT.test(segment)) {
      params[part.slice(1)] = segment;
    } else {
      return undefined;
    }
  }
  return segments.length === pattern.length ? params : undefined;
}

function answer(
  resource: Resource,
  params: PathParams,
  request: HttpRequest,
  response: HttpResponse,
): void | Promise<void> {
  const handler = resource.methods.get(request.method);
  if (handler) return handler(request, response, params);
  if (request.method === 'OPTIONS') return response.send(resource.preflight);
  const allow = [...resource.methods.keys(), 'OPTIONS'].join(', ');
  return response.send(problemAnswer(new AppError('HTTP_METHOD_NOT_ALLOWED'), [['Allow', allow]]));
}

function notFound(response: HttpResponse): void {
  response.send(problemAnswer(new AppError('HTTP_NOT_FOUND')));
}
