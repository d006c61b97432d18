import type { SessionStatus } from '../sdk/session.ts';
import type { LatencyReport } from './latency-keeper.ts';
import type { PageOptions } from './page-options.ts';
import type { Rendition } from './players/player.ts';
import type { StallMeter } from './stall-meter.ts';

/**
 * Where playback stands. `blocked`: the browser wants a click before it plays. `refused`: the viewer may not watch.
 * `limit`: the viewer plays on as many devices as it may. `over`: the session was ended, here or elsewhere.
 */
export type PlaybackState =
  | 'connecting'
  | 'playing'
  | 'stalled'
  | 'paused'
  | 'blocked'
  | 'offline'
  | 'ended'
  | 'unreachable'
  | 'refused'
  | 'limit'
  | 'over';

/** What plays, live or not, as the rest of the page sees it. */
export interface Playback {
  readonly state: PlaybackState;
  readonly options: PageOptions;
  readonly stalls: StallMeter;
  /** Fatal errors of players since the last reset; each was followed by a new start. */
  readonly fatalErrors: number;
  /** Players started since the last reset. */
  readonly starts: number;
  /** The last fatal error; undefined once playback goes again. */
  readonly error: string | undefined;
  /** Delay as the player reckons it. */
  readonly latencyMs: number | undefined;
  /** What the latency controller holds; undefined where it does not steer. */
  readonly latencyReport: LatencyReport | undefined;
  /** The session that licences are given to. */
  readonly pass: SessionStatus | undefined;
  /** Renditions of the picture, best first; empty while not known. */
  readonly renditions: readonly Rendition[];
  /** Id of the rendition that is being fetched. */
  readonly loadingRendition: string | undefined;
  /** Plays the rendition with this id from the next segment on; `AUTO` lets the network decide. */
  selectRendition(wish: string): void;
  /** Begins to play, with other options when given. */
  connect(options?: PageOptions): void;
  /** Play and pause of the viewer; where nothing plays, another attempt. */
  togglePlay(): void;
  /** To be called some times a second: finds out what no event tells. */
  check(): void;
  /** Begins all counts anew. */
  resetCounts(): void;
}
