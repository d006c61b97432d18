import { byId, setText } from './dom.ts';
import { formatPageOptions, MODES, type PageOptions, PLAYER_NAMES } from './page-options.ts';
import type { Playback, PlaybackState } from './playback.ts';

/** Words for the viewer: short for the status line, longer over an empty picture. */
const WORDS: {
  readonly [K in PlaybackState]: {
    readonly status: string;
    readonly curtain: string | undefined;
    /** What a click does that goes on from here; undefined: nothing to click. */
    readonly start?: string;
  };
} = {
  connecting: { status: 'Connecting', curtain: 'Connecting…' },
  playing: { status: 'Playing', curtain: undefined },
  stalled: { status: 'Stalled', curtain: undefined },
  paused: { status: 'Paused', curtain: undefined },
  blocked: {
    status: 'Waiting for you',
    curtain: 'Your browser wants a click before it plays.',
    start: 'Play',
  },
  offline: { status: 'Offline', curtain: 'Nobody is publishing here. Looking again every 2 seconds…' },
  ended: { status: 'Ended', curtain: 'The stream has ended. If it comes back, it plays here.' },
  refused: { status: 'Refused', curtain: 'You may not watch this stream, or your session is over.' },
  limit: {
    status: 'Too many',
    curtain: 'You are watching on as many devices as you may.',
    start: 'Watch here instead',
  },
  over: { status: 'Over', curtain: 'This session is over, or goes on elsewhere.', start: 'Watch here' },
  unreachable: { status: 'No answer', curtain: 'The server does not answer. Trying again every 2 seconds…' },
};

/** Where a title needs other words. */
const TITLE_WORDS: typeof WORDS = {
  ...WORDS,
  offline: {
    status: 'Not here',
    curtain: 'There is no such title, or not yet. Looking again every 2 seconds…',
  },
  ended: { status: 'Ended', curtain: 'That was all.', start: 'Play again' },
  refused: { status: 'Refused', curtain: 'You may not watch this, or not now.' },
};

/** Keys that act in the whole page. */
type KeyTable = { readonly [key: string]: () => void };

/** Buttons, choices and keys of the watch page. */
export class Controls {
  readonly #video: HTMLVideoElement;
  readonly #words: typeof WORDS;
  readonly #session: () => Playback;
  readonly #status = byId('state', HTMLElement);
  readonly #curtain = byId('curtain', HTMLElement);
  readonly #curtainText = byId('curtain-text', HTMLElement);
  readonly #start = byId('start', HTMLButtonElement);
  readonly #play = byId('play', HTMLButtonElement);
  readonly #mute = byId('mute', HTMLButtonElement);
  readonly #volume = byId('volume', HTMLInputElement);
  readonly #fullscreen = byId('fullscreen', HTMLButtonElement);
  readonly #stage = byId('stage', HTMLElement);
  readonly #choices = byId('choices', HTMLFormElement);

  constructor(video: HTMLVideoElement, session: () => Playback, options: PageOptions, kind: 'live' | 'vod') {
    this.#video = video;
    this.#words = kind === 'vod' ? TITLE_WORDS : WORDS;
    this.#session = session;
    this.#check('player', options.player);
    this.#check('mode', options.mode);
    this.#start.addEventListener('click', () => this.#session().togglePlay());
    this.#play.addEventListener('click', () => this.#session().togglePlay());
    this.#mute.addEventListener('click', () => this.#toggleMute());
    this.#fullscreen.addEventListener('click', () => this.#toggleFullscreen());
    this.#volume.addEventListener('input', () => this.#setVolume());
    this.#choices.addEventListener('change', () => this.#choose());
    this.#choices.addEventListener('submit', (event) => event.preventDefault());
    video.addEventListener('volumechange', () => this.#showVolume());
    document.addEventListener('fullscreenchange', () => this.#showFullscreen());
    document.addEventListener('keydown', (event) => this.#onKey(event));
    this.#fullscreen.hidden = !document.fullscreenEnabled;
    this.#showVolume();
  }

  /** Shows where playback stands. */
  show(state: PlaybackState): void {
    const words = this.#words[state];
    setText(this.#status, words.status);
    this.#status.dataset['state'] = state;
    this.#curtain.hidden = words.curtain === undefined;
    setText(this.#curtainText, words.curtain ?? '');
    this.#start.hidden = words.start === undefined;
    setText(this.#start, words.start ?? '');
    setText(this.#play, state === 'paused' || words.start !== undefined ? 'Play' : 'Pause');
    this.#play.disabled = words.curtain !== undefined && words.start === undefined;
  }

  readonly #keys: KeyTable = {
    ' ': () => this.#session().togglePlay(),
    m: () => this.#toggleMute(),
    f: () => this.#toggleFullscreen(),
    ...Object.fromEntries(PLAYER_NAMES.map((name, i) => [String(i + 1), () => this.#pick('player', name)])),
  };

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    // On a control the space bar is that control's own.
    if (
      event.key === ' ' &&
      event.target instanceof Element &&
      event.target.closest('button, a, input, select')
    )
      return;
    const act = this.#keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #pick(name: string, value: string): void {
    this.#check(name, value);
    this.#choose();
  }

  #check(name: string, value: string): void {
    const radio = this.#choices.querySelector(`input[name="${name}"][value="${value}"]`);
    if (radio instanceof HTMLInputElement) radio.checked = true;
  }

  /** Takes the choices into the address, so that it can be shared, and starts the chosen player. */
  #choose(): void {
    const chosen = new FormData(this.#choices);
    const present = this.#session().options;
    const player = PLAYER_NAMES.find((name) => name === chosen.get('player')) ?? present.player;
    const mode = MODES.find((name) => name === chosen.get('mode')) ?? present.mode;
    if (player === present.player && mode === present.mode) return;
    const options = { ...present, player, mode };
    history.replaceState(null, '', formatPageOptions(options, location.search));
    this.#session().connect(options);
  }

  #toggleMute(): void {
    this.#video.muted = !this.#video.muted;
    if (!this.#video.muted && this.#video.volume === 0) this.#video.volume = 1;
  }

  #setVolume(): void {
    this.#video.volume = this.#volume.valueAsNumber;
    this.#video.muted = this.#video.volume === 0;
  }

  #showVolume(): void {
    const { muted, volume } = this.#video;
    setText(this.#mute, muted ? 'Unmute' : 'Mute');
    this.#volume.valueAsNumber = muted ? 0 : volume;
  }

  #toggleFullscreen(): void {
    const done = document.fullscreenElement ? document.exitFullscreen() : this.#stage.requestFullscreen();
    // Refused without a click, or not there at all: the page stays as it is.
    done.catch(() => undefined);
  }

  #showFullscreen(): void {
    setText(this.#fullscreen, document.fullscreenElement ? 'Leave full screen' : 'Full screen');
  }
}
