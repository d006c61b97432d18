import { byId, setText } from './dom.ts';
import { type Thumbnail, thumbnailAt } from './thumbnails.ts';
import { spokenTime, timeText } from './time-text.ts';

export interface SeekBarDeps {
  readonly video: HTMLVideoElement;
  readonly durationSeconds: () => number;
  readonly seek: (seconds: number) => void;
}

/** How far one press of an arrow key goes. */
const STEP_SECONDS = 10;

/** The bar along which a title is played: shows where it is, goes where the viewer wants, and what is there. */
export class SeekBar {
  readonly #deps: SeekBarDeps;
  readonly #row = byId('seek-row', HTMLElement);
  readonly #bar = byId('seek', HTMLInputElement);
  readonly #now = byId('time-now', HTMLElement);
  readonly #all = byId('time-all', HTMLElement);
  readonly #preview = byId('preview', HTMLElement);
  readonly #picture = byId('preview-picture', HTMLElement);
  readonly #time = byId('preview-time', HTMLElement);
  #thumbnails: readonly Thumbnail[] = [];
  /** The viewer has it in hand: it shows where it would go. */
  #isHeld = false;

  constructor(deps: SeekBarDeps) {
    this.#deps = deps;
    this.#row.hidden = false;
    const bar = this.#bar;
    bar.addEventListener('input', () => this.#onInput());
    bar.addEventListener('change', () => this.#onChange());
    bar.addEventListener('keydown', (event) => this.#onKey(event));
    bar.addEventListener('pointermove', (event) => this.#onHover(event));
    for (const name of ['pointerleave', 'blur', 'pointercancel'] as const) {
      bar.addEventListener(name, () => this.#hide());
    }
    deps.video.addEventListener('timeupdate', () => this.update());
    deps.video.addEventListener('durationchange', () => this.update());
    deps.video.addEventListener('seeking', () => this.update());
  }

  set thumbnails(thumbnails: readonly Thumbnail[]) {
    this.#thumbnails = thumbnails;
  }

  /** Shows what is so now. */
  update(): void {
    const duration = this.#deps.durationSeconds();
    this.#bar.disabled = !(duration > 0);
    if (!(duration > 0)) return;
    this.#bar.max = String(duration);
    setText(this.#all, timeText(duration));
    if (!this.#isHeld) this.#show(this.#deps.video.currentTime);
  }

  #show(seconds: number): void {
    const duration = this.#deps.durationSeconds();
    this.#bar.value = String(seconds);
    this.#bar.style.setProperty('--played', `${(100 * seconds) / duration}%`);
    this.#bar.setAttribute('aria-valuetext', `${spokenTime(seconds)} of ${spokenTime(duration)}`);
    setText(this.#now, timeText(seconds));
  }

  #onInput(): void {
    this.#isHeld = true;
    const seconds = this.#bar.valueAsNumber;
    this.#show(seconds);
    this.#showPreview(seconds);
  }

  #onChange(): void {
    this.#isHeld = false;
    this.#deps.seek(this.#bar.valueAsNumber);
    this.#hide();
  }

  #onKey(event: KeyboardEvent): void {
    const { video, durationSeconds, seek } = this.#deps;
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: video.currentTime + STEP_SECONDS,
      ArrowUp: video.currentTime + STEP_SECONDS,
      ArrowLeft: video.currentTime - STEP_SECONDS,
      ArrowDown: video.currentTime - STEP_SECONDS,
      Home: 0,
      End: durationSeconds(),
    };
    const seconds = steps[event.key];
    if (seconds === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    seek(seconds);
    this.#show(Math.max(0, Math.min(seconds, durationSeconds())));
  }

  #onHover(event: PointerEvent): void {
    const { left, width } = this.#bar.getBoundingClientRect();
    const part = Math.max(0, Math.min(1, (event.clientX - left) / width));
    this.#showPreview(part * this.#deps.durationSeconds());
  }

  #showPreview(seconds: number): void {
    const duration = this.#deps.durationSeconds();
    if (!(duration > 0)) return;
    this.#preview.hidden = false;
    this.#preview.style.setProperty('--at', String(seconds / duration));
    setText(this.#time, timeText(seconds));
    const thumbnail = thumbnailAt(this.#thumbnails, seconds);
    this.#picture.hidden = thumbnail === undefined;
    if (!thumbnail) return;
    const { style } = this.#picture;
    style.width = `${thumbnail.width}px`;
    style.height = `${thumbnail.height}px`;
    style.backgroundImage = `url("${thumbnail.url.href}")`;
    style.backgroundPosition = `-${thumbnail.x}px -${thumbnail.y}px`;
  }

  #hide(): void {
    this.#preview.hidden = true;
  }
}
