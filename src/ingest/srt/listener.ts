import { addressGroup } from '../../base/address-group.ts';
import { ConnectionCount } from '../address-limits.ts';
import { type ConnectionLimits, type ConnectionOutput, SrtConnection } from './connection.ts';
import { CookieJar } from './cookie.ts';
import {
  EXTENSION,
  EXTENSION_FIELD,
  type Handshake,
  HANDSHAKE,
  type HandshakeExtension,
  parseHandshake,
  SRT_MAGIC,
  writeCapabilities,
  writeHandshake,
} from './handshake.ts';
import type { KeyRing } from './key-ring.ts';
import {
  answerCapabilities,
  type CallerOffer,
  MTU_BYTES,
  MTU_OVERHEAD_BYTES,
  negotiateLatency,
  readOffer,
} from './negotiation.ts';
import { CONTROL, packetDestination, parsePacket, writeControl } from './packet.ts';
import { type RejectCode, REJECT } from './reject.ts';

/** Where a packet came from or goes to. */
export interface SrtAddress {
  readonly address: string;
  readonly port: number;
}

export interface ListenerOptions extends ConnectionLimits {
  readonly latencyMs: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly maxInductionsPerSecond: number;
  readonly maxHandshakesPerSecond: number;
}

/** Why packets were not looked at further. */
export type IgnoredPacket =
  | 'malformed'
  | 'unknown_destination'
  | 'wrong_address'
  | 'cookie'
  | 'induction_rate'
  | 'handshake_rate';

/** Why the listener itself turned a caller away, before anybody was asked. */
export type ListenerRefusal = 'handshake_refused' | 'connection_limit' | 'address_limit';

/** A caller with a right cookie that waits for an answer. It repeats its request about every 250 ms for 3 s. */
export interface ConnectRequest {
  readonly from: SrtAddress;
  /** What limits by address count as one. */
  readonly group: string;
  readonly offer: CallerOffer;
  /** Gives the connection and tells the caller; at most one of `accept` and `reject` counts, the first. */
  accept(keys: KeyRing | undefined, output: Omit<ConnectionOutput, 'send'>): SrtConnection | undefined;
  reject(code: RejectCode): void;
}

export interface ListenerDeps {
  readonly send: (packet: Buffer, to: SrtAddress) => void;
  /** Unpredictable bytes: for cookies and socket ids. */
  readonly randomBytes: (size: number) => Uint8Array;
  readonly nowMs: () => number;
  readonly onRequest: (request: ConnectRequest) => void;
  readonly onIgnored: (why: IgnoredPacket) => void;
  readonly onRefused: (why: ListenerRefusal, code: RejectCode, from: SrtAddress) => void;
}

/** What became of a conclusion: repeats of it get the same answer. */
interface Attempt {
  readonly name: string;
  readonly group: string;
  state: 'pending' | 'accepted' | 'rejected';
  answer: Buffer | undefined;
  /** When a refusal is forgotten. */
  untilMs: number;
}

interface Live {
  readonly connection: SrtConnection;
  readonly from: SrtAddress;
  readonly attempt: Attempt;
}

/** A refused caller hears the same answer for so long, should the first have been lost. */
const REFUSAL_KEPT_MS = 3_000;
const RATE_WINDOW_MS = 1_000;
const SECRET_BYTES = 32;

/**
 * The listening side of SRT: many connections on one UDP port. It touches no socket: packets come in with their sender,
 * packets go out by `send`. Nothing is kept of a peer before it has shown the cookie that was sent to its address.
 */
export class SrtListener {
  readonly #options: ListenerOptions;
  readonly #deps: ListenerDeps;
  readonly #cookies: CookieJar;
  readonly #startMs: number;
  readonly #attempts = new Map<string, Attempt>();
  readonly #live = new Map<number, Live>();
  readonly #addresses = new ConnectionCount();
  /** Attempts that count as connections: all but the refused. */
  #occupied = 0;
  readonly #inductions: RateLimit;
  readonly #conclusions: RateLimit;

  constructor(options: ListenerOptions, deps: ListenerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#cookies = new CookieJar(deps.randomBytes(SECRET_BYTES));
    this.#startMs = deps.nowMs();
    this.#inductions = new RateLimit(options.maxInductionsPerSecond);
    this.#conclusions = new RateLimit(options.maxHandshakesPerSecond);
  }

  /** Connections, and callers that wait for an answer or were refused just now. */
  get size(): number {
    return this.#attempts.size;
  }

  /** Takes one packet, of any bytes, from anybody. */
  receive(bytes: Buffer, from: SrtAddress): void {
    const destination = packetDestination(bytes);
    if (destination === undefined) this.#deps.onIgnored('malformed');
    else if (destination === 0) this.#onHandshake(bytes, from);
    else this.#onConnectionPacket(destination, bytes, from);
  }

  /** To be called every 10 ms or so while {@link size} is not 0. */
  tick(): void {
    const nowMs = this.#deps.nowMs();
    for (const { connection } of this.#live.values()) connection.tick(nowMs);
    for (const attempt of this.#attempts.values()) {
      if (attempt.state === 'rejected' && attempt.untilMs <= nowMs) this.#attempts.delete(attempt.name);
    }
  }

  /** Ends a connection from our side. */
  end(connection: SrtConnection): void {
    connection.shutdown(this.#deps.nowMs());
    this.#remove(connection.localId);
  }

  #onConnectionPacket(destination: number, bytes: Buffer, from: SrtAddress): void {
    const live = this.#live.get(destination);
    if (live === undefined) this.#deps.onIgnored('unknown_destination');
    // A packet from elsewhere is a forgery, whatever its id.
    else if (live.from.port !== from.port || live.from.address !== from.address) {
      this.#deps.onIgnored('wrong_address');
    } else live.connection.receive(bytes, this.#deps.nowMs());
  }

  #onHandshake(bytes: Buffer, from: SrtAddress): void {
    const packet = parsePacket(bytes);
    const handshake =
      packet?.kind === 'control' && packet.type === CONTROL.handshake
        ? parseHandshake(packet.body)
        : undefined;
    if (handshake?.type === HANDSHAKE.induction) this.#onInduction(handshake, from);
    else if (handshake?.type === HANDSHAKE.conclusion) this.#onConclusion(handshake, from);
    else this.#deps.onIgnored('malformed');
  }

  /** Answers with a cookie and forgets: the answer is not longer than the question. */
  #onInduction(handshake: Handshake, from: SrtAddress): void {
    const nowMs = this.#deps.nowMs();
    if (!this.#inductions.take(nowMs)) {
      this.#deps.onIgnored('induction_rate');
      return;
    }
    this.#answer(from, handshake, {
      version: 5,
      encryption: 0,
      extensionField: SRT_MAGIC,
      type: HANDSHAKE.induction,
      socketId: handshake.socketId,
      cookie: this.#cookies.issue(from.address, from.port, nowMs),
    });
  }

  #onConclusion(handshake: Handshake, from: SrtAddress): void {
    const nowMs = this.#deps.nowMs();
    if (!this.#cookies.accepts(handshake.cookie, from.address, from.port, nowMs)) {
      this.#deps.onIgnored('cookie');
      return;
    }
    const name = `${from.address}|${from.port}|${handshake.socketId}`;
    const known = this.#attempts.get(name);
    if (known) {
      if (known.answer) this.#deps.send(known.answer, from);
      return;
    }
    if (this.#conclusions.take(nowMs)) this.#begin(name, handshake, from);
    else this.#deps.onIgnored('handshake_rate');
  }

  #begin(name: string, handshake: Handshake, from: SrtAddress): void {
    const group = addressGroup(from.address);
    const reading = readOffer(handshake);
    const refusal = this.#refusal(reading.kind, group);
    if (reading.kind === 'refused' || refusal !== undefined) {
      const code = reading.kind === 'refused' ? reading.code : REJECT.overload;
      this.#answer(from, handshake, { ...NO_ANSWER, type: code });
      this.#deps.onRefused(refusal ?? 'handshake_refused', code, from);
      return;
    }
    const attempt: Attempt = { name, group, state: 'pending', answer: undefined, untilMs: 0 };
    this.#attempts.set(name, attempt);
    this.#addresses.add(group);
    this.#occupied += 1;
    const { offer } = reading;
    this.#deps.onRequest({
      from,
      group,
      offer,
      accept: (keys, output) => this.#accept(attempt, handshake, offer, from, keys, output),
      reject: (code) => this.#reject(attempt, handshake, from, code),
    });
  }

  #refusal(kind: 'offer' | 'refused', group: string): ListenerRefusal | undefined {
    if (kind === 'refused') return 'handshake_refused';
    if (this.#occupied >= this.#options.maxConnections) return 'connection_limit';
    const { maxConnectionsPerAddress: max } = this.#options;
    return max > 0 && this.#addresses.of(group) >= max ? 'address_limit' : undefined;
  }

  #reject(attempt: Attempt, handshake: Handshake, from: SrtAddress, code: RejectCode): void {
    if (attempt.state !== 'pending') return;
    attempt.state = 'rejected';
    this.#release(attempt);
    attempt.untilMs = this.#deps.nowMs() + REFUSAL_KEPT_MS;
    attempt.answer = this.#answer(from, handshake, { ...NO_ANSWER, type: code });
  }

  #accept(
    attempt: Attempt,
    handshake: Handshake,
    offer: CallerOffer,
    from: SrtAddress,
    keys: KeyRing | undefined,
    output: Omit<ConnectionOutput, 'send'>,
  ): SrtConnection | undefined {
    if (attempt.state !== 'pending') return undefined;
    attempt.state = 'accepted';
    const localId = this.#freeId();
    const latencyMs = negotiateLatency(offer.capabilities, this.#options.latencyMs);
    const connection = new SrtConnection(
      {
        localId,
        peerId: offer.socketId,
        peerVersion: offer.capabilities.version,
        initialSequence: offer.initialSequence,
        latencyMs,
        maxPacketBytes: offer.mtuBytes - MTU_OVERHEAD_BYTES,
        startMs: this.#deps.nowMs(),
        keys,
      },
      this.#options,
      {
        payload: (bytes) => output.payload(bytes),
        gap: () => output.gap(),
        send: (packet) => this.#deps.send(packet, from),
        ended: (end) => {
          this.#remove(localId);
          output.ended(end);
        },
      },
    );
    this.#live.set(localId, { connection, from, attempt });
    attempt.answer = this.#answer(from, handshake, {
      version: 5,
      encryption: 0,
      extensionField: EXTENSION_FIELD.capabilities | (offer.keys && keys ? EXTENSION_FIELD.keys : 0),
      type: HANDSHAKE.conclusion,
      socketId: localId,
      cookie: 0,
      extensions: acceptance(offer, latencyMs, keys !== undefined),
    });
    return connection;
  }

  #answer(
    to: SrtAddress,
    asked: Handshake,
    answer: Omit<Handshake, 'initialSequence' | 'mtuBytes' | 'flowWindowPackets' | 'extensions'> & {
      readonly extensions?: readonly HandshakeExtension[];
    },
  ): Buffer {
    const handshake: Handshake = {
      extensions: [],
      ...answer,
      initialSequence: asked.initialSequence,
      mtuBytes: Math.min(MTU_BYTES, asked.mtuBytes),
      flowWindowPackets: this.#options.maxBufferPackets,
    };
    const packet = writeControl({
      type: CONTROL.handshake,
      timestamp: Math.round((this.#deps.nowMs() - this.#startMs) * 1000) % 2 ** 32,
      destination: asked.socketId,
      body: writeHandshake(handshake, addressBytes(to.address)),
    });
    this.#deps.send(packet, to);
    return packet;
  }

  #freeId(): number {
    for (;;) {
      // Bit 30 marks groups of connections, bit 31 is not used.
      const id = Buffer.from(this.#deps.randomBytes(4)).readUInt32BE(0) & 0x3fff_ffff;
      if (id !== 0 && !this.#live.has(id)) return id;
    }
  }

  #remove(localId: number): void {
    const live = this.#live.get(localId);
    if (!live) return;
    this.#live.delete(localId);
    this.#attempts.delete(live.attempt.name);
    this.#release(live.attempt);
  }

  /** It is no connection, or none any more. */
  #release({ group }: Attempt): void {
    this.#addresses.remove(group);
    this.#occupied -= 1;
  }
}

/** How a refusal begins: it carries nothing but its code. */
const NO_ANSWER = { version: 5, encryption: 0, extensionField: 0, socketId: 0, cookie: 0 };

function acceptance(offer: CallerOffer, latencyMs: number, encrypted: boolean): HandshakeExtension[] {
  const capabilities = writeCapabilities(answerCapabilities(offer.capabilities, latencyMs));
  const extensions = [{ type: EXTENSION.capabilityResponse, content: capabilities }];
  return offer.keys && encrypted
    ? [...extensions, { type: EXTENSION.keyResponse, content: offer.keys.bytes }]
    : extensions;
}

/** The four bytes of an IPv4 address; of others none: nobody reads the field but to learn its own address. */
function addressBytes(address: string): Uint8Array {
  const parts = address
    .replace(/^::ffff:/i, '')
    .split('.')
    .map(Number);
  const isIpv4 = parts.length === 4 && parts.every((part) => part >= 0 && part <= 255);
  return Uint8Array.from(isIpv4 ? parts : []);
}

/** So many a second, no more. */
class RateLimit {
  readonly #max: number;
  #startMs = Number.NEGATIVE_INFINITY;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  take(nowMs: number): boolean {
    if (nowMs - this.#startMs >= RATE_WINDOW_MS) {
      this.#startMs = nowMs;
      this.#taken = 0;
    }
    this.#taken += 1;
    return this.#taken <= this.#max;
  }
}
