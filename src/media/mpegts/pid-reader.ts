import { TS_PACKET_BYTES } from './packet-reader.ts';
import type { TsCounters } from './ts-counters.ts';

/** What the adaptation field of a packet says of its payload; bits. */
export const PACKET_FLAGS = {
  /** The field has stuffing: there was not enough payload to fill the packet. */
  stuffed: 1,
  randomAccess: 2,
  discontinuity: 4,
} as const;

/** Takes the payloads of one PID's packets. */
export interface PayloadReader {
  /** `bytes` is only its until it returns. `unitStart`: a PES packet, or a section behind a pointer, begins here. */
  payload(bytes: Buffer, start: number, end: number, unitStart: boolean, flags: number): void;
  /** Payload is missing before what comes next. */
  lost(): void;
}

const SCRAMBLING = 0xc0;
const HAS_ADAPTATION = 0x20;
const HAS_PAYLOAD = 0x10;
const UNIT_START = 0x40;
const HEADER_BYTES = 4;

/** Follows one PID: continuity, duplicates, scrambling, adaptation fields. No allocation per packet. */
export class PidReader {
  readonly #target: PayloadReader;
  readonly #counters: TsCounters;
  readonly #last = Buffer.alloc(TS_PACKET_BYTES);
  #continuity: number | undefined;
  /** A packet without payload announced that the counter may jump. */
  #mayJump = false;

  constructor(target: PayloadReader, counters: TsCounters) {
    this.#target = target;
    this.#counters = counters;
  }

  packet(bytes: Buffer, at: number): void {
    const control = bytes[at + 3] ?? 0;
    if ((control & SCRAMBLING) !== 0) {
      this.#counters.fault('scrambled');
      this.#forget();
      return;
    }
    const start = payloadStart(bytes, at, control);
    if (start === undefined) {
      this.#counters.fault('adaptation_field');
      this.#forget();
      return;
    }
    const flags = (control & HAS_ADAPTATION) === 0 ? 0 : adaptationFlags(bytes, at);
    if ((flags & PACKET_FLAGS.discontinuity) !== 0) this.#mayJump = true;
    if ((control & HAS_PAYLOAD) === 0 || !this.#follows(bytes, at, start, control & 0x0f)) return;
    bytes.copy(this.#last, 0, at, at + TS_PACKET_BYTES);
    const end = at + TS_PACKET_BYTES;
    if (start < end) {
      this.#target.payload(bytes, start, end, ((bytes[at + 1] ?? 0) & UNIT_START) !== 0, flags);
    }
  }

  /** Packets are missing, nobody knows how many. */
  gap(): void {
    this.#forget();
  }

  #forget(): void {
    this.#continuity = undefined;
    this.#target.lost();
  }

  /** False for a packet that was there before. Tells the target what is missing. */
  #follows(bytes: Buffer, at: number, start: number, counter: number): boolean {
    const last = this.#continuity;
    const jumps = this.#mayJump;
    if (counter === last && this.#isRepeat(bytes, at, start)) {
      this.#counters.duplicatePackets++;
      return false;
    }
    this.#continuity = counter;
    this.#mayJump = false;
    if (last === undefined || counter === ((last + 1) & 0x0f)) return true;
    if (!jumps) this.#counters.fault('continuity');
    // A jump that was announced where a unit begins is a splice: what was there before is whole.
    if (!jumps || ((bytes[at + 1] ?? 0) & UNIT_START) === 0) this.#target.lost();
    return true;
  }

  /** Duplicates are the same but for the clock reference in their adaptation field (2.4.3.3). */
  #isRepeat(bytes: Buffer, at: number, start: number): boolean {
    const last = this.#last;
    return (
      bytes[at + 1] === last[1] &&
      bytes[at + 3] === last[3] &&
      bytes.compare(last, start - at, TS_PACKET_BYTES, start, at + TS_PACKET_BYTES) === 0
    );
  }
}

/** Where the payload begins; the packet's end when there is none. Undefined when the adaptation field is too long. */
function payloadStart(bytes: Buffer, at: number, control: number): number | undefined {
  if ((control & HAS_ADAPTATION) === 0) return at + HEADER_BYTES;
  const start = at + HEADER_BYTES + 1 + (bytes[at + HEADER_BYTES] ?? 0);
  return start <= at + TS_PACKET_BYTES ? start : undefined;
}

/** Bytes of the fields that each flag of an adaptation field brings (2.4.3.4): PCR, OPCR, splice countdown. */
const PCR_BYTES = 6;

function adaptationFlags(bytes: Buffer, at: number): number {
  const length = bytes[at + HEADER_BYTES] ?? 0;
  if (length === 0) return PACKET_FLAGS.stuffed;
  const flags = bytes[at + HEADER_BYTES + 1] ?? 0;
  let used = 1;
  if ((flags & 0x10) !== 0) used += PCR_BYTES;
  if ((flags & 0x08) !== 0) used += PCR_BYTES;
  if ((flags & 0x04) !== 0) used += 1;
  if ((flags & 0x02) !== 0) used += 1 + (bytes[at + HEADER_BYTES + 1 + used] ?? 0);
  if ((flags & 0x01) !== 0 && used < length) used += 1 + (bytes[at + HEADER_BYTES + 1 + used] ?? 0);
  return (
    (used < length ? PACKET_FLAGS.stuffed : 0) |
    ((flags & 0x40) !== 0 ? PACKET_FLAGS.randomAccess : 0) |
    ((flags & 0x80) !== 0 ? PACKET_FLAGS.discontinuity : 0)
  );
}

/** The program clock reference of the packet at `at`, in ticks of 27 MHz modulo 2^33 × 300; undefined without one. */
export function readPcr(bytes: Buffer, at: number): number | undefined {
  const field = at + HEADER_BYTES;
  if (((bytes[at + 3] ?? 0) & HAS_ADAPTATION) === 0) return undefined;
  if ((bytes[field] ?? 0) < 1 + PCR_BYTES || ((bytes[field + 1] ?? 0) & 0x10) === 0) return undefined;
  const low = bytes[field + 6] ?? 0;
  const base = bytes.readUInt32BE(field + 2) * 2 + (low >> 7);
  return base * 300 + (((low & 1) << 8) | (bytes[field + 7] ?? 0));
}
