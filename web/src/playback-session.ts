import type { LatencyReport } from './latency-keeper.ts';
import { AUTO, type PageOptions } from './page-options.ts';
import { makePlayer, type Player, type Rendition } from './players/player.ts';
import type { SessionStatus } from '../sdk/session.ts';
import type { Playback, PlaybackState } from './playback.ts';
import { StallMeter } from './stall-meter.ts';
import { goesOn, probeStream, settlesInMs, type StreamReport } from './stream-probe.ts';
import { refusalOf, type StreamAccess, type StreamSource } from './stream-source.ts';
import { bufferAheadMs } from './video-readings.ts';

/** How long to wait before the server is asked again. */
const RETRY_MS = 2000;
/** Standing still for so long, the stream may be gone or have begun anew: the server is asked, and again so often. */
const DOUBT_MS = 1500;
/** Out of media for so long, the picture stands still, also while the sound goes on. */
const STARVED_MS = 200;
/** Standing still for so long although the stream is live, the player is started anew. */
const RESTART_MS = 15_000;

export interface SessionDeps {
  readonly video: HTMLVideoElement;
  readonly source: StreamSource;
  /** The server's clock, Unix milliseconds. */
  readonly serverNowMs: () => number;
  readonly onState: (state: PlaybackState) => void;
}

/** Plays one stream for as long as the page is open: through outages, ends and changes of player. */
export class PlaybackSession implements Playback {
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
  #starvedSinceMs: number | undefined;
  #asking = false;
  #askedAtMs = 0;
  /** Of the present player. */
  #streamUrl: URL = new URL(location.href);
  /** The stretch of the stream that the player was started in. */
  #period: string | undefined;
  /** The next wait for data is of our own making: a jump to the live edge. */
  #jumping = false;
  #fatalErrors = 0;
  #starts = 0;
  #error: string | undefined;
  /** The wish for a rendition that the present player was told; undefined as long as it could not be. */
  #toldRendition: string | undefined;

  constructor(deps: SessionDeps, options: PageOptions) {
    this.#deps = deps;
    this.#options = options;
    const on = (event: keyof HTMLMediaElementEventMap, act: () => void): void =>
      deps.video.addEventListener(event, () => {
        // Events of an emptied element are echoes of the player that was destroyed.
        if (this.#player) act();
      });
    deps.source.onLost = () => this.#leave('over');
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

  get fatalErrors(): number {
    return this.#fatalErrors;
  }

  get starts(): number {
    return this.#starts;
  }

  get error(): string | undefined {
    return this.#error;
  }

  get latencyMs(): number | undefined {
    const seconds = this.#state === 'playing' ? this.#player?.latencySeconds() : undefined;
    return seconds === undefined ? undefined : seconds * 1000;
  }

  get latencyReport(): LatencyReport | undefined {
    return this.#player?.latencyReport();
  }

  get pass(): SessionStatus | undefined {
    return this.#deps.source.status;
  }

  get renditions(): readonly Rendition[] {
    return this.#player?.renditions() ?? [];
  }

  get loadingRendition(): string | undefined {
    return this.#player?.loadingRendition();
  }

  selectRendition(wish: string): void {
    this.#options = { ...this.#options, rendition: wish };
    this.#toldRendition = undefined;
    this.#tellRendition();
  }

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
    if (this.#state === 'limit') this.#deps.source.takeOver();
    if (!this.#player) return this.connect();
    if (!video.paused) return video.pause();
    this.#jumping = true;
    this.#player.seekToLive();
    this.#play();
  }

  check(): void {
    this.#watchBuffer(performance.now());
    this.#tellRendition();
    if (!this.#player || !isStanding(this.#state)) return;
    const standingMs = performance.now() - this.#standingSinceMs;
    if (standingMs > RESTART_MS) return this.connect();
    const askedMs = performance.now() - this.#askedAtMs;
    if (Math.min(standingMs, askedMs) > DOUBT_MS && !this.#asking) void this.#ask(this.#connection);
  }

  resetCounts(): void {
    this.stalls.reset(performance.now());
    this.#fatalErrors = 0;
    this.#starts = 0;
    this.#error = undefined;
  }

  /** Chromium plays the sound on for a while when only the picture has run dry, and says nothing. */
  #watchBuffer(nowMs: number): void {
    const { video } = this.#deps;
    const starved = this.#state === 'playing' && !video.seeking && bufferAheadMs(video) <= 0;
    if (!starved) this.#starvedSinceMs = undefined;
    else if (nowMs - (this.#starvedSinceMs ??= nowMs) >= STARVED_MS) this.#stall(this.#starvedSinceMs);
  }

  /** A player can be told once it knows its renditions. Each begins with choosing by itself. */
  #tellRendition(): void {
    const { rendition } = this.#options;
    const told = this.#toldRendition ?? '';
    if (!this.#player || told === rendition) return;
    const isThere = this.renditions.some(({ id }) => id === rendition);
    if (rendition !== AUTO && !isThere) return;
    this.#player.selectRendition(rendition);
    this.#toldRendition = rendition;
  }

  async #tryConnect(connection: number): Promise<void> {
    try {
      const access = await this.#deps.source.open();
      if (connection === this.#connection) await this.#connectTo(access, connection);
    } catch (error) {
      if (connection !== this.#connection) return;
      const { state, message } = refusalOf(error);
      this.#error = message;
      this.#leave(state);
    }
  }

  async #connectTo({ streamUrl, licenses }: StreamAccess, connection: number): Promise<void> {
    const report = await probeStream(streamUrl);
    const { presence, stretch } = report;
    if (connection !== this.#connection) return;
    if (presence !== 'live') return this.#leave(presence);
    const waitMs = this.#settlesInMs(report);
    if (waitMs > 0) return this.#retry(waitMs);
    this.#streamUrl = streamUrl;
    this.#period = stretch.at(-1);
    await this.#closing;
    if (connection !== this.#connection) return;
    try {
      const player = await makePlayer(this.#options.player, {
        mode: this.#options.mode,
        targetMs: this.#options.targetMs,
        licenses,
        onFatal: (message) => this.#onFatal(connection, message),
      });
      if (connection !== this.#connection) return this.#close(player);
      this.#player = player;
      this.#starts++;
      this.#toldRendition = this.#options.rendition === AUTO ? AUTO : undefined;
      await player.load(this.#deps.video, streamUrl);
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
    const report = await probeStream(this.#streamUrl);
    const { presence } = report;
    this.#asking = false;
    this.#askedAtMs = performance.now();
    if (connection !== this.#connection || !isStanding(this.#state)) return;
    if (presence !== 'live') this.#leave(presence);
    else if (!goesOn(report, this.#period)) this.#startAnew(this.#settlesInMs(report));
  }

  /** Until then the last picture stays. */
  #startAnew(waitMs: number): void {
    if (waitMs === 0) this.connect();
    else this.#askedAtMs += waitMs - DOUBT_MS;
  }

  #settlesInMs(report: StreamReport): number {
    return settlesInMs(report, this.#options.targetMs ?? 0, this.#deps.serverNowMs());
  }

  /** A player that has shown all there is says so also when its publisher is only away: the server knows better. */
  #onEnded(): void {
    this.#stall(performance.now());
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
  #leave(state: PlaybackState): void {
    this.#release();
    this.#become(state);
    if (!isTheViewers(state)) this.#retry();
  }

  #retry(waitMs = RETRY_MS): void {
    const connection = this.#connection;
    this.#retryTimer = setTimeout(() => void this.#tryConnect(connection), waitMs);
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
    if (moving && bufferAheadMs(video) > 0 && this.#state === 'stalled') this.#onPlaying();
  }

  #onWaiting(): void {
    if (this.#state === 'playing' && !this.#deps.video.paused && !this.#jumping) {
      this.#stall(performance.now());
    }
  }

  #stall(sinceMs: number): void {
    this.#standingSinceMs = sinceMs;
    this.stalls.begin(sinceMs);
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

/** What goes on only when the viewer wants it: nobody's place is taken unasked. */
function isTheViewers(state: PlaybackState): boolean {
  return state === 'limit' || state === 'over';
}

function isStanding(state: PlaybackState): boolean {
  return state === 'connecting' || state === 'stalled';
}
