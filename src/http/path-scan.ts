/** Longest segment a parameter may stand for. */
const MAX_SEGMENT_LENGTH = 255;
const SLASH = 47;
const DOT = 46;

/**
 * What a parameter may look like. Nothing is decoded, so `%`, backslash, control characters and unicode simply do
 * not match, and `.` and `..` are refused: no later step can see a path other than the one matched here.
 */
const PLAIN = plainCharacters('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~@=,+-');

/**
 * A path cut at its slashes, in arrays that are used again for the next one: a split and an expression for each
 * segment were a third of the cost of a small answer.
 */
export class PathScan {
  path = '';
  /** Segments, the empty one before the leading slash included. */
  count = 0;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #plain: boolean[] = [];

  read(path: string): void {
    this.path = path;
    this.count = 0;
    let start = 0;
    let plain = true;
    for (let i = 0; i < path.length; i++) {
      const code = path.charCodeAt(i);
      if (code === SLASH) {
        this.#add(start, i, plain);
        start = i + 1;
        plain = true;
      } else if (code > 127 || PLAIN[code] === 0) {
        plain = false;
      }
    }
    this.#add(start, path.length, plain);
  }

  /** Whether segment `index` is exactly `text`. */
  is(index: number, text: string): boolean {
    const start = this.#starts[index] ?? 0;
    return this.#ends[index] === start + text.length && this.path.startsWith(text, start);
  }

  /** Whether segment `index` may be the value of a parameter. */
  isPlain(index: number): boolean {
    return this.#plain[index] === true;
  }

  segment(index: number): string {
    return this.path.slice(this.#starts[index], this.#ends[index]);
  }

  /** Segment `index` and all after it. */
  rest(index: number): string {
    return this.path.slice(this.#starts[index]);
  }

  #add(start: number, end: number, plain: boolean): void {
    const { count, path } = this;
    const length = end - start;
    const dots = length <= 2 && path.charCodeAt(start) === DOT && path.charCodeAt(end - 1) === DOT;
    this.#starts[count] = start;
    this.#ends[count] = end;
    this.#plain[count] = plain && length > 0 && length <= MAX_SEGMENT_LENGTH && !dots;
    this.count = count + 1;
  }
}

function plainCharacters(characters: string): Uint8Array {
  const table = new Uint8Array(128);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}
