import { byId } from './dom.ts';
import type { Track } from './players/player.ts';
import type { TitlePlayback } from './title-playback.ts';

const NONE = '';
const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2] as const;

/** The choices that a title has and a live stream has not: sound, subtitles, speed. */
export class TitleMenus {
  readonly #video: HTMLVideoElement;
  readonly #playback: TitlePlayback;
  readonly #audio = byId('audio', HTMLSelectElement);
  readonly #text = byId('text', HTMLSelectElement);
  readonly #speed = byId('speed', HTMLSelectElement);
  /** What is listed now, so that an open menu is left alone. */
  readonly #listed = new WeakMap<HTMLSelectElement, string>();

  constructor(video: HTMLVideoElement, playback: TitlePlayback) {
    this.#video = video;
    this.#playback = playback;
    this.#speed.replaceChildren(...SPEEDS.map((rate) => new Option(`${rate}×`, String(rate))));
    this.#speed.value = '1';
    labelOf(this.#speed).hidden = false;
    this.#audio.addEventListener('change', () => playback.selectAudio(this.#audio.value));
    this.#text.addEventListener('change', () => playback.selectText(this.#text.value || undefined));
    this.#speed.addEventListener('change', () => this.#setSpeed());
    // Each player begins at its own pace.
    video.addEventListener('canplay', () => this.#setSpeed());
  }

  /** Shows what there is now; to be called twice a second. */
  update(): void {
    const { audios, texts } = this.#playback;
    this.#list(this.#audio, audios, 2, []);
    this.#list(this.#text, texts, 1, [new Option('No subtitles', NONE)]);
  }

  #setSpeed(): void {
    this.#video.playbackRate = Number(this.#speed.value);
  }

  #list(menu: HTMLSelectElement, tracks: readonly Track[], least: number, before: readonly Option[]): void {
    const listed = tracks.map(({ id, label }) => `${id} ${label}`).join('\n');
    if (this.#listed.get(menu) !== listed) {
      menu.replaceChildren(...before, ...tracks.map(({ id, label }) => new Option(label, id)));
      this.#listed.set(menu, listed);
    }
    labelOf(menu).hidden = tracks.length < least;
    const active = tracks.find(({ isActive }) => isActive)?.id ?? NONE;
    if (document.activeElement !== menu && menu.value !== active) menu.value = active;
  }
}

type Option = HTMLOptionElement;

function labelOf(menu: HTMLSelectElement): HTMLElement {
  const label = menu.closest('label');
  if (!label) throw new Error('the menu has no label');
  return label;
}
