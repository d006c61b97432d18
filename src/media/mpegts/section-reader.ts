import { crc32Mpeg } from './crc32.ts';
import type { PayloadReader } from './pid-reader.ts';
import type { TsCounters } from './ts-counters.ts';

/** The longest private section (ISO/IEC 13818-1 2.4.4.10); those of PAT and PMT are at most 1024. */
export const MAX_SECTION_BYTES = 4096;
const HEADER_BYTES = 3;
/** Table id and length, at least one byte, and the CRC. */
const MIN_SECTION_BYTES = HEADER_BYTES + 1 + 4;
/** In the place of a table id: the rest of the packet is stuffing. */
const STUFFING = 0xff;

/** Puts the sections of one PID together, over packets, and gives those whose CRC is right. */
export class SectionReader implements PayloadReader {
  readonly #counters: TsCounters;
  readonly #onSection: (section: Uint8Array) => void;
  readonly #bytes = Buffer.alloc(MAX_SECTION_BYTES);
  #filled = 0;
  /** False until a section's beginning is seen. */
  #aligned = false;

  /** @param onSection gets a whole section, CRC included; the bytes are only its until it returns */
  constructor(counters: TsCounters, onSection: (section: Uint8Array) => void) {
    this.#counters = counters;
    this.#onSection = onSection;
  }

  lost(): void {
    this.#aligned = false;
    this.#filled = 0;
  }

  payload(bytes: Buffer, start: number, end: number, unitStart: boolean): void {
    if (!unitStart) {
      if (this.#aligned && this.#filled > 0) this.#take(bytes, start, end);
      return;
    }
    const first = start + 1 + (bytes[start] ?? 0);
    if (first > end) {
      this.#counters.fault('section_size');
      this.lost();
      return;
    }
    if (this.#aligned && this.#filled > 0) this.#take(bytes, start + 1, first);
    if (this.#filled > 0) this.#counters.fault('section_size');
    this.#filled = 0;
    this.#aligned = true;
    for (let at = first; at < end && this.#aligned && bytes[at] !== STUFFING; ) {
      at = this.#take(bytes, at, end);
    }
  }

  /** Reads on in the section under way, at most to its end; returns where it stopped. */
  #take(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.#filled < HEADER_BYTES)
      at = this.#copy(bytes, at, Math.min(end, at + HEADER_BYTES - this.#filled));
    if (this.#filled < HEADER_BYTES) return at;
    const sizeBytes = HEADER_BYTES + (this.#bytes.readUInt16BE(1) & 0x0fff);
    if (sizeBytes > MAX_SECTION_BYTES || sizeBytes < MIN_SECTION_BYTES) {
      this.#counters.fault('section_size');
      this.lost();
      return end;
    }
    at = this.#copy(bytes, at, Math.min(end, at + sizeBytes - this.#filled));
    if (this.#filled === sizeBytes) this.#finish(sizeBytes);
    return at;
  }

  #copy(bytes: Buffer, from: number, to: number): number {
    bytes.copy(this.#bytes, this.#filled, from, to);
    this.#filled += to - from;
    return to;
  }

  #finish(sizeBytes: number): void {
    this.#filled = 0;
    const section = this.#bytes.subarray(0, sizeBytes);
    if (crc32Mpeg(section) === 0) this.#onSection(section);
    else this.#counters.fault('section_crc');
  }
}
