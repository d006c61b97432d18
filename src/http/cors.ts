import { headerBlock } from './header-block.ts';
import type { HeaderBlock, HttpAnswer } from './types.ts';

type Entry = readonly [name: string, value: string];

/**
 * Cross-origin headers every answer carries, errors too: without them a player in a page cannot even see a 404.
 * `*` goes without credentials; an Origin is never reflected.
 */
export const CORS_ENTRIES: readonly Entry[] = [
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Expose-Headers', 'Age, Date, Content-Length, Content-Range, ETag'],
];

/** What a preflight allows beyond the fixed part. */
export interface PreflightOptions {
  /** Upper-case methods of the URL. */
  readonly methods?: readonly string[];
  /** Request headers a page may set. */
  readonly requestHeaders?: readonly string[];
}

const PLAYER_METHODS = ['GET', 'HEAD', 'OPTIONS'];
const PLAYER_HEADERS = [
  'Range',
  'Authorization',
  'CMCD-Request',
  'CMCD-Object',
  'CMCD-Status',
  'CMCD-Session',
];
const PREFLIGHT_MAX_AGE_SECONDS = 86_400;

/** A header block with the CORS headers in front. */
export function corsHeaderBlock(entries: readonly Entry[]): HeaderBlock {
  return headerBlock([...CORS_ENTRIES, ...entries]);
}

/** The 204 that answers OPTIONS. */
export function preflightAnswer(options: PreflightOptions = {}): HttpAnswer {
  const methods = (options.methods ?? PLAYER_METHODS).join(', ');
  const headers = corsHeaderBlock([
    ['Access-Control-Allow-Methods', methods],
    ['Access-Control-Allow-Headers', (options.requestHeaders ?? PLAYER_HEADERS).join(', ')],
    ['Access-Control-Max-Age', String(PREFLIGHT_MAX_AGE_SECONDS)],
    ['Allow', methods],
  ]);
  return { status: 204, headers };
}
