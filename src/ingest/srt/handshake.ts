/** Kinds of handshake packets (draft-sharabayko-srt 3.2.1, table 4). From 1000 up the type is a reject code. */
export const HANDSHAKE = { induction: 1, conclusion: 0xffff_ffff } as const;
export const FIRST_REJECT_CODE = 1000;

/** Marks the listener's answer to an induction as SRT (4.3.1.1). */
export const SRT_MAGIC = 0x4a17;

/** Extension types (3.2.1, table 5). */
export const EXTENSION = {
  capabilityRequest: 1,
  capabilityResponse: 2,
  keyRequest: 3,
  keyResponse: 4,
  streamId: 5,
  congestion: 6,
  filter: 7,
  group: 8,
} as const;

/** The extension field of a conclusion says which extensions follow. */
export const EXTENSION_FIELD = { capabilities: 1, keys: 2, config: 4 } as const;

/** What a side can do (3.2.1.1.1). */
export const CAPABILITY = {
  sendsOnTime: 0x01,
  receivesOnTime: 0x02,
  encryption: 0x04,
  dropsTooLate: 0x08,
  repeatsNaks: 0x10,
  marksRetransmissions: 0x20,
  streamMode: 0x40,
} as const;

/** The version of SRT whose manners are kept: 1.5.0. Versions from 1.3.0 on speak this handshake. */
export const OUR_VERSION = 0x01_05_00;

export interface HandshakeExtension {
  readonly type: number;
  /** Whole words of 4 bytes. */
  readonly content: Buffer;
}

export interface Handshake {
  readonly version: number;
  /** Key length over 8, as advertised; 0 for none. */
  readonly encryption: number;
  readonly extensionField: number;
  readonly initialSequence: number;
  readonly mtuBytes: number;
  readonly flowWindowPackets: number;
  /** {@link HANDSHAKE}, or a reject code. */
  readonly type: number;
  /** The sender's own id, to which answers are sent. */
  readonly socketId: number;
  readonly cookie: number;
  readonly extensions: readonly HandshakeExtension[];
}

export interface Capabilities {
  readonly version: number;
  readonly flags: number;
  /** Time the speaker wants between sending and delivery of what it receives, milliseconds. */
  readonly receiveLatencyMs: number;
  /** The same of what it sends: the least it asks of the other side. */
  readonly sendLatencyMs: number;
}

const FIXED_BYTES = 48;
const ADDRESS_AT = 32;
const ADDRESS_BYTES = 16;
/** More extensions than there are types mean nothing; the rest of the packet is not looked at. */
const MAX_EXTENSIONS = 16;
const CAPABILITIES_BYTES = 12;

/** Reads the body of a handshake packet; undefined when it is none or an extension runs over its end. */
export function parseHandshake(body: Buffer): Handshake | undefined {
  if (body.length < FIXED_BYTES) return undefined;
  const version = body.readUInt32BE(0);
  const type = body.readUInt32BE(20);
  const carriesExtensions = version === 5 && type === HANDSHAKE.conclusion;
  const extensions = carriesExtensions ? parseExtensions(body) : [];
  if (extensions === undefined) return undefined;
  return {
    version,
    encryption: body.readUInt16BE(4),
    extensionField: body.readUInt16BE(6),
    initialSequence: body.readUInt32BE(8) & 0x7fff_ffff,
    mtuBytes: body.readUInt32BE(12),
    flowWindowPackets: body.readUInt32BE(16),
    type,
    socketId: body.readUInt32BE(24),
    cookie: body.readUInt32BE(28),
    extensions,
  };
}

function parseExtensions(body: Buffer): HandshakeExtension[] | undefined {
  const extensions: HandshakeExtension[] = [];
  let at = FIXED_BYTES;
  while (at + 4 <= body.length && extensions.length < MAX_EXTENSIONS) {
    const type = body.readUInt16BE(at);
    const end = at + 4 + body.readUInt16BE(at + 2) * 4;
    if (end > body.length) return undefined;
    extensions.push({ type, content: body.subarray(at + 4, end) });
    at = end;
  }
  return extensions;
}

/** The body of a handshake packet. `peer` is the address of who will read it, as bytes: 4 or 16 of them. */
export function writeHandshake(handshake: Handshake, peer: Uint8Array): Buffer {
  const extensionBytes = handshake.extensions.reduce((sum, { content }) => sum + 4 + content.length, 0);
  const body = Buffer.alloc(FIXED_BYTES + extensionBytes);
  body.writeUInt32BE(handshake.version, 0);
  body.writeUInt16BE(handshake.encryption, 4);
  body.writeUInt16BE(handshake.extensionField, 6);
  body.writeUInt32BE(handshake.initialSequence, 8);
  body.writeUInt32BE(handshake.mtuBytes, 12);
  body.writeUInt32BE(handshake.flowWindowPackets, 16);
  body.writeUInt32BE(handshake.type, 20);
  body.writeUInt32BE(handshake.socketId, 24);
  body.writeUInt32BE(handshake.cookie, 28);
  body.set(peer.subarray(0, ADDRESS_BYTES), ADDRESS_AT);
  // Each word of the address stands the other way round.
  body.subarray(ADDRESS_AT, ADDRESS_AT + ADDRESS_BYTES).swap32();
  let at = FIXED_BYTES;
  for (const { type, content } of handshake.extensions) {
    body.writeUInt16BE(type, at);
    body.writeUInt16BE(content.length / 4, at + 2);
    body.set(content, at + 4);
    at += 4 + content.length;
  }
  return body;
}

export function findExtension(handshake: Handshake, type: number): Buffer | undefined {
  return handshake.extensions.find((extension) => extension.type === type)?.content;
}

export function parseCapabilities(content: Buffer): Capabilities | undefined {
  if (content.length < CAPABILITIES_BYTES) return undefined;
  return {
    version: content.readUInt32BE(0),
    flags: content.readUInt32BE(4),
    receiveLatencyMs: content.readUInt16BE(8),
    sendLatencyMs: content.readUInt16BE(10),
  };
}

export function writeCapabilities(capabilities: Capabilities): Buffer {
  const content = Buffer.allocUnsafe(CAPABILITIES_BYTES);
  content.writeUInt32BE(capabilities.version, 0);
  content.writeUInt32BE(capabilities.flags, 4);
  content.writeUInt16BE(capabilities.receiveLatencyMs, 8);
  content.writeUInt16BE(capabilities.sendLatencyMs, 10);
  return content;
}

/** Text of a stream id or congestion extension: its words stand the other way round, zeros fill the last (3.2.1.3). */
export function readText(content: Buffer): Buffer {
  const bytes = Buffer.from(content).swap32();
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** The other way of {@link readText}. */
export function writeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const content = Buffer.alloc(Math.ceil(bytes.length / 4) * 4);
  content.set(bytes);
  return content.swap32();
}
