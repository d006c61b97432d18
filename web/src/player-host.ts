import type { SessionStatus } from '../sdk/session.ts';
import { AUTO, type PageOptions } from './page-options.ts';
import type { Playback, PlaybackState } from './playback.ts';
import { makePlayer, type Player, type PlayerOptions, type Rendition } from './players/player.ts';
import { StallMeter } from './stall-meter.ts';
import { refusalOf, type StreamAccess, type StreamSource } from './stream-source.ts';

export interface HostDeps {
  readonly video: HTMLVideoElement;
  readonly source: StreamSource;
  readonly onState: (state: PlaybackState) => void;
}

/** How the next player is to be started. */
export interface PlayerStart {
  readonly options: Omit<PlayerOptions, 'onFatal' | 'licenses'>;
  readonly startSeconds: number | undefined;
}

/** How long to wait before the server is asked again. */
const RETRY_MS = 2000;

/**
 * Keeps one player at a time in the page's video element, and starts another where one fails or the viewer wants it. What
 * is special about a live stream, and about a title, is their own.
 */
export abstract class PlayerHost implements Playback {
  readonly stalls = new StallMeter();
  protected readonly video: HTMLVideoElement;
  protected readonly source: StreamSource;
  protected player: Player | undefined;
  /** Grows with each connection: what belongs to an earlier one is dropped. */
  protected connection = 0;
  protected standingSinceMs = 0;
  readonly #onState: (state: PlaybackState) => void;
  #options: PageOptions;
  #state: PlaybackState = 'connecting';
  /** Settles when the players before have left the element: two at a time would break each other. */
  #closing: Promise<void> = Promise.resolve();
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #fatalErrors = 0;
  #starts = 0;
  #error: string | undefined;
  /** The wish for a rendition that the present player was told. */
  #toldRendition = AUTO;

  constructor({ video, source, onState }: HostDeps, options: PageOptions) {
    this.video = video;
    this.source = source;
    this.#onState = onState;
    this.#options = options;
    source.onLost = () => this.leave('over');
    this.on('canplay', () => this.play());
    this.on('playing', () => this.onPlaying());
    this.on('waiting', () => this.onWaiting());
    this.on('pause', () => this.onPause());
    this.on('ended', () => this.onEnded());
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
    return undefined;
  }

  get latencyReport(): Playback['latencyReport'] {
    return this.player?.latencyReport();
  }

  get pass(): SessionStatus | undefined {
    return this.source.status;
  }

  get renditions(): readonly Rendition[] {
    return this.player?.renditions() ?? [];
  }

  get loadingRendition(): string | undefined {
    return this.player?.loadingRendition();
  }

  selectRendition(wish: string): void {
    this.#options = { ...this.#options, rendition: wish };
    this.tellRendition();
  }

  connect(options: PageOptions = this.#options): void {
    this.#options = options;
    this.release();
    this.standingSinceMs = performance.now();
    this.become('connecting');
    void this.#tryConnect(this.connection);
  }

  abstract togglePlay(): void;
  abstract check(): void;

  resetCounts(): void {
    this.stalls.reset(performance.now());
    this.#fatalErrors = 0;
    this.#starts = 0;
    this.#error = undefined;
  }

  /** Looks whether there is anything to play. Undefined: not now; where to go from here has been decided. */
  protected abstract prepare(access: StreamAccess, connection: number): Promise<PlayerStart | undefined>;
  /** Whether playback may begin by itself. */
  protected abstract mayPlay(): boolean;
  protected abstract onWaiting(): void;
  protected abstract onPause(): void;
  protected abstract onEnded(): void;

  /** Hears an event of the element while there is a player: those of an emptied element are echoes of the one before. */
  protected on(event: keyof HTMLMediaElementEventMap, act: () => void): void {
    this.video.addEventListener(event, () => {
      if (this.player) act();
    });
  }

  protected onPlaying(): void {
    this.stalls.end(performance.now());
    this.#error = undefined;
    this.become('playing');
  }

  protected play(): void {
    const { connection } = this;
    if (!this.mayPlay()) return;
    this.video.play().catch((error: unknown) => {
      const refused = error instanceof DOMException && error.name === 'NotAllowedError';
      if (refused && connection === this.connection) this.become('blocked');
    });
  }

  /** A player can be told once it knows its renditions. Each begins with choosing by itself. */
  protected tellRendition(): void {
    const { rendition } = this.#options;
    if (!this.player || this.#toldRendition === rendition) return;
    const isThere = this.renditions.some(({ id }) => id === rendition);
    if (rendition !== AUTO && !isThere) return;
    this.player.selectRendition(rendition);
    this.#toldRendition = rendition;
  }

  /** Begins a stall, from when it really began. */
  protected stall(sinceMs: number): void {
    this.standingSinceMs = sinceMs;
    this.stalls.begin(sinceMs);
    this.become('stalled');
  }

  /** Cannot play now: waits for it, unless that is the viewer's to decide. */
  protected leave(state: PlaybackState): void {
    this.release();
    this.become(state);
    if (!isTheViewers(state)) this.retry();
  }

  protected retry(waitMs = RETRY_MS): void {
    const { connection } = this;
    this.#retryTimer = setTimeout(() => void this.#tryConnect(connection), waitMs);
  }

  protected release(): void {
    this.connection++;
    clearTimeout(this.#retryTimer);
    this.stalls.end(performance.now());
    const { player } = this;
    this.player = undefined;
    if (player) this.#close(player);
  }

  protected become(state: PlaybackState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }

  async #tryConnect(connection: number): Promise<void> {
    try {
      const access = await this.source.open();
      if (connection === this.connection) await this.#connectTo(access, connection);
    } catch (error) {
      if (connection !== this.connection) return;
      const { state, message } = refusalOf(error);
      this.#error = message;
      this.leave(state);
    }
  }

  async #connectTo(access: StreamAccess, connection: number): Promise<void> {
    const start = await this.prepare(access, connection);
    if (!start || connection !== this.connection) return;
    await this.#closing;
    if (connection !== this.connection) return;
    try {
      const player = await makePlayer(this.#options.player, {
        ...start.options,
        licenses: access.licenses,
        onFatal: (message) => this.#onFatal(connection, message),
      });
      if (connection !== this.connection) return this.#close(player);
      this.player = player;
      this.#starts++;
      this.#toldRendition = AUTO;
      await player.load(this.video, access.streamUrl, start.startSeconds);
    } catch (error) {
      this.#onFatal(connection, error instanceof Error ? error.message : String(error));
    }
  }

  #onFatal(connection: number, message: string): void {
    if (connection !== this.connection) return;
    this.#fatalErrors++;
    this.#error = message;
    this.leave('connecting');
  }

  /** A player that fails to clean up is of no interest any more. */
  #close(player: Player): void {
    this.#closing = this.#closing.then(() => player.destroy()).catch(() => undefined);
  }
}

/** What goes on only when the viewer wants it: nobody's place is taken unasked. */
function isTheViewers(state: PlaybackState): boolean {
  return state === 'limit' || state === 'over';
}
