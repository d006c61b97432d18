import { type MediaInfo, MediaPlayer, type MediaPlayerClass, type MediaPlayerSettingClass } from 'dashjs';
import { boundsFrom, type LatencyBounds } from '../latency-controller.ts';
import type { LatencyReport } from '../latency-keeper.ts';
import { AUTO } from '../page-options.ts';
import { protectDash } from '../../sdk/adapters/dash.ts';
import {
  bestFirst,
  type Player,
  type PlayerOptions,
  type Rendition,
  type SeekRange,
  type Track,
  trackLabel,
} from './player.ts';
import { type Steering, steerByTarget } from './target-steering.ts';

/** Delay behind the live edge. Below 200 ms the sound breaks off in Chromium, whatever the network. */
const BOUNDS: LatencyBounds = { startMs: 260, floorMs: 230, ceilingMs: 4000 };
/** From one Period to the next dash.js takes some 100 ms, at times twice that: so much more delay it is given, in time for it. */
const PERIOD_CHANGE = { moreMs: 200, beforeSeconds: 5 };
/** DOWNLOAD_ERROR_ID_CONTENT_CODE. */
const SEGMENT_MISSING = 27;

/** Plays the stream's MPD with dash.js. */
export class DashPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #dash: MediaPlayerClass = MediaPlayer().create();
  #video: HTMLVideoElement | undefined;
  #steering: Steering | undefined;
  #loadedUrl: string | undefined;
  #followsEdge = true;
  /** The rendition that was wished for last. */
  #wish = AUTO;
  /** As it was before the viewer first left the edge. */
  #catchUp: NonNullable<MediaPlayerSettingClass['streaming']>['liveCatchup'];
  #destroyed = false;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  load(video: HTMLVideoElement, streamUrl: URL, startSeconds?: number): Promise<void> {
    const { mode, targetMs, licenses, onFatal } = this.#options;
    this.#video = video;
    this.#dash.on('error', ({ error }) => {
      if (!isSegmentMissing(error)) onFatal(`dash.js: ${describe(error)}`);
    });
    if (mode === 'low') this.#steer(video);
    else if (targetMs !== undefined) this.#setDelay(targetMs);
    if (licenses) protectDash(this.#dash, licenses);
    // Who wants subtitles chooses them: by itself dash.js shows the first, whatever they are.
    this.#dash.updateSettings({ streaming: { text: { defaultEnabled: false } } });
    this.#dash.initialize(video, new URL('index.mpd', streamUrl).href, true, startSeconds ?? Number.NaN);
    return Promise.resolve();
  }

  latencySeconds(): number | undefined {
    if (!this.#ready()) return undefined;
    const latency = this.#dash.getCurrentLiveLatency();
    return Number.isFinite(latency) && latency > 0 ? latency : undefined;
  }

  latencyReport(): LatencyReport | undefined {
    return this.#steering?.latency.report;
  }

  renditions(): readonly Rendition[] {
    if (!this.#playing()) return [];
    const renditions = this.#dash
      .getRepresentationsByType('video')
      .map(({ id, width, height, bandwidth }) => ({ id, width, height, bitrateBps: bandwidth }));
    return bestFirst(renditions);
  }

  loadingRendition(): string | undefined {
    return this.#playing() ? this.#dash.getCurrentRepresentationForType('video')?.id : undefined;
  }

  selectRendition(wish: string): void {
    this.#wish = wish;
    this.#steering?.rungs.stop();
    const steered = this.#options.mode === 'low' && this.#followsEdge;
    const own = wish === AUTO && !steered;
    this.#dash.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: own } } } });
    if (wish !== AUTO) this.#choose(wish, false);
    else if (steered) this.#steering?.rungs.start();
  }

  audios(): readonly Track[] {
    if (!this.#playing()) return [];
    const active = this.#dash.getCurrentTrackFor('audio');
    return this.#dash
      .getTracksFor('audio')
      .map((track, index) => trackOf(track, index, track.index === active?.index));
  }

  selectAudio(id: string): void {
    const track = this.#dash.getTracksFor('audio')[Number(id)];
    if (track) this.#dash.setCurrentTrack(track);
  }

  texts(): readonly Track[] {
    if (!this.#playing()) return [];
    const active = this.#dash.isTextEnabled() ? this.#dash.getCurrentTextTrackIndex() : -1;
    return this.#dash.getTracksFor('text').map((track, index) => trackOf(track, index, index === active));
  }

  selectText(id: string | undefined): void {
    this.#dash.enableText(id !== undefined);
    this.#dash.setTextTrack(id === undefined ? -1 : Number(id));
  }

  seekToLive(): void {
    if (this.#ready()) this.#dash.seekToOriginalLive();
  }

  seekRange(): SeekRange | undefined {
    if (!this.#playing()) return undefined;
    const { start, end } = this.#dash.getDvrWindow();
    return end > start ? { start, end } : undefined;
  }

  followEdge(follow: boolean): void {
    if (!this.#ready()) return;
    this.#followsEdge = follow;
    this.#catchUp ??= this.#dash.getSettings().streaming?.liveCatchup ?? {};
    this.#dash.updateSettings({
      streaming: { liveCatchup: follow ? this.#catchUp : { ...this.#catchUp, enabled: false } },
    });
    if (follow) this.#steering?.latency.start();
    else {
      this.#steering?.latency.stop();
      if (this.#video) this.#video.playbackRate = 1;
    }
    if (this.#wish === AUTO) this.selectRendition(AUTO);
  }

  destroy(): Promise<void> {
    this.#steering?.latency.stop();
    this.#steering?.rungs.stop();
    if (!this.#destroyed) this.#dash.destroy();
    this.#destroyed = true;
    if (this.#video) this.#video.playbackRate = 1;
    return Promise.resolve();
  }

  #steer(video: HTMLVideoElement): void {
    this.#dash.updateSettings(LOW_LATENCY);
    this.#dash.on('fragmentLoadingCompleted', ({ request }) => {
      if (request.mediaType === 'video' && request.type === 'MediaSegment' && request.url) {
        this.#loadedUrl = request.url;
      }
    });
    const { targetMs, licenses } = this.#options;
    let target = 0;
    // Keys may change at once: how far that is, playback tells.
    let moreMs = licenses ? PERIOD_CHANGE.moreMs : 0;
    this.#dash.on('playbackTimeUpdated', ({ timeToEnd }) => {
      const wanted = timeToEnd < PERIOD_CHANGE.beforeSeconds ? PERIOD_CHANGE.moreMs : 0;
      if (wanted === moreMs) return;
      moreMs = wanted;
      this.#setDelay(target + moreMs);
    });
    this.#steering = steerByTarget(video, boundsFrom(BOUNDS, targetMs), this, {
      setTarget: (delayMs) => {
        target = delayMs;
        this.#setDelay(target + moreMs);
      },
      levelMs: () => inMs(this.latencySeconds()),
      choose: (id, urgent) => this.#choose(id, urgent),
      sampleUrl: () => this.#loadedUrl,
    });
  }

  #choose(id: string, urgent: boolean): void {
    if (!this.renditions().some((one) => one.id === id)) return;
    this.#steering?.latency.switched();
    this.#dash.setRepresentationForTypeById('video', id, urgent);
  }

  #setDelay(delayMs: number): void {
    if (!this.#destroyed) this.#dash.updateSettings({ streaming: { delay: { liveDelay: delayMs / 1000 } } });
  }

  #ready(): boolean {
    return !this.#destroyed && this.#dash.isReady();
  }

  /** dash.js throws when it is asked for renditions before it has any. */
  #playing(): boolean {
    return this.#ready() && this.#dash.getActiveStream() !== null;
  }
}

const LOW_LATENCY: MediaPlayerSettingClass = {
  streaming: {
    // The manifest's ServiceDescription would set another target and narrower rates.
    applyServiceDescription: false,
    liveCatchup: {
      enabled: true,
      mode: 'liveCatchupModeDefault',
      // Far behind, the latency keeper seeks.
      maxDrift: 0,
      playbackRate: { min: -0.1, max: 0.2 },
      playbackBufferMin: 0.1,
    },
    buffer: { lowLatencyStallThreshold: 0.05 },
    // One frame at a time, dash.js takes the stream's bit rate for the link's: the rung keeper decides.
    abr: { autoSwitchBitrate: { video: false } },
  },
};

function trackOf({ lang, labels }: MediaInfo, index: number, isActive: boolean): Track {
  const [label] = labels as readonly ({ readonly text?: string } | undefined)[];
  return { id: String(index), label: trackLabel(label?.text, lang), isActive };
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
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
