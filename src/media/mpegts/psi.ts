/** Program association and program map sections (ISO/IEC 13818-1 2.4.4) whose CRC was found right. */

export interface PatSection {
  readonly transportStream: number;
  readonly version: number;
  readonly section: number;
  readonly lastSection: number;
  readonly programs: readonly PatProgram[];
}

export interface PatProgram {
  readonly number: number;
  readonly pmtPid: number;
}

export interface PmtSection {
  readonly program: number;
  readonly version: number;
  readonly pcrPid: number;
  readonly descriptors: readonly Descriptor[];
  readonly streams: readonly PmtStream[];
}

export interface PmtStream {
  readonly pid: number;
  readonly type: number;
  readonly descriptors: readonly Descriptor[];
}

export interface Descriptor {
  readonly tag: number;
  readonly data: Uint8Array;
}

const PAT_TABLE = 0;
const PMT_TABLE = 2;
const CRC_BYTES = 4;
const PAT_HEADER_BYTES = 8;
const PMT_HEADER_BYTES = 12;
const STREAM_HEADER_BYTES = 5;

/** `later` for a table that is not in force yet (current_next_indicator 0), `other` for another table. */
export type Psi<T> = T | 'malformed' | 'later' | 'other';

/** Copies what it keeps. Entries of program 0 (the network information) are left out. */
export function parsePat(section: Uint8Array): Psi<PatSection> {
  if (section[0] !== PAT_TABLE) return 'other';
  if (section.length < PAT_HEADER_BYTES + CRC_BYTES) return 'malformed';
  if (((section[5] ?? 0) & 1) === 0) return 'later';
  const programs: PatProgram[] = [];
  for (let at = PAT_HEADER_BYTES; at + 4 <= section.length - CRC_BYTES; at += 4) {
    const number = u16(section, at);
    if (number !== 0) programs.push({ number, pmtPid: u16(section, at + 2) & 0x1fff });
  }
  return {
    transportStream: u16(section, 3),
    version: ((section[5] ?? 0) >> 1) & 0x1f,
    section: section[6] ?? 0,
    lastSection: section[7] ?? 0,
    programs,
  };
}

/** Copies what it keeps. */
export function parsePmt(section: Uint8Array): Psi<PmtSection> {
  if (section[0] !== PMT_TABLE) return 'other';
  const end = section.length - CRC_BYTES;
  if (end < PMT_HEADER_BYTES) return 'malformed';
  if (((section[5] ?? 0) & 1) === 0) return 'later';
  let at = PMT_HEADER_BYTES + (u16(section, 10) & 0x0fff);
  const descriptors = readDescriptors(section, PMT_HEADER_BYTES, at, end);
  if (!descriptors) return 'malformed';
  const streams: PmtStream[] = [];
  while (at + STREAM_HEADER_BYTES <= end) {
    const next = at + STREAM_HEADER_BYTES + (u16(section, at + 3) & 0x0fff);
    const own = readDescriptors(section, at + STREAM_HEADER_BYTES, next, end);
    if (!own) return 'malformed';
    streams.push({ pid: u16(section, at + 1) & 0x1fff, type: section[at] ?? 0, descriptors: own });
    at = next;
  }
  return {
    program: u16(section, 3),
    version: ((section[5] ?? 0) >> 1) & 0x1f,
    pcrPid: u16(section, 8) & 0x1fff,
    descriptors,
    streams,
  };
}

function readDescriptors(
  section: Uint8Array,
  from: number,
  to: number,
  limit: number,
): Descriptor[] | undefined {
  if (to > limit) return undefined;
  const descriptors: Descriptor[] = [];
  let at = from;
  while (at + 2 <= to) {
    const end = at + 2 + (section[at + 1] ?? 0);
    if (end > to) return undefined;
    descriptors.push({ tag: section[at] ?? 0, data: new Uint8Array(section.subarray(at + 2, end)) });
    at = end;
  }
  return at === to ? descriptors : undefined;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}
