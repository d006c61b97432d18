import { probeLink } from './link-probe.ts';
import { decideRung, onProbe, probeBegan, type Rung, type RungState, startRungs } from './rung-controller.ts';
import { newestMediaMs } from './video-readings.ts';

const READING_EVERY_MS = 50;
/** Media comes in parts of up to 0.2 s with HLS: how late it is shows where a part has just come. */
const READINGS = 8;
const READINGS_A_STEP = 5;

/** A page in the background is not called for seconds; that was no time of watching. */
const LONGEST_STEP_MS = 1000;

/** What the keeper needs of a player. */
export interface RungActuator {
  /** Best first; empty while not known. */
  rungs(): readonly Rung[];
  /** The rung that is being fetched. */
  loading(): string | undefined;
  /** Goes to a rung with the next segment; when it is urgent, at once, though nothing be left in the buffer. */
  choose(id: string, urgent: boolean): void;
  /** Delay behind the live edge as the player reckons it; what matters is only how it changes. */
  levelMs(): number | undefined;
  /** A finished segment to probe the link with. */
  sampleUrl(): string | undefined;
}

/** Holds a player on the best rung that the link carries: reads, decides, probes, acts. */
export class RungKeeper {
  readonly #video: HTMLVideoElement;
  readonly #actuator: RungActuator;
  #state: RungState | undefined;
  #late: number[] = [];
  #readings = 0;
  #steppedAtMs = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #probe: AbortController | undefined;

  constructor(video: HTMLVideoElement, actuator: RungActuator) {
    this.#video = video;
    this.#actuator = actuator;
  }

  /** Steers until `stop()`; knows nothing of earlier times. */
  start(): void {
    this.#state = undefined;
    this.#timer ??= setInterval(() => this.#take(), READING_EVERY_MS);
  }

  /** Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#probe?.abort();
    this.#probe = undefined;
  }

  #take(): void {
    const lateMs = this.#lateMs();
    this.#late = lateMs === undefined ? [] : [...this.#late.slice(1 - READINGS), lateMs];
    if (++this.#readings % READINGS_A_STEP === 0) this.#step(performance.now());
  }

  #step(nowMs: number): void {
    const sinceLastMs = Math.min(nowMs - this.#steppedAtMs, LONGEST_STEP_MS);
    this.#steppedAtMs = nowMs;
    const rungs = this.#actuator.rungs();
    const loading = this.#actuator.loading();
    if (rungs.length < 2 || loading === undefined || this.#video.played.length === 0) return;
    this.#state ??= startRungs(loading, nowMs);
    // A rung that is not there any more was left by the player itself.
    if (!rungs.some(({ id }) => id === this.#state?.rung)) this.#state = startRungs(loading, nowMs);
    const { state, urgent, probeBytes } = decideRung(
      this.#state,
      { lateMs: this.#late.length < READINGS ? undefined : Math.min(...this.#late) },
      rungs,
      nowMs,
      sinceLastMs,
    );
    this.#become(state, urgent);
    const url = this.#actuator.sampleUrl();
    if (probeBytes !== undefined && url !== undefined) void this.#probeWith(url, probeBytes);
    else if (state.growth !== undefined) this.#probe?.abort();
  }

  #lateMs(): number | undefined {
    const video = this.#video;
    const levelMs = this.#actuator.levelMs();
    if (levelMs === undefined || video.seeking || video.paused) return undefined;
    return levelMs - newestMediaMs(video);
  }

  async #probeWith(url: string, bytes: number): Promise<void> {
    if (!this.#state) return;
    const probe = new AbortController();
    this.#probe = probe;
    this.#state = probeBegan(this.#state);
    const probeBps = await probeLink(url, bytes, probe.signal);
    if (this.#probe !== probe || !this.#state) return;
    this.#probe = undefined;
    this.#become(onProbe(this.#state, probeBps, this.#actuator.rungs(), performance.now()), false);
  }

  #become(state: RungState, urgent: boolean): void {
    const before = this.#state?.rung;
    this.#state = state;
    if (state.rung !== undefined && state.rung !== before) this.#actuator.choose(state.rung, urgent);
  }
}
