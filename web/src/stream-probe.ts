/** What the server says of a stream. */
export type StreamPresence = 'live' | 'offline' | 'ended' | 'unreachable';

/** What the server says of a stream, and which stretch of it is going on. */
export interface StreamReport {
  readonly presence: StreamPresence;
  /** Ids of the MPD's Periods since media last broke off, oldest first; each continues the one before. */
  readonly stretch: readonly string[];
  /** The stretch goes on from a Period that has left the MPD. */
  readonly isOlder: boolean;
  /** When media came back, ms since the Unix epoch; undefined where the MPD lists nothing before the stretch. */
  readonly resumedMs: number | undefined;
  /** How far behind the live edge the MPD wants players to be. */
  readonly delayMs: number;
  /** Longest segment. */
  readonly segmentMs: number;
  /** How far back one may go. */
  readonly depthSeconds: number;
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
    return { presence: 'unreachable', ...lastStretch('') };
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
export function lastStretch(mpd: string): Omit<StreamReport, 'presence'> {
  const periods = [...mpd.matchAll(/<Period\b[^>]*\sid="([^"]*)"[^]*?(?=<Period\b|$)/g)];
  const stretch: string[] = [];
  let isOlder = false;
  let first = '';
  for (const [text, id = ''] of periods.toReversed()) {
    stretch.unshift(id);
    first = text;
    isOlder = text.includes(CONTINUITY);
    if (!isOlder) break;
  }
  const hasBefore = stretch.length < periods.length;
  const resumedMs = hasBefore ? secondsIn(first, 'start') : undefined;
  return {
    stretch,
    isOlder,
    resumedMs: resumedMs === undefined ? undefined : resumedMs * 1000,
    delayMs: (secondsIn(mpd, 'suggestedPresentationDelay') ?? 0) * 1000,
    segmentMs: (secondsIn(mpd, 'maxSegmentDuration') ?? 0) * 1000,
    depthSeconds: secondsIn(mpd, 'timeShiftBufferDepth') ?? 0,
  };
}

/** The first attribute of this name, a duration in seconds alone, as our MPDs write all of theirs. */
function secondsIn(xml: string, name: string): number | undefined {
  const [, seconds] = new RegExp(`\\s${name}="PT([\\d.]+)S"`).exec(xml) ?? [];
  return seconds === undefined ? undefined : Number(seconds);
}

/** Whether a player that was started in Period `id` can go on in what the server has now. */
export function goesOn({ stretch, isOlder }: StreamReport, id: string | undefined): boolean {
  return isOlder || (id !== undefined && stretch.includes(id));
}

/** At least so much more media than players begin behind the live edge: for parts that come whole, and for the way here. */
const ROOM_MS = 1000;

/**
 * How long to wait until a player may be started. Players begin some way behind the live edge. Just after an outage
 * that is in the hole, where hls.js waits for the sound of a picture that never comes, dash.js and Shaka for segments
 * that are not there. So there must be more media behind the hole than `delayMs`, or what the MPD asks for, and a segment
 * on top of that: dash.js and Shaka begin at the start of one.
 */
export function settlesInMs({ resumedMs, ...report }: StreamReport, delayMs: number, nowMs: number): number {
  if (resumedMs === undefined) return 0;
  const roomMs = Math.max(report.delayMs, delayMs) + Math.max(ROOM_MS, report.segmentMs);
  // A clock that is wrong must not make anyone wait for longer.
  return Math.min(roomMs, Math.max(0, resumedMs + roomMs - nowMs));
}
