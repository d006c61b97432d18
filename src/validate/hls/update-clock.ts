import { LIVE_RULES } from './live-rules.ts';
import { allParts, allSegments, isLowLatency, lastListed, type MediaPlaylist } from './playlist.ts';
import type { Snapshot } from './rendition.ts';
import { say, tell, type Sink } from './rule.ts';

/** What a network may add to an update without being a finding. */
const SLACK_SECONDS = 0.5;

/**
 * Watches how long a playlist stands still (RFC 8216bis 6.2.1). From outside only bounds can be known: an update
 * happened after the last request that did not bring it was sent, and before the one that brought it was answered.
 */
export class UpdateClock {
  readonly #sink: Sink;
  /** When the newest segment was first seen, and when it was last asked whether there is more. */
  #segmentSeenMs: number | undefined;
  #partSeenMs: number | undefined;
  #lastMsn = -1;
  #told = false;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Takes the next full playlist. `blocked`: it was held until it had what was asked for. */
  note(
    { playlist, startedMs, endedMs }: Snapshot,
    before: MediaPlaylist | undefined,
    blocked: boolean,
  ): void {
    const newest = playlist.segments.at(-1)?.msn ?? -1;
    if (newest !== this.#lastMsn || playlist.ended) {
      this.#lastMsn = newest;
      this.#segmentSeenMs = endedMs;
      this.#told = false;
    } else this.stillUnchanged(playlist, startedMs);
    if (before) this.#judgePart(before, playlist, endedMs, blocked);
  }

  /** A request sent at `atMs` brought no new segment. */
  stillUnchanged(playlist: MediaPlaylist, atMs: number): void {
    const { targetDuration, ended } = playlist;
    if (targetDuration === undefined || ended || this.#segmentSeenMs === undefined || this.#told) return;
    const seconds = (atMs - this.#segmentSeenMs) / 1000;
    if (seconds <= 1.5 * targetDuration + SLACK_SECONDS) return;
    this.#told = true;
    const message = `no new segment for ${say(Math.round(seconds * 10) / 10)}: more than 1.5 × TARGETDURATION ${targetDuration}`;
    tell(LIVE_RULES.notUpdated, { message }, this.#sink);
  }

  /** Only held requests show when a part appeared. Late is what makes a player at PART-HOLD-BACK run dry. */
  #judgePart(before: MediaPlaylist, playlist: MediaPlaylist, endedMs: number, blocked: boolean): void {
    const holdBack = playlist.serverControl?.partHoldBackSeconds;
    const isNew = JSON.stringify(lastListed(before)) !== JSON.stringify(lastListed(playlist));
    if (!isNew) return;
    const lastMs = this.#partSeenMs;
    this.#partSeenMs = blocked && isLowLatency(playlist) ? endedMs : undefined;
    if (lastMs === undefined || this.#partSeenMs === undefined || holdBack === undefined) return;
    const seconds = (endedMs - lastMs) / 1000;
    if (seconds <= holdBack || seconds <= (playlist.partTarget ?? 0) + SLACK_SECONDS || isOutage(playlist))
      return;
    const message = `the next part came after ${say(Math.round(seconds * 100) / 100)}; PART-TARGET is ${playlist.partTarget}, PART-HOLD-BACK ${holdBack}`;
    tell(LIVE_RULES.partLate, { message }, this.#sink);
  }
}

/** The newest segments are gaps: there is no media to list. */
function isOutage(playlist: MediaPlaylist): boolean {
  return (
    allSegments(playlist)
      .slice(-2)
      .some(({ gap }) => gap) || allParts(playlist).at(-1)?.gap === true
  );
}
