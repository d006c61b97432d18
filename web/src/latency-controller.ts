/** How the controller steers; all times in milliseconds. */
export interface LatencyControllerOptions {
  /** Buffer ahead to keep. */
  readonly targetMs: number;
}

/** What is to be done to the playback. */
export interface LatencyDecision {
  readonly playbackRate: number;
  /** Jump forward by this much; undefined is no jump. */
  readonly skipMs: number | undefined;
}

/** Target when the page says nothing. */
export const DEFAULT_BUFFER_TARGET_MS = 250;

/** How often `take` wants a reading. */
export const READING_EVERY_MS = 50;
/** The buffer rises by a whole part at a time; its lows over this many readings are what playback lives on. */
const READINGS = 10;

const ABOVE_MS = 30;
const BELOW_MS = 20;
const FASTEST = 1.25;
const SLOWEST = 0.9;
/** Rate change for each millisecond off the target: 1.25 from 500 ms above on, 0.9 from 100 ms below on. */
const GAIN_ABOVE = (FASTEST - 1) / 500;
const GAIN_BELOW = (1 - SLOWEST) / 100;
/** This far above the target, running faster would take too long. */
const SKIP_ABOVE_MS = 1500;

/** A stall says that the target is too low for this path: it goes up at once, and down again slowly. */
const STALL_STEP_MS = 80;
const MOST_RAISE_MS = 1000;
const CALM_AFTER_MS = 20_000;
const CALM_STEP_MS = 20;

/** Keeps playback as close behind the live edge as the buffer allows. Decides only: the caller reads and acts. */
export class LatencyController {
  readonly #baseTargetMs: number;
  #readings: number[] = [];
  #raiseMs = 0;
  #calmMs = 0;

  constructor(options: LatencyControllerOptions) {
    this.#baseTargetMs = options.targetMs;
  }

  /** Buffer aimed at, with what stalls have added to it. */
  get targetMs(): number {
    return this.#baseTargetMs + this.#raiseMs;
  }

  /** Takes one reading of the buffer ahead of the playhead, every `READING_EVERY_MS` while playing. */
  take(bufferMs: number): LatencyDecision {
    this.#readings.push(bufferMs);
    if (this.#readings.length > READINGS) this.#readings.shift();
    this.#calmDown();
    const lowMs = Math.min(...this.#readings);
    const aboveMs = lowMs - this.targetMs;
    // One low reading is enough to slow down, but a jump or a sprint needs the whole row.
    const full = this.#readings.length === READINGS;
    if (aboveMs < -BELOW_MS) return steady(Math.max(SLOWEST, 1 + aboveMs * GAIN_BELOW));
    if (!full || aboveMs <= ABOVE_MS) return steady(1);
    if (aboveMs > SKIP_ABOVE_MS) {
      this.#readings = [];
      return { playbackRate: 1, skipMs: aboveMs };
    }
    return steady(Math.min(FASTEST, 1 + Math.max(0.03, aboveMs * GAIN_ABOVE)));
  }

  /** Playback ran dry. */
  stalled(): void {
    this.#raiseMs = Math.min(MOST_RAISE_MS, this.#raiseMs + STALL_STEP_MS);
    this.#calmMs = 0;
    this.#readings = [];
  }

  /** Playback was moved: earlier readings say nothing of it. */
  moved(): void {
    this.#readings = [];
  }

  #calmDown(): void {
    this.#calmMs += READING_EVERY_MS;
    if (this.#calmMs < CALM_AFTER_MS) return;
    this.#calmMs = 0;
    this.#raiseMs = Math.max(0, this.#raiseMs - CALM_STEP_MS);
  }
}

function steady(playbackRate: number): LatencyDecision {
  return { playbackRate, skipMs: undefined };
}
