import HlsJs, { type ErrorData, ErrorTypes, Events, type HlsConfig } from 'hls.js';
import { DEFAULT_BUFFER_TARGET_MS, LatencyController, READING_EVERY_MS } from '../latency-controller.ts';
import { bufferAheadMs } from '../video-readings.ts';
import { NativeHlsPlayer } from './native-hls-player.ts';
import type { Player, PlayerOptions } from './player.ts';

/** hls.js starts and resyncs near the edge; closing in on it is our own controller's work. */
const LOW_LATENCY: Partial<HlsConfig> = {
  lowLatencyMode: true,
  liveSyncDuration: 0.4,
  liveMaxLatencyDuration: 3,
};

/** Media errors within this time that hls.js may try to get over by itself. */
const RECOVERY_WINDOW_MS = 10_000;
const MOST_RECOVERIES = 2;

/** hls.js, or the browser's own HLS where there are no Media Source Extensions. */
export function makeHlsPlayer(options: PlayerOptions): Player {
  // The types lack the named export that the linter would rather see.
  // oxlint-disable-next-line import/no-named-as-default-member
  return HlsJs.isSupported() ? new HlsPlayer(options) : new NativeHlsPlayer(options);
}

/** Plays the stream's LL-HLS playlists with hls.js. */
class HlsPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #hls: HlsJs;
  #video: HTMLVideoElement | undefined;
  #controller: LatencyController | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #recoveredAtMs: number[] = [];

  constructor(options: PlayerOptions) {
    this.#options = options;
    this.#hls = new HlsJs(options.mode === 'low' ? LOW_LATENCY : stockConfig(options.targetMs));
    this.#hls.on(Events.ERROR, (_event, data) => this.#onError(data));
  }

  load(video: HTMLVideoElement, streamUrl: URL): Promise<void> {
    this.#video = video;
    this.#hls.loadSource(new URL('index.m3u8', streamUrl).href);
    this.#hls.attachMedia(video);
    if (this.#options.mode === 'low') this.#control(video);
    return Promise.resolve();
  }

  /** By the playlist's dates where it has them: then it is the delay behind the wall clock, as in DASH. */
  latencySeconds(): number | undefined {
    const playing = this.#hls.playingDate;
    if (playing) return (Date.now() - playing.getTime()) / 1000;
    return this.#hls.latency > 0 ? this.#hls.latency : undefined;
  }

  seekToLive(): void {
    const position = this.#hls.liveSyncPosition;
    if (this.#video && position !== null) this.#video.currentTime = position;
  }

  destroy(): Promise<void> {
    clearInterval(this.#timer);
    this.#hls.destroy();
    if (this.#video) {
      this.#video.removeEventListener('waiting', this.#onWaiting);
      this.#video.removeEventListener('seeking', this.#onSeeking);
      this.#video.playbackRate = 1;
    }
    return Promise.resolve();
  }

  #control(video: HTMLVideoElement): void {
    const controller = new LatencyController({
      targetMs: this.#options.targetMs ?? DEFAULT_BUFFER_TARGET_MS,
    });
    this.#controller = controller;
    video.addEventListener('waiting', this.#onWaiting);
    video.addEventListener('seeking', this.#onSeeking);
    this.#timer = setInterval(() => {
      if (video.paused || video.seeking || video.readyState < video.HAVE_FUTURE_DATA) return;
      const decision = controller.take(bufferAheadMs(video));
      if (decision.skipMs !== undefined) video.currentTime += decision.skipMs / 1000;
      if (video.playbackRate !== decision.playbackRate) video.playbackRate = decision.playbackRate;
    }, READING_EVERY_MS);
  }

  /** Waiting after a seek, or before anything was played, is no sign of a thin buffer. */
  readonly #onWaiting = (): void => {
    const video = this.#video;
    if (video && !video.seeking && video.played.length > 0) this.#controller?.stalled();
  };

  readonly #onSeeking = (): void => this.#controller?.moved();

  #onError({ fatal, type, details }: ErrorData): void {
    if (!fatal) return;
    if (type === ErrorTypes.MEDIA_ERROR && this.#mayRecover()) this.#hls.recoverMediaError();
    else this.#options.onFatal(`hls.js: ${details}`);
  }

  #mayRecover(): boolean {
    const nowMs = performance.now();
    this.#recoveredAtMs = this.#recoveredAtMs.filter((atMs) => nowMs - atMs < RECOVERY_WINDOW_MS);
    return this.#recoveredAtMs.push(nowMs) <= MOST_RECOVERIES;
  }
}

function stockConfig(targetMs: number | undefined): Partial<HlsConfig> {
  return targetMs === undefined ? {} : { liveSyncDuration: targetMs / 1000 };
}
