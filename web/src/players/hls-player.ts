import HlsJs, {
  type ErrorData,
  ErrorTypes,
  Events,
  type FragBufferedData,
  type HlsConfig,
  type Level,
  type LevelDetails,
  type Part,
} from 'hls.js';
import { boundsFrom, type LatencyBounds } from '../latency-controller.ts';
import { LatencyKeeper, type LatencyReport } from '../latency-keeper.ts';
import { NativeHlsPlayer } from './native-hls-player.ts';
import { firstRung } from '../rung-controller.ts';
import { RungKeeper } from '../rung-keeper.ts';
import { AUTO } from '../page-options.ts';
import { hlsProtection } from '../../sdk/adapters/hls.ts';
import {
  bestFirst,
  type Player,
  type PlayerOptions,
  type Rendition,
  type SeekRange,
  type Track,
  trackLabel,
} from './player.ts';

/** The least media in the buffer: parts come whole, so that the delay behind the edge is a part and some more. */
const BOUNDS: LatencyBounds = { startMs: 220, floorMs: 160, ceilingMs: 3000 };

/** hls.js starts and resyncs near the edge; closing in on it is the latency keeper's work. */
const LOW_LATENCY: Partial<HlsConfig> = {
  lowLatencyMode: true,
  liveSyncDuration: 0.4,
  liveMaxLatencyDuration: 3,
};

/** Without any media for so long after its start, hls.js may wait for what never comes. */
const STUCK_MS = 1500;

/** hls.js: whichever level suits. */
const AUTO_LEVEL = -1;

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
  #latency: LatencyKeeper | undefined;
  #rungs: RungKeeper | undefined;
  /** The rendition to go to at the end of the segment. */
  #next: string | undefined;
  #recoveredAtMs: number[] = [];
  #loadedAtMs = 0;
  #isPulledOut = false;
  #followsEdge = true;
  /** The rendition that was wished for last. */
  #wish = AUTO;
  /** Of the configuration: farther behind, hls.js goes to the live edge by itself. */
  readonly #maxLatency: number;

  constructor(options: PlayerOptions) {
    this.#options = options;
    this.#hls = new HlsJs({
      ...(options.mode === 'low' ? LOW_LATENCY : stockConfig(options.targetMs)),
      ...(options.licenses && hlsProtection(options.licenses)),
    });
    this.#maxLatency = this.#hls.config.liveMaxLatencyDuration ?? Infinity;
    this.#hls.on(Events.ERROR, (_event, data) => this.#onError(data));
    this.#hls.on(Events.FRAG_BUFFERED, (_event, data) => this.#onBuffered(data));
    this.#hls.on(Events.LEVEL_UPDATED, (_event, { details }) => this.#onUpdated(details));
  }

  load(video: HTMLVideoElement, streamUrl: URL, startSeconds?: number): Promise<void> {
    this.#video = video;
    this.#loadedAtMs = performance.now();
    if (startSeconds !== undefined) this.#hls.config.startPosition = startSeconds;
    this.#hls.loadSource(new URL('index.m3u8', streamUrl).href);
    this.#hls.attachMedia(video);
    if (this.#options.mode === 'low') this.#steer(video);
    return Promise.resolve();
  }

  /** By the playlist's dates where it has them: then it is the delay behind the wall clock, as in DASH. */
  latencySeconds(): number | undefined {
    const playing = this.#hls.playingDate;
    if (playing) return (Date.now() - playing.getTime()) / 1000;
    return this.#hls.latency > 0 ? this.#hls.latency : undefined;
  }

  latencyReport(): LatencyReport | undefined {
    return this.#latency?.report;
  }

  renditions(): readonly Rendition[] {
    const renditions = this.#hls.levels.map((level) => ({
      id: idOf(level),
      width: level.width,
      height: level.height,
      bitrateBps: level.bitrate,
    }));
    return bestFirst(renditions);
  }

  loadingRendition(): string | undefined {
    const level = this.#hls.levels[this.#hls.loadLevel];
    return level && idOf(level);
  }

  selectRendition(wish: string): void {
    this.#wish = wish;
    this.#rungs?.stop();
    this.#forget();
    if (wish !== AUTO) this.#choose(wish, false);
    else if (this.#rungs && this.#followsEdge) this.#rungs.start();
    else this.#hls.loadLevel = AUTO_LEVEL;
  }

  audios(): readonly Track[] {
    const { audioTracks, audioTrack } = this.#hls;
    return audioTracks.map(({ name, lang }, index) => ({
      id: String(index),
      label: trackLabel(name, lang),
      isActive: index === audioTrack,
    }));
  }

  selectAudio(id: string): void {
    this.#hls.audioTrack = Number(id);
  }

  texts(): readonly Track[] {
    const { subtitleTracks, subtitleTrack } = this.#hls;
    return subtitleTracks.map(({ name, lang }, index) => ({
      id: String(index),
      label: trackLabel(name, lang),
      isActive: index === subtitleTrack,
    }));
  }

  selectText(id: string | undefined): void {
    this.#hls.subtitleDisplay = id !== undefined;
    this.#hls.subtitleTrack = id === undefined ? -1 : Number(id);
  }

  seekToLive(): void {
    const position = this.#hls.liveSyncPosition;
    if (this.#video && position !== null) this.#video.currentTime = position;
  }

  seekRange(): SeekRange | undefined {
    const first = this.#hls.latestLevelDetails?.fragments[0];
    const end = this.#hls.liveSyncPosition;
    return first && end !== null ? { start: first.start, end } : undefined;
  }

  followEdge(follow: boolean): void {
    this.#followsEdge = follow;
    const { config } = this.#hls;
    config.liveMaxLatencyDuration = follow ? this.#maxLatency : Infinity;
    if (follow) this.#latency?.start();
    else {
      this.#latency?.stop();
      if (this.#video) this.#video.playbackRate = 1;
    }
    if (this.#rungs && this.#wish === AUTO) this.selectRendition(AUTO);
  }

  destroy(): Promise<void> {
    this.#latency?.stop();
    this.#rungs?.stop();
    this.#hls.destroy();
    if (this.#video) this.#video.playbackRate = 1;
    return Promise.resolve();
  }

  #steer(video: HTMLVideoElement): void {
    this.#latency = new LatencyKeeper(video, boundsFrom(BOUNDS, this.#options.targetMs), { by: 'pace' });
    this.#rungs = new RungKeeper(video, {
      rungs: () => this.renditions(),
      loading: () => this.loadingRendition(),
      choose: (id, urgent) => this.#choose(id, urgent),
      levelMs: () => {
        const seconds = this.latencySeconds();
        return seconds === undefined ? undefined : seconds * 1000;
      },
      sampleUrl: () => this.#hls.latestLevelDetails?.fragments.at(-1)?.url,
    });
    // Before the first level is loaded: from here on hls.js chooses none by itself.
    this.#hls.on(Events.MANIFEST_PARSED, () => {
      const first = firstRung(this.renditions());
      if (first) this.#hls.loadLevel = this.#hls.levels.findIndex((level) => idOf(level) === first.id);
    });
    this.#latency.start();
    this.#rungs.start();
  }

  /**
   * In the middle of a segment hls.js would fetch the new rendition from the segment's start, and its key frame there
   * would throw out all that is buffered behind it. So it is told when the last part of a segment is in.
   */
  #choose(id: string, urgent: boolean): void {
    this.#next = id;
    this.#latency?.switching();
    if (urgent) this.#goToNext();
  }

  #onBuffered({ frag, part }: FragBufferedData): void {
    const type: string = frag.type;
    if (type !== 'main' || this.#next === undefined) return;
    if (!part || isLastPart(part, this.#hls.latestLevelDetails)) this.#goToNext();
  }

  /**
   * Started where media is missing, hls.js goes on with the picture behind the hole, but waits for ever for the sound
   * from before it. Once there is enough behind the hole it is told to begin there, with both.
   */
  #onUpdated({ fragments }: LevelDetails): void {
    const hasBegun = this.#video === undefined || this.#video.readyState > 0;
    if (hasBegun || this.#isPulledOut || performance.now() - this.#loadedAtMs < STUCK_MS) return;
    const hole = fragments.findLast(({ gap }) => gap);
    const position = this.#hls.liveSyncPosition;
    if (!hole || position === null || position <= hole.end) return;
    this.#isPulledOut = true;
    this.#hls.startLoad(position);
  }

  #forget(): void {
    if (this.#next !== undefined) this.#latency?.switched();
    this.#next = undefined;
  }

  /** `loadLevel`, not `nextLevel`: that would throw away what is buffered, and near the edge there is no other. */
  #goToNext(): void {
    const index = this.#hls.levels.findIndex((level) => idOf(level) === this.#next);
    this.#forget();
    if (index >= 0) this.#hls.loadLevel = index;
  }

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

/** By its end: the playlist may not tell yet that its segment is complete. Segments are as long as the one before. */
function isLastPart(part: Part, details: LevelDetails | null): boolean {
  const before = details?.fragments.findLast(({ sn }) => sn < part.fragment.sn);
  const durationSeconds = before?.duration ?? details?.targetduration ?? 0;
  return part.end - part.fragment.start > durationSeconds - part.duration / 2;
}

/** A media playlist is named after its rendition. */
function idOf(level: Level): string {
  return /([^/]+)\.m3u8$/.exec(new URL(level.uri, location.href).pathname)?.[1] ?? level.name;
}

function stockConfig(targetMs: number | undefined): Partial<HlsConfig> {
  return targetMs === undefined ? {} : { liveSyncDuration: targetMs / 1000 };
}
