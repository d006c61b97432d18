/** What the server says of a stream. */
export type StreamPresence = 'live' | 'offline' | 'ended' | 'unreachable';

/** What the server says of a stream, and which stretch of it is going on. */
export interface StreamReport {
  readonly presence: StreamPresence;
  /** Ids of the MPD's Periods since media last broke off, oldest first; each continues the one before. */
  readonly stretch: readonly string[];
  /** The stretch goes on from a Period that has left the MPD. */
  readonly isOlder: boolean;
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
    return { presence: presenceOf(answer.status, mpd), ...lastStretch(mpd) };
  } catch {
    return { presence: 'unreachable', stretch: [], isOlder: false };
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

const CONTINUITY = 'urn:mpeg:dash:period-continuity:2015';

/** The Periods at the end of an MPD through which media runs on without a break. */
export function lastStretch(mpd: string): Pick<StreamReport, 'stretch' | 'isOlder'> {
  const periods = [...mpd.matchAll(/<Period\b[^>]*\sid="([^"]*)"[^]*?(?=<Period\b|$)/g)];
  const stretch: string[] = [];
  let isOlder = false;
  for (const [text, id = ''] of periods.toReversed()) {
    stretch.unshift(id);
    isOlder = text.includes(CONTINUITY);
    if (!isOlder) break;
  }
  return { stretch, isOlder };
}

/** Whether a player that was started in Period `id` can go on in what the server has now. */
export function goesOn({ stretch, isOlder }: StreamReport, id: string | undefined): boolean {
  return isOlder || (id !== undefined && stretch.includes(id));
}
