import { MediaPlayer, type MediaPlayerClass, type MediaPlayerSettingClass } from 'dashjs';
import type { Player, PlayerOptions } from './player.ts';

const DEFAULT_DELAY_MS = 300;
/** DOWNLOAD_ERROR_ID_CONTENT_CODE. */
const SEGMENT_MISSING = 27;

/** Plays the stream's MPD with dash.js. */
export class DashPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #dash: MediaPlayerClass = MediaPlayer().create();
  #video: HTMLVideoElement | undefined;
  #destroyed = false;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  load(video: HTMLVideoElement, streamUrl: URL): Promise<void> {
    const { mode, targetMs, onFatal } = this.#options;
    this.#video = video;
    this.#dash.updateSettings(settingsOf(mode === 'low', targetMs));
    this.#dash.on('error', ({ error }) => {
      if (!isSegmentMissing(error)) onFatal(`dash.js: ${describe(error)}`);
    });
    this.#dash.initialize(video, new URL('index.mpd', streamUrl).href, true);
    return Promise.resolve();
  }

  latencySeconds(): number | undefined {
    if (this.#destroyed || !this.#dash.isReady()) return undefined;
    const latency = this.#dash.getCurrentLiveLatency();
    return Number.isFinite(latency) && latency > 0 ? latency : undefined;
  }

  seekToLive(): void {
    if (this.#dash.isReady()) this.#dash.seekToOriginalLive();
  }

  destroy(): Promise<void> {
    if (!this.#destroyed) this.#dash.destroy();
    this.#destroyed = true;
    if (this.#video) this.#video.playbackRate = 1;
    return Promise.resolve();
  }
}

function settingsOf(low: boolean, targetMs: number | undefined): MediaPlayerSettingClass {
  if (!low) return targetMs === undefined ? {} : { streaming: { delay: { liveDelay: targetMs / 1000 } } };
  return {
    streaming: {
      // The manifest's ServiceDescription would set another target and narrower rates.
      applyServiceDescription: false,
      delay: { liveDelay: (targetMs ?? DEFAULT_DELAY_MS) / 1000 },
      liveCatchup: {
        enabled: true,
        mode: 'liveCatchupModeDefault',
        maxDrift: 0,
        playbackRate: { min: -0.1, max: 0.2 },
        playbackBufferMin: 0.1,
      },
      buffer: { lowLatencyStallThreshold: 0.05 },
    },
  };
}

/** A segment that is not there ends nothing: dash.js asks for the next ones, and the MPD tells where media goes on. */
function isSegmentMissing(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === SEGMENT_MISSING;
}

function describe(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return [code, message].filter((part) => typeof part === 'string' || typeof part === 'number').join(' ');
}
