import type { TrackKind } from './track.ts';

/** A step back larger than this is a new clock; a smaller one is disorder. */
const BACKWARD_LIMIT_MS = 500;
/** A step forward this much longer than the time that passed is a new clock. */
const FORWARD_LIMIT_MS = 1000;
/** A gap in media ends within the present; only what leads the wall clock by more than this can be a jump. */
const LEAD_TOLERANCE_MS = 250;
/** A pause of arrivals longer than this counts as time that passed at a jump; less is jitter. */
const PAUSE_MS = 250;
/** Drift is the least (arrival − media) over this long, kept in buckets of a second. */
const DRIFT_WINDOW_SECONDS = 30;
const DRIFT_LIMIT_MS = 1000;
const DEFAULT_STEP_MS = 1000 / 30;

/** Where one sample stands on the stream's timeline. */
export interface Placement {
  /** Decode time, milliseconds since the Unix epoch, fractional. */
  readonly atMs: number;
  /** The source's clock was found to have jumped at this sample: times run on, with a new offset. */
  readonly jumped: boolean;
}

interface KindClock {
  /** Milliseconds to add to the source's time. */
  offsetMs: number;
  lastAtMs: number;
  lastArrivalMs: number;
  lastStepMs: number;
  seen: boolean;
}

/**
 * Maps source time to epoch time while a publisher runs. Audio and video normally share one offset. When the source's
 * clock jumps, times run on where they were: the first track to jump gets an offset that continues it, the other
 * takes the same offset when it fits, so that they stay in step as sent. A gap in media that the wall clock
 * explains is no jump. Pure: arrivals come in with the samples.
 */
export class RunningTimeline {
  readonly #clocks: Record<TrackKind, KindClock>;
  /** How much later than the anchor says media was put, so as not to overlap what was written before. */
  #leadMs = 0;
  readonly #leastLatency = new Float64Array(DRIFT_WINDOW_SECONDS);
  #windowStartSecond: number | undefined;
  #second = 0;
  #latestDriftMs = 0;

  /** @param offsetsMs whole milliseconds to add to the source's clock */
  constructor(offsetsMs: Readonly<Record<TrackKind, number>>) {
    this.#clocks = { video: newClock(offsetsMs.video), audio: newClock(offsetsMs.audio) };
    this.#leastLatency.fill(Number.POSITIVE_INFINITY);
  }

  /** Places a sample. `sourceMs` is unwrapped. */
  place(kind: TrackKind, sourceMs: number, arrivalMs: number): Placement {
    const clock = this.#clockOf(kind);
    const jumped = clock.seen && this.#hasJumped(clock, sourceMs, arrivalMs);
    const announce = jumped && !this.#adoptOther(kind, sourceMs, arrivalMs);
    if (announce) clock.offsetMs = Math.round(this.#continuation(clock, arrivalMs) - sourceMs);
    const atMs = sourceMs + clock.offsetMs;
    const stepMs = atMs - clock.lastAtMs;
    if (clock.seen && stepMs > 0 && stepMs <= PAUSE_MS) clock.lastStepMs = stepMs;
    if (!clock.seen || atMs > clock.lastAtMs || jumped) clock.lastAtMs = atMs;
    clock.lastArrivalMs = arrivalMs;
    clock.seen = true;
    this.#noteLatency(arrivalMs - atMs, arrivalMs);
    return { atMs, jumped: announce };
  }

  /** The epoch time of a moment on the source's clock, without placing anything there. */
  toEpochMs(kind: TrackKind, sourceMs: number): number {
    return sourceMs + this.#clockOf(kind).offsetMs;
  }

  /**
   * How far the source's clock has fallen behind ours (positive) or run ahead of it (negative) since the anchor: the
   * least delay of the last 30 s. Up to then only running ahead is told: a delay may still end.
   */
  get driftMs(): number {
    return this.#latestDriftMs;
  }

  /** The drift when it is more than a timeline may carry, else undefined: time to anchor again. */
  get excessDriftMs(): number | undefined {
    return Math.abs(this.#latestDriftMs) > DRIFT_LIMIT_MS ? this.#latestDriftMs : undefined;
  }

  /** Moves all later media by `shiftMs` (whole), of which `leadMs` is owed to not overlapping what was written. */
  shift(shiftMs: number, leadMs: number): void {
    for (const clock of Object.values(this.#clocks)) {
      clock.offsetMs += shiftMs;
      clock.lastAtMs += shiftMs;
    }
    this.#leadMs += leadMs;
    this.#windowStartSecond = undefined;
    this.#latestDriftMs = 0;
  }

  #clockOf(kind: TrackKind): KindClock {
    return kind === 'video' ? this.#clocks.video : this.#clocks.audio;
  }

  #hasJumped(clock: KindClock, sourceMs: number, arrivalMs: number): boolean {
    const atMs = sourceMs + clock.offsetMs;
    const stepMs = atMs - clock.lastAtMs;
    if (stepMs < -BACKWARD_LIMIT_MS) return true;
    const unexplainedMs = stepMs - (arrivalMs - clock.lastArrivalMs);
    return unexplainedMs > FORWARD_LIMIT_MS && atMs - arrivalMs > this.#leadMs + LEAD_TOLERANCE_MS;
  }

  /** Takes the other track's offset when that puts this sample where it belongs. */
  #adoptOther(kind: TrackKind, sourceMs: number, arrivalMs: number): boolean {
    const clock = this.#clockOf(kind);
    const other = this.#clockOf(kind === 'video' ? 'audio' : 'video');
    if (!other.seen || other.offsetMs === clock.offsetMs) return false;
    const offMs = sourceMs + other.offsetMs - this.#continuation(clock, arrivalMs);
    if (Math.abs(offMs) > FORWARD_LIMIT_MS) return false;
    clock.offsetMs = other.offsetMs;
    return true;
  }

  /** Where the next sample of this track is to be expected. */
  #continuation(clock: KindClock, arrivalMs: number): number {
    const waitedMs = arrivalMs - clock.lastArrivalMs;
    const stepMs = waitedMs > clock.lastStepMs + PAUSE_MS ? waitedMs : clock.lastStepMs;
    return clock.lastAtMs + stepMs;
  }

  #noteLatency(latencyMs: number, arrivalMs: number): void {
    const second = Math.floor(arrivalMs / 1000);
    if (this.#windowStartSecond === undefined) {
      this.#windowStartSecond = second;
      this.#second = second;
      this.#leastLatency.fill(Number.POSITIVE_INFINITY);
    }
    if (second !== this.#second) this.#turnBuckets(second);
    const slot = second % DRIFT_WINDOW_SECONDS;
    const before = this.#leastLatency[slot] ?? Number.POSITIVE_INFINITY;
    if (latencyMs < before) this.#leastLatency[slot] = latencyMs;
    const driftMs = latencyMs + this.#leadMs;
    if (driftMs < this.#latestDriftMs) this.#latestDriftMs = driftMs;
  }

  /** A new second began: forgets what is older than the window. */
  #turnBuckets(second: number): void {
    const passed = Math.min(second - this.#second, DRIFT_WINDOW_SECONDS);
    for (let back = 0; back < passed; back++) {
      this.#leastLatency[(second - back) % DRIFT_WINDOW_SECONDS] = Number.POSITIVE_INFINITY;
    }
    this.#second = second;
    const windowIsFull = second - (this.#windowStartSecond ?? second) >= DRIFT_WINDOW_SECONDS;
    let least = Number.POSITIVE_INFINITY;
    for (const latency of this.#leastLatency) least = Math.min(least, latency);
    const driftMs = least === Number.POSITIVE_INFINITY ? 0 : least + this.#leadMs;
    this.#latestDriftMs = windowIsFull ? driftMs : Math.min(0, driftMs);
  }
}

function newClock(offsetMs: number): KindClock {
  return { offsetMs, lastAtMs: 0, lastArrivalMs: 0, lastStepMs: DEFAULT_STEP_MS, seen: false };
}
