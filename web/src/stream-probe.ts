/** What the server says of a stream. */
export type StreamPresence = 'live' | 'offline' | 'ended' | 'unreachable';

const TIMEOUT_MS = 5000;

/** Asks the server once. The MPD tells in one short text whether the stream is there, and whether it goes on. */
export async function probeStream(streamUrl: URL): Promise<StreamPresence> {
  try {
    const answer = await fetch(new URL('index.mpd', streamUrl), {
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return presenceOf(answer.status, await answer.text());
  } catch {
    return 'unreachable';
  }
}

/** Reads an answer to the question for the MPD. */
export function presenceOf(status: number, mpd: string): StreamPresence {
  if (status === 404) return 'offline';
  if (status !== 200) return 'unreachable';
  return /<MPD\b[^>]*\stype="dynamic"/.test(mpd) ? 'live' : 'ended';
}
