import { parseDateTime } from '../date-time.ts';
import type { FetchResult } from '../fetcher.ts';
import { checkCors, cacheControl } from './check-response.ts';
import type { DashRun } from './dash-run.ts';
import type { Descriptor, Mpd } from './mpd-model.ts';
import { resolveUrl } from './parse-mpd.ts';

const MAX_BODY_BYTES = 4096;
const TIMEOUT_MS = 5000;
/** A Date header has whole seconds; more than this apart, one of the two is wrong. */
const DATE_TOLERANCE_MS = 2000;
/** This machine's clock may be off itself: a warning only. */
const OWN_TOLERANCE_MS = 1000;

/** A reading of the presentation's clock. */
export interface ClockReading {
  /** Ahead of this machine's clock by that much. */
  readonly offsetMs: number;
  readonly uncertaintyMs: number;
}

type Reader = (result: FetchResult) => number | undefined;

const textOf = ({ body }: FetchResult): string => Buffer.from(body).toString('latin1').trim();
const dateHeader: Reader = ({ headers }) => parseHttpDate(headers.get('date') ?? '');

/** How the clocks that HTTP can ask answer (ISO/IEC 23009-1 5.8.5.7). */
const READERS: Readonly<Record<string, { read: Reader; granularityMs: number }>> = {
  'urn:mpeg:dash:utc:http-xsdate:2014': { read: (result) => parseDateTime(textOf(result)), granularityMs: 0 },
  'urn:mpeg:dash:utc:http-iso:2014': { read: (result) => parseDateTime(textOf(result)), granularityMs: 0 },
  'urn:mpeg:dash:utc:http-head:2014': { read: dateHeader, granularityMs: 1000 },
};

/** Asks every UTCTiming that HTTP can ask, judges the answers, and gives the first good reading. */
export async function checkClocks(run: DashRun, mpd: Mpd, mpdUrl: string): Promise<ClockReading | undefined> {
  let first: ClockReading | undefined;
  const asked = new Set<string>();
  for (const timing of mpd.utcTimings) {
    const key = `${timing.scheme} ${timing.value}`;
    if (asked.has(key)) continue;
    asked.add(key);
    const reading = await readClock(run, timing, mpdUrl);
    first ??= reading;
  }
  return first;
}

async function readClock(
  run: DashRun,
  { scheme, value }: Descriptor,
  mpdUrl: string,
): Promise<ClockReading | undefined> {
  const reader = READERS[scheme];
  if (!reader) return undefined;
  // Several servers may be named; the first stands for them.
  const url = resolveUrl(value.trim().split(/\s+/)[0] ?? '', mpdUrl);
  const outcome = await run.get(url, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BODY_BYTES });
  if (outcome.kind === 'failed') {
    if (outcome.reason !== 'aborted') run.tell('dash-utc-clock-unreachable', url, outcome.detail);
    return undefined;
  }
  const timeMs = outcome.status === 200 ? reader.read(outcome) : undefined;
  if (timeMs === undefined) {
    const answer = JSON.stringify(textOf(outcome).slice(0, 40));
    run.tell(
      'dash-utc-clock-unreachable',
      url,
      `status ${outcome.status}, no time for ${scheme} in ${answer}`,
    );
    return undefined;
  }
  checkCors(run, outcome, url);
  checkCaching(run, outcome, url);
  const rttMs = outcome.endedMs - outcome.startedMs;
  const localMs = outcome.endedWallMs - rttMs / 2;
  const reading = {
    offsetMs: timeMs + reader.granularityMs / 2 - localMs,
    uncertaintyMs: rttMs / 2 + reader.granularityMs / 2,
  };
  checkReading(run, reading, timeMs, outcome, url);
  return reading;
}

function checkCaching(run: DashRun, result: FetchResult, url: string): void {
  const { maxAge } = cacheControl(result);
  if (maxAge === undefined || maxAge <= 0) return;
  run.tell('dash-utc-clock-cached', url, `a clock that may be cached for ${maxAge} s`);
}

function checkReading(
  run: DashRun,
  { offsetMs, uncertaintyMs }: ClockReading,
  timeMs: number,
  result: FetchResult,
  url: string,
): void {
  const ownDateMs = dateHeader(result);
  if (ownDateMs !== undefined && Math.abs(timeMs - ownDateMs) > DATE_TOLERANCE_MS + 2 * uncertaintyMs) {
    const apart = ((timeMs - ownDateMs) / 1000).toFixed(1);
    run.tell('dash-utc-clock-wrong', url, `the time differs by ${apart} s from the Date header beside it`);
  } else if (Math.abs(offsetMs) > OWN_TOLERANCE_MS + uncertaintyMs) {
    run.tell(
      'dash-utc-clock-off',
      url,
      `the time is ${(offsetMs / 1000).toFixed(2)} s ahead of this machine's`,
    );
  }
}

const HTTP_DATE = /^\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d:\d\d:\d\d) GMT$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** IMF-fixdate (RFC 9110 5.6.7), milliseconds since the Unix epoch. */
export function parseHttpDate(text: string): number | undefined {
  const match = HTTP_DATE.exec(text.trim());
  if (!match) return undefined;
  const [, day = '', month = '', year = '', time = ''] = match;
  const number = String(MONTHS.indexOf(month) + 1).padStart(2, '0');
  return number === '00' ? undefined : parseDateTime(`${year}-${number}-${day}T${time}Z`);
}
