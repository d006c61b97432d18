import {
  decideTarget,
  type LatencyBounds,
  type LatencyReading,
  type LatencyState,
  startLatency,
} from './latency-controller.ts';
import { PACE_READINGS, paceFor } from './playback-pace.ts';
import { bufferAheadMs } from './video-readings.ts';

/** How often the buffer is read. */
export const READING_EVERY_MS = 50;
/** This far above the target for this long, catching up would take too long: to the live edge by a seek. */
const FAR_BEHIND_MS = 4000;
const FAR_BEHIND_FOR_MS = 2000;

/**
 * How a player is steered.
 *
 * - `target`: it has a catch-up of its own and holds the delay that it is told.
 * - `pace`: it has none that works so near to the edge; the keeper sets the playback rate by the buffer.
 */
export type LatencyActuator =
  | {
      readonly by: 'target';
      setTarget(targetMs: number): void;
      /** Delay behind the live edge as the player reckons it for its own catch-up. */
      levelMs(): number | undefined;
      seekToLive(): void;
    }
  | { readonly by: 'pace' };

/** More buffer for a switch of renditions, where the player fetches a playlist and more before the next media. */
const SWITCH_MS = 200;

/** What the keeper shows. */
export interface LatencyReport {
  readonly targetMs: number;
  readonly backoffs: number;
}

/** Holds a player at the lowest level that does not stall: reads the video element, decides, acts. */
export class LatencyKeeper {
  readonly #video: HTMLVideoElement;
  readonly #bounds: LatencyBounds;
  readonly #actuator: LatencyActuator;
  #state: LatencyState;
  #buffers: number[] = [];
  #stalled = false;
  #moved = false;
  #began = false;
  #switching = false;
  #behindSinceMs: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Steers from `start()` to `stop()`. */
  constructor(video: HTMLVideoElement, bounds: LatencyBounds, actuator: LatencyActuator) {
    this.#video = video;
    this.#bounds = bounds;
    this.#actuator = actuator;
    this.#state = startLatency(bounds, performance.now());
  }

  get report(): LatencyReport {
    return { targetMs: this.#state.targetMs, backoffs: this.#state.backoffs };
  }

  start(): void {
    this.#video.addEventListener('waiting', this.#onWaiting);
    this.#video.addEventListener('seeking', this.#onSeeking);
    this.#timer ??= setInterval(() => this.#step(performance.now()), READING_EVERY_MS);
  }

  /** Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#video.removeEventListener('waiting', this.#onWaiting);
    this.#video.removeEventListener('seeking', this.#onSeeking);
  }

  /** A switch of renditions comes: more buffer, where the keeper sets the pace. To be followed by `switched()`. */
  switching(): void {
    this.#switching = true;
  }

  /** The player was told to switch: for a while what the buffer does says nothing of the network. */
  switched(): void {
    this.#switching = false;
    this.#moved = true;
  }

  #step(nowMs: number): void {
    const video = this.#video;
    const standing = video.paused || video.seeking || video.readyState < video.HAVE_FUTURE_DATA;
    // Standing still, the buffer says nothing; that playback came to stand was told by an event.
    if (standing && !this.#stalled && !this.#moved) return;
    const bufferMs = bufferAheadMs(video);
    // Chromium plays the sound on for a while when only the picture has run dry, and says nothing.
    if (!standing && bufferMs <= 0) this.#stalled = true;
    if (!standing && !this.#began) this.#moved = this.#began = true;
    if (!standing) this.#buffers = [...this.#buffers.slice(1 - PACE_READINGS), bufferMs];
    this.#decide({ bufferMs, levelMs: this.#levelMs(), stalled: this.#stalled, moved: this.#moved }, nowMs);
    this.#stalled = false;
    this.#moved = false;
    if (!standing) this.#act(nowMs);
  }

  #decide(reading: LatencyReading, nowMs: number): void {
    const before = this.#state.targetMs;
    this.#state = decideTarget(this.#state, reading, this.#bounds, nowMs);
    if (this.#actuator.by === 'target' && this.#state.targetMs !== before) {
      this.#actuator.setTarget(this.#state.targetMs);
    }
  }

  #levelMs(): number | undefined {
    if (this.#actuator.by === 'target') return this.#actuator.levelMs();
    return this.#buffers.length < PACE_READINGS ? undefined : Math.min(...this.#buffers);
  }

  #act(nowMs: number): void {
    if (this.#actuator.by === 'pace') return this.#keepPace();
    const levelMs = this.#actuator.levelMs();
    const behind = levelMs !== undefined && levelMs > this.#state.targetMs + FAR_BEHIND_MS;
    if (!behind) this.#behindSinceMs = undefined;
    else if (nowMs - (this.#behindSinceMs ??= nowMs) > FAR_BEHIND_FOR_MS) {
      this.#behindSinceMs = undefined;
      this.#actuator.seekToLive();
    }
  }

  #keepPace(): void {
    const targetMs = this.#state.targetMs + (this.#switching ? SWITCH_MS : 0);
    const { playbackRate, skipMs } = paceFor(this.#buffers, targetMs);
    const video = this.#video;
    if (skipMs !== undefined) video.currentTime += skipMs / 1000;
    if (video.playbackRate !== playbackRate) video.playbackRate = playbackRate;
  }

  /** Waiting after a seek, or before anything was played, is no sign of a thin buffer. */
  readonly #onWaiting = (): void => {
    const video = this.#video;
    if (video.seeking || video.paused || video.played.length === 0) return;
    this.#stalled = true;
    this.#buffers = [];
  };

  readonly #onSeeking = (): void => {
    this.#moved = true;
    this.#buffers = [];
  };
}
