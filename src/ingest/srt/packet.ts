/** Every packet begins with so many bytes of header (draft-sharabayko-srt 3). */
export const HEADER_BYTES = 16;

/** Control types (3.2, table 1); `user` is told apart further by its subtype. */
export const CONTROL = {
  handshake: 0,
  keepAlive: 1,
  ack: 2,
  nak: 3,
  congestion: 4,
  shutdown: 5,
  ackAck: 6,
  dropRequest: 7,
  peerError: 8,
  user: 0x7fff,
} as const;

/** Subtypes of `user` control packets: the key exchange of a connection that is under way. */
export const USER = { keyRequest: 3, keyResponse: 4 } as const;

/** Which key a data packet is encrypted with. Both bits set exist in control packets only. */
export type KeyFlag = 0 | 1 | 2 | 3;

export interface DataPacket {
  readonly kind: 'data';
  readonly destination: number;
  readonly sequence: number;
  readonly keyFlag: KeyFlag;
  readonly retransmitted: boolean;
  /** The sender's clock, microseconds modulo 2^32. */
  readonly timestamp: number;
  /** A view of the bytes given. */
  readonly payload: Buffer;
}

export interface ControlPacket {
  readonly kind: 'control';
  readonly destination: number;
  readonly type: number;
  readonly subtype: number;
  /** The type-specific word: an acknowledgement's number, a dropped message's. */
  readonly info: number;
  readonly timestamp: number;
  /** A view of the bytes given. */
  readonly body: Buffer;
}

export type SrtPacket = DataPacket | ControlPacket;

/** Whom a packet is for; 0 is the listener itself. Undefined when the bytes are no packet. */
export function packetDestination(bytes: Buffer): number | undefined {
  return bytes.length < HEADER_BYTES ? undefined : bytes.readUInt32BE(12);
}

/** Reads any bytes; undefined when they are too few for a header. */
export function parsePacket(bytes: Buffer): SrtPacket | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const first = bytes.readUInt32BE(0);
  const second = bytes.readUInt32BE(4);
  const timestamp = bytes.readUInt32BE(8);
  const destination = bytes.readUInt32BE(12);
  const rest = bytes.subarray(HEADER_BYTES);
  if (first >= 0x8000_0000) {
    const type = (first >>> 16) & 0x7fff;
    return {
      kind: 'control',
      destination,
      type,
      subtype: first & 0xffff,
      info: second,
      timestamp,
      body: rest,
    };
  }
  return {
    kind: 'data',
    destination,
    sequence: first,
    keyFlag: ((second >>> 27) & 3) as KeyFlag,
    retransmitted: (second & 0x0400_0000) !== 0,
    timestamp,
    payload: rest,
  };
}

/** Some of our peers reject control packets without any body: those that need none carry a word of zeros. */
const EMPTY_BODY = Buffer.alloc(4);

/** One control packet, ready to send. */
export function writeControl(fields: {
  readonly type: number;
  readonly subtype?: number;
  readonly info?: number;
  readonly timestamp: number;
  readonly destination: number;
  readonly body?: Uint8Array;
}): Buffer {
  const body = fields.body ?? EMPTY_BODY;
  const packet = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  packet.writeUInt16BE(0x8000 | fields.type, 0);
  packet.writeUInt16BE(fields.subtype ?? 0, 2);
  packet.writeUInt32BE(fields.info ?? 0, 4);
  packet.writeUInt32BE(fields.timestamp, 8);
  packet.writeUInt32BE(fields.destination, 12);
  packet.set(body, HEADER_BYTES);
  return packet;
}
