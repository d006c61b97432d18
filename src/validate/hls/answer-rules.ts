import type { FetchResult } from '../fetcher.ts';
import { apple, rfc, type Rule } from './rule.ts';

/** An answer of status 200 or 206, with what it was asked for. */
export interface Answer {
  readonly what: 'multivariant' | 'playlist' | 'init' | 'segment' | 'part';
  readonly result: FetchResult;
  /** It will change. */
  readonly live: boolean;
  readonly targetDuration: number | undefined;
  /** It was asked for with delivery directives, so that it is one of a kind. */
  readonly directed: boolean;
  /** A byte range was asked for. */
  readonly ranged: boolean;
}

const PLAYLIST_TYPES = ['application/vnd.apple.mpegurl', 'audio/mpegurl'];
/** Types of media that players and caches know (Apple 10.4). */
const MEDIA_TYPES = [
  'video/mp4',
  'audio/mp4',
  'application/mp4',
  'video/iso.segment',
  'audio/iso.segment',
  'video/mp2t',
  'audio/aac',
  'audio/mpeg',
  'audio/ac3',
  'audio/eac3',
  'text/vtt',
  'text/plain',
];
/** One packet: below it packing saves nothing. */
const WORTH_PACKING_BYTES = 1400;

function isPlaylist({ what }: Answer): boolean {
  return what === 'multivariant' || what === 'playlist';
}

/** Rules of HTTP answers (RFC 8216bis 4, 6.2.1, B.1; Apple 8.18, 10). */
export const ANSWER_RULES: readonly Rule<Answer>[] = [
  {
    rule: 'hls-playlist-content-type',
    severity: 'error',
    clause: `${rfc('4')}; ${apple('10.4')}`,
    *check(answer) {
      const type = contentType(answer);
      if (!isPlaylist(answer) || PLAYLIST_TYPES.includes(type)) return;
      yield `Content-Type is ${JSON.stringify(type)}, not ${PLAYLIST_TYPES[0]}`;
    },
  },
  {
    rule: 'hls-media-content-type',
    severity: 'warning',
    clause: apple('10.4'),
    *check(answer) {
      const type = contentType(answer);
      if (isPlaylist(answer) || MEDIA_TYPES.includes(type)) return;
      yield `Content-Type of a ${answer.what} is ${JSON.stringify(type)}`;
    },
  },
  {
    rule: 'hls-playlist-not-packed',
    severity: 'warning',
    clause: `${rfc('6.2.1')}; ${apple('10.1')}`,
    *check(answer) {
      const { headers, body } = answer.result;
      if (!isPlaylist(answer) || body.length < WORTH_PACKING_BYTES || headers.has('content-encoding')) return;
      yield `${body.length} bytes of text were sent without gzip though it was accepted`;
    },
  },
  {
    rule: 'hls-vary-missing',
    severity: 'warning',
    clause: 'RFC 9110 12.5.5',
    *check(answer) {
      const { headers } = answer.result;
      if (!isPlaylist(answer) || !headers.has('content-encoding')) return;
      if (/\*|accept-encoding/i.test(headers.get('vary') ?? '')) return;
      yield 'a packed playlist without Vary: Accept-Encoding: a cache may hand it to those who cannot unpack it';
    },
  },
  {
    rule: 'hls-media-redirected',
    severity: 'warning',
    clause: apple('8.18'),
    *check(answer) {
      if (isPlaylist(answer) || answer.result.redirects === 0) return;
      yield `a ${answer.what} is fetched through ${answer.result.redirects} redirect(s)`;
    },
  },
  {
    rule: 'hls-range-ignored',
    severity: 'error',
    clause: rfc('4.4.4.2'),
    *check({ ranged, result, what }) {
      if (ranged && result.status !== 206)
        yield `a byte range of a ${what} was answered with ${result.status}, not 206`;
    },
  },
  {
    rule: 'hls-playlist-cached-too-long',
    severity: 'warning',
    clause: rfc('6.2.1'),
    *check(answer) {
      const { live, directed, targetDuration, result } = answer;
      if (answer.what !== 'playlist' || !live || directed || targetDuration === undefined) return;
      const seconds = sharedLifetime(result.headers.get('cache-control') ?? '');
      if (seconds === undefined || seconds <= 1.5 * targetDuration) return;
      yield `caches may keep this live playlist ${seconds} s: more than 1.5 × TARGETDURATION`;
    },
  },
  {
    rule: 'hls-cors-missing',
    severity: 'warning',
    clause: 'Fetch 3.2; players in pages cannot read it',
    *check({ result, what }) {
      if (!result.headers.has('access-control-allow-origin'))
        yield `no Access-Control-Allow-Origin on a ${what}`;
    },
  },
];

function contentType({ result }: Answer): string {
  return (result.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Seconds a shared cache may keep an answer; undefined when it says nothing of it. */
function sharedLifetime(cacheControl: string): number | undefined {
  if (/no-store|no-cache|private/i.test(cacheControl)) return 0;
  const match = /s-maxage=(\d+)/i.exec(cacheControl) ?? /max-age=(\d+)/i.exec(cacheControl);
  return match ? Number(match[1]) : undefined;
}
