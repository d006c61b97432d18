import type { ValidationContext } from '../contracts.ts';
import type { FetchOutcome, FetchResult } from '../fetcher.ts';
import { LIVE_RULES } from './live-rules.ts';
import type { MediaPlaylist, Part, PreloadHint } from './playlist.ts';
import { tell } from './rule.ts';

/** Longest part that is read. */
const MAX_PART_BYTES = 64 * 1024 * 1024;
/** Hinted parts that are fetched once more when they are listed, to compare. */
const COMPARED = 3;
/** A body that trickles takes this much longer than the same body whole. */
const TRICKLE_FACTOR = 4;
/** Gaps below this are the network's. */
const TRICKLE_FLOOR_MS = 150;
/** Hints held open at once. */
const MAX_HELD = 8;

/** Asks for each hinted part as a player does: before it is there (RFC 8216bis 6.2.6, 6.3.8). */
export class HintProbe {
  readonly #context: ValidationContext;
  readonly #playlistUrl: string;
  readonly #signal: AbortSignal;
  readonly #held = new Map<string, Promise<FetchOutcome>>();
  /** Checks still under way. */
  readonly #checks = new Set<Promise<void>>();
  #compared = 0;

  constructor(context: ValidationContext, playlistUrl: string, signal: AbortSignal) {
    this.#context = context;
    this.#playlistUrl = playlistUrl;
    this.#signal = signal;
  }

  /** Requests what `playlist` hints, unless it is being requested. Hints of a byte range are left alone. */
  follow(playlist: MediaPlaylist): void {
    const hint = playlist.hints.find(({ type }) => type === 'PART');
    if (!hint || hint.url === '' || isRange(hint) || this.#held.has(hint.url)) return;
    for (const url of this.#held.keys()) {
      if (this.#held.size < MAX_HELD) break;
      this.#held.delete(url);
    }
    const targetMs = (playlist.targetDuration ?? 0) * 1000;
    this.#held.set(hint.url, this.#get(hint.url, 3 * targetMs + 2000));
  }

  /** The request for a part that was hinted and is listed now; undefined when it was not. Judges what it brought. */
  take(part: Part): Promise<FetchOutcome> | undefined {
    const held = this.#held.get(part.url);
    if (!held || part.range) return undefined;
    this.#held.delete(part.url);
    const check = this.#check(part, held);
    this.#checks.add(check);
    void check.finally(() => this.#checks.delete(check));
    // A player that finds the hint useless asks again.
    return held.then((outcome) => (isWhole(outcome) ? outcome : this.#get(part.url, MAX_WAIT_MS)));
  }

  /** Ends when no check is under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#checks);
  }

  async #check(part: Part, held: Promise<FetchOutcome>): Promise<void> {
    const outcome = await held;
    const sink = { log: this.#context.log, url: this.#playlistUrl };
    const name = `part ${part.index} of segment ${part.msn}`;
    if (outcome.kind === 'failed') {
      if (outcome.reason === 'aborted') return;
      return tell(
        LIVE_RULES.hintUnavailable,
        { message: `the request for the hint of ${name} failed: ${outcome.detail}` },
        sink,
      );
    }
    if (outcome.status !== 200) {
      return tell(
        LIVE_RULES.hintUnavailable,
        { message: `the hint of ${name} gave status ${outcome.status}, but the part was listed` },
        sink,
      );
    }
    if (this.#compared++ >= COMPARED) return;
    const again = await this.#get(part.url, MAX_WAIT_MS);
    if (again.kind === 'failed' || again.status !== 200) return;
    if (!Buffer.from(again.body).equals(outcome.body)) {
      tell(
        LIVE_RULES.hintOtherBytes,
        { message: `${name} has ${again.body.length} bytes, its hint brought ${outcome.body.length} others` },
        sink,
      );
    }
    const tookMs = spreadMs(outcome);
    if (tookMs > Math.max(TRICKLE_FLOOR_MS, spreadMs(again) * TRICKLE_FACTOR)) {
      const message = `the body of the hint of ${name} came in over ${Math.round(tookMs)} ms: it was sent before the part was complete`;
      tell(LIVE_RULES.hintTrickles, { message }, sink);
    }
  }

  #get(url: string, timeoutMs: number): Promise<FetchOutcome> {
    return this.#context.fetcher.get(url, { signal: this.#signal, timeoutMs, maxBytes: MAX_PART_BYTES });
  }
}

const MAX_WAIT_MS = 20_000;

function isRange({ rangeStart, rangeLength }: PreloadHint): boolean {
  return (rangeStart ?? 0) > 0 || rangeLength !== undefined;
}

function isWhole(outcome: FetchOutcome): outcome is FetchResult {
  return outcome.kind === 'response' && outcome.status === 200;
}

function spreadMs({ firstByteMs, endedMs }: FetchResult): number {
  return endedMs - firstByteMs;
}
