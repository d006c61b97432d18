import { byId, setText } from './dom.ts';
import type { SeekRange } from './players/player.ts';
import { type Thumbnail, thumbnailAt } from './thumbnails.ts';

export interface SeekBarDeps {
  readonly video: HTMLVideoElement;
  /** Where one may go, on the element's timeline; undefined: nowhere, or not yet. */
  readonly range: () => SeekRange | undefined;
  readonly seek: (seconds: number) => void;
  readonly words: SeekWords;
}

/** What the bar says of places. */
export interface SeekWords {
  /** On its left, and over it. */
  place(seconds: number, range: SeekRange): string;
  /** On its right. */
  whole(range: SeekRange): string;
  /** For who listens. */
  spoken(seconds: number, range: SeekRange): string;
}

/** How far one press of an arrow key goes. */
const STEP_SECONDS = 10;

/** The bar along which is played: shows where that is, goes where the viewer wants, and what is there. */
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
    const range = this.#deps.range();
    this.#bar.disabled = range === undefined;
    if (!range) return;
    this.#row.hidden = false;
    this.#bar.min = String(range.start);
    this.#bar.max = String(range.end);
    setText(this.#all, this.#deps.words.whole(range));
    if (!this.#isHeld) this.#show(this.#deps.video.currentTime, range);
  }

  #show(wished: number, range: SeekRange): void {
    const { words } = this.#deps;
    const seconds = Math.max(range.start, Math.min(range.end, wished));
    this.#bar.value = String(seconds);
    this.#bar.style.setProperty('--played', `${100 * shareOf(seconds, range)}%`);
    this.#bar.setAttribute('aria-valuetext', words.spoken(seconds, range));
    setText(this.#now, words.place(seconds, range));
  }

  #onInput(): void {
    this.#isHeld = true;
    const seconds = this.#bar.valueAsNumber;
    const range = this.#deps.range();
    if (range) this.#show(seconds, range);
    this.#showPreview(seconds);
  }

  #onChange(): void {
    this.#isHeld = false;
    this.#deps.seek(this.#bar.valueAsNumber);
    this.#hide();
  }

  #onKey(event: KeyboardEvent): void {
    const { video, seek } = this.#deps;
    const range = this.#deps.range();
    if (!range) return;
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: video.currentTime + STEP_SECONDS,
      ArrowUp: video.currentTime + STEP_SECONDS,
      ArrowLeft: video.currentTime - STEP_SECONDS,
      ArrowDown: video.currentTime - STEP_SECONDS,
      Home: range.start,
      End: range.end,
    };
    const seconds = steps[event.key];
    if (seconds === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    seek(seconds);
    this.#show(seconds, range);
  }

  #onHover(event: PointerEvent): void {
    const { left, width } = this.#bar.getBoundingClientRect();
    const part = Math.max(0, Math.min(1, (event.clientX - left) / width));
    const range = this.#deps.range();
    if (range) this.#showPreview(range.start + part * (range.end - range.start));
  }

  #showPreview(seconds: number): void {
    const range = this.#deps.range();
    if (!range) return;
    this.#preview.hidden = false;
    this.#preview.style.setProperty('--at', String(shareOf(seconds, range)));
    setText(this.#time, this.#deps.words.place(seconds, range));
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

function shareOf(seconds: number, { start, end }: SeekRange): number {
  return (seconds - start) / (end - start);
}
