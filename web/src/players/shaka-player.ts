import * as shakaModule from 'shaka-player/dist/shaka-player.dash-es2021.js';
import type { Player, PlayerOptions } from './player.ts';

const DEFAULT_DELAY_MS = 200;
/** Shaka grades its errors; only this grade ends the playback. */
const CRITICAL = 2;
/** BAD_HTTP_STATUS, HTTP_ERROR, TIMEOUT. */
const RETRIED: ReadonlySet<number> = new Set([1001, 1002, 1003]);

/** The little of Shaka that is used here: its types are a script's, and do not fit what a bundler makes of it. */
interface ShakaLibrary {
  readonly Player: (new () => ShakaInstance) & { isBrowserSupported(): boolean };
  readonly polyfill: { installAll(): void };
}

interface ShakaInstance {
  configure(config: object): boolean;
  attach(video: HTMLVideoElement): Promise<void>;
  load(url: string): Promise<void>;
  destroy(): Promise<void>;
  goToLive(): void;
  getPlayheadTimeAsDate(): Date | null;
  addEventListener(type: 'error', listener: (event: Event & { readonly detail?: unknown }) => void): void;
}

const { default: shaka } = shakaModule as unknown as { readonly default: ShakaLibrary };

/** Plays the stream's MPD with Shaka Player. */
export class ShakaPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #shaka: ShakaInstance;
  #video: HTMLVideoElement | undefined;
  #destroyed = false;

  constructor(options: PlayerOptions) {
    shaka.polyfill.installAll();
    if (!shaka.Player.isBrowserSupported()) throw new Error('Shaka cannot play in this browser');
    this.#options = options;
    this.#shaka = new shaka.Player();
  }

  async load(video: HTMLVideoElement, streamUrl: URL): Promise<void> {
    const { mode, targetMs } = this.#options;
    this.#video = video;
    this.#shaka.addEventListener('error', (event) => this.#onStreamingError(event.detail));
    this.#shaka.configure(configOf(mode === 'low', targetMs));
    try {
      await this.#shaka.attach(video);
      await this.#shaka.load(new URL('index.mpd', streamUrl).href);
    } catch (error) {
      this.#onError(error);
    }
  }

  latencySeconds(): number | undefined {
    const playing = this.#destroyed ? null : this.#shaka.getPlayheadTimeAsDate();
    // Before it has loaded, Shaka gives the epoch.
    return playing && playing.getTime() > 0 ? (Date.now() - playing.getTime()) / 1000 : undefined;
  }

  seekToLive(): void {
    this.#shaka.goToLive();
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) return;
    this.#destroyed = true;
    await this.#shaka.destroy();
    if (this.#video) this.#video.playbackRate = 1;
  }

  /** Shaka tells of a failed request before it decides to try again, which it does for as long as a stream is live. */
  #onStreamingError(error: unknown): void {
    const { code } = (error ?? {}) as { readonly code?: number };
    if (code === undefined || !RETRIED.has(code)) this.#onError(error);
  }

  #onError(error: unknown): void {
    if (this.#destroyed) return;
    const { code, severity } = (error ?? {}) as { readonly code?: number; readonly severity?: number };
    if (severity === undefined || severity === CRITICAL) {
      this.#options.onFatal(`Shaka: ${code === undefined ? String(error) : `error ${code}`}`);
    }
  }
}

function configOf(low: boolean, targetMs: number | undefined): object {
  if (!low) return targetMs === undefined ? {} : { manifest: { defaultPresentationDelay: targetMs / 1000 } };
  // Shaka keeps the live sync target from the end of the seek range, which is a presentation delay behind the edge.
  const half = (targetMs ?? DEFAULT_DELAY_MS) / 2 / 1000;
  return {
    streaming: {
      lowLatencyMode: true,
      rebufferingGoal: 0.01,
      bufferingGoal: 2,
      updateIntervalSeconds: 0.1,
      liveSync: {
        enabled: true,
        targetLatency: half,
        targetLatencyTolerance: 0.05,
        maxPlaybackRate: 1.2,
        minPlaybackRate: 0.9,
      },
    },
    manifest: {
      defaultPresentationDelay: half,
      // The manifest's own delay is for players left to themselves.
      dash: { ignoreMinBufferTime: true, ignoreSuggestedPresentationDelay: true, autoCorrectDrift: false },
    },
  };
}
