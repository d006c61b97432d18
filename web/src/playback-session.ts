import type { PageOptions } from './page-options.ts';
import { makePlayer, type Player } from './players/player.ts';
import { StallMeter } from './stall-meter.ts';
import { probeStream, type StreamPresence } from './stream-probe.ts';

/** Where playback stands. `blocked`: the browser wants a click before it plays. */
export type PlaybackState =
  | 'connecting'
  | 'playing'
  | 'stalled'
  | 'paused'
  | 'blocked'
  | 'offline'
  | 'ended'
  | 'unreachable';

/** How long to wait before the server is asked again. */
const RETRY_MS = 2000;
/** Standing still for so long, the stream may be gone or have begun anew: the server is asked, and again so often. */
const DOUBT_MS = 1500;
/** Standing still for so long although the stream is live, the player is started anew. */
const RESTART_MS = 15_000;

export interface SessionDeps {
  readonly video: HTMLVideoElement;
  readonly streamUrl: URL;
  readonly onState: (state: PlaybackState) => void;
}

/** Plays one stream for as long as the page is open: through outages, ends and changes of player. */
export class PlaybackSession {
  readonly stalls = new StallMeter();
  readonly #deps: SessionDeps;
  #options: PageOptions;
  #state: PlaybackState = 'connecting';
  #player: Player | undefined;
  /** Settles when the players before have left the element: two at a time would break each other. */
  #closing: Promise<void> = Promise.resolve();
  /** Grows with each connection: what belongs to an earlier one is dropped. */
  #connection = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #standingSinceMs = 0;
  #asking = false;
  #askedAtMs = 0;
  /** The stretch of the stream that the player was started in. */
  #period: string | undefined;
  /** The next wait for data is of our own making: a jump to the live edge. */
  #jumping = false;
  #fatalErrors = 0;
  #error: string | undefined;

  constructor(deps: SessionDeps, options: PageOptions) {
    this.#deps = deps;
    this.#options = options;
    const on = (event: keyof HTMLMediaElementEventMap, act: () => void): void =>
      deps.video.addEventListener(event, () => {
        // Events of an emptied element are echoes of the player that was destroyed.
        if (this.#player) act();
      });
    on('canplay', () => this.#play());
    on('playing', () => this.#onPlaying());
    on('timeupdate', () => this.#onTime());
    on('waiting', () => this.#onWaiting());
    on('pause', () => this.#onPause());
    on('ended', () => this.#onEnded());
  }

  get state(): PlaybackState {
    return this.#state;
  }

  get options(): PageOptions {
    return this.#options;
  }

  /** Fatal errors of players since the last reset; each was followed by a new start. */
  get fatalErrors(): number {
    return this.#fatalErrors;
  }

  /** The last fatal error; undefined once playback goes again. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Delay as the player reckons it. */
  get latencyMs(): number | undefined {
    const seconds = this.#state === 'playing' ? this.#player?.latencySeconds() : undefined;
    return seconds === undefined ? undefined : seconds * 1000;
  }

  /** Begins to play, with other options when given. */
  connect(options: PageOptions = this.#options): void {
    this.#options = options;
    this.#release();
    this.#standingSinceMs = performance.now();
    this.#become('connecting');
    void this.#tryConnect(this.#connection);
  }

  /** Play and pause of the viewer. Playing on means the live edge, not where it was left. */
  togglePlay(): void {
    const { video } = this.#deps;
    if (!this.#player) return this.connect();
    if (!video.paused) return video.pause();
    this.#jumping = true;
    this.#player.seekToLive();
    this.#play();
  }

  /** To be called every half second or so: finds out what no event tells. */
  check(): void {
    if (!this.#player || !isStanding(this.#state)) return;
    const standingMs = performance.now() - this.#standingSinceMs;
    if (standingMs > RESTART_MS) return this.connect();
    const askedMs = performance.now() - this.#askedAtMs;
    if (Math.min(standingMs, askedMs) > DOUBT_MS && !this.#asking) void this.#ask(this.#connection);
  }

  /** Begins all counts anew. */
  resetCounts(): void {
    this.stalls.reset(performance.now());
    this.#fatalErrors = 0;
    this.#error = undefined;
  }

  async #tryConnect(connection: number): Promise<void> {
    const { presence, period } = await probeStream(this.#deps.streamUrl);
    if (connection !== this.#connection) return;
    if (presence !== 'live') return this.#leave(presence);
    this.#period = period;
    await this.#closing;
    if (connection !== this.#connection) return;
    try {
      const player = await makePlayer(this.#options.player, {
        mode: this.#options.mode,
        targetMs: this.#options.targetMs,
        onFatal: (message) => this.#onFatal(connection, message),
      });
      if (connection !== this.#connection) return this.#close(player);
      this.#player = player;
      await player.load(this.#deps.video, this.#deps.streamUrl);
    } catch (error) {
      this.#onFatal(connection, error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * Asks whether a stream that does not move is still there. Where it has begun anew after an outage the player is
   * started anew too: not all players find their way over a hole between two Periods.
   */
  async #ask(connection: number): Promise<void> {
    this.#asking = true;
    const { presence, period } = await probeStream(this.#deps.streamUrl);
    this.#asking = false;
    this.#askedAtMs = performance.now();
    if (connection !== this.#connection || !isStanding(this.#state)) return;
    if (presence !== 'live') this.#leave(presence);
    else if (period !== this.#period) this.connect();
  }

  /** A player that has shown all there is says so also when its publisher is only away: the server knows better. */
  #onEnded(): void {
    this.#standingSinceMs = performance.now();
    this.stalls.begin(this.#standingSinceMs);
    this.#become('stalled');
    void this.#ask(this.#connection);
  }

  #onFatal(connection: number, message: string): void {
    if (connection !== this.#connection) return;
    this.#fatalErrors++;
    this.#error = message;
    this.#release();
    this.#become('connecting');
    this.#retry();
  }

  /** The stream is not there to be played: waits for it. */
  #leave(presence: Exclude<StreamPresence, 'live'>): void {
    this.#release();
    this.#become(presence);
    this.#retry();
  }

  #retry(): void {
    const connection = this.#connection;
    this.#retryTimer = setTimeout(() => void this.#tryConnect(connection), RETRY_MS);
  }

  #release(): void {
    this.#connection++;
    clearTimeout(this.#retryTimer);
    this.stalls.end(performance.now());
    this.#jumping = false;
    this.#asking = false;
    const player = this.#player;
    this.#player = undefined;
    if (player) this.#close(player);
  }

  /** A player that fails to clean up is of no interest any more. */
  #close(player: Player): void {
    this.#closing = this.#closing.then(() => player.destroy()).catch(() => undefined);
  }

  #play(): void {
    const connection = this.#connection;
    if (this.#state === 'paused' && !this.#jumping) return;
    this.#deps.video.play().catch((error: unknown) => {
      const refused = error instanceof DOMException && error.name === 'NotAllowedError';
      if (refused && connection === this.#connection) this.#become('blocked');
    });
  }

  #onPlaying(): void {
    this.stalls.end(performance.now());
    this.#jumping = false;
    this.#error = undefined;
    this.#become('playing');
  }

  /** Some browsers go on after a short wait without saying that they play. */
  #onTime(): void {
    const { video } = this.#deps;
    const moving = !video.paused && !video.seeking && video.readyState >= video.HAVE_FUTURE_DATA;
    if (moving && this.#state === 'stalled') this.#onPlaying();
  }

  #onWaiting(): void {
    if (this.#state !== 'playing' || this.#deps.video.paused || this.#jumping) return;
    this.#standingSinceMs = performance.now();
    this.stalls.begin(this.#standingSinceMs);
    this.#become('stalled');
  }

  #onPause(): void {
    // While it stands still a player pauses of its own accord, at the end of what there is: that is not the viewer.
    if (this.#deps.video.ended || isStanding(this.#state)) return;
    this.stalls.end(performance.now());
    this.#become('paused');
  }

  #become(state: PlaybackState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#deps.onState(state);
  }
}

function isStanding(state: PlaybackState): boolean {
  return state === 'connecting' || state === 'stalled';
}
