import type { LatencyReport } from '../latency-keeper.ts';
import type { Mode, PlayerName } from '../page-options.ts';
import type { LicenseClient } from '../../sdk/license-client.ts';

/** A rendition of the picture that a player can play. */
export interface Rendition {
  /** The server's name of it, the same for every player: `video`, `480p`. */
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** As the manifest declares it. */
  readonly bitrateBps: number;
}

/** A language of the sound, or of subtitles. */
export interface Track {
  /** Of this player alone. */
  readonly id: string;
  /** For the viewer. */
  readonly label: string;
  readonly isActive: boolean;
}

/** A stretch of the video element's timeline, seconds. */
export interface SeekRange {
  readonly start: number;
  readonly end: number;
}

/** How a player is to be made. */
export interface PlayerOptions {
  readonly mode: Mode;
  /** Wished buffer or delay; undefined is the mode's own. */
  readonly targetMs: number | undefined;
  /** Where licences come from; undefined: the stream is not encrypted. */
  readonly licenses: LicenseClient | undefined;
  /** A fatal error: the player plays no further and must be destroyed. */
  readonly onFatal: (message: string) => void;
}

/** What the page needs of a player. Whoever makes it destroys it. */
export interface Player {
  /**
   * Begins to play a stream, or a title from `startSeconds` on, in a video element; problems come through `onFatal`.
   */
  load(video: HTMLVideoElement, streamUrl: URL, startSeconds?: number): Promise<void>;
  /** Seconds behind the stream's wall clock as the player reckons; undefined while it does not know. */
  latencySeconds(): number | undefined;
  /** What the latency controller holds and how often it had to back off; undefined where it does not steer. */
  latencyReport(): LatencyReport | undefined;
  /** Renditions of the picture, best first; empty until the manifest is known, or where the browser plays by itself. */
  renditions(): readonly Rendition[];
  /** Id of the rendition that is being fetched; what is shown follows some moments later. */
  loadingRendition(): string | undefined;
  /**
   * Goes to the rendition with this id at the next segment, what is buffered plays on; `AUTO` lets the network decide,
   * as from the start. A rendition that is not there is left alone.
   */
  selectRendition(wish: string): void;
  /** What sound there is to choose from; empty where the browser plays by itself. */
  audios(): readonly Track[];
  selectAudio(id: string): void;
  /** What subtitles there are to choose from. */
  texts(): readonly Track[];
  /** Undefined: none. */
  selectText(id: string | undefined): void;
  /** Goes to the place the player would have begun at now. */
  seekToLive(): void;
  /** What can be played of a live stream, up to the place where live is; undefined while not known. */
  seekRange(): SeekRange | undefined;
  /**
   * Whether the viewer is to be held at the live edge, as from the start, or has gone back: then playback keeps its pace,
   * buffers ahead, and the player chooses renditions by its own rules.
   */
  followEdge(follow: boolean): void;
  /** Frees the video element. May be called at any time, also twice. */
  destroy(): Promise<void>;
}

/** Orders renditions best first. */
export function bestFirst(renditions: readonly Rendition[]): readonly Rendition[] {
  return renditions.toSorted((a, b) => b.height - a.height || b.bitrateBps - a.bitrateBps);
}

/** What a track is called: its name unless that says nothing, else its language. */
export function trackLabel(name: string | null | undefined, language: string | null | undefined): string {
  const isCode = name !== null && name !== undefined && /^[a-z]{2,3}(-\w+)*$/i.test(name);
  if (name !== null && name !== undefined && name !== '' && !isCode) return name;
  const code = isCode ? name : language;
  return code === null || code === undefined || code === '' || code === 'und'
    ? 'Unknown'
    : languageName(code);
}

function languageName(code: string): string {
  try {
    return new Intl.DisplayNames([navigator.language, 'en'], { type: 'language' }).of(code) ?? code;
  } catch {
    return code;
  }
}

const MAKERS: { readonly [K in PlayerName]: (options: PlayerOptions) => Promise<Player> } = {
  hls: async (options) => (await import('./hls-player.ts')).makeHlsPlayer(options),
  dash: async (options) => new (await import('./dash-player.ts')).DashPlayer(options),
  shaka: async (options) => new (await import('./shaka-player.ts')).ShakaPlayer(options),
};

/** Fetches the code of a player, on first use, and makes one. */
export function makePlayer(name: PlayerName, options: PlayerOptions): Promise<Player> {
  return MAKERS[name](options);
}
