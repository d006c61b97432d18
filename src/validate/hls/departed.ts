import type { ValidationContext } from '../contracts.ts';
import { LIVE_RULES } from './live-rules.ts';
import { allParts, playlistSeconds, secondsOf, type Part, type Segment } from './playlist.ts';
import type { Snapshot } from './rendition.ts';
import { say, tell } from './rule.ts';

const TIMEOUT_MS = 10_000;
/** Of each kind, looked for at the end. */
const SAMPLES = 3;
/** Departed things remembered. */
const MAX_KEPT = 2000;
/** What is due to go within this may be gone when the request arrives. */
const MARGIN_MS = 1000;

interface Departed<T> {
  readonly thing: T;
  /** Until when it must be there, monotonic ms. */
  readonly untilMs: number;
}

/**
 * Remembers what left a playlist, and at the end looks whether it can still be fetched: segments for their own
 * duration and the longest playlist's after they first appeared, parts for three target durations (RFC 8216bis 6.2.2).
 */
export class DepartedMedia {
  readonly #context: ValidationContext;
  readonly #segments: Departed<Segment>[] = [];
  readonly #parts: Departed<Part>[] = [];
  readonly #appearedMs = new Map<number, number>();
  #longestSeconds = 0;

  constructor(context: ValidationContext) {
    this.#context = context;
  }

  /**
   * Takes the next full playlist. What exactly happened between two of them cannot be seen: things count as having
   * come and gone right after the last one, so that nobody is blamed for what we missed.
   */
  note(before: Snapshot | undefined, after: Snapshot): void {
    const { playlist } = after;
    this.#longestSeconds = Math.max(this.#longestSeconds, playlistSeconds(playlist));
    this.#noteAppearances(before, after);
    if (!before || playlist.ended) return;
    for (const segment of before.playlist.segments) {
      if (segment.msn >= playlist.mediaSequence) break;
      const sinceMs = this.#appearedMs.get(segment.msn);
      this.#appearedMs.delete(segment.msn);
      const forMs = ((segment.seconds ?? 0) + this.#longestSeconds) * 1000;
      if (sinceMs !== undefined) keep(this.#segments, { thing: segment, untilMs: sinceMs + forMs });
    }
    const listed = new Set(allParts(playlist).map(({ msn, index }) => `${msn}.${index}`));
    const untilMs = before.startedMs + 3000 * (playlist.targetDuration ?? 0);
    for (const part of allParts(before.playlist)) {
      if (!listed.has(`${part.msn}.${part.index}`)) keep(this.#parts, { thing: part, untilMs });
    }
  }

  /** Segments of the first playlist appeared one after the other, in real time, before anybody watched. */
  #noteAppearances(before: Snapshot | undefined, { playlist, startedMs }: Snapshot): void {
    let toEnd = playlistSeconds(playlist) + (playlist.targetDuration ?? 0);
    for (const segment of playlist.segments) {
      toEnd -= secondsOf(segment);
      if (this.#appearedMs.has(segment.msn)) continue;
      this.#appearedMs.set(segment.msn, before ? before.startedMs : startedMs - toEnd * 1000);
    }
  }

  /** Looks for the oldest that must still be there. */
  async probe(signal: AbortSignal): Promise<void> {
    const nowMs = this.#context.clock.monotonicMs();
    await Promise.all([
      ...due(this.#segments, nowMs).map((segment) =>
        this.#look(segment, 'segmentGone', `segment ${segment.msn}`, signal),
      ),
      ...due(this.#parts, nowMs).map((part) =>
        this.#look(part, 'partGone', `part ${part.index} of segment ${part.msn}`, signal),
      ),
    ]);
  }

  async #look(
    { url, gap, range }: Segment | Part,
    rule: 'segmentGone' | 'partGone',
    name: string,
    signal: AbortSignal,
  ): Promise<void> {
    if (gap || url === '' || range) return;
    const outcome = await this.#context.fetcher.get(url, {
      signal,
      timeoutMs: TIMEOUT_MS,
      maxBytes: 256 * 1024 * 1024,
    });
    if (outcome.kind === 'failed' || outcome.status === 200) return;
    const message = `${name} left the playlist, which was at most ${say(Math.round(this.#longestSeconds))} long, and gives status ${outcome.status} already`;
    tell(LIVE_RULES[rule], { message }, { log: this.#context.log, url });
  }
}

function keep<T>(list: Departed<T>[], entry: Departed<T>): void {
  list.push(entry);
  if (list.length > MAX_KEPT) list.shift();
}

/** The oldest that are still promised; those nearest to their end say most. */
function due<T>(list: readonly Departed<T>[], nowMs: number): readonly T[] {
  return list
    .filter(({ untilMs }) => untilMs > nowMs + MARGIN_MS)
    .slice(0, SAMPLES)
    .map(({ thing }) => thing);
}
