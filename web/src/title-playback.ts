import { type MediaLike, reportMedia } from '../sdk/media-reporter.ts';
import type { TitleResume } from '../sdk/title-resume.ts';
import type { PageOptions } from './page-options.ts';
import { type HostDeps, PlayerHost, type PlayerStart } from './player-host.ts';
import type { Track } from './players/player.ts';
import type { StreamAccess } from './stream-source.ts';

export interface TitleDeps extends HostDeps {
  /** Playback begins at this place, where the viewer was. */
  readonly onContinued: (positionMs: number) => void;
  /** Another device has gone on: its name; undefined once this one plays again. */
  readonly onHandedOff: (device: string | undefined) => void;
}

/** Standing still for so long, the player is started anew. */
const RESTART_MS = 30_000;
const TIMEOUT_MS = 5000;

/** Plays one title from beginning to end, from where the viewer was; hands over to the viewer's other devices. */
export class TitlePlayback extends PlayerHost {
  readonly #deps: TitleDeps;
  /** Where it was when the player was let go. */
  #leftSeconds: number | undefined;
  /** As the manifest declares it: of a title that still grows the element does not know. */
  #declaredSeconds = Number.NaN;
  #resume: TitleResume | undefined;
  #stopReports: (() => void) | undefined;

  constructor(deps: TitleDeps, options: PageOptions) {
    super(deps, options);
    this.#deps = deps;
    this.on('play', () => this.#onPlay());
  }

  get audios(): readonly Track[] {
    return this.player?.audios() ?? [];
  }

  get texts(): readonly Track[] {
    return this.player?.texts() ?? [];
  }

  /** Length of the title; NaN while it is not known. */
  get durationSeconds(): number {
    const { duration } = this.video;
    return Number.isFinite(duration) && duration > 0 ? duration : this.#declaredSeconds;
  }

  selectAudio(id: string): void {
    this.player?.selectAudio(id);
  }

  selectText(id: string | undefined): void {
    this.player?.selectText(id);
  }

  togglePlay(): void {
    const { video } = this;
    if (this.state === 'limit') this.source.takeOver();
    if (!this.player) return this.connect();
    if (this.#isElsewhere) return void this.goOnHere();
    if (!video.paused && !video.ended) return video.pause();
    this.become('paused');
    void video.play().catch(() => undefined);
  }

  /** To another place of the title. */
  seek(seconds: number): void {
    if (this.player) this.video.currentTime = Math.max(0, Math.min(seconds, this.durationSeconds || seconds));
  }

  /** Takes playback back from another device, where that one is. */
  async goOnHere(): Promise<void> {
    await this.#resume?.takeBack();
    if (this.#isElsewhere) return;
    this.#deps.onHandedOff(undefined);
    const seconds = (this.#resume?.startPositionMs ?? 0) / 1000;
    if (seconds > 0) this.seek(seconds);
    await this.video.play().catch(() => undefined);
  }

  check(): void {
    this.tellRendition();
    const standing = this.state === 'stalled' || (this.state === 'connecting' && this.player !== undefined);
    if (standing && performance.now() - this.standingSinceMs > RESTART_MS) this.connect();
  }

  protected async prepare(
    { streamUrl, resume }: StreamAccess,
    connection: number,
  ): Promise<PlayerStart | undefined> {
    const manifest = await fetchManifest(streamUrl);
    if (connection !== this.connection) return undefined;
    if (typeof manifest !== 'string') {
      this.leave(manifest.state);
      return undefined;
    }
    this.#declaredSeconds = declaredSeconds(manifest);
    this.#follow(resume);
    return { options: { mode: 'stock', targetMs: undefined }, startSeconds: this.#startSeconds() };
  }

  protected mayPlay(): boolean {
    return this.state !== 'paused' && this.state !== 'ended' && !this.#isElsewhere;
  }

  protected override release(): void {
    const { video } = this;
    if (this.player && video.currentTime > 0) this.#leftSeconds = video.ended ? 0 : video.currentTime;
    super.release();
  }

  protected onWaiting(): void {
    const { video } = this;
    if (this.state !== 'playing' || video.paused) return;
    if (!video.seeking) return this.stall(performance.now());
    // A seek is the viewer's own wait.
    this.standingSinceMs = performance.now();
    this.become('stalled');
  }

  protected onPause(): void {
    if (this.video.ended) return;
    this.stalls.end(performance.now());
    this.become('paused');
  }

  protected onEnded(): void {
    this.become('ended');
  }

  get #isElsewhere(): boolean {
    return this.#resume?.isSuperseded === true;
  }

  /**
   * Where it was left on this page, else where the viewer was, else its beginning: a title that is still being made would
   * be begun at its end otherwise, as a live stream is.
   */
  #startSeconds(): number {
    if (this.#leftSeconds !== undefined) return this.#leftSeconds;
    const positionMs = this.#resume?.startPositionMs ?? 0;
    if (positionMs === 0) return 0;
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
    const { video } = this;
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
    this.video.pause();
    this.#deps.onHandedOff(device ?? '');
  }

  #onPlay(): void {
    if (!this.#isElsewhere) return;
    // By a key of the keyboard or a headset: here, and from here.
    this.#deps.onHandedOff(undefined);
    void this.#resume?.takeBack();
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
