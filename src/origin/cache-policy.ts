import type { SegmentPlan } from '../stream/live-window.ts';

/** Every kind of answer the origin gives; also the `kind` label of its response counter. */
export const ANSWER_KINDS = [
  'multivariant',
  'manifest-scoped',
  'playlist',
  'playlist-blocking',
  'mpd',
  'patch',
  'init',
  'segment',
  'segment-growing',
  'part',
  'time',
  'page',
  'asset',
  'stream-list',
  'title-manifest',
  'title-growing',
  'title-media',
  'title-list',
  'redirect',
  'preflight',
  'ahead',
  'missing',
  'offline',
  'refused',
  'overload',
] as const;
export type AnswerKind = (typeof ANSWER_KINDS)[number];

/** What the lifetimes of a stream's answers are measured in. */
type Lifetimes = Pick<SegmentPlan, 'targetDurationSeconds'>;

const NOT_STORED = 'no-store';
const FRESH_FOR_ONE_SECOND = 'public, max-age=1';
/** The bytes behind a media URL never change: its period is part of it, and numbers never go back. */
const IMMUTABLE_MEDIA = 'public, max-age=3600, immutable';
const IMMUTABLE_ASSET = 'public, max-age=31536000, immutable';

/**
 * How long caches may keep each kind of answer: the one table of it (LL-HLS: RFC 8216bis B.1; what caches in front
 * rely on to ask us once). Errors are never kept longer than a second, since what is missing is usually coming.
 */
const CACHE_CONTROL: { readonly [K in AnswerKind]: string | ((plan: Lifetimes) => string) } = {
  /** Half a segment: bandwidths move slowly, a new set of tracks must show soon. */
  multivariant: ({ targetDurationSeconds }) => `public, max-age=${Math.max(1, targetDurationSeconds >> 1)}`,
  /** Names only what one session may have: not for anybody else's cache. */
  'manifest-scoped': 'private, max-age=1',
  /** The playlist as of now. A shared cache may still fold a burst of players into one request. */
  playlist: 'public, max-age=0, s-maxage=1',
  /** The directives name one version, so that a cache asks once for it and may keep it. */
  'playlist-blocking': ({ targetDurationSeconds }) => `public, max-age=${6 * targetDurationSeconds}`,
  mpd: FRESH_FOR_ONE_SECOND,
  patch: FRESH_FOR_ONE_SECOND,
  init: IMMUTABLE_MEDIA,
  segment: IMMUTABLE_MEDIA,
  'segment-growing': IMMUTABLE_MEDIA,
  part: IMMUTABLE_MEDIA,
  time: NOT_STORED,
  page: 'no-cache',
  asset: IMMUTABLE_ASSET,
  'stream-list': FRESH_FOR_ONE_SECOND,
  /** A title that is whole may still be taken away, or made anew. */
  'title-manifest': 'public, max-age=30',
  'title-growing': FRESH_FOR_ONE_SECOND,
  'title-media': IMMUTABLE_MEDIA,
  'title-list': FRESH_FOR_ONE_SECOND,
  redirect: 'public, max-age=60',
  preflight: 'public, max-age=86400',
  /** Not there yet: the very next request may find it. */
  ahead: NOT_STORED,
  missing: FRESH_FOR_ONE_SECOND,
  offline: FRESH_FOR_ONE_SECOND,
  refused: NOT_STORED,
  overload: FRESH_FOR_ONE_SECOND,
};

/** Without a stream at hand only kinds that do not depend on one are asked for; this makes the rest cautious. */
const NO_PLAN: Lifetimes = { targetDurationSeconds: 1 };

/** Value of the Cache-Control header of one kind of answer. */
export function cacheControl(kind: AnswerKind, plan: Lifetimes = NO_PLAN): string {
  const rule = CACHE_CONTROL[kind];
  return typeof rule === 'string' ? rule : rule(plan);
}
