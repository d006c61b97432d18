import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Timeline } from '../stream/track.ts';
import type { PackagerMetrics } from './packager-metrics.ts';
import { type Encryption, PeriodCipher } from './period-cipher.ts';
import type { LivePeriod } from './period-factory.ts';

/** A period with other keys is announced this many segments before it begins: time for players to fetch its MPD. */
const ANNOUNCED_SEGMENTS = 4;

/** A boundary this little before the crypto period's own belongs to it: rounding, milliseconds. */
const SLACK_MS = 1;

interface RotationDeps {
  readonly stream: string;
  readonly log: Logger;
  readonly metrics: PackagerMetrics;
}

/**
 * Which keys the periods of one encrypted stream get, and when they change: with the first segment that begins with a
 * key frame in a new crypto period. The grid of crypto periods is one of time, so that a restarted server goes on in it.
 */
export class KeyRotation {
  readonly #encryption: Encryption;
  readonly #deps: RotationDeps;

  constructor(encryption: Encryption, deps: RotationDeps) {
    this.#encryption = encryption;
    this.#deps = deps;
  }

  /** Whether a timeline that begins at `startMs` can be encrypted: nothing of it may be packaged otherwise. */
  canBegin(timeline: Timeline, startMs: number): boolean {
    try {
      const cipher = new PeriodCipher(this.#encryption, startMs);
      for (const track of [timeline.video, timeline.audio]) if (track) cipher.lock(track);
      return true;
    } catch (error) {
      this.#fail(error, 'a stream is not packaged because it cannot be encrypted');
      return false;
    }
  }

  /**
   * What encrypts a period that begins at `startMs` behind `before`. Where the next keys are not to be had the old ones
   * stay, until they are: a stream that runs never stops for it, nor goes out in the clear.
   * @throws AppError DRM_KEYS_UNAVAILABLE when there are none before
   */
  cipherAt(startMs: number, before: LivePeriod | undefined): PeriodCipher {
    const current = before?.cipher;
    const beginMs = startMs + SLACK_MS;
    if (current && current.cryptoPeriod.index === this.#encryption.keys.periodAt(beginMs).index)
      return current;
    try {
      return new PeriodCipher(this.#encryption, beginMs);
    } catch (error) {
      if (!current) throw error;
      this.#fail(error, 'keys are not changed: the next ones are not to be had');
      return current;
    }
  }

  /** Whether a segment that begins at `startMs` is to have other keys than `period`. */
  isDue(period: LivePeriod, startMs: number): boolean {
    const current = period.cipher?.cryptoPeriod;
    return (
      current !== undefined && current.index !== this.#encryption.keys.periodAt(startMs + SLACK_MS).index
    );
  }

  /**
   * How many segments from the one that begins at `startMs` on still have the keys of `period`, when that is to be
   * announced by now; at least one.
   */
  segmentsLeft(period: LivePeriod, startMs: number, segmentMs: number): number | undefined {
    const endMs = period.cipher?.cryptoPeriod.endMs;
    if (endMs === undefined) return undefined;
    const left = Math.max(1, Math.ceil((endMs - startMs - SLACK_MS) / segmentMs));
    return left <= ANNOUNCED_SEGMENTS ? left : undefined;
  }

  #fail(error: unknown, message: string): void {
    this.#deps.metrics.keyFailures.inc();
    this.#deps.log.error({ stream: this.#deps.stream, code: errorCode(error), err: error }, message);
  }
}
