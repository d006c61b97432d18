import { isStreamName } from '../../stream/stream-name.ts';

/** The first level of every publishing point. */
export const INGEST_PREFIX = '/ingest/';

/** Longest path that is looked at, and most levels below a publishing point. */
const MAX_PATH_LENGTH = 1024;
const MAX_LEVELS = 8;
/** What a level may be made of, once percent-decoded: nothing a file system, a log or a terminal would trip over. */
const PLAIN_LEVEL = /^[A-Za-z0-9._~@=,+()$!' -]{1,255}$/;

/** What a request speaks to. */
export type IngestPath =
  | { readonly kind: 'point'; readonly stream: string }
  | { readonly kind: 'file'; readonly stream: string; readonly levels: readonly string[] }
  /** No publishing point: 404. */
  | { readonly kind: 'unknown' }
  /** Leads outside, or is odd enough that somebody might think so: 403. */
  | { readonly kind: 'refused' };

/** Takes the path of a request apart: as sent, percent-decoded once and level by level, never normalised. */
export function parseIngestPath(path: string): IngestPath {
  if (!path.startsWith(INGEST_PREFIX)) return { kind: 'unknown' };
  if (path.length > MAX_PATH_LENGTH) return { kind: 'refused' };
  const [stream = '', ...rest] = path.slice(INGEST_PREFIX.length).split('/');
  const levels: string[] = [];
  for (const [index, level] of rest.entries()) {
    // A slash at the very end names the folder itself.
    if (level === '' && index === rest.length - 1) continue;
    const decoded = decodeLevel(level);
    if (decoded === undefined) return { kind: 'refused' };
    levels.push(decoded);
  }
  if (stream === '..' || stream === '.' || stream.includes('%') || levels.length > MAX_LEVELS) {
    return { kind: 'refused' };
  }
  if (!isStreamName(stream)) return { kind: 'unknown' };
  return levels.length === 0 ? { kind: 'point', stream } : { kind: 'file', stream, levels };
}

function decodeLevel(level: string): string | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(level);
  } catch {
    return undefined;
  }
  return PLAIN_LEVEL.test(decoded) && decoded !== '.' && decoded !== '..' ? decoded : undefined;
}
