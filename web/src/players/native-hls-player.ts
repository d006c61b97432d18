import type { Player, PlayerOptions, Rendition, SeekRange, Track } from './player.ts';

const HLS_TYPE = 'application/vnd.apple.mpegurl';

/** Browsers with their own HLS tell its dates; the standard library does not know of it. */
interface DatedVideo extends HTMLVideoElement {
  getStartDate?: () => Date;
}

/** The browser's own HLS (Safari on iPhones): it steers its latency itself. */
export class NativeHlsPlayer implements Player {
  readonly #options: PlayerOptions;
  #video: HTMLVideoElement | undefined;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  load(video: HTMLVideoElement, streamUrl: URL, startSeconds?: number): Promise<void> {
    if (video.canPlayType(HLS_TYPE) === '') return Promise.reject(new Error('this browser plays no HLS'));
    this.#video = video;
    video.addEventListener('error', this.#onError);
    // A media fragment is where the browser begins.
    const start = startSeconds === undefined ? '' : `#t=${startSeconds}`;
    video.src = new URL(`index.m3u8${start}`, streamUrl).href;
    return Promise.resolve();
  }

  /** By the date that the playlist gives the beginning of the timeline. */
  latencySeconds(): number | undefined {
    const video: DatedVideo | undefined = this.#video;
    const startMs = video?.getStartDate?.().getTime();
    if (!video || startMs === undefined || Number.isNaN(startMs)) return undefined;
    return (Date.now() - startMs) / 1000 - video.currentTime;
  }

  latencyReport(): undefined {
    return undefined;
  }

  /** The browser neither tells nor lets choose. */
  renditions(): readonly Rendition[] {
    return [];
  }

  loadingRendition(): undefined {
    return undefined;
  }

  selectRendition(): void {}

  /** In the browser's own menu. */
  audios(): readonly Track[] {
    return [];
  }

  selectAudio(): void {}

  texts(): readonly Track[] {
    return [];
  }

  selectText(): void {}

  seekToLive(): void {
    const seekable = this.#video?.seekable;
    if (this.#video && seekable && seekable.length > 0) {
      this.#video.currentTime = seekable.end(seekable.length - 1);
    }
  }

  seekRange(): SeekRange | undefined {
    const seekable = this.#video?.seekable;
    if (!seekable || seekable.length === 0) return undefined;
    return { start: seekable.start(0), end: seekable.end(seekable.length - 1) };
  }

  /** The browser leaves who has gone back alone. */
  followEdge(): void {}

  destroy(): Promise<void> {
    this.#video?.removeEventListener('error', this.#onError);
    this.#video?.removeAttribute('src');
    this.#video?.load();
    this.#video = undefined;
    return Promise.resolve();
  }

  readonly #onError = (): void => {
    this.#options.onFatal(`the browser: ${this.#video?.error?.message || 'it cannot play this'}`);
  };
}
