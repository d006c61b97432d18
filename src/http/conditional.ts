/** One entity tag, weak or strong (RFC 9110 8.8.3). */
const ENTITY_TAG = /(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g;

/**
 * Whether If-None-Match matches the current strong `etag` (quotes included), so that GET and HEAD answer 304
 * (RFC 9110 13.1.2, weak comparison). Total: a malformed header does not match.
 */
export function isNotModified(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch === '') return false;
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true;
  for (const [, tag] of ifNoneMatch.matchAll(ENTITY_TAG)) {
    if (tag === etag) return true;
  }
  return false;
}

/**
 * Whether a Range header may be honoured given If-Range: it must be absent or exactly the strong `etag`
 * (RFC 9110 13.1.5). Dates never match, because no Last-Modified is sent.
 */
export function ifRangeAllows(ifRange: string, etag: string): boolean {
  return ifRange === '' || ifRange === etag;
}
