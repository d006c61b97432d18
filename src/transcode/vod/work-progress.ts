/** Longest line of a report that is looked at. */
const MAX_LINE = 200;

/**
 * Reads what ffmpeg says with `-progress`: lines of `key=value`, a block every so often. Tells of the frames that are
 * done, and only when something has moved on.
 */
export class ProgressReader {
  readonly #moved: (frames: number) => void;
  #open = '';
  #values = '';
  #seen = '';
  #frames = 0;

  constructor(moved: (frames: number) => void) {
    this.#moved = moved;
  }

  push(bytes: Uint8Array): void {
    for (const [index, text] of Buffer.from(bytes).toString('latin1').split('\n').entries()) {
      if (index > 0) this.#line();
      this.#open = (this.#open + text).slice(0, MAX_LINE);
    }
  }

  #line(): void {
    const line = this.#open;
    this.#open = '';
    if (/^(frame|total_size|out_time_us|dup_frames|drop_frames)=/.test(line)) this.#values += `${line} `;
    if (line.startsWith('frame=')) this.#frames = Number(line.slice('frame='.length)) || 0;
    if (!line.startsWith('progress=')) return;
    const moved = this.#values !== this.#seen;
    this.#seen = this.#values;
    this.#values = '';
    if (moved) this.#moved(this.#frames);
  }
}
