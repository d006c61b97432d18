import { PACKET_FLAGS, type PayloadReader } from './pid-reader.ts';
import type { TsCounters } from './ts-counters.ts';

/** Takes one elementary stream as its PES packets bring it. */
export interface EsReader {
  /** A PES packet begins. Times are 90 kHz modulo 2^33; without a DTS of its own it is the PTS. */
  begin(pts: number | undefined, dts: number | undefined, randomAccess: boolean): void;
  /** Bytes of it; only the reader's until it returns. False when they cannot be held: then the packet is given up. */
  data(bytes: Buffer, start: number, end: number): boolean;
  /**
   * It is whole. `early`: known before the next one began. `full`: as long as PES_packet_length can say, so that what it
   * began may go on in the next.
   */
  end(early: boolean, full: boolean): void;
  /** What came since the last {@link end} is not whole, and the stream goes on at the next {@link begin}. */
  lost(): void;
  /** The stream is over: what is whole may be handed on. */
  close(): void;
  readonly heldBytes: number;
}

const FIXED_BYTES = 6;
const OPTIONAL_BYTES = 9;
const MAX_HEADER_BYTES = OPTIONAL_BYTES + 255;
/** Stream ids whose packets have no flags and times (ISO/IEC 13818-1 table 2-21): maps, padding, ECM, EMM, DSM-CC… */
const BARE_STREAMS = new Set([0xbc, 0xbe, 0xbf, 0xf0, 0xf1, 0xf2, 0xf8, 0xff]);
/** A packet of more bytes is as long as a muxer makes one that must say its length. */
const FULL_LENGTH = 0xff00;
/** So many PES packets must have ended as their hints said before hints are believed. */
const HINTS_TO_TRUST = 6;

type State =
  /** Waiting for a PES packet to begin. */
  | 'idle'
  | 'header'
  | 'payload'
  /** Handed on as whole; nothing more of it should come. */
  | 'ended';

/**
 * Puts the PES packets of one PID together. Where a packet's end can be told before the next begins, it ends there: by
 * its PES_packet_length, or, when that is 0, by the stuffing a muxer needs to fill its last transport packet. The second,
 * and for video the first too, are only hints: they are believed once they have been right {@link HINTS_TO_TRUST} times,
 * and never again once they were wrong.
 */
export class PesReader implements PayloadReader {
  readonly #es: EsReader;
  readonly #counters: TsCounters;
  readonly #video: boolean;
  #state: State = 'idle';
  readonly #header = Buffer.alloc(MAX_HEADER_BYTES);
  #headerBytes = 0;
  #randomAccess = false;
  /** Payload bytes that PES_packet_length still promises; undefined when it is 0. */
  #left: number | undefined;
  #full = false;
  /** A hint said that the packet under way is over. */
  #hinted = false;
  #goodHints = 0;
  #trusted = false;
  #hintsLie = false;

  constructor(es: EsReader, video: boolean, counters: TsCounters) {
    this.#es = es;
    this.#video = video;
    this.#counters = counters;
  }

  lost(): void {
    this.#state = 'idle';
    this.#hinted = false;
    this.#es.lost();
  }

  /** The stream is over. What is whole as far as one can tell is handed on. */
  close(): void {
    if (this.#state === 'payload') {
      // Where the end of a packet is always told, one whose end was not told is cut short.
      if (this.#trusted && !this.#hinted) this.#reject('pes_truncated');
      else this.#cut();
    }
    this.#state = 'idle';
    this.#es.close();
  }

  payload(bytes: Buffer, start: number, end: number, unitStart: boolean, flags: number): void {
    if (unitStart) {
      if (this.#state === 'payload') this.#cut();
      else if (this.#state === 'header') this.#reject('pes_header');
      this.#state = 'header';
      this.#headerBytes = 0;
      this.#hinted = false;
      this.#randomAccess = (flags & PACKET_FLAGS.randomAccess) !== 0;
    } else if (this.#hinted) {
      this.#hintWasWrong();
    }
    if (this.#state === 'header') this.#gatherHeader(bytes, start, end, flags);
    else if (this.#state === 'payload') this.#append(bytes, start, end, flags);
  }

  /** The next packet begins. */
  #cut(): void {
    if (this.#hinted) this.#confirmHint();
    else if (this.#left !== undefined && this.#left > 0 && !this.#hintsLie) {
      this.#reject('pes_truncated');
      return;
    }
    this.#es.end(false, this.#full);
  }

  #confirmHint(): void {
    this.#goodHints++;
    if (this.#goodHints >= HINTS_TO_TRUST && !this.#hintsLie) this.#trusted = true;
  }

  #hintWasWrong(): void {
    this.#hinted = false;
    if (this.#isLaw || this.#hintsLie) return;
    this.#counters.fault('end_hint_wrong');
    this.#hintsLie = true;
    this.#trusted = false;
    if (this.#state === 'ended') this.lost();
  }

  /** For sound and data PES_packet_length is the law; a picture's may be written wrong. */
  get #isLaw(): boolean {
    return !this.#video && this.#left !== undefined;
  }

  #reject(fault: 'pes_header' | 'pes_truncated' | 'pes_too_large'): void {
    this.#counters.fault(fault);
    this.lost();
  }

  #gatherHeader(bytes: Buffer, start: number, end: number, flags: number): void {
    const taken = Math.min(end - start, MAX_HEADER_BYTES - this.#headerBytes);
    bytes.copy(this.#header, this.#headerBytes, start, start + taken);
    const before = this.#headerBytes;
    this.#headerBytes += taken;
    if (this.#headerBytes >= FIXED_BYTES && isPes(this.#header) && BARE_STREAMS.has(this.#header[3] ?? 0)) {
      this.#state = 'idle';
      return;
    }
    if (this.#headerBytes < OPTIONAL_BYTES) return;
    const sizeBytes = OPTIONAL_BYTES + (this.#header[8] ?? 0);
    if (isPes(this.#header) && this.#headerBytes < sizeBytes) return;
    if (this.#begin(sizeBytes)) this.#append(bytes, start + sizeBytes - before, end, flags);
  }

  /** False when the packet is passed over. */
  #begin(headerBytes: number): boolean {
    const header = this.#header;
    const times = readTimes(header);
    if (times === undefined) {
      this.#reject('pes_header');
      return false;
    }
    if (((header[6] ?? 0) & 0x30) !== 0) {
      this.#counters.fault('scrambled');
      this.lost();
      return false;
    }
    const length = header.readUInt16BE(4);
    this.#full = length > FULL_LENGTH;
    this.#left = length === 0 ? undefined : Math.max(0, length - (headerBytes - FIXED_BYTES));
    this.#state = 'payload';
    this.#es.begin(times.pts, times.dts, this.#randomAccess);
    return true;
  }

  #append(bytes: Buffer, start: number, end: number, flags: number): void {
    let to = end;
    if (this.#left !== undefined) {
      if (this.#isLaw) to = Math.min(end, start + this.#left);
      this.#left -= Math.min(this.#left, end - start);
    }
    if (!this.#es.data(bytes, start, to)) {
      this.#reject('pes_too_large');
      return;
    }
    this.#hinted = this.#left === undefined ? (flags & PACKET_FLAGS.stuffed) !== 0 : this.#left === 0;
    if (!this.#hinted || !(this.#trusted || this.#isLaw)) return;
    this.#state = 'ended';
    this.#es.end(true, this.#full);
  }
}

function isPes(header: Buffer): boolean {
  return header[0] === 0 && header[1] === 0 && header[2] === 1;
}

/** Undefined when the header is malformed. */
function readTimes(header: Buffer): { pts: number | undefined; dts: number | undefined } | undefined {
  if (!isPes(header) || ((header[6] ?? 0) & 0xc0) !== 0x80) return undefined;
  const present = (header[7] ?? 0) >> 6;
  const sizeBytes = header[8] ?? 0;
  if (present === 0) return { pts: undefined, dts: undefined };
  if (present === 1 || sizeBytes < (present === 3 ? 10 : 5)) return undefined;
  const pts = readTime(header, OPTIONAL_BYTES);
  const dts = present === 3 ? readTime(header, OPTIONAL_BYTES + 5) : pts;
  return pts === undefined || dts === undefined ? undefined : { pts, dts };
}

/** 33 bits in five bytes, with marker bits between (2.4.3.6). Undefined when a marker is missing. */
function readTime(bytes: Buffer, at: number): number | undefined {
  const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0] = bytes.subarray(at, at + 5);
  if ((first & third & fifth & 1) === 0) return undefined;
  const low = (second << 22) | ((third >> 1) << 15) | (fourth << 7) | (fifth >> 1);
  return ((first >> 1) & 7) * 2 ** 30 + low;
}
