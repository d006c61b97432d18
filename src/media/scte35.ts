import { BitReader } from './bit-reader.ts';

/** A splice_info_section (ANSI/SCTE 35 9.6) as far as an ad marker needs it. Times are 90 kHz, 33 bits. */
export interface SpliceInfo {
  /** To be added to every time in the section. */
  readonly ptsAdjustment: number;
  /** The command is encrypted: only its type is told. */
  readonly encrypted: boolean;
  readonly command: SpliceCommand;
  readonly segmentations: readonly Segmentation[];
}

export type SpliceCommand =
  | { readonly kind: 'null' | 'schedule' | 'bandwidth_reservation' | 'private' | 'reserved' | 'encrypted' }
  | SpliceInsert
  | {
      readonly kind: 'time_signal';
      /** Before {@link SpliceInfo.ptsAdjustment}; undefined: at once. */
      readonly time: number | undefined;
    };

/** splice_insert (9.7.3). */
export interface SpliceInsert {
  readonly kind: 'insert';
  readonly eventId: number;
  /** Takes back an earlier command with this id; nothing else is told then. */
  readonly cancel: boolean;
  /** Out of the network into a break, or back into it. */
  readonly outOfNetwork: boolean;
  /** Before {@link SpliceInfo.ptsAdjustment}; undefined: at once, or told component by component. */
  readonly time: number | undefined;
  readonly immediate: boolean;
  readonly break: SpliceBreak | undefined;
  readonly programId: number;
}

/** break_duration (9.8.2). */
export interface SpliceBreak {
  readonly ticks: number;
  /** The network comes back by itself when it is over. */
  readonly autoReturn: boolean;
}

/** segmentation_descriptor (10.3.3). */
export interface Segmentation {
  readonly eventId: number;
  readonly cancel: boolean;
  /** segmentation_type_id (table 23); 0 when cancelled. */
  readonly typeId: number;
  /** By the type: 0x10 programme start, 0x34 provider placement opportunity start…; undefined for a point in time. */
  readonly edge: 'start' | 'end' | undefined;
  readonly durationTicks: number | undefined;
  readonly upidType: number;
  readonly upid: Uint8Array;
  readonly segment: number;
  readonly segmentsExpected: number;
}

const TABLE_ID = 0xfc;
const MIN_SECTION_BYTES = 15;
const MAX_SECTION_BYTES = 4096;
const CRC_BYTES = 4;
/** splice_command_length of senders from before it had a meaning. */
const UNKNOWN_LENGTH = 0xfff;
const SEGMENTATION_TAG = 0x02;
const CUEI = 0x43554549;
const MAX_DESCRIPTORS = 64;
const WRAP = 2 ** 33;

type CommandReader = (reader: BitReader) => SpliceCommand;

const COMMANDS = new Map<number, CommandReader>([
  [0x00, () => ({ kind: 'null' })],
  [0x04, skipSchedule],
  [0x05, readInsert],
  [0x06, (reader) => ({ kind: 'time_signal', time: readSpliceTime(reader) })],
  [0x07, () => ({ kind: 'bandwidth_reservation' })],
  [0xff, () => ({ kind: 'private' })],
]);

/** Parses a section whose CRC was found right. Undefined when malformed. */
export function parseSpliceInfo(section: Uint8Array): SpliceInfo | undefined {
  if (section.length < MIN_SECTION_BYTES + CRC_BYTES || section.length > MAX_SECTION_BYTES) return undefined;
  if (section[0] !== TABLE_ID) return undefined;
  const end = 3 + ((((section[1] ?? 0) & 0x0f) << 8) | (section[2] ?? 0)) - CRC_BYTES;
  if (end > section.length - CRC_BYTES) return undefined;
  const reader = new BitReader(section.subarray(0, Math.max(0, end)));
  reader.skip(24 + 8);
  const encrypted = reader.flag();
  reader.skip(6);
  const ptsAdjustment = readTime(reader);
  reader.skip(8 + 12);
  const commandBytes = reader.bits(12);
  const type = reader.bits(8);
  if (encrypted) {
    return reader.overrun
      ? undefined
      : { ptsAdjustment, encrypted, command: { kind: 'encrypted' }, segmentations: [] };
  }
  const before = reader.remainingBits;
  const command = COMMANDS.get(type)?.(reader) ?? { kind: 'reserved' };
  if (commandBytes !== UNKNOWN_LENGTH) reader.skip(8 * commandBytes - (before - reader.remainingBits));
  else if (!COMMANDS.has(type) || type === 0xff) return undefined;
  const segmentations = readDescriptors(section, reader, end);
  return segmentations && { ptsAdjustment, encrypted, command, segmentations };
}

/**
 * When the section applies, in the time of the stream: its command's splice time with the adjustment, modulo 2^33.
 * Undefined when it says none (at once, or no splice).
 */
export function spliceTime(info: SpliceInfo): number | undefined {
  const { command, ptsAdjustment } = info;
  if (command.kind !== 'insert' && command.kind !== 'time_signal') return undefined;
  return command.time === undefined ? undefined : (command.time + ptsAdjustment) % WRAP;
}

/** What a section does to the programme: `out` begins a break, `in` ends one, `cmd` is anything else. */
export function spliceDirection(info: SpliceInfo): 'out' | 'in' | 'cmd' {
  const { command, segmentations } = info;
  if (command.kind === 'insert') return command.cancel ? 'cmd' : command.outOfNetwork ? 'out' : 'in';
  const breaks = segmentations.filter(({ cancel, typeId }) => !cancel && isBreak(typeId));
  if (breaks.some(({ edge }) => edge === 'start')) return 'out';
  return breaks.some(({ edge }) => edge === 'end') ? 'in' : 'cmd';
}

/** Breaks, advertisements and placement opportunities (table 23): what a programme goes out for. */
function isBreak(typeId: number): boolean {
  return (
    (typeId >= 0x22 && typeId <= 0x23) ||
    (typeId >= 0x30 && typeId <= 0x3b) ||
    (typeId >= 0x44 && typeId <= 0x47)
  );
}

/** 33 bits. */
function readTime(reader: BitReader): number {
  const high = reader.bits(1);
  return high * 2 ** 32 + reader.bits(32);
}

/** splice_time (9.8.1). */
function readSpliceTime(reader: BitReader): number | undefined {
  if (!reader.flag()) {
    reader.skip(7);
    return undefined;
  }
  reader.skip(6);
  return readTime(reader);
}

function readInsert(reader: BitReader): SpliceInsert {
  const eventId = reader.bits(32);
  const cancel = reader.flag();
  reader.skip(7);
  const nothing = { outOfNetwork: false, time: undefined, immediate: false, break: undefined, programId: 0 };
  if (cancel) return { kind: 'insert', eventId, cancel, ...nothing };
  const outOfNetwork = reader.flag();
  const wholeProgram = reader.flag();
  const hasDuration = reader.flag();
  const immediate = reader.flag();
  reader.skip(4);
  const time = wholeProgram && !immediate ? readSpliceTime(reader) : undefined;
  if (!wholeProgram) skipComponents(reader, immediate);
  const duration = hasDuration ? readBreak(reader) : undefined;
  const programId = reader.bits(16);
  reader.skip(16);
  return { kind: 'insert', eventId, cancel, outOfNetwork, time, immediate, break: duration, programId };
}

function skipComponents(reader: BitReader, immediate: boolean): void {
  for (let count = reader.bits(8); count > 0 && !reader.overrun; count--) {
    reader.skip(8);
    if (!immediate) readSpliceTime(reader);
  }
}

function readBreak(reader: BitReader): SpliceBreak {
  const autoReturn = reader.flag();
  reader.skip(6);
  return { autoReturn, ticks: readTime(reader) };
}

/** splice_schedule (9.7.2) is in wall clock time and used by nobody: passed over to find the descriptors. */
function skipSchedule(reader: BitReader): SpliceCommand {
  for (let count = reader.bits(8); count > 0 && !reader.overrun; count--) {
    reader.skip(32);
    const cancel = reader.flag();
    reader.skip(7);
    if (cancel) continue;
    reader.skip(1);
    const wholeProgram = reader.flag();
    const hasDuration = reader.flag();
    reader.skip(5);
    if (wholeProgram) reader.skip(32);
    else reader.skip(40 * reader.bits(8));
    reader.skip((hasDuration ? 40 : 0) + 32);
  }
  return { kind: 'schedule' };
}

function readDescriptors(section: Uint8Array, reader: BitReader, end: number): Segmentation[] | undefined {
  const loopBytes = reader.bits(16);
  let at = end - reader.remainingBits / 8;
  const stop = at + loopBytes;
  if (reader.overrun || !Number.isInteger(at) || stop > end) return undefined;
  const segmentations: Segmentation[] = [];
  while (at + 2 <= stop && segmentations.length < MAX_DESCRIPTORS) {
    const next = at + 2 + (section[at + 1] ?? 0);
    if (next > stop) return undefined;
    if (section[at] === SEGMENTATION_TAG) {
      const segmentation = readSegmentation(new BitReader(section.subarray(at + 2, next)));
      if (segmentation) segmentations.push(segmentation);
    }
    at = next;
  }
  return segmentations;
}

function readSegmentation(reader: BitReader): Segmentation | undefined {
  if (reader.bits(32) !== CUEI) return undefined;
  const eventId = reader.bits(32);
  const cancel = reader.flag();
  reader.skip(7);
  if (cancel) return reader.overrun ? undefined : { eventId, cancel, ...NO_SEGMENT };
  const wholeProgram = reader.flag();
  const hasDuration = reader.flag();
  reader.skip(6);
  if (!wholeProgram) reader.skip(48 * reader.bits(8));
  const durationTicks = hasDuration ? reader.bits(8) * 2 ** 32 + reader.bits(32) : undefined;
  const upidType = reader.bits(8);
  const upid = Uint8Array.from({ length: reader.bits(8) }, () => reader.bits(8));
  const typeId = reader.bits(8);
  const segment = reader.bits(8);
  const segmentsExpected = reader.bits(8);
  if (reader.overrun) return undefined;
  return {
    eventId,
    cancel,
    typeId,
    edge: edgeOf(typeId),
    durationTicks,
    upidType,
    upid,
    segment,
    segmentsExpected,
  };
}

const NO_SEGMENT = {
  typeId: 0,
  edge: undefined,
  durationTicks: undefined,
  upidType: 0,
  upid: new Uint8Array(0),
  segment: 0,
  segmentsExpected: 0,
} as const;

/** Types from 0x10 on come in pairs, start even and end odd, but for the points in time among them (table 23). */
const POINTS = new Set([0x12, 0x13, 0x14, 0x15, 0x16, 0x18]);
const FIRST_PAIR = 0x10;

function edgeOf(typeId: number): Segmentation['edge'] {
  if (typeId < FIRST_PAIR || typeId >= 0x60 || POINTS.has(typeId)) return undefined;
  return typeId % 2 === 0 ? 'start' : 'end';
}
