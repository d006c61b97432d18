import { type MediaLike, reportMedia } from '../sdk/media-reporter.ts';
import type { SessionStatus } from '../sdk/session.ts';
import type { TitleResume } from '../sdk/title-resume.ts';
import { AUTO, type PageOptions } from './page-options.ts';
import type { Playback, PlaybackState } from './playback.ts';
import { makePlayer, type Player, type Rendition, type Track } from './players/player.ts';
import { StallMeter } from './stall-meter.ts';
import { refusalOf, type StreamAccess, type StreamSource } from './stream-source.ts';

export interface TitleDeps {
  readonly video: HTMLVideoElement;
  readonly source: StreamSource;
  readonly onState: (state: PlaybackState) => void;
  /** Playback begins at this place, where the viewer was. */
  readonly onContinued: (positionMs: number) => void;
  /** Another device has gone on: its name; undefined once this one plays again. */
  readonly onHandedOff: (device: string | undefined) => void;
}

const RETRY_MS = 2000;
/** Standing still for so long, the player is started anew. */
const RESTART_MS = 30_000;
const TIMEOUT_MS = 5000;

/** Plays one title from beginning to end, from where the viewer was; hands over to the viewer's other devices. */
export class TitlePlayback implements Playback {
  readonly stalls = new StallMeter();
  /** Delays are of live streams. */
  readonly latencyMs = undefined;
  readonly latencyReport = undefined;
  readonly #deps: TitleDeps;
  #options: PageOptions;
  #state: PlaybackState = 'connecting';
  #player: Player | undefined;
  #closing: Promise<void> = Promise.resolve();
  /** Grows with each connection: what belongs to an earlier one is dropped. */
  #connection = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #standingSinceMs = 0;
  #fatalErrors = 0;
  #starts = 0;
  #error: string | undefined;
  #toldRendition = AUTO;
  /** Where it was when the player was let go. */
  #leftSeconds: number | undefined;
  /** As the manifest declares it: of a title that still grows the element does not know. */
  #declaredSeconds = Number.NaN;
  #resume: TitleResume | undefined;
  #stopReports: (() => void) | undefined;

  constructor(deps: TitleDeps, options: PageOptions) {
    this.#deps = deps;
    this.#options = options;
    deps.source.onLost = () => this.#leave('over');
    const on = (event: keyof HTMLMediaElementEventMap, act: () => void): void =>
      deps.video.addEventListener(event, () => {
        if (this.#player) act();
      });
    on('canplay', () => this.#play());
    on('play', () => this.#onPlay());
    on('playing', () => this.#onPlaying());
    on('waiting', () => this.#onWaiting());
    on('pause', () => this.#onPause());
    on('ended', () => this.#become('ended'));
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
  get pass(): SessionStatus | undefined {
    return this.#deps.source.status;
  }
  get renditions(): readonly Rendition[] {
    return this.#player?.renditions() ?? [];
  }
  get loadingRendition(): string | undefined {
    return this.#player?.loadingRendition();
  }
  get audios(): readonly Track[] {
    return this.#player?.audios() ?? [];
  }
  get texts(): readonly Track[] {
    return this.#player?.texts() ?? [];
  }

  /** Length of the title; NaN while it is not known. */
  get durationSeconds(): number {
    const { duration } = this.#deps.video;
    return Number.isFinite(duration) && duration > 0 ? duration : this.#declaredSeconds;
  }

  selectAudio(id: string): void {
    this.#player?.selectAudio(id);
  }

  selectText(id: string | undefined): void {
    this.#player?.selectText(id);
  }

  selectRendition(wish: string): void {
    this.#options = { ...this.#options, rendition: wish };
    this.#tellRendition();
  }

  connect(options: PageOptions = this.#options): void {
    this.#options = options;
    this.#release();
    this.#standingSinceMs = performance.now();
    this.#become('connecting');
    void this.#tryConnect(this.#connection);
  }

  togglePlay(): void {
    const { video, source } = this.#deps;
    if (this.#state === 'limit') source.takeOver();
    if (!this.#player) return this.connect();
    if (this.#resume?.isSuperseded === true) return void this.goOnHere();
    if (!video.paused && !video.ended) return video.pause();
    this.#become('paused');
    void video.play().catch(() => undefined);
  }

  /** To another place of the title. */
  seek(seconds: number): void {
    const { video } = this.#deps;
    if (this.#player) video.currentTime = Math.max(0, Math.min(seconds, this.durationSeconds || seconds));
  }

  /** Takes playback back from another device, where that one is. */
  async goOnHere(): Promise<void> {
    const { video, onHandedOff } = this.#deps;
    await this.#resume?.takeBack();
    if (this.#resume?.isSuperseded === true) return;
    onHandedOff(undefined);
    const seconds = (this.#resume?.startPositionMs ?? 0) / 1000;
    if (seconds > 0) this.seek(seconds);
    await video.play().catch(() => undefined);
  }

  check(): void {
    this.#tellRendition();
    const standing =
      this.#state === 'stalled' || (this.#state === 'connecting' && this.#player !== undefined);
    if (standing && performance.now() - this.#standingSinceMs > RESTART_MS) this.connect();
  }

  resetCounts(): void {
    this.stalls.reset(performance.now());
    this.#fatalErrors = 0;
    this.#starts = 0;
    this.#error = undefined;
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

  async #connectTo({ streamUrl, licenses, resume }: StreamAccess, connection: number): Promise<void> {
    const manifest = await fetchManifest(streamUrl);
    if (connection !== this.#connection) return;
    if (typeof manifest !== 'string') return this.#leave(manifest.state);
    this.#declaredSeconds = declaredSeconds(manifest);
    await this.#closing;
    if (connection !== this.#connection) return;
    this.#follow(resume);
    try {
      const player = await makePlayer(this.#options.player, {
        mode: 'stock',
        targetMs: undefined,
        licenses,
        onFatal: (message) => this.#onFatal(connection, message),
      });
      if (connection !== this.#connection) return this.#close(player);
      this.#player = player;
      this.#starts++;
      this.#toldRendition = AUTO;
      await player.load(this.#deps.video, streamUrl, this.#startSeconds());
    } catch (error) {
      this.#onFatal(connection, error instanceof Error ? error.message : String(error));
    }
  }

  /** Where it was left on this page, else where the viewer was. */
  #startSeconds(): number | undefined {
    if (this.#leftSeconds !== undefined) return this.#leftSeconds;
    const positionMs = this.#resume?.startPositionMs ?? 0;
    if (positionMs === 0) return undefined;
    this.#deps.onContinued(positionMs);
    return positionMs / 1000;
  }

  #follow(resume: TitleResume | undefined): void {
    if (resume === this.#resume) return;
    this.#stopReports?.();
    this.#resume = resume;
    this.#stopReports = resume && reportMedia(this.#media(), resume, { document, window });
    if (resume) resume.onSuperseded = (record) => this.#onSuperseded(record?.device);
  }

  #media(): MediaLike {
    const { video } = this.#deps;
    const duration = (): number => this.durationSeconds;
    return {
      get currentTime() {
        return video.currentTime;
      },
      get paused() {
        return video.paused;
      },
      get ended() {
        return video.ended;
      },
      get duration() {
        return duration();
      },
      addEventListener: video.addEventListener.bind(video) as EventTarget['addEventListener'],
      removeEventListener: video.removeEventListener.bind(video) as EventTarget['removeEventListener'],
    };
  }

  #onSuperseded(device: string | undefined): void {
    this.#deps.video.pause();
    this.#deps.onHandedOff(device ?? '');
  }

  #onPlay(): void {
    if (this.#resume?.isSuperseded !== true) return;
    // By a key of the keyboard or a headset: here, and from here.
    this.#deps.onHandedOff(undefined);
    void this.#resume.takeBack();
  }

  #tellRendition(): void {
    const { rendition } = this.#options;
    if (!this.#player || this.#toldRendition === rendition) return;
    if (rendition !== AUTO && !this.renditions.some(({ id }) => id === rendition)) return;
    this.#player.selectRendition(rendition);
    this.#toldRendition = rendition;
  }

  #onFatal(connection: number, message: string): void {
    if (connection !== this.#connection) return;
    this.#fatalErrors++;
    this.#error = message;
    this.#leave('connecting');
  }

  #leave(state: PlaybackState): void {
    this.#release();
    this.#become(state);
    if (state === 'limit' || state === 'over') return;
    const connection = this.#connection;
    this.#retryTimer = setTimeout(() => void this.#tryConnect(connection), RETRY_MS);
  }

  #release(): void {
    this.#connection++;
    clearTimeout(this.#retryTimer);
    this.stalls.end(performance.now());
    const { video } = this.#deps;
    if (this.#player && video.currentTime > 0) this.#leftSeconds = video.ended ? 0 : video.currentTime;
    const player = this.#player;
    this.#player = undefined;
    if (player) this.#close(player);
  }

  #close(player: Player): void {
    this.#closing = this.#closing.then(() => player.destroy()).catch(() => undefined);
  }

  #play(): void {
    const connection = this.#connection;
    if (this.#state === 'paused' || this.#state === 'ended' || this.#resume?.isSuperseded === true) return;
    this.#deps.video.play().catch((error: unknown) => {
      const refused = error instanceof DOMException && error.name === 'NotAllowedError';
      if (refused && connection === this.#connection) this.#become('blocked');
    });
  }

  #onPlaying(): void {
    this.stalls.end(performance.now());
    this.#error = undefined;
    this.#become('playing');
  }

  #onWaiting(): void {
    const { video } = this.#deps;
    if (this.#state !== 'playing' || video.paused) return;
    this.#standingSinceMs = performance.now();
    // A seek is the viewer's own wait.
    if (!video.seeking) this.stalls.begin(this.#standingSinceMs);
    this.#become('stalled');
  }

  #onPause(): void {
    if (this.#deps.video.ended) return;
    this.stalls.end(performance.now());
    this.#become('paused');
  }

  #become(state: PlaybackState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#deps.onState(state);
  }
}

/** The MPD, which tells whether the title is there and how long it is. */
async function fetchManifest(url: URL): Promise<string | { readonly state: 'offline' | 'unreachable' }> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(new URL('index.mpd', url), { cache: 'no-store', signal });
    if (answer.ok) return await answer.text();
    return { state: answer.status === 404 ? 'offline' : 'unreachable' };
  } catch {
    return { state: 'unreachable' };
  }
}

function declaredSeconds(mpd: string): number {
  const [, seconds] = /\smediaPresentationDuration="PT([\d.]+)S"/.exec(mpd) ?? [];
  return seconds === undefined ? Number.NaN : Number(seconds);
}
