import { setMaxListeners } from 'node:events';
import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { ValidationContext, WatchedSummary } from './contracts.ts';
import { validateDash } from './dash/validate-dash.ts';
import type { FetchResult, Fetcher } from './fetcher.ts';
import { FindingLog, type CountedFinding } from './finding.ts';
import { validateHls } from './hls/validate-hls.ts';
import { CounterBoard } from './media/counter-board.ts';

const MANIFEST_TIMEOUT_MS = 10_000;
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

export interface ValidateOptions {
  /** Of a multivariant or media playlist, or an MPD; http or https. */
  readonly url: string;
  /** How long to watch: of a live presentation exactly, of one on demand at most. */
  readonly seconds: number;
}

export interface ValidateDeps {
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Everything one validation brought out. */
export interface ValidationReport {
  readonly url: string;
  readonly watched: WatchedSummary;
  readonly watchedSeconds: number;
  readonly findings: readonly CountedFinding[];
}

/**
 * Judges a presentation by the rules of its format.
 * @throws AppError VALIDATE_UNREACHABLE, VALIDATE_NOT_A_MANIFEST.
 */
export async function validatePresentation(
  { url, seconds }: ValidateOptions,
  { fetcher, clock, signal }: ValidateDeps,
): Promise<ValidationReport> {
  const log = new FindingLog();
  const manifest = await fetchManifest(url, fetcher, signal);
  const startedMs = clock.monotonicMs();
  const context: ValidationContext = {
    fetcher,
    clock,
    log,
    counters: new CounterBoard(),
    signal: sharedSignal(signal),
    deadlineMs: startedMs + seconds * 1000,
  };
  const text = new TextDecoder().decode(manifest.body);
  const watched = isMpd(text) ? await validateDash(context, url, text) : await validateHls(context, url);
  return { url, watched, watchedSeconds: (clock.monotonicMs() - startedMs) / 1000, findings: log.findings };
}

/** A signal that every request and every wait listens to: there are more than Node takes for a leak. */
function sharedSignal(signal: AbortSignal): AbortSignal {
  const shared = AbortSignal.any([signal]);
  setMaxListeners(0, shared);
  return shared;
}

async function fetchManifest(url: string, fetcher: Fetcher, signal: AbortSignal): Promise<FetchResult> {
  const outcome = await fetcher.get(url, {
    signal,
    timeoutMs: MANIFEST_TIMEOUT_MS,
    maxBytes: MAX_MANIFEST_BYTES,
    headers: { 'accept-encoding': 'gzip' },
  });
  if (outcome.kind === 'failed')
    throw new AppError('VALIDATE_UNREACHABLE', `cannot fetch ${url}: ${outcome.detail}`);
  if (outcome.status !== 200)
    throw new AppError('VALIDATE_UNREACHABLE', `cannot fetch ${url}: status ${outcome.status}`);
  if (isMpd(new TextDecoder().decode(outcome.body)) || isPlaylist(outcome)) return outcome;
  throw new AppError('VALIDATE_NOT_A_MANIFEST', `${url} is neither an HLS playlist nor a DASH MPD`);
}

function isMpd(text: string): boolean {
  const root = /<(\w+:)?MPD[\s>]/y;
  root.lastIndex = rootOf(text);
  return root.test(text);
}

/** Where the first element may begin: behind white space, declarations and comments. */
function rootOf(text: string): number {
  const space = /\s*/y;
  for (let at = 0; ; ) {
    space.lastIndex = at;
    space.test(text);
    at = space.lastIndex;
    const end = text.startsWith('<!--', at) ? '-->' : text.startsWith('<?', at) ? '?>' : undefined;
    const found = end === undefined ? -1 : text.indexOf(end, at);
    if (end === undefined || found < 0) return at;
    at = found + end.length;
  }
}

/** By its first line, else by its name or type: a playlist with a damaged first line is still one to judge. */
function isPlaylist({ body, url, headers }: FetchResult): boolean {
  const start = new TextDecoder().decode(body.subarray(0, 64));
  if (/^\uFEFF?\s*#EXT/.test(start)) return true;
  const named = /\.m3u8?$/i.test(new URL(url).pathname) || /mpegurl/i.test(headers.get('content-type') ?? '');
  return named && new TextDecoder().decode(body).includes('#EXT');
}
