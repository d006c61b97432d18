import { Transform, type TransformCallback } from 'node:stream';
import { descriptor, TS_PACKET, withCrc } from './ts-writer.ts';

const SYNC = 0x47;
const PAT_PID = 0;
const SCTE35_PID = 0x1f0;
const SCTE35_TYPE = 0x86;
const UNIT_START = 0x40;
const PAYLOAD = 0x10;
/** In a section: after table id, length, program number, version, section numbers. */
const PCR_PID_AT = 8;
const CRC_BYTES = 4;

/**
 * Adds an SCTE-35 stream to an MPEG-TS of one programme while it runs through: the programme map names it, and sections
 * go in where they are asked for. What muxers of broadcasters do, and ffmpeg does not.
 */
export class SpliceInserter extends Transform {
  #held: Buffer = Buffer.alloc(0);
  #mapPid: number | undefined;
  #counter = 0;
  readonly #due: Uint8Array[] = [];

  /** Puts a section in before the next packet. */
  insert(section: Uint8Array): void {
    this.#due.push(section);
  }

  override _transform(data: Buffer, _encoding: string, done: TransformCallback): void {
    this.#held = Buffer.concat([this.#held, data]);
    const whole = this.#held.length - (this.#held.length % TS_PACKET);
    for (let at = 0; at < whole; at += TS_PACKET) this.#packet(this.#held.subarray(at, at + TS_PACKET));
    this.#held = this.#held.subarray(whole);
    done();
  }

  #packet(packet: Buffer): void {
    const pid = packet.readUInt16BE(1) & 0x1fff;
    if (pid === PAT_PID) this.#mapPid = packet.readUInt16BE(5 + 10) & 0x1fff;
    for (const section of this.#due.splice(0)) this.push(this.#sectionPacket(section));
    this.push(pid === this.#mapPid ? withSpliceStream(packet) : packet);
  }

  #sectionPacket(section: Uint8Array): Buffer {
    const packet = Buffer.alloc(TS_PACKET, 0xff);
    packet[0] = SYNC;
    packet.writeUInt16BE((UNIT_START << 8) | SCTE35_PID, 1);
    packet[3] = PAYLOAD | this.#counter;
    packet[4] = 0;
    packet.set(section, 5);
    this.#counter = (this.#counter + 1) & 0x0f;
    return packet;
  }
}

/** The programme map of one packet, with one stream more and the registration that SCTE 35 asks for. */
function withSpliceStream(packet: Buffer): Buffer {
  const start = 5 + (packet[4] ?? 0);
  const length = packet.readUInt16BE(start + 1) & 0x0fff;
  const section = packet.subarray(start, start + 3 + length - CRC_BYTES);
  const infoBytes = section.readUInt16BE(PCR_PID_AT + 2) & 0x0fff;
  const infoEnd = PCR_PID_AT + 4 + infoBytes;
  const registration = descriptor(0x05, 'CUEI');
  const entry = Buffer.of(SCTE35_TYPE, 0xe0 | (SCTE35_PID >> 8), SCTE35_PID & 0xff, 0xf0, 0);
  const body = Buffer.concat([section.subarray(0, infoEnd), registration, section.subarray(infoEnd), entry]);
  body.writeUInt16BE(0xb000 | (body.length - 3 + CRC_BYTES), 1);
  body.writeUInt16BE(0xf000 | (infoBytes + registration.length), PCR_PID_AT + 2);
  const changed = Buffer.alloc(TS_PACKET, 0xff);
  packet.copy(changed, 0, 0, start);
  changed.set(withCrc(body), start);
  return changed;
}
