import type { PageOptions } from './page-options.ts';
import { type HostDeps, PlayerHost, type PlayerStart } from './player-host.ts';
import type { PlaybackState } from './playback.ts';
import type { SeekRange } from './players/player.ts';
import { goesOn, probeStream, settlesInMs, type StreamReport } from './stream-probe.ts';
import type { StreamAccess } from './stream-source.ts';
import { bufferAheadMs } from './video-readings.ts';

/** Standing still for so long, the stream may be gone or have begun anew: the server is asked, and again so often. */
const DOUBT_MS = 1500;
/** Out of media for so long, the picture stands still, also while the sound goes on. */
const STARVED_MS = 200;
/** Standing still for so long although the stream is live, the player is started anew. */
const RESTART_MS = 15_000;
/** A stream that keeps no more than this is one to watch live: playing on means the live edge. */
const REWINDABLE_SECONDS = 90;
/** So near to the live edge is live. */
const LIVE_SECONDS = 3;
/** What is older than the window goes away while it is being played. */
const OLDEST_MARGIN_SECONDS = 4;

export interface SessionDeps extends HostDeps {
  /** The server's clock, Unix milliseconds. */
  readonly serverNowMs: () => number;
}

/**
 * Plays one stream for as long as the page is open: through outages, ends and changes of player. Where the server keeps
 * more than a moment of it the viewer may go back, and pause; then nothing draws playback to the live edge.
 */
export class PlaybackSession extends PlayerHost {
  readonly #serverNowMs: () => number;
  #starvedSinceMs: number | undefined;
  #asking = false;
  #askedAtMs = 0;
  /** Of the present player. */
  #streamUrl: URL = new URL(location.href);
  /** The stretch of the stream that the player was started in. */
  #period: string | undefined;
  /** How far back the server keeps the stream. */
  #depthSeconds = 0;
  /** The next wait for data is of our own making: a jump to the live edge. */
  #jumping = false;
  /** The viewer is not at the live edge and wants it so. */
  #isBehind = false;

  constructor(deps: SessionDeps, options: PageOptions) {
    super(deps, options);
    this.#serverNowMs = deps.serverNowMs;
    this.on('timeupdate', () => this.#onTime());
  }

  override get latencyMs(): number | undefined {
    const seconds = this.state === 'playing' ? this.player?.latencySeconds() : undefined;
    return seconds === undefined ? undefined : seconds * 1000;
  }

  /** Where the viewer may go, on the element's timeline; undefined where there is only live. */
  get seekRange(): SeekRange | undefined {
    if (this.#depthSeconds < REWINDABLE_SECONDS) return undefined;
    return this.player?.seekRange();
  }

  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** To another place of what is kept; near the live edge that is live. */
  seek(seconds: number): void {
    const range = this.seekRange;
    if (!range) return;
    if (seconds > range.end - LIVE_SECONDS) return this.goLive();
    this.#leaveEdge();
    this.video.currentTime = Math.max(seconds, Math.min(range.end, range.start + OLDEST_MARGIN_SECONDS));
  }

  goLive(): void {
    if (!this.player) return;
    this.#isBehind = false;
    this.#jumping = true;
    this.player.followEdge(true);
    this.player.seekToLive();
    this.play();
  }

  /** Play and pause of the viewer. Where nothing is kept, playing on means the live edge. */
  togglePlay(): void {
    const { video } = this;
    if (this.state === 'limit') this.source.takeOver();
    if (!this.player) return this.connect();
    if (!video.paused) return video.pause();
    const range = this.seekRange;
    if (!range) return this.goLive();
    this.#leaveEdge();
    this.#jumping = true;
    if (video.currentTime < range.start) this.seek(range.start);
    this.play();
  }

  check(): void {
    this.#watchBuffer(performance.now());
    this.tellRendition();
    if (!this.player || !isStanding(this.state)) return;
    const standingMs = performance.now() - this.standingSinceMs;
    if (standingMs > RESTART_MS) return this.connect();
    const askedMs = performance.now() - this.#askedAtMs;
    if (Math.min(standingMs, askedMs) > DOUBT_MS && !this.#asking) void this.#ask(this.connection);
  }

  protected async prepare({ streamUrl }: StreamAccess, connection: number): Promise<PlayerStart | undefined> {
    const report = await probeStream(streamUrl);
    if (connection !== this.connection) return undefined;
    const waitMs = report.presence === 'live' ? this.#settlesInMs(report) : 0;
    if (report.presence !== 'live') this.leave(report.presence);
    else if (waitMs > 0) this.retry(waitMs);
    else {
      this.#streamUrl = streamUrl;
      this.#period = report.stretch.at(-1);
      this.#depthSeconds = report.depthSeconds;
      const { mode, targetMs } = this.options;
      return { options: { mode, targetMs }, startSeconds: undefined };
    }
    return undefined;
  }

  protected mayPlay(): boolean {
    return this.state !== 'paused' || this.#jumping;
  }

  protected override release(): void {
    super.release();
    this.#jumping = false;
    this.#asking = false;
    this.#isBehind = false;
  }

  protected override onPlaying(): void {
    this.#jumping = false;
    super.onPlaying();
  }

  protected onWaiting(): void {
    const { video } = this;
    const isOwnWait = this.#jumping || (this.#isBehind && video.seeking);
    if (this.state === 'playing' && !video.paused && !isOwnWait) this.stall(performance.now());
  }

  protected onPause(): void {
    // While it stands still a player pauses of its own accord, at the end of what there is: that is not the viewer.
    if (this.video.ended || isStanding(this.state)) return;
    this.stalls.end(performance.now());
    this.become('paused');
  }

  /** A player that has shown all there is says so also when its publisher is only away: the server knows better. */
  protected onEnded(): void {
    this.stall(performance.now());
    void this.#ask(this.connection);
  }

  #leaveEdge(): void {
    this.#isBehind = true;
    this.player?.followEdge(false);
  }

  /** Chromium plays the sound on for a while when only the picture has run dry, and says nothing. */
  #watchBuffer(nowMs: number): void {
    const { video } = this;
    const starved = this.state === 'playing' && !video.seeking && bufferAheadMs(video) <= 0;
    if (!starved) this.#starvedSinceMs = undefined;
    else if (nowMs - (this.#starvedSinceMs ??= nowMs) >= STARVED_MS) this.stall(this.#starvedSinceMs);
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
    if (connection !== this.connection || !isStanding(this.state)) return;
    if (presence !== 'live') this.leave(presence);
    else if (!this.#isBehind && !goesOn(report, this.#period)) this.#startAnew(this.#settlesInMs(report));
  }

  /** Until then the last picture stays. */
  #startAnew(waitMs: number): void {
    if (waitMs === 0) this.connect();
    else this.#askedAtMs += waitMs - DOUBT_MS;
  }

  #settlesInMs(report: StreamReport): number {
    return settlesInMs(report, this.options.targetMs ?? 0, this.#serverNowMs());
  }

  /** Some browsers go on after a short wait without saying that they play. */
  #onTime(): void {
    const { video } = this;
    const moving = !video.paused && !video.seeking && video.readyState >= video.HAVE_FUTURE_DATA;
    if (moving && bufferAheadMs(video) > 0 && this.state === 'stalled') this.onPlaying();
  }
}

function isStanding(state: PlaybackState): boolean {
  return state === 'connecting' || state === 'stalled';
}
