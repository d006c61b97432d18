import type { HttpRequest } from '../http/types.ts';
import type { Tiers } from '../packager/tier-scope.ts';
import { scopeOf } from './path-scope.ts';

/** What the routes need of a request, read while it may be read: an answer is often given much later. */
export interface Asked {
  readonly head: boolean;
  readonly query: string;
  readonly acceptsGzip: boolean;
  readonly range: string;
  readonly ifRange: string;
  readonly ifNoneMatch: string;
  /** What manifests may name to the asker; undefined: all. */
  readonly tiers: Tiers | undefined;
}

export function readAsked(request: HttpRequest): Asked {
  return {
    head: request.method === 'HEAD',
    query: request.query,
    acceptsGzip: acceptsGzip(request.header('accept-encoding')),
    range: request.header('range'),
    ifRange: request.header('if-range'),
    ifNoneMatch: request.header('if-none-match'),
    tiers: scopeOf(request)?.tiers,
  };
}

const CODING = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?$/i;

/** Whether an Accept-Encoding header takes gzip (RFC 9110 12.5.3). Only an explicit word counts for absent headers. */
export function acceptsGzip(acceptEncoding: string): boolean {
  if (acceptEncoding === '') return false;
  let wildcard = false;
  for (const item of acceptEncoding.split(',', 16)) {
    const [, coding = '', weight = '1'] = CODING.exec(item) ?? [];
    const wanted = Number(weight) > 0;
    if (/^(?:x-)?gzip$/i.test(coding)) return wanted;
    if (coding === '*') wildcard = wanted;
  }
  return wildcard;
}
