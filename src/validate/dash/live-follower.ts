import type { FetchResult } from '../fetcher.ts';
import { edgeSegment, periodAt, type SegmentTimes, segmentTimes } from './availability.ts';
import type { BoundaryBoard } from './boundary-board.ts';
import { arrivalOf, checkArrival, checkCompletion } from './check-arrival.ts';
import type { DashRun } from './dash-run.ts';
import type { MpdFollower } from './mpd-follower.ts';
import type { Mpd } from './mpd-model.ts';
import { nominalSegmentSeconds, type Placed } from './mpd-query.ts';
import { indexAt, type SegmentRef, segmentAt } from './segments.ts';
import { type ReadTotals, SegmentJudge } from './segment-judge.ts';

/** Asked that much after a segment should be there, for clocks are never alike. */
const AFTER_MS = 50;
const RETRY_MS = 250;
/** How long a segment is asked for again after its end: until then it is late, from then on it is missing. */
const PATIENCE_SEGMENTS = 1.5;
const PATIENCE_SECONDS = 2;
const LEAST_LATE_MS = 1500;
/** How long the next segment of a timeline may be missing from it before that is told, in segments. */
const STALL_SEGMENTS = 2;
const DEFAULT_SEGMENT_SECONDS = 4;
const POLL_MS = 200;

/** Which Representation to follow, across Periods. */
export interface FollowedKey {
  /** @id of the AdaptationSet, or its place when it has none. */
  readonly set: string;
  readonly representation: string;
}

interface Target extends Placed {
  readonly segment: SegmentRef;
  readonly times: SegmentTimes;
}

/** Follows one Representation at the live edge: asks for each segment when the MPD says it may be. */
export class LiveFollower {
  readonly #run: DashRun;
  readonly #mpds: MpdFollower;
  readonly #key: FollowedKey;
  readonly #boundaries: BoundaryBoard;
  #judge: SegmentJudge | undefined;
  #periodId: string | undefined;
  /** End of the last segment asked for, seconds in the Period. */
  #position: number | undefined;
  #idleSinceMs: number | undefined;
  readonly #done: ReadTotals[] = [];

  constructor(run: DashRun, mpds: MpdFollower, key: FollowedKey, boundaries: BoundaryBoard) {
    this.#run = run;
    this.#mpds = mpds;
    this.#key = key;
    this.#boundaries = boundaries;
  }

  /** What was read so far. */
  get totals(): ReadTotals {
    const all = { segments: 0, chunks: 0, mediaSeconds: 0, bytes: 0 };
    for (const each of [...this.#done, ...(this.#judge ? [this.#judge.totals] : [])]) {
      all.segments += each.segments;
      all.chunks += each.chunks;
      all.mediaSeconds += each.mediaSeconds;
      all.bytes += each.bytes;
    }
    return all;
  }

  /** Follows until watching ends. */
  async follow(): Promise<void> {
    while (!this.#run.over) {
      const target = await this.#next();
      if (!target) {
        await this.#run.wait(POLL_MS);
        continue;
      }
      this.#idleSinceMs = undefined;
      if (!(await this.#run.waitUntil(target.times.availableMs + AFTER_MS + this.#run.clockUncertaintyMs)))
        break;
      await this.#fetch(target);
    }
    this.#judge?.finish(this.#mpds.current);
  }

  /** The next segment to ask for, when the MPD has one. */
  async #next(): Promise<Target | undefined> {
    const mpd = this.#mpds.current;
    const placed = this.#place(mpd);
    if (!placed) return undefined;
    await this.#enter(placed);
    const segment = this.#nextSegment(mpd, placed);
    const times = segment && segmentTimes(mpd, placed.period, placed.representation, segment);
    if (!segment || !times) {
      this.#noteIdle(mpd, placed);
      return undefined;
    }
    return { ...placed, segment, times };
  }

  /** Where the followed Representation stands in the Period of this moment, or in the one it is not done with. */
  #place(mpd: Mpd): Placed | undefined {
    const now = periodAt(mpd, this.#run.nowMs());
    const unfinished = mpd.periods.find(({ id }) => id === this.#periodId && id !== undefined);
    const pending = unfinished && findRepresentation(unfinished, this.#key);
    if (pending && this.#nextSegment(mpd, pending)) return pending;
    return now && findRepresentation(now, this.#key);
  }

  #nextSegment(mpd: Mpd, { period, representation }: Placed): SegmentRef | undefined {
    const { addressing } = representation;
    if (!addressing) return undefined;
    if (this.#position === undefined || period.id !== this.#periodId) {
      return (
        edgeSegment(mpd, period, representation, this.#run.nowMs()) ?? segmentAt(representation, period, 0)
      );
    }
    const index = indexAt(representation, this.#position + 0.001);
    const segment = index === undefined ? undefined : segmentAt(representation, period, index);
    // A timeline whose newest segment is the one just read has no next one yet.
    return segment && segment.start + segment.duration > this.#position + 0.001 ? segment : undefined;
  }

  /** Begins with a Period: its initialization segment is read. */
  async #enter(placed: Placed): Promise<void> {
    if (this.#judge && placed.period.id === this.#periodId) return;
    if (this.#judge) {
      this.#judge.finish(this.#mpds.current);
      this.#done.push(this.#judge.totals);
    }
    this.#periodId = placed.period.id;
    this.#position = undefined;
    this.#judge = new SegmentJudge(this.#run, placed, this.#boundaries);
    await this.#judge.readInit();
  }

  #noteIdle(mpd: Mpd, { representation }: Placed): void {
    const { addressing, place, baseUrl } = representation;
    if (!addressing?.timeline || mpd.minimumUpdatePeriod === undefined) return;
    const nowMs = this.#run.nowMs();
    this.#idleSinceMs ??= nowMs;
    const segment = nominalSegmentSeconds(addressing) || DEFAULT_SEGMENT_SECONDS;
    const idleSeconds = (nowMs - this.#idleSinceMs) / 1000;
    if (idleSeconds < STALL_SEGMENTS * segment + mpd.minimumUpdatePeriod) return;
    this.#run.tell(
      'dash-timeline-stalled',
      baseUrl,
      `${place}: no new segment in the timeline for ${idleSeconds.toFixed(1)} s, they are ${segment.toFixed(1)} s long`,
    );
    this.#idleSinceMs = Number.POSITIVE_INFINITY;
  }

  async #fetch(target: Target): Promise<void> {
    const { segment, times } = target;
    this.#position = segment.start + segment.duration;
    let missing: FetchResult | undefined;
    const giveUpMs = times.endMs + (PATIENCE_SEGMENTS * segment.duration + PATIENCE_SECONDS) * 1000;
    for (;;) {
      const outcome = await this.#run.get(segment.url, { range: segment.range });
      if (outcome.kind === 'failed') {
        if (outcome.reason !== 'aborted') this.#run.tell('dash-segment-missing', segment.url, outcome.detail);
        return this.#judge?.breakChain();
      }
      if (outcome.status === 200 || outcome.status === 206) return this.#take(target, outcome, missing);
      missing ??= outcome;
      if (this.#run.nowMs() > giveUpMs || !(await this.#run.wait(RETRY_MS))) break;
    }
    this.#judge?.breakChain();
    await this.#tellMissing(target, missing);
  }

  #take(
    { representation, segment, times }: Target,
    result: FetchResult,
    missing: FetchResult | undefined,
  ): void {
    const arrival = arrivalOf(result, (ms) => this.#run.presentationMsOf(ms));
    const seconds = this.#judge?.judge(segment, result) ?? segment.duration;
    if (missing) {
      const lateMs = (arrival.askedMs - times.availableMs).toFixed(0);
      const message = `status ${missing.status} when it should be there, 200 after ${lateMs} ms`;
      this.#run.tell('dash-edge-late', segment.url, message);
      return;
    }
    // The last segment of a Period may be cut short: then it was complete earlier.
    const actual = { ...times, endMs: Math.min(times.endMs, times.beginMs + seconds * 1000) };
    const faults = representation.addressing?.availabilityTimeComplete ? [] : checkArrival(arrival, actual);
    for (const { rule, message } of faults) this.#run.tell(rule, segment.url, message);
    const slow = checkCompletion(arrival, times);
    if (slow) this.#run.tell(slow.rule, segment.url, slow.message);
  }

  /** A Period may have ended meanwhile: only what the newest MPD still has is missing. */
  async #tellMissing({ period, segment, times }: Target, missing: FetchResult | undefined): Promise<void> {
    const lateMs = this.#run.nowMs() - times.endMs;
    // Watching may have ended before it is late enough to say so.
    if (!missing || lateMs < LEAST_LATE_MS) return;
    await this.#mpds.refresh();
    const mpd = this.#mpds.current;
    const same = mpd.periods.find(({ id }) => id === period.id);
    const placed = same && findRepresentation(same, this.#key);
    if (!placed || segmentAt(placed.representation, placed.period, segment.index)?.url !== segment.url) {
      // In a timeline the index moves with the window; the URL is what counts.
      const moved = placed && indexAt(placed.representation, segment.start + 0.001);
      const found = placed && moved !== undefined && segmentAt(placed.representation, placed.period, moved);
      if (!found || found.url !== segment.url) return;
    }
    const late = `${(lateMs / 1000).toFixed(1)} s after its end`;
    const message = `segment ${segment.number} gives status ${missing.status}, still ${late}`;
    this.#run.tell('dash-segment-missing', segment.url, message);
  }
}

/** The Representation of that key in a Period. */
export function findRepresentation(period: Placed['period'], key: FollowedKey): Placed | undefined {
  for (const [index, set] of period.adaptationSets.entries()) {
    if ((set.id ?? `#${index}`) !== key.set) continue;
    const representation = set.representations.find(({ id }) => id === key.representation);
    if (representation) return { period, set, representation };
  }
  return undefined;
}
