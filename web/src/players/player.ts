import type { Mode, PlayerName } from '../page-options.ts';

/** How a player is to be made. */
export interface PlayerOptions {
  readonly mode: Mode;
  /** Wished buffer or delay; undefined is the mode's own. */
  readonly targetMs: number | undefined;
  /** A fatal error: the player plays no further and must be destroyed. */
  readonly onFatal: (message: string) => void;
}

/** What the page needs of a player. Whoever makes it destroys it. */
export interface Player {
  /** Begins to play a stream in a video element; problems come through `onFatal`. */
  load(video: HTMLVideoElement, streamUrl: URL): Promise<void>;
  /** Seconds behind the stream's wall clock as the player reckons; undefined while it does not know. */
  latencySeconds(): number | undefined;
  /** Goes to the place the player would have begun at now. */
  seekToLive(): void;
  /** Frees the video element. May be called at any time, also twice. */
  destroy(): Promise<void>;
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
