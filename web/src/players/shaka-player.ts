import * as shakaModule from 'shaka-player/dist/shaka-player.dash-es2021.js';
import { boundsFrom, type LatencyBounds } from '../latency-controller.ts';
import type { LatencyReport } from '../latency-keeper.ts';
import { AUTO } from '../page-options.ts';
import { protectShaka, type ShakaNetworking } from '../../sdk/adapters/shaka.ts';
import {
  type Player,
  type PlayerOptions,
  type Rendition,
  type SeekRange,
  type Track,
  trackLabel,
} from './player.ts';
import { renditionIdOf, renditionsOf, type ShakaTrack } from './shaka-renditions.ts';
import { type Steering, steerByTarget } from './target-steering.ts';

/** Delay behind the live edge. */
const BOUNDS: LatencyBounds = { startMs: 300, floorMs: 200, ceilingMs: 4000 };
/** Shaka counts its live sync target from the end of the seek range, which is a presentation delay behind the edge. */
const PRESENTATION_DELAY_MS = 100;
/** Shaka's RequestType and AdvancedRequestType of a media segment. */
const SEGMENT = 1;
const MEDIA_SEGMENT = 1;
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
  load(url: string, startSeconds?: number | null): Promise<void>;
  destroy(): Promise<void>;
  getNetworkingEngine(): ShakaNetworking | null;
  goToLive(): void;
  getPlayheadTimeAsDate(): Date | null;
  seekRange(): { readonly start: number; readonly end: number };
  getVariantTracks(): readonly ShakaTrack[];
  selectVariantTrack(track: ShakaTrack, clearBuffer: boolean): void;
  getAudioTracks(): readonly ShakaLanguage[];
  selectAudioTrack(track: ShakaLanguage): void;
  getTextTracks(): readonly ShakaLanguage[];
  selectTextTrack(track: ShakaLanguage | null): void;
  addEventListener(type: 'error', listener: (event: Event & { readonly detail?: unknown }) => void): void;
  addEventListener(type: 'downloadcompleted', listener: (event: Event & ShakaDownload) => void): void;
}

/** A choice of sound or of subtitles. */
interface ShakaLanguage {
  readonly active: boolean;
  readonly language: string;
  readonly label: string | null;
}

interface ShakaDownload {
  readonly requestType?: number;
  readonly request?: { readonly contentType?: string | null };
  readonly context?: { readonly type?: number };
  readonly response?: { readonly uri?: string };
}

const { default: shaka } = shakaModule as unknown as { readonly default: ShakaLibrary };

/** Plays the stream's MPD with Shaka Player. */
export class ShakaPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #shaka: ShakaInstance;
  #video: HTMLVideoElement | undefined;
  #steering: Steering | undefined;
  #loadedUrl: string | undefined;
  /** The rendition to go to at the end of the segment. */
  #next: string | undefined;
  #followsEdge = true;
  /** The rendition that was wished for last. */
  #wish = AUTO;
  #destroyed = false;

  constructor(options: PlayerOptions) {
    shaka.polyfill.installAll();
    if (!shaka.Player.isBrowserSupported()) throw new Error('Shaka cannot play in this browser');
    this.#options = options;
    this.#shaka = new shaka.Player();
  }

  async load(video: HTMLVideoElement, streamUrl: URL, startSeconds?: number): Promise<void> {
    const { mode, targetMs, licenses } = this.#options;
    this.#video = video;
    if (licenses) protectShaka(this.#shaka, licenses);
    this.#shaka.addEventListener('downloadcompleted', (event) => this.#onDownload(event));
    this.#shaka.addEventListener('error', (event) => this.#onStreamingError(event.detail));
    if (mode === 'low') this.#steer(video);
    else if (targetMs !== undefined) {
      this.#shaka.configure({ manifest: { defaultPresentationDelay: targetMs / 1000 } });
    }
    try {
      await this.#shaka.attach(video);
      await this.#shaka.load(new URL('index.mpd', streamUrl).href, startSeconds ?? null);
    } catch (error) {
      this.#onError(error);
    }
  }

  latencySeconds(): number | undefined {
    const playing = this.#destroyed ? null : this.#shaka.getPlayheadTimeAsDate();
    // Before it has loaded, Shaka gives the epoch.
    return playing && playing.getTime() > 0 ? (Date.now() - playing.getTime()) / 1000 : undefined;
  }

  latencyReport(): LatencyReport | undefined {
    return this.#steering?.latency.report;
  }

  renditions(): readonly Rendition[] {
    return renditionsOf(this.#tracks());
  }

  loadingRendition(): string | undefined {
    const active = this.#tracks().find((track) => track.active);
    return active && renditionIdOf(active);
  }

  selectRendition(wish: string): void {
    this.#wish = wish;
    this.#steering?.rungs.stop();
    const steered = this.#options.mode === 'low' && this.#followsEdge;
    this.#shaka.configure({ abr: { enabled: wish === AUTO && !steered } });
    this.#next = undefined;
    if (wish !== AUTO) this.#choose(wish, false);
    else if (steered) this.#steering?.rungs.start();
  }

  audios(): readonly Track[] {
    return this.#destroyed ? [] : this.#shaka.getAudioTracks().map(trackOf);
  }

  selectAudio(id: string): void {
    const track = this.#shaka.getAudioTracks()[Number(id)];
    if (track) this.#shaka.selectAudioTrack(track);
  }

  texts(): readonly Track[] {
    return this.#destroyed ? [] : this.#shaka.getTextTracks().map(trackOf);
  }

  selectText(id: string | undefined): void {
    this.#shaka.selectTextTrack(
      (id === undefined ? undefined : this.#shaka.getTextTracks()[Number(id)]) ?? null,
    );
  }

  seekToLive(): void {
    this.#shaka.goToLive();
  }

  seekRange(): SeekRange | undefined {
    if (this.#tracks().length === 0) return undefined;
    const { start, end } = this.#shaka.seekRange();
    return Number.isFinite(end) && end > start ? { start, end } : undefined;
  }

  followEdge(follow: boolean): void {
    if (this.#destroyed) return;
    this.#followsEdge = follow;
    const { liveSync, bufferingGoal } = LOW_LATENCY.streaming;
    const own = this.#steering ? { liveSync, bufferingGoal } : { liveSync: { enabled: false } };
    this.#shaka.configure({ streaming: follow ? own : BEHIND });
    if (follow) this.#steering?.latency.start();
    else {
      this.#steering?.latency.stop();
      if (this.#video) this.#video.playbackRate = 1;
    }
    if (this.#wish === AUTO) this.selectRendition(AUTO);
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#steering?.latency.stop();
    this.#steering?.rungs.stop();
    await this.#shaka.destroy();
    if (this.#video) this.#video.playbackRate = 1;
  }

  #steer(video: HTMLVideoElement): void {
    this.#shaka.configure(LOW_LATENCY);
    this.#steering = steerByTarget(video, boundsFrom(BOUNDS, this.#options.targetMs), this, {
      setTarget: (delayMs) => this.#setDelay(delayMs),
      levelMs: () => this.#levelMs(video),
      choose: (id, urgent) => this.#choose(id, urgent),
      sampleUrl: () => this.#loadedUrl,
    });
  }

  #onDownload({ requestType, request, context, response }: ShakaDownload): void {
    if (requestType !== SEGMENT || context?.type !== MEDIA_SEGMENT || request?.contentType !== 'video')
      return;
    this.#loadedUrl = response?.uri;
    this.#goToNext();
  }

  #setDelay(delayMs: number): void {
    if (this.#destroyed) return;
    const targetLatency = Math.max(0, delayMs - PRESENTATION_DELAY_MS) / 1000;
    this.#shaka.configure({ streaming: { liveSync: { targetLatency } } });
  }

  /** As Shaka's own live sync reckons, but from the live edge. */
  #levelMs(video: HTMLVideoElement): number | undefined {
    if (this.#tracks().length === 0) return undefined;
    const { end } = this.#shaka.seekRange();
    return Number.isFinite(end) ? (end - video.currentTime) * 1000 + PRESENTATION_DELAY_MS : undefined;
  }

  /** None until the manifest is loaded. */
  #tracks(): readonly ShakaTrack[] {
    return this.#destroyed ? [] : this.#shaka.getVariantTracks();
  }

  /**
   * In the middle of a segment Shaka may give it up and fetch the new rendition from the segment's start, whose key
   * frame there would throw out all that is buffered behind it. So it is told when a segment is in.
   */
  #choose(id: string, urgent: boolean): void {
    this.#next = id;
    if (urgent) this.#goToNext();
  }

  /** Clears nothing, not even when it is urgent: that takes Shaka longer than the next segment. The sound stays. */
  #goToNext(): void {
    const id = this.#next;
    this.#next = undefined;
    if (id === undefined) return;
    this.#steering?.latency.switched();
    const tracks = this.#tracks();
    const audioId = tracks.find(({ active }) => active)?.audioId;
    const track = tracks.find((one) => renditionIdOf(one) === id && one.audioId === audioId);
    if (track && !track.active) this.#shaka.selectVariantTrack(track, false);
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

function trackOf({ label, language, active }: ShakaLanguage, index: number): Track {
  return { id: String(index), label: trackLabel(label, language), isActive: active };
}

/**
 * For who has gone back: there is more to be had than at the edge. Without a live sync of its own Shaka would take that of
 * the manifest, and hurry.
 */
const BEHIND = {
  bufferingGoal: 10,
  liveSync: { enabled: true, maxPlaybackRate: 1, minPlaybackRate: 1 },
};

const LOW_LATENCY = {
  // One frame at a time, Shaka takes the stream's bit rate for the link's: the rung keeper decides.
  abr: { enabled: false },
  streaming: {
    lowLatencyMode: true,
    rebufferingGoal: 0.01,
    bufferingGoal: 2,
    updateIntervalSeconds: 0.1,
    liveSync: { enabled: true, targetLatencyTolerance: 0.05, maxPlaybackRate: 1.2, minPlaybackRate: 0.9 },
  },
  manifest: {
    defaultPresentationDelay: PRESENTATION_DELAY_MS / 1000,
    // The manifest's own delay is for players left to themselves.
    dash: { ignoreMinBufferTime: true, ignoreSuggestedPresentationDelay: true, autoCorrectDrift: false },
  },
};
