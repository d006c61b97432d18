/** What the server says of a stream. */
export type StreamPresence = 'live' | 'offline' | 'ended' | 'unreachable';

/** What the server says of a stream, and which stretch of it is going on. */
export interface StreamReport {
  readonly presence: StreamPresence;
  /** Id of the MPD's last Period: another one after an outage. */
  readonly period: string | undefined;
}

const TIMEOUT_MS = 5000;

/** Asks the server once. The MPD tells in one short text whether the stream is there, and whether it goes on. */
export async function probeStream(streamUrl: URL): Promise<StreamReport> {
  try {
    const answer = await fetch(new URL('index.mpd', streamUrl), {
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const mpd = await answer.text();
    return { presence: presenceOf(answer.status, mpd), period: lastPeriod(mpd) };
  } catch {
    return { presence: 'unreachable', period: undefined };
  }
}

/**
 * Reads an answer to the question for the MPD. A live MPD is dynamic and has no end; one that says how long the
 * presentation is has ended, whether it still calls itself dynamic or not (ISO/IEC 23009-1 5.3.1.2).
 */
export function presenceOf(status: number, mpd: string): StreamPresence {
  if (status === 404) return 'offline';
  if (status !== 200) return 'unreachable';
  const [root = ''] = /<MPD\b[^>]*>/.exec(mpd) ?? [];
  return / type="dynamic"/.test(root) && !root.includes(' mediaPresentationDuration=') ? 'live' : 'ended';
}

/** The id of the last Period of an MPD. */
export function lastPeriod(mpd: string): string | undefined {
  return [...mpd.matchAll(/<Period\b[^>]*\sid="([^"]*)"/g)].at(-1)?.[1];
}
