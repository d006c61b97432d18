import { crc32Mpeg } from '../../src/media/mpegts/crc32.ts';

export const TS_PACKET = 188;

export interface TsStreamEntry {
  readonly pid: number;
  readonly type: number;
  readonly descriptors?: Uint8Array;
}

export interface PesOptions {
  readonly pts?: number;
  readonly dts?: number;
  readonly streamId?: number;
  /** Writes PES_packet_length; else 0. */
  readonly bounded?: boolean;
  readonly randomAccess?: boolean;
  readonly discontinuity?: boolean;
  /** PES_scrambling_control. */
  readonly scrambling?: number;
  /** Payload bytes of each packet but the last, which makes adaptation stuffing in the middle. */
  readonly payloadBytes?: number;
  /** Stuffing bytes in the PES header. */
  readonly headerStuffing?: number;
}

/** Writes MPEG-TS packet by packet, for streams no muxer would make. Continuity is counted. */
export class TsWriter {
  readonly packets: Buffer[] = [];
  readonly #counters = new Map<number, number>();

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.packets));
  }

  pat(programs: readonly (readonly [number: number, pmtPid: number])[], version = 0): this {
    const entries = programs.map(([number, pid]) => u16s(number, 0xe000 | pid));
    return this.sections(0, [tableSection(0, 1, version, Buffer.concat(entries))]);
  }

  pmt(
    pid: number,
    program: number,
    streams: readonly TsStreamEntry[],
    options: { readonly version?: number; readonly pcrPid?: number } = {},
  ): this {
    return this.sections(pid, [pmtSection(program, streams, options)]);
  }

  /** Sections one behind the other from the start of a packet on, over as many packets as it takes. */
  sections(pid: number, sections: readonly Uint8Array[]): this {
    const bytes = Buffer.concat([Buffer.of(0), ...sections]);
    for (let at = 0; at < bytes.length; at += TS_PACKET - 4) {
      const part = bytes.subarray(at, at + TS_PACKET - 4);
      const payload = Buffer.concat([part, Buffer.alloc(TS_PACKET - 4 - part.length, 0xff)]);
      this.packet(pid, payload, { unitStart: at === 0 });
    }
    return this;
  }

  pes(pid: number, data: Uint8Array, options: PesOptions = {}): this {
    const bytes = pesBytes(data, options);
    const { payloadBytes = TS_PACKET - 4, randomAccess = false, discontinuity = false } = options;
    for (let at = 0; at < bytes.length; ) {
      const flagged = at === 0 && (randomAccess || discontinuity);
      const part = bytes.subarray(at, at + Math.min(payloadBytes, TS_PACKET - (flagged ? 6 : 4)));
      this.packet(pid, part, {
        unitStart: at === 0,
        ...(flagged && { flags: (randomAccess ? 0x40 : 0) | (discontinuity ? 0x80 : 0) }),
      });
      at += part.length;
    }
    return this;
  }

  /** One packet; what the payload does not fill is adaptation field. */
  packet(
    pid: number,
    payload: Uint8Array,
    options: {
      readonly unitStart?: boolean;
      readonly flags?: number;
      readonly scrambled?: boolean;
      readonly error?: boolean;
      /** 27 MHz. */
      readonly pcr?: number;
    } = {},
  ): this {
    const { unitStart = false, scrambled = false, error = false, pcr } = options;
    const packet = Buffer.alloc(TS_PACKET, 0xff);
    const fieldBytes = TS_PACKET - 4 - payload.length;
    packet[0] = 0x47;
    packet.writeUInt16BE((error ? 0x8000 : 0) | (unitStart ? 0x4000 : 0) | pid, 1);
    const control = (fieldBytes > 0 ? 0x20 : 0) | (payload.length > 0 ? 0x10 : 0) | (scrambled ? 0x80 : 0);
    packet[3] = control | this.#count(pid, payload.length > 0);
    if (fieldBytes > 0) packet[4] = fieldBytes - 1;
    if (fieldBytes > 1) packet[5] = (options.flags ?? 0) | (pcr === undefined ? 0 : 0x10);
    if (pcr !== undefined) writePcr(packet, 6, pcr);
    packet.set(payload, 4 + fieldBytes);
    this.packets.push(packet);
    return this;
  }

  /** Makes the next packet of a PID count on from elsewhere, as if `packets` had been lost. */
  skipCounter(pid: number, packets: number): this {
    this.#counters.set(pid, ((this.#counters.get(pid) ?? 0) + packets) & 0x0f);
    return this;
  }

  #count(pid: number, payload: boolean): number {
    const next = this.#counters.get(pid) ?? 0;
    if (payload) this.#counters.set(pid, (next + 1) & 0x0f);
    return payload ? next : (next + 15) & 0x0f;
  }
}

export function pmtSection(
  program: number,
  streams: readonly TsStreamEntry[],
  options: { readonly version?: number; readonly pcrPid?: number; readonly current?: boolean } = {},
): Uint8Array {
  const { version = 0, pcrPid = streams[0]?.pid ?? 0x1fff, current = true } = options;
  const entries = streams.map(({ pid, type, descriptors = new Uint8Array(0) }) =>
    Buffer.concat([Buffer.of(type), u16s(0xe000 | pid, 0xf000 | descriptors.length), descriptors]),
  );
  const body = Buffer.concat([u16s(0xe000 | pcrPid, 0xf000), ...entries]);
  return tableSection(2, program, version, body, { current });
}

/** A section with the long header, CRC made. */
export function tableSection(
  table: number,
  extension: number,
  version: number,
  body: Uint8Array,
  place: { readonly section?: number; readonly last?: number; readonly current?: boolean } = {},
): Uint8Array {
  const { section = 0, last = 0, current = true } = place;
  const head = Buffer.concat([
    Buffer.of(table),
    u16s(0xb000 | (body.length + 9), extension),
    Buffer.of(0xc0 | (version << 1) | (current ? 1 : 0), section, last),
  ]);
  return withCrc(Buffer.concat([head, body]));
}

export function withCrc(bytes: Uint8Array): Uint8Array {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32Mpeg(bytes));
  return new Uint8Array(Buffer.concat([bytes, crc]));
}

export function descriptor(tag: number, data: Uint8Array | string): Uint8Array {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
  return new Uint8Array(Buffer.concat([Buffer.of(tag, bytes.length), bytes]));
}

function pesBytes(data: Uint8Array, options: PesOptions): Buffer {
  const { pts, dts, streamId = 0xe0, bounded = false, scrambling = 0, headerStuffing = 0 } = options;
  const times = Buffer.concat([
    pts === undefined ? Buffer.alloc(0) : time(dts === undefined ? 2 : 3, pts),
    dts === undefined ? Buffer.alloc(0) : time(1, dts),
    Buffer.alloc(headerStuffing, 0xff),
  ]);
  const flags = (pts === undefined ? 0 : 0x80) | (dts === undefined ? 0 : 0x40);
  const length = bounded ? 3 + times.length + data.length : 0;
  const head = [Buffer.of(0, 0, 1, streamId), u16s(length), Buffer.of(0x80 | (scrambling << 4), flags)];
  return Buffer.concat([...head, Buffer.of(times.length), times, data]);
}

function time(prefix: number, value: number): Buffer {
  const bits = BigInt(value);
  return Buffer.of(
    (prefix << 4) | (Number((bits >> 30n) & 7n) << 1) | 1,
    Number((bits >> 22n) & 0xffn),
    (Number((bits >> 15n) & 0x7fn) << 1) | 1,
    Number((bits >> 7n) & 0xffn),
    (Number(bits & 0x7fn) << 1) | 1,
  );
}

function writePcr(packet: Buffer, at: number, pcr: number): void {
  const base = Math.floor(pcr / 300);
  packet.writeUInt32BE(Math.floor(base / 2), at);
  packet[at + 4] = ((base % 2) << 7) | 0x7e | ((pcr % 300) >> 8);
  packet[at + 5] = (pcr % 300) & 0xff;
}

function u16s(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, index) => bytes.writeUInt16BE(value, index * 2));
  return bytes;
}
