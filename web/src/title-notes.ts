import { byId, setText } from './dom.ts';
import { timeText } from './time-text.ts';

/** What is said of where the viewer was, and of another device that goes on. */
export class TitleNotes {
  readonly #note = byId('continued', HTMLElement);
  readonly #noteText = byId('continued-text', HTMLElement);
  readonly #banner = byId('handoff', HTMLElement);
  readonly #bannerText = byId('handoff-text', HTMLElement);

  constructor(acts: { readonly fromStart: () => void; readonly goOnHere: () => void }) {
    byId('from-start', HTMLButtonElement).addEventListener('click', () => {
      this.#note.hidden = true;
      acts.fromStart();
    });
    byId('handoff-here', HTMLButtonElement).addEventListener('click', () => acts.goOnHere());
  }

  continued(positionMs: number): void {
    setText(this.#noteText, `Continued at ${timeText(positionMs / 1000)}`);
    this.#note.hidden = false;
  }

  handedOff(device: string | undefined): void {
    this.#banner.hidden = device === undefined;
    if (device === undefined) return;
    this.#note.hidden = true;
    setText(this.#bannerText, device === '' ? 'Playing on another device' : `Now playing on ${device}`);
  }
}
