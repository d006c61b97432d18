import type { ValidationContext } from '../contracts.ts';
import type { FetchFailure, FetchResult } from '../fetcher.ts';
import { parsePlaylist } from './parse-playlist.ts';
import type { MediaPlaylist, MultivariantPlaylist } from './playlist.ts';

/** Longest playlist that is read, unpacked. */
const MAX_PLAYLIST_BYTES = 16 * 1024 * 1024;

/** Delivery directives of one request (RFC 8216bis 6.2.5). */
export interface Directives {
  readonly msn?: number | undefined;
  readonly part?: number | undefined;
  readonly skip?: 'YES' | 'v2' | undefined;
}

/** What became of a request for a playlist. */
export type Loaded =
  | {
      readonly kind: 'playlist';
      readonly playlist: MediaPlaylist | MultivariantPlaylist;
      readonly result: FetchResult;
    }
  /** Another status than 200. */
  | { readonly kind: 'refused'; readonly result: FetchResult }
  | { readonly kind: 'failed'; readonly failure: FetchFailure };

/** Requests one playlist. Judges nothing. */
export async function loadPlaylist(
  context: ValidationContext,
  url: string,
  directives: Directives,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Loaded> {
  const outcome = await context.fetcher.get(withDirectives(url, directives), {
    signal,
    timeoutMs,
    maxBytes: MAX_PLAYLIST_BYTES,
    headers: { 'accept-encoding': 'gzip' },
  });
  if (outcome.kind === 'failed') return { kind: 'failed', failure: outcome };
  if (outcome.status !== 200) return { kind: 'refused', result: outcome };
  return { kind: 'playlist', playlist: parsePlaylist(outcome.body, outcome.url), result: outcome };
}

/** Adds directives to a playlist's URL, in the order that caches rely on (6.2.5). */
export function withDirectives(url: string, { msn, part, skip }: Directives): string {
  if (msn === undefined && part === undefined && skip === undefined) return url;
  const target = new URL(url);
  const parameters = [
    ...(msn === undefined ? [] : [`_HLS_msn=${msn}`]),
    ...(part === undefined ? [] : [`_HLS_part=${part}`]),
    ...(skip === undefined ? [] : [`_HLS_skip=${skip}`]),
  ];
  // As text: a signed query must come back byte for byte.
  const own = target.search.slice(1);
  target.search = [...parameters, ...(own === '' ? [] : own.split('&'))].toSorted().join('&');
  return target.href;
}

/** Why there is no playlist, for people. */
export function troubleOf(loaded: Exclude<Loaded, { kind: 'playlist' }>): string {
  return loaded.kind === 'refused' ? `status ${loaded.result.status}` : loaded.failure.detail;
}

/** Waits on the clock; ends early when `signal` fires. */
export function pause({ clock }: ValidationContext, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal.addEventListener('abort', done);
  });
}
