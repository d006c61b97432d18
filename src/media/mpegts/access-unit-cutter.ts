import { EsBuffer } from './es-buffer.ts';
import type { NalFormat, NalRole } from './nal-format.ts';
import type { UnitTimes } from './unit-clock.ts';

/** NAL units in an access unit; a 4K picture in slices of a kilobyte stays far below. */
export const MAX_NAL_UNITS = 4096;
/** PES packets whose beginnings are remembered until an access unit begins in them; the oldest is forgotten. */
const MAX_MARKS = 64;
const START_CODE = Buffer.from([0, 0, 1]);
const START_CODE_BYTES = 3;

/** A NAL unit in the buffer, by places (see {@link EsBuffer}). */
export interface NalPlace {
  readonly role: NalRole;
  readonly start: number;
  end: number;
}

/** What came with the PES packet in which an access unit began. */
export interface UnitMark {
  readonly place: number;
  readonly times: UnitTimes | undefined;
  readonly randomAccess: boolean;
}

export interface CutUnit {
  /** NAL units in order, delimiters left out, trailing zeros cut off. */
  readonly nals: readonly NalPlace[];
  readonly mark: UnitMark | undefined;
  /** It begins with its first slice; else its beginning is missing. */
  readonly whole: boolean;
  readonly tooMany: boolean;
}

/**
 * Cuts a byte stream (annex B of H.264 or HEVC) into access units. Every byte is looked at once: where the search left
 * off is kept.
 */
export class AccessUnitCutter {
  readonly es: EsBuffer;
  readonly #format: NalFormat;
  readonly #onUnit: (unit: CutUnit) => void;
  readonly #marks: UnitMark[] = [];
  #nals: NalPlace[] = [];
  /** Where the access unit under way begins; undefined between two. */
  #unitStart: number | undefined;
  #unitMark: UnitMark | undefined;
  #firstSinceMark: number | undefined;
  #hasSlice = false;
  #whole = true;
  #tooMany = false;
  #scanned = 0;

  /** @param onUnit gets each access unit while its bytes are in {@link es} */
  constructor(format: NalFormat, maxBytes: number, onUnit: (unit: CutUnit) => void) {
    this.es = new EsBuffer(maxBytes);
    this.#format = format;
    this.#onUnit = onUnit;
  }

  /** Where the first access unit found since the last {@link mark} begins. */
  get firstSinceMark(): number | undefined {
    return this.#firstSinceMark;
  }

  /** A PES packet begins here. */
  mark(times: UnitTimes | undefined, randomAccess: boolean): void {
    const place = this.es.end;
    if (this.#marks.at(-1)?.place === place) this.#marks.pop();
    else if (this.#marks.length >= MAX_MARKS) this.#marks.shift();
    this.#marks.push({ place, times, randomAccess });
    this.#firstSinceMark = undefined;
  }

  /** Looks through what came; access units that are followed by another's beginning are given. */
  scan(): void {
    this.#scan(false);
  }

  /** What is there ends an access unit. */
  finish(): void {
    this.#scan(true);
    this.#complete(this.es.end);
    this.#marks.length = 0;
  }

  /** Forgets the access unit under way. True when there was anything. */
  drop(): boolean {
    const held = this.es.heldBytes > 0;
    this.#reset();
    this.#marks.length = 0;
    this.es.discardTo(this.es.end);
    return held;
  }

  #scan(final: boolean): void {
    const from = Math.max(this.#scanned, this.es.start);
    const view = this.es.view(from, this.es.end);
    let at = 0;
    for (;;) {
      const code = view.indexOf(START_CODE, at);
      const header = code + START_CODE_BYTES;
      if (code < 0) {
        at = Math.max(at, view.length - START_CODE_BYTES + 1);
        break;
      }
      // The byte behind the header says whether a slice is its picture's first.
      if (header + this.#format.headerBytes >= view.length && !(final && header < view.length)) {
        at = code;
        break;
      }
      this.#nal(view, from, code);
      at = header;
    }
    this.#scanned = from + at;
  }

  #nal(view: Buffer, from: number, code: number): void {
    const at = code + START_CODE_BYTES;
    const role = this.#format.role(view, at);
    const firstSlice = role === 'slice' && this.#format.isFirstSlice(view, at);
    const begin = this.#withZeroByte(from + code);
    if (this.#beginsUnit(role, firstSlice)) this.#complete(begin);
    if (this.#unitStart === undefined) this.#open(begin);
    this.#endLast(from + code);
    if (role === 'slice' && !this.#hasSlice) {
      this.#hasSlice = true;
      this.#whole = firstSlice;
    }
    if (this.#nals.length >= MAX_NAL_UNITS) this.#tooMany = true;
    else this.#nals.push({ role, start: from + at, end: from + at });
  }

  /** The first byte of an access unit is the zero_byte before its first start code (annex B.1.1 of H.264). */
  #withZeroByte(code: number): number {
    return code > this.es.start && this.es.view(code - 1, code)[0] === 0 ? code - 1 : code;
  }

  #open(place: number): void {
    this.#unitStart = place;
    this.#firstSinceMark ??= place;
    this.#unitMark = this.#takeMark(place);
  }

  #beginsUnit(role: NalRole, firstSlice: boolean): boolean {
    if (role === 'delimiter') return this.#nals.length > 0;
    return this.#hasSlice && (firstSlice || role === 'parameter' || role === 'prefix');
  }

  /** The last NAL unit ends at `place`, less the zeros before it (trailing_zero_8bits, zero_byte). */
  #endLast(place: number): void {
    const last = this.#nals.at(-1);
    if (!last || last.end > last.start) return;
    const view = this.es.view(last.start, place);
    let length = view.length;
    while (length > 0 && view[length - 1] === 0) length--;
    last.end = last.start + length;
  }

  #complete(place: number): void {
    if (this.#unitStart !== undefined) {
      this.#endLast(place);
      const unit = {
        nals: this.#nals.filter(({ role }) => role !== 'delimiter'),
        mark: this.#unitMark,
        whole: this.#whole,
        tooMany: this.#tooMany,
      };
      this.#onUnit(unit);
    }
    this.#reset();
    this.es.discardTo(place);
  }

  #reset(): void {
    this.#nals = [];
    this.#unitStart = undefined;
    this.#unitMark = undefined;
    this.#hasSlice = false;
    this.#whole = true;
    this.#tooMany = false;
  }

  /** Of the PES packet in which the access unit begins; each packet's is for the first that does. */
  #takeMark(unitStart: number): UnitMark | undefined {
    let mark: UnitMark | undefined;
    while (this.#marks[0] && this.#marks[0].place <= unitStart) mark = this.#marks.shift();
    return mark;
  }
}
