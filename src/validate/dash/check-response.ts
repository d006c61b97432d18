import type { FetchResult } from '../fetcher.ts';
import type { DashRun } from './dash-run.ts';
import type { Mpd } from './mpd-model.ts';

const MPD_TYPE = 'application/dash+xml';
/** What MP4 segments may be called besides their Representation's mimeType. */
const SEGMENT_TYPES = /^(video|audio|application)\/(mp4|iso\.segment|octet-stream)$/;
/** Shortest time a live MPD may be cached without harm worth a word. */
const LEAST_MPD_AGE_SECONDS = 2;

/** What Cache-Control says (RFC 9111 5.2.2). */
export interface CacheControl {
  readonly noStore: boolean;
  readonly noCache: boolean;
  /** Seconds; of shared caches when that is told apart. */
  readonly maxAge: number | undefined;
}

export function cacheControl({ headers }: FetchResult): CacheControl {
  const directives = (headers.get('cache-control') ?? '').toLowerCase().split(',');
  const value = (name: string): number | undefined => {
    const text = directives.map((each) => each.trim()).find((each) => each.startsWith(`${name}=`));
    const seconds = text === undefined ? Number.NaN : Number(text.slice(name.length + 1).replaceAll('"', ''));
    return Number.isNaN(seconds) ? undefined : seconds;
  };
  const has = (name: string): boolean => directives.some((each) => each.trim() === name);
  return {
    noStore: has('no-store'),
    noCache: has('no-cache'),
    maxAge: value('s-maxage') ?? value('max-age'),
  };
}

/** Pages of another origin must be let in. */
export function checkCors(run: DashRun, { headers }: FetchResult, url: string): void {
  if (headers.has('access-control-allow-origin')) return;
  run.tell(
    'dash-cors',
    url,
    'no Access-Control-Allow-Origin: a player on a page of another origin cannot read it',
  );
}

/** Judges the headers of the MPD itself. */
export function checkMpdResponse(run: DashRun, result: FetchResult, mpd: Mpd | undefined, url: string): void {
  const type = contentType(result);
  if (type !== MPD_TYPE)
    run.tell('dash-content-type', url, `the MPD comes as ${type ?? '(none)'}, not ${MPD_TYPE}`);
  checkCors(run, result, url);
  if (!mpd?.dynamic || mpd.minimumUpdatePeriod === undefined) return;
  const { maxAge = 0 } = cacheControl(result);
  const most = Math.max(mpd.minimumUpdatePeriod, mpd.maxSegmentDuration ?? 0, LEAST_MPD_AGE_SECONDS);
  if (maxAge > most) {
    run.tell(
      'dash-cache-mpd',
      url,
      `a live MPD that may be cached for ${maxAge} s, minimumUpdatePeriod is ${mpd.minimumUpdatePeriod} s`,
    );
  }
}

/** Judges the headers of a segment that came. */
export function checkSegmentResponse(
  run: DashRun,
  result: FetchResult,
  mimeType: string | undefined,
  url: string,
): void {
  const type = contentType(result);
  const mp4 = mimeType === undefined || mimeType.endsWith('/mp4');
  if (mp4 && (type === undefined || !(type === mimeType || SEGMENT_TYPES.test(type)))) {
    run.tell('dash-content-type', url, `a segment of ${mimeType} comes as ${type ?? '(none)'}`);
  }
  checkCors(run, result, url);
}

/** Judges the headers of a segment that is complete and will never change. */
export function checkCompleteResponse(run: DashRun, result: FetchResult, url: string): void {
  const { noStore, noCache } = cacheControl(result);
  if (noStore || noCache) {
    run.tell(
      'dash-cache-segment',
      url,
      `a complete segment may not be cached (${result.headers.get('cache-control')})`,
    );
  }
}

/** Judges a refusal of a segment that will be there later. */
export function checkMissingResponse(run: DashRun, result: FetchResult, seconds: number, url: string): void {
  const { maxAge = 0, noStore } = cacheControl(result);
  if (noStore || maxAge <= seconds) return;
  run.tell(
    'dash-cache-missing',
    url,
    `the ${result.status} for a segment still to come may be cached for ${maxAge} s`,
  );
}

function contentType({ headers }: FetchResult): string | undefined {
  return headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
}
