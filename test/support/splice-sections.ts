import { crc32Mpeg } from '../../src/media/mpegts/crc32.ts';

/** What a splice_insert is to say; times in 90 kHz ticks. */
export interface InsertOptions {
  readonly eventId: number;
  readonly out?: boolean;
  readonly cancel?: boolean;
  readonly pts?: number;
  readonly durationTicks?: number;
}

/** A whole splice_info_section with a splice_insert (ANSI/SCTE 35 9.7.3) and its CRC. */
export function spliceInsert({
  eventId,
  out = true,
  cancel = false,
  pts,
  durationTicks,
}: InsertOptions): Uint8Array {
  const bytes: number[] = [...u32(eventId), cancel ? 0xff : 0x7f];
  if (!cancel) {
    const hasDuration = durationTicks !== undefined;
    const immediate = pts === undefined;
    bytes.push((out ? 0x80 : 0) | 0x40 | (hasDuration ? 0x20 : 0) | (immediate ? 0x10 : 0) | 0x0f);
    if (!immediate) bytes.push(...time(0xfe, pts));
    if (hasDuration) bytes.push(...time(0xfe, durationTicks));
    bytes.push(0, 1, 0, 0);
  }
  return section(0x05, bytes);
}

/** A splice_null: what encoders send as a heartbeat. */
export function spliceNull(): Uint8Array {
  return section(0x00, []);
}

function section(type: number, command: readonly number[]): Uint8Array {
  const body = [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0xff,
    0xf0 | (command.length >> 8),
    command.length & 0xff,
    type,
    ...command,
    0,
    0,
  ];
  const length = body.length + 4;
  const head = Uint8Array.from([0xfc, 0x30 | (length >> 8), length & 0xff, ...body]);
  return Uint8Array.from([...head, ...u32(crc32Mpeg(head))]);
}

/** One flag byte whose last bit is the 33rd of the time, then the rest. */
function time(flags: number, ticks: number): number[] {
  return [flags | (ticks >= 2 ** 32 ? 1 : 0), ...u32(ticks % 2 ** 32)];
}

function u32(value: number): number[] {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
}
