import { randomBytes } from 'node:crypto';
import { parseLossReport } from '../../src/ingest/srt/control-bodies.ts';
import { CtrCipher } from '../../src/ingest/srt/ctr-cipher.ts';
import {
  CAPABILITY,
  EXTENSION,
  EXTENSION_FIELD,
  type Handshake,
  HANDSHAKE,
  type HandshakeExtension,
  parseHandshake,
  writeCapabilities,
  writeHandshake,
  writeText,
} from '../../src/ingest/srt/handshake.ts';
import { deriveKek, type KeyBytes, wrapKeys, writeKeyMaterial } from '../../src/ingest/srt/key-material.ts';
import {
  CONTROL,
  type ControlPacket,
  HEADER_BYTES,
  parsePacket,
  USER,
  writeControl,
} from '../../src/ingest/srt/packet.ts';
import { addSequence } from '../../src/ingest/srt/sequence.ts';

/** One data packet as it stands on the wire. */
export function writeSrtData(fields: {
  readonly destination: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly payload: Uint8Array;
  readonly keyFlag?: number;
  readonly retransmitted?: boolean;
}): Buffer {
  const packet = Buffer.alloc(HEADER_BYTES + fields.payload.length);
  packet.writeUInt32BE(fields.sequence, 0);
  const flags = 0xc000_0000 + (fields.keyFlag ?? 0) * 2 ** 27 + (fields.retransmitted ? 2 ** 26 : 0);
  packet.writeUInt32BE(flags + 1, 4);
  packet.writeUInt32BE(fields.timestamp, 8);
  packet.writeUInt32BE(fields.destination, 12);
  packet.set(fields.payload, HEADER_BYTES);
  return packet;
}

export interface SrtCallerOptions {
  readonly streamId?: string;
  readonly passphrase?: string;
  readonly keyBytes?: KeyBytes;
  readonly initialSequence?: number;
  readonly socketId?: number;
  /** What is changed in the conclusion, to send a bad one. */
  readonly conclusion?: Partial<Handshake>;
  readonly flags?: number;
  readonly version?: number;
  readonly latencyMs?: number;
}

const FLAGS =
  CAPABILITY.sendsOnTime |
  CAPABILITY.receivesOnTime |
  CAPABILITY.encryption |
  CAPABILITY.dropsTooLate |
  CAPABILITY.repeatsNaks |
  CAPABILITY.marksRetransmissions;

/**
 * A caller that sends, without socket or clock: `send` takes what it sends, `receive` what it gets. It remembers what it
 * was told, and answers loss reports when `retransmits` is set.
 */
export class SrtTestCaller {
  readonly options: SrtCallerOptions;
  readonly controls: ControlPacket[] = [];
  readonly socketId: number;
  retransmits = true;
  /** Type of the listener's last answer: 1, 0xffffffff or a reject code. */
  answer: number | undefined;
  accepted: Handshake | undefined;
  nowMs = 0;
  cookie = 0;
  #sequence: number;
  #send: (packet: Buffer) => void;
  readonly #sent = new Map<number, Buffer>();
  #keys: { flag: number; cipher: CtrCipher; salt: Buffer; kek: Buffer } | undefined;
  #keyBody: Buffer | undefined;

  constructor(options: SrtCallerOptions, send: (packet: Buffer) => void) {
    this.options = options;
    this.socketId = options.socketId ?? 0x1234;
    this.#sequence = options.initialSequence ?? 1000;
    this.#send = send;
  }

  get nextSequence(): number {
    return this.#sequence;
  }

  get destination(): number {
    return this.accepted?.socketId ?? 0;
  }

  /** Where packets go from now on: to a proxy, say. */
  set output(send: (packet: Buffer) => void) {
    this.#send = send;
  }

  /** Makes the stream key; to be awaited before the conclusion when there is a passphrase. */
  async prepareKeys(flag = 1): Promise<void> {
    const { passphrase, keyBytes = 16 } = this.options;
    if (passphrase === undefined) return;
    const salt = randomBytes(16);
    const kek = await deriveKek(passphrase, salt, keyBytes);
    this.#keyBody = this.#newKey(flag, salt, kek);
  }

  induce(): void {
    this.#handshake({
      ...this.#offer(),
      version: 4,
      extensionField: 2,
      type: HANDSHAKE.induction,
      extensions: [],
    });
  }

  conclude(): void {
    this.#handshake({ ...this.#offer(), cookie: this.cookie, ...this.options.conclusion });
  }

  /** Sends one packet of payload, or keeps it back as if it were lost. */
  data(payload: Uint8Array, lost = false): number {
    const sequence = this.#sequence;
    this.#sequence = addSequence(sequence, 1);
    const packet = this.packetOf(sequence, payload);
    this.#sent.set(sequence, packet);
    if (!lost) this.#send(packet);
    return sequence;
  }

  packetOf(sequence: number, payload: Uint8Array): Buffer {
    const bytes = Buffer.from(payload);
    this.#keys?.cipher.apply(sequence, bytes);
    return writeSrtData({
      destination: this.destination,
      sequence,
      timestamp: Math.round(this.nowMs * 1000) % 2 ** 32,
      payload: bytes,
      keyFlag: this.#keys?.flag ?? 0,
    });
  }

  resend(sequence: number): void {
    const packet = this.#sent.get(sequence);
    if (!packet) return;
    const marked = Buffer.from(packet);
    marked.writeUInt32BE((marked.readUInt32BE(4) | 0x0400_0000) >>> 0, 4);
    this.#send(marked);
  }

  /** The same packet once more, as a network may double it. */
  double(sequence: number): void {
    const packet = this.#sent.get(sequence);
    if (packet) this.#send(Buffer.from(packet));
  }

  control(type: number, fields: { subtype?: number; info?: number; body?: Uint8Array } = {}): void {
    const timestamp = Math.round(this.nowMs * 1000) % 2 ** 32;
    this.#send(writeControl({ type, timestamp, destination: this.destination, ...fields }));
  }

  /** Announces a new stream key; what it gives begins to use it. */
  announceKey(): () => void {
    const keys = this.#keys;
    if (!keys) throw new Error('no keys');
    const flag = keys.flag === 1 ? 2 : 1;
    const body = this.#newKey(flag, keys.salt, keys.kek);
    const next = this.#keys;
    this.#keys = keys;
    this.control(CONTROL.user, { subtype: USER.keyRequest, body });
    return () => {
      this.#keys = next;
    };
  }

  receive(bytes: Buffer): void {
    const packet = parsePacket(bytes);
    if (packet?.kind !== 'control') return;
    this.controls.push({ ...packet, body: Buffer.from(packet.body) });
    if (packet.type === CONTROL.handshake) this.#onHandshake(packet.body);
    else if (packet.type === CONTROL.ack && packet.info > 0)
      this.control(CONTROL.ackAck, { info: packet.info });
    else if (packet.type === CONTROL.nak && this.retransmits) this.#onNak(packet.body);
  }

  of(type: number): ControlPacket[] {
    return this.controls.filter((control) => control.type === type);
  }

  #onHandshake(body: Buffer): void {
    const handshake = parseHandshake(body);
    if (!handshake) return;
    this.answer = handshake.type;
    if (handshake.type === HANDSHAKE.induction) this.cookie = handshake.cookie;
    if (handshake.type === HANDSHAKE.conclusion) this.accepted = handshake;
  }

  #onNak(body: Buffer): void {
    for (const { first, last } of parseLossReport(body) ?? []) {
      for (let sequence = first; ; sequence = addSequence(sequence, 1)) {
        this.resend(sequence);
        if (sequence === last) break;
      }
    }
  }

  #newKey(flag: number, salt: Buffer, kek: Buffer): Buffer {
    const key = randomBytes(kek.length);
    this.#keys = { flag, cipher: new CtrCipher(key, salt), salt, kek };
    return writeKeyMaterial({
      keys: flag as 1 | 2,
      keyBytes: kek.length as KeyBytes,
      salt,
      wrapped: wrapKeys(kek, key),
    });
  }

  #offer(): Handshake {
    const { streamId, latencyMs = 120, flags = FLAGS, version = 0x01_05_01 } = this.options;
    const capabilities = { version, flags, receiveLatencyMs: latencyMs, sendLatencyMs: latencyMs };
    const extensions: HandshakeExtension[] = [
      { type: EXTENSION.capabilityRequest, content: writeCapabilities(capabilities) },
    ];
    if (this.#keyBody) extensions.push({ type: EXTENSION.keyRequest, content: this.#keyBody });
    if (streamId !== undefined) extensions.push({ type: EXTENSION.streamId, content: writeText(streamId) });
    return {
      version: 5,
      encryption: 0,
      extensionField: EXTENSION_FIELD.capabilities | EXTENSION_FIELD.config,
      initialSequence: this.#sequence,
      mtuBytes: 1500,
      flowWindowPackets: 8192,
      type: HANDSHAKE.conclusion,
      socketId: this.socketId,
      cookie: 0,
      extensions,
    };
  }

  #handshake(handshake: Handshake): void {
    const body = writeHandshake(handshake, Uint8Array.of(127, 0, 0, 1));
    const timestamp = Math.round(this.nowMs * 1000) % 2 ** 32;
    this.#send(writeControl({ type: CONTROL.handshake, timestamp, destination: 0, body }));
  }
}
