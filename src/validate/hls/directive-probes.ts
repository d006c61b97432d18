import type { ValidationContext } from '../contracts.ts';
import { LIVE_RULES } from './live-rules.ts';
import { differenceOf, mergeDelta } from './merge-delta.ts';
import { isMultivariant } from './parse-playlist.ts';
import { allSegments, lastListed, playlistSeconds, secondsOf, type MediaPlaylist } from './playlist.ts';
import { loadPlaylist, troubleOf, type Directives, type Loaded } from './playlist-client.ts';
import { say, tell, type Problem, type Sink } from './rule.ts';

/** How far ahead of the live edge nobody can ask in earnest. */
const FAR_SEGMENTS = 1000;
/** What "at once" may take. */
const AT_ONCE_MS = 1500;
/** Attempts to get a delta and a full playlist of the same moment. */
const DELTA_ATTEMPTS = 4;

/** Asks one live rendition what no player asks, and judges the answers (RFC 8216bis 6.2.5). */
export class DirectiveProbes {
  readonly #context: ValidationContext;
  readonly #url: string;
  readonly #signal: AbortSignal;
  readonly #sink: Sink;
  /** The newest playlist of the watch. */
  readonly #latest: () => MediaPlaylist;

  constructor(context: ValidationContext, url: string, signal: AbortSignal, latest: () => MediaPlaylist) {
    this.#context = context;
    this.#url = url;
    this.#signal = signal;
    this.#sink = { log: context.log, url };
    this.#latest = latest;
  }

  /** Runs all that apply, side by side. */
  async run(): Promise<void> {
    const playlist = this.#latest();
    const { canBlockReload, canSkipUntilSeconds } = playlist.serverControl ?? {};
    const probes: Promise<void>[] = [];
    if (playlist.ended) {
      if (playlist.serverControl) probes.push(this.#afterEnd());
    } else {
      if (canBlockReload) probes.push(this.#farFuture(), this.#oldNumber(), this.#wholeSegment());
      if (canBlockReload && playlist.partTarget !== undefined) {
        probes.push(this.#partWithoutNumber(), this.#pastFinalPart());
      }
      if (canSkipUntilSeconds !== undefined) probes.push(this.#delta('YES'), this.#delta('v2'));
    }
    await Promise.all(probes);
  }

  /** 6.2.5.2: beyond the last segment plus two, Bad Request at once. */
  async #farFuture(): Promise<void> {
    const msn = this.#lastMsn() + FAR_SEGMENTS;
    const loaded = await this.#load({ msn }, AT_ONCE_MS);
    if (loaded.kind === 'playlist') {
      this.#tell('farFuture', {
        message: `_HLS_msn=${msn}, ${FAR_SEGMENTS} segments ahead, was answered with a playlist instead of status 400`,
      });
    } else if (loaded.kind === 'failed' && loaded.failure.reason === 'timeout') {
      this.#tell('farFuture', {
        message: `_HLS_msn=${msn}, ${FAR_SEGMENTS} segments ahead, was held instead of refused with status 400`,
      });
    }
  }

  /** 6.2.5.2: a part of no segment is Bad Request. */
  async #partWithoutNumber(): Promise<void> {
    const loaded = await this.#load({ part: 0 }, AT_ONCE_MS);
    if (loaded.kind === 'refused' && loaded.result.status >= 400 && loaded.result.status < 500) return;
    if (loaded.kind === 'failed' && loaded.failure.reason !== 'timeout') return;
    const got =
      loaded.kind === 'refused'
        ? `status ${loaded.result.status}`
        : loaded.kind === 'failed'
          ? 'no answer'
          : 'a playlist';
    this.#tell('partWithoutMsn', { message: `_HLS_part without _HLS_msn got ${got} instead of status 400` });
  }

  /** 6.2.5.2: the entire playlist at once, also for a segment that has left it. */
  async #oldNumber(): Promise<void> {
    const { mediaSequence } = this.#latest();
    const msn = Math.max(0, mediaSequence - 1);
    const loaded = await this.#load(
      { msn, part: this.#latest().partTarget === undefined ? undefined : 0 },
      this.#targetMs(),
    );
    if (this.#gaveUp(loaded)) return;
    if (loaded.kind !== 'playlist') {
      this.#tell('oldMsn', {
        message: `_HLS_msn=${msn}, which is no longer listed, got ${troubleOf(loaded)}`,
      });
    }
  }

  /** 6.2.5.2: without a part, the answer waits for the whole segment. */
  async #wholeSegment(): Promise<void> {
    const msn = (this.#latest().segments.at(-1)?.msn ?? this.#latest().mediaSequence - 1) + 1;
    const loaded = await this.#load({ msn }, 3 * this.#targetMs() + AT_ONCE_MS);
    if (this.#gaveUp(loaded)) return;
    if (loaded.kind !== 'playlist') {
      if (loaded.kind === 'refused' && loaded.result.status !== 503) {
        this.#tell('blockRefused', {
          message: `_HLS_msn=${msn}, the next segment, got ${troubleOf(loaded)}`,
        });
      }
      return;
    }
    if (isMultivariant(loaded.playlist)) return;
    const { segments, ended } = loaded.playlist;
    if (ended || (segments.at(-1)?.msn ?? -1) >= msn) return;
    this.#tell('blockEarly', {
      message: `_HLS_msn=${msn} was answered with a playlist whose last whole segment is ${segments.at(-1)?.msn}`,
    });
  }

  /** 6.2.5.2: past the final part of a segment is part 0 of the next one. */
  async #pastFinalPart(): Promise<void> {
    const last = this.#latest().segments.findLast(({ parts }) => parts.length > 0);
    if (!last || last.msn !== this.#latest().segments.at(-1)?.msn) return;
    const asked = `_HLS_msn=${last.msn}&_HLS_part=${last.parts.length}, one past the final part,`;
    const loaded = await this.#load({ msn: last.msn, part: last.parts.length }, 3 * this.#targetMs());
    if (this.#gaveUp(loaded)) return;
    if (loaded.kind !== 'playlist') {
      if (loaded.kind === 'refused' && loaded.result.status === 503) return;
      this.#tell('pastFinalPart', { message: `${asked} got ${troubleOf(loaded)}` });
      return;
    }
    if (isMultivariant(loaded.playlist)) return;
    const edge = lastListed(loaded.playlist);
    if (loaded.playlist.ended || (edge && edge.msn > last.msn)) return;
    this.#tell('pastFinalPart', {
      message: `${asked} was answered before part 0 of segment ${last.msn + 1} was there`,
    });
  }

  /** 6.2.5.2: once the end is known, directives are ignored. */
  async #afterEnd(): Promise<void> {
    const msn = this.#lastMsn() + 1;
    const loaded = await this.#load({ msn, skip: 'YES' }, AT_ONCE_MS);
    if (loaded.kind !== 'playlist') {
      this.#tell('directivesAfterEnd', {
        message: `_HLS_msn=${msn} of an ended playlist got ${troubleOf(loaded)}`,
      });
    } else if (!isMultivariant(loaded.playlist) && loaded.playlist.skip) {
      this.#tell('directivesAfterEnd', {
        message: '_HLS_skip of an ended playlist was answered with a delta',
      });
    }
  }

  /**
   * 6.2.5.1: a delta, put together with an older full playlist, is the full playlist of its moment. Both are asked
   * for by the same directives, so that both answers are of the moment when the next part appears.
   */
  async #delta(skip: 'YES' | 'v2'): Promise<void> {
    for (let attempt = 0; attempt < DELTA_ATTEMPTS && !this.#signal.aborted; attempt++) {
      const held = this.#latest();
      if (held.ended) return;
      const next = this.#nextDirectives(held);
      const timeoutMs = 3 * this.#targetMs() + AT_ONCE_MS;
      const [delta, full] = await Promise.all([
        this.#load({ ...next, skip }, timeoutMs),
        this.#load(next, timeoutMs),
      ]);
      if (delta.kind !== 'playlist' || full.kind !== 'playlist') {
        if (delta.kind === 'refused' && full.kind === 'playlist') {
          return this.#tell('deltaMissing', { message: `_HLS_skip=${skip} got ${troubleOf(delta)}` });
        }
        return;
      }
      if (isMultivariant(delta.playlist) || isMultivariant(full.playlist)) return;
      if (!sameMoment(delta.playlist, full.playlist)) continue;
      return this.#judgeDelta(held, delta.playlist, full.playlist, skip);
    }
  }

  #judgeDelta(held: MediaPlaylist, delta: MediaPlaylist, full: MediaPlaylist, skip: 'YES' | 'v2'): void {
    const boundary = full.serverControl?.canSkipUntilSeconds;
    if (boundary === undefined || full.ended) return;
    if (!delta.skip) {
      const { targetDuration = 0 } = full;
      // One segment of doubt about where the boundary is measured to.
      const skippable = playlistSeconds(full) - boundary - 2 * targetDuration;
      if (skippable <= 0) return;
      const message = `_HLS_skip=${skip} was answered with the full playlist, though ${say(skippable)} of it lie beyond CAN-SKIP-UNTIL`;
      return this.#tell('deltaMissing', { message });
    }
    for (const message of deltaProblems(held, delta, full, boundary)) {
      this.#tell('deltaWrong', { message: `_HLS_skip=${skip}: ${message}` });
    }
    if (
      skip === 'v2' &&
      full.serverControl?.canSkipDateRanges &&
      delta.skip.removedDateRanges === undefined
    ) {
      this.#tell('deltaDateRanges', {
        message: 'EXT-X-SKIP of a _HLS_skip=v2 delta has no RECENTLY-REMOVED-DATERANGES',
      });
    }
  }

  #nextDirectives(playlist: MediaPlaylist): Directives {
    return playlist.serverControl?.canBlockReload ? directivesAfter(playlist) : {};
  }

  #gaveUp(loaded: Loaded): boolean {
    return loaded.kind === 'failed' && loaded.failure.reason === 'aborted';
  }

  #load(directives: Directives, timeoutMs: number): Promise<Loaded> {
    return loadPlaylist(this.#context, this.#url, directives, timeoutMs, this.#signal);
  }

  #lastMsn(): number {
    return allSegments(this.#latest()).at(-1)?.msn ?? this.#latest().mediaSequence;
  }

  #targetMs(): number {
    return (this.#latest().targetDuration ?? 1) * 1000;
  }

  #tell(rule: keyof typeof LIVE_RULES, problem: Problem): void {
    tell(LIVE_RULES[rule], problem, this.#sink);
  }
}

/** The directives that wait for the next thing to be listed. */
export function directivesAfter(playlist: MediaPlaylist): Directives {
  const last = allSegments(playlist).at(-1);
  if (!last) return { msn: playlist.mediaSequence };
  if (playlist.partTarget === undefined) return { msn: last.msn + 1 };
  const { open } = playlist;
  return open ? { msn: open.msn, part: open.parts.length } : { msn: last.msn + 1, part: 0 };
}

/** Both end with the same thing, whatever number it has in them. */
function sameMoment(a: MediaPlaylist, b: MediaPlaylist): boolean {
  return a.mediaSequence === b.mediaSequence && a.ended === b.ended && edgeUrl(a) === edgeUrl(b);
}

function edgeUrl(playlist: MediaPlaylist): string | undefined {
  const last = allSegments(playlist).at(-1);
  const { url, range } = last?.parts.at(-1) ?? last ?? { url: undefined, range: undefined };
  // Before a segment is complete its last part ends the list, after it the segment does.
  return last && `${last.uri ?? ''} ${url} ${range?.offset}`;
}

function* deltaProblems(
  held: MediaPlaylist,
  delta: MediaPlaylist,
  full: MediaPlaylist,
  boundarySeconds: number,
): Iterable<string> {
  const count = delta.skip?.count ?? 0;
  if (delta.discontinuitySequence !== full.discontinuitySequence)
    yield 'DISCONTINUITY-SEQUENCE is not that of the full playlist';
  const last = full.segments[count - 1];
  const beyond = full.segments.slice(count).reduce((sum, segment) => sum + secondsOf(segment), 0);
  if (last && beyond + secondsOf(last) < boundarySeconds - 1e-6) {
    yield `segment ${last.msn} is skipped, which begins ${say(beyond + secondsOf(last))} before the end: within CAN-SKIP-UNTIL ${boundarySeconds}`;
  }
  const merged = mergeDelta(held, delta);
  if (merged.kind === 'unmergeable') yield merged.reason;
  else {
    const difference = differenceOf(merged.segments, full);
    if (difference) yield difference;
  }
  const [first, fullFirst] = [delta.segments[0], full.segments[count]];
  if (first && fullFirst && fullFirst.keys.length > 0 && first.keys.length === 0) {
    yield 'the key in force is not stated for the first segment kept: hls.js loses it';
  }
}
