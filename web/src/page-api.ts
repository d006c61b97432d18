import type { GlassReading } from './glass-meter.ts';
import type { Mode, PlayerName } from './page-options.ts';
import type { SessionStatus } from '../sdk/session.ts';
import type { Playback, PlaybackState } from './playback.ts';
import type { Rendition } from './players/player.ts';
import { bufferAheadMs, shownRendition } from './video-readings.ts';

/**
 * `window.headwater`: what the page knows, for tests and benches. Every property is read afresh; times are in
 * milliseconds; what is not known is undefined.
 */
export interface HeadwaterPage {
  readonly player: PlayerName;
  readonly mode: Mode;
  readonly state: PlaybackState;
  /** The last fatal error of a player, until playback goes again. */
  readonly error: string | undefined;
  /** Delay behind the stream's wall clock as the player reckons it. */
  readonly latencyMs: number | undefined;
  /** Delay of the newest frame shown, by the clock in its picture. */
  readonly glassToGlassMs: number | undefined;
  /** One delay for each frame shown since the last `reset()`, oldest first: the newest 20,000. */
  readonly glassSamples: readonly number[];
  /** Times playback stood still for want of media since the last `reset()`. */
  readonly stalls: number;
  /** How long in all, with the stall that goes on. */
  readonly stalledMs: number;
  /** Media ahead of the playhead. */
  readonly bufferMs: number;
  /** Frames decoded late and not shown, since the last `reset()`. */
  readonly droppedFrames: number;
  readonly playbackRate: number;
  /** Seconds on the media element's timeline. */
  readonly currentTime: number;
  /** Fatal errors since the last `reset()`; the page starts the player anew after each. */
  readonly fatalErrors: number;
  /** Players started since the last `reset()`. */
  readonly starts: number;
  /** What the latency controller holds: a delay, or with hls.js a buffer; undefined where it does not steer. */
  readonly targetMs: number | undefined;
  /** Times it raised its target since the player was started. */
  readonly backoffs: number;
  /** Times the picture changed to another rendition since the last `reset()`. */
  readonly switches: number;
  /** The id of the rendition that is wished for, or `auto`. */
  readonly wishedRendition: string;
  /** Id of the rendition that is being fetched; it is shown some moments later. */
  readonly loadingRendition: string | undefined;
  /** The playback session that licences are given to; undefined where the viewer is not logged in. */
  readonly pass: SessionStatus | undefined;
  /** Renditions of the picture, best first. */
  renditions(): readonly Rendition[];
  /** Id of the rendition that is shown. */
  rendition(): string | undefined;
  /** Plays the rendition with this id from the next segment on; `auto` lets the network decide. */
  selectRendition(wish: string): void;
  /** Forgets the samples and begins all counts anew. */
  reset(): void;
}

declare global {
  interface Window {
    headwater?: HeadwaterPage;
  }
}

const MOST_SAMPLES = 20_000;
/** A reading older than this is not of the picture on show. */
const STALE_MS = 2000;

/** Gathers what the page knows in one place: the readouts and `window.headwater` read it. */
export class PageReadings implements HeadwaterPage {
  readonly #video: HTMLVideoElement;
  readonly #session: Playback;
  #samples: number[] = [];
  #lastReadingAtMs = Number.NEGATIVE_INFINITY;
  #droppedBefore = 0;
  #shown: string | undefined;
  #switches = 0;

  constructor(video: HTMLVideoElement, session: Playback) {
    this.#video = video;
    this.#session = session;
    video.addEventListener('resize', () => this.#onResize());
    video.addEventListener('emptied', () => {
      this.#shown = undefined;
    });
  }

  /** Takes what a shown frame told of its delay. */
  add({ glassToGlassMs }: GlassReading): void {
    if (glassToGlassMs === undefined) return;
    this.#lastReadingAtMs = performance.now();
    this.#samples.push(glassToGlassMs);
    if (this.#samples.length > MOST_SAMPLES) this.#samples.shift();
  }

  get player(): PlayerName {
    return this.#session.options.player;
  }
  get mode(): Mode {
    return this.#session.options.mode;
  }
  get state(): PlaybackState {
    return this.#session.state;
  }
  get error(): string | undefined {
    return this.#session.error;
  }
  get latencyMs(): number | undefined {
    return this.#session.latencyMs;
  }
  get glassToGlassMs(): number | undefined {
    return performance.now() - this.#lastReadingAtMs < STALE_MS ? this.#samples.at(-1) : undefined;
  }
  get glassSamples(): readonly number[] {
    return this.#samples;
  }
  get stalls(): number {
    return this.#session.stalls.count;
  }
  get stalledMs(): number {
    return this.#session.stalls.totalMs(performance.now());
  }
  get bufferMs(): number {
    return bufferAheadMs(this.#video);
  }
  /** The element's own count begins anew with each source. */
  get droppedFrames(): number {
    const all = this.#allDropped();
    return all >= this.#droppedBefore ? all - this.#droppedBefore : all;
  }
  get playbackRate(): number {
    return this.#video.playbackRate;
  }
  get currentTime(): number {
    return this.#video.currentTime;
  }
  get fatalErrors(): number {
    return this.#session.fatalErrors;
  }
  get starts(): number {
    return this.#session.starts;
  }

  get targetMs(): number | undefined {
    return this.#session.latencyReport?.targetMs;
  }
  get backoffs(): number {
    return this.#session.latencyReport?.backoffs ?? 0;
  }
  get switches(): number {
    return this.#switches;
  }
  get wishedRendition(): string {
    return this.#session.options.rendition;
  }
  get loadingRendition(): string | undefined {
    return this.#session.loadingRendition;
  }

  get pass(): SessionStatus | undefined {
    return this.#session.pass;
  }

  renditions(): readonly Rendition[] {
    return this.#session.renditions;
  }

  rendition(): string | undefined {
    return shownRendition(this.#video, this.renditions(), this.loadingRendition);
  }

  selectRendition(wish: string): void {
    this.#session.selectRendition(wish);
  }

  reset(): void {
    this.#samples = [];
    this.#switches = 0;
    this.#droppedBefore = this.#allDropped();
    this.#session.resetCounts();
  }

  #onResize(): void {
    const shown = this.rendition();
    if (shown === undefined) return;
    if (this.#shown !== undefined && shown !== this.#shown) this.#switches++;
    this.#shown = shown;
  }

  #allDropped(): number {
    return this.#video.getVideoPlaybackQuality().droppedVideoFrames;
  }
}
