import { AppError } from '../base/errors.ts';
import { type PreflightOptions, preflightAnswer } from './cors.ts';
import { PathScan } from './path-scan.ts';
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

interface Resource {
  readonly path: string;
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
  const exact = new Map(resources.filter(isExact).map((resource) => [resource.path, resource]));
  const patterns = resources.filter((resource) => !isExact(resource)).map(toPattern);
  const scan = new PathScan();

  return (request, response) => {
    const { path } = request;
    if (path.length > MAX_PATH_LENGTH) return notFound(response);
    const fixed = exact.get(path);
    if (fixed) return answer(fixed, {}, request, response);
    scan.read(path);
    for (const pattern of patterns) {
      if (matches(pattern, scan)) return answer(pattern.resource, paramsOf(pattern, scan), request, response);
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
      path,
      methods,
      preflight: preflightAnswer({ ...preflight, methods: allowed }),
    };
  });
}

function isExact({ path }: Resource): boolean {
  return !/\/[:*]/.test(path);
}

/** A path with parameters, taken apart once. */
interface Pattern {
  readonly resource: Resource;
  /** Segment by segment: the text it must be, or undefined where a parameter stands. */
  readonly texts: readonly (string | undefined)[];
  readonly params: readonly { readonly name: string; readonly index: number }[];
  /** Name of the parameter that takes the rest; it begins behind `texts`. */
  readonly rest: string | undefined;
}

function toPattern(resource: Resource): Pattern {
  const segments = resource.path.split('/');
  const last = segments.at(-1) ?? '';
  const rest = last.startsWith('*') ? last.slice(1) : undefined;
  const fixed = rest === undefined ? segments : segments.slice(0, -1);
  const isParam = (segment: string): boolean => segment.startsWith(':');
  return {
    resource,
    texts: fixed.map((segment) => (isParam(segment) ? undefined : segment)),
    params: fixed.flatMap((segment, index) => (isParam(segment) ? [{ name: segment.slice(1), index }] : [])),
    rest,
  };
}

function matches({ texts, rest }: Pattern, scan: PathScan): boolean {
  const fixed = texts.length;
  if (rest === undefined ? scan.count !== fixed : scan.count <= fixed) return false;
  for (let i = 0; i < fixed; i++) {
    const text = texts[i];
    if (text === undefined ? !scan.isPlain(i) : !scan.is(i, text)) return false;
  }
  for (let i = fixed; i < scan.count; i++) if (!scan.isPlain(i)) return false;
  return true;
}

function paramsOf({ params, texts, rest }: Pattern, scan: PathScan): PathParams {
  const values: Record<string, string> = {};
  for (const { name, index } of params) values[name] = scan.segment(index);
  if (rest !== undefined) values[rest] = scan.rest(texts.length);
  return values;
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
