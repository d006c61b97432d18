import {
  parseDropRequest,
  type SequenceRange,
  writeFullAck,
  writeLightAck,
  writeLossReports,
} from './control-bodies.ts';
import { parseKeyMaterial } from './key-material.ts';
import type { KeyRing } from './key-ring.ts';
import { CONTROL, type ControlPacket, type DataPacket, parsePacket, USER, writeControl } from './packet.ts';
import { RateWindow } from './rate-window.ts';
import { Receiver, type ReceiverCounters } from './receiver.ts';
import { RoundTrip } from './round-trip.ts';

/** Why a connection ended by itself. */
export type ConnectionEnd = 'peer_shutdown' | 'peer_idle';

export interface ConnectionSetup {
  readonly localId: number;
  readonly peerId: number;
  /** Version of SRT that the peer says it is, e.g. 0x010501. */
  readonly peerVersion: number;
  readonly initialSequence: number;
  /** Negotiated: the greater of what both sides want. */
  readonly latencyMs: number;
  /** Largest UDP payload either side sends. */
  readonly maxPacketBytes: number;
  readonly startMs: number;
  /** Undefined when nothing is encrypted. */
  readonly keys: KeyRing | undefined;
}

/** What a connection may hold and wait for; see SrtOptions. */
export interface ConnectionLimits {
  readonly maxBufferPackets: number;
  readonly maxBufferBytes: number;
  readonly maxReorderPackets: number;
  readonly peerIdleTimeoutMs: number;
}

export interface ConnectionOutput {
  send(packet: Buffer): void;
  /** Payload in order; the bytes are the receiver's to keep. */
  payload(bytes: Buffer): void;
  /** Something is missing between the last payload and the next. */
  gap(): void;
  /** Called once, when the connection ended by itself. */
  ended(end: ConnectionEnd): void;
}

/** What an operator wants to know of a connection. Rates are of the last whole second. */
export interface ConnectionStats extends Readonly<ReceiverCounters> {
  readonly naksSent: number;
  readonly rttMs: number;
  readonly latencyMs: number;
  /** Payload that comes, with what is sent again. */
  readonly bitrateBps: number;
  /** What goes back: acknowledgements and loss reports. */
  readonly returnBitrateBps: number;
  readonly bufferedBytes: number;
}

/** Full acknowledgements go out this often (draft-sharabayko-srt 4.8.1), light ones after so many packets between. */
const ACK_MS = 10;
const LIGHT_ACK_PACKETS = 64;
const KEEP_ALIVE_MS = 1000;
const MIN_REPORT_GAP_MS = 20;
/** libsrt from 1.5.0 on does not send a packet again within a round trip, unless it is told to (SRTO_RETRANSMITALGO). */
const VERSION_WITH_RETRANSMISSION_GUARD = 0x01_05_00;
/** Room for the headers of IPv6 and UDP, and ours, in a packet. */
const LOSS_REPORT_OVERHEAD_BYTES = 64;

/** States of the key exchange, as a KMRSP of one word reports them (3.2.2). */
const KEY_STATE = { noSecret: 3, badSecret: 4 } as const;

/**
 * One SRT connection from the end of its handshake on, as the side that receives. It touches no socket and no clock:
 * packets, time and ticks come in, packets and payload go out. Any bytes may be given to it.
 */
export class SrtConnection {
  readonly #setup: ConnectionSetup;
  readonly #limits: ConnectionLimits;
  readonly #output: ConnectionOutput;
  readonly #receiver: Receiver;
  readonly #roundTrip = new RoundTrip();
  readonly #rate: RateWindow;
  readonly #returnRate: RateWindow;
  #open = true;
  /** The time of the last call. */
  #now: number;
  #heardMs: number;
  #sentMs: number;
  #ackedMs: number;
  #ackedNext: number;
  /** Whether the peer has answered an acknowledgement of `#ackedNext`. */
  #ackConfirmed = true;
  #packetsSinceAck = 0;
  #naksSent = 0;

  constructor(setup: ConnectionSetup, limits: ConnectionLimits, output: ConnectionOutput) {
    this.#setup = setup;
    this.#limits = limits;
    this.#output = output;
    this.#now = setup.startMs;
    this.#heardMs = setup.startMs;
    this.#sentMs = setup.startMs;
    this.#ackedMs = setup.startMs;
    this.#ackedNext = setup.initialSequence;
    this.#rate = new RateWindow(setup.startMs);
    this.#returnRate = new RateWindow(setup.startMs);
    this.#receiver = new Receiver(
      setup.initialSequence,
      { ...limits, latencyMs: setup.latencyMs },
      {
        deliver: (payload) => {
          if (this.#open) output.payload(payload);
        },
        gap: () => {
          if (this.#open) output.gap();
        },
        report: (ranges) => this.#report(ranges),
      },
    );
  }

  get localId(): number {
    return this.#setup.localId;
  }

  /** Whether anything the peer sends is still looked at. */
  get open(): boolean {
    return this.#open;
  }

  /** Takes one packet that came from the peer's address to our id. */
  receive(bytes: Buffer, nowMs: number): void {
    const packet = this.#open ? parsePacket(bytes) : undefined;
    if (packet === undefined) return;
    this.#heardMs = nowMs;
    this.#now = nowMs;
    if (packet.kind === 'data') this.#onData(packet, nowMs);
    else this.#onControl(packet, nowMs);
  }

  /** To be called every 10 ms or so: timers of the connection. */
  tick(nowMs: number): void {
    if (!this.#open) return;
    this.#now = nowMs;
    if (nowMs - this.#heardMs >= this.#limits.peerIdleTimeoutMs) {
      this.#end('peer_idle');
      return;
    }
    this.#rate.roll(nowMs);
    this.#returnRate.roll(nowMs);
    this.#receiver.tick(nowMs, this.#reportGapMs());
    if (!this.#open) return;
    this.#acknowledge(nowMs);
    if (nowMs - this.#sentMs >= KEEP_ALIVE_MS) this.#control({ type: CONTROL.keepAlive });
  }

  /** Ends the connection from our side and tells the peer. Nothing is delivered after it. Idempotent. */
  shutdown(nowMs: number): void {
    if (!this.#open) return;
    this.#now = nowMs;
    this.#control({ type: CONTROL.shutdown });
    this.#open = false;
    this.#receiver.clear();
  }

  stats(): ConnectionStats {
    return {
      ...this.#receiver.counters,
      naksSent: this.#naksSent,
      rttMs: this.#roundTrip.rttMs,
      latencyMs: this.#setup.latencyMs,
      bitrateBps: this.#rate.bytesPerSecond * 8,
      returnBitrateBps: this.#returnRate.bytesPerSecond * 8,
      bufferedBytes: this.#receiver.bufferedBytes,
    };
  }

  #onData(packet: DataPacket, nowMs: number): void {
    const receiver = this.#receiver;
    this.#rate.add(packet.payload.length);
    if (!receiver.accept(packet, packet.payload.length)) return;
    receiver.take(packet, this.#decrypt(packet), nowMs);
    this.#packetsSinceAck += 1;
    if (this.#packetsSinceAck >= LIGHT_ACK_PACKETS && this.#open) {
      this.#packetsSinceAck = 0;
      this.#control({ type: CONTROL.ack, body: writeLightAck(receiver.nextSequence) });
    }
  }

  /** What cannot be decrypted counts as received: asking for it again would not help. */
  #decrypt(packet: DataPacket): Buffer {
    const { keys } = this.#setup;
    if (packet.keyFlag === 0 && keys === undefined) return packet.payload;
    if (keys?.decrypt(packet.keyFlag, packet.sequence, packet.payload) === true) return packet.payload;
    this.#receiver.counters.undecrypted += 1;
    return NO_PAYLOAD;
  }

  #onControl(packet: ControlPacket, nowMs: number): void {
    switch (packet.type) {
      case CONTROL.ackAck:
        if (this.#roundTrip.answered(packet.info, nowMs)) this.#ackConfirmed = true;
        return;
      case CONTROL.dropRequest: {
        const range = parseDropRequest(packet.body);
        if (range) this.#receiver.giveUp(range, nowMs);
        return;
      }
      case CONTROL.shutdown:
        this.#receiver.flush();
        this.#end('peer_shutdown');
        return;
      case CONTROL.user:
        if (packet.subtype === USER.keyRequest) void this.#onKeyRequest(packet.body);
        return;
      default:
      // Keep-alives have done their work by coming; the rest concerns those who send data.
    }
  }

  /** New keys while the connection is under way. The answer goes out when they are in place, not before. */
  async #onKeyRequest(body: Buffer): Promise<void> {
    const { keys } = this.#setup;
    const reading = parseKeyMaterial(body);
    const answer = Buffer.from(body);
    const taken = keys !== undefined && reading.kind === 'material' && (await keys.update(reading.material));
    if (!this.#open) return;
    this.#control({
      type: CONTROL.user,
      subtype: USER.keyResponse,
      body: taken ? answer : keyState(keys === undefined ? KEY_STATE.noSecret : KEY_STATE.badSecret),
    });
  }

  /**
   * Time between two reports of one hole: that of libsrt (4.8.2), but never longer than a round trip, for on a restless
   * way the latency would be over before. A sender that knows what it sent again just now is asked twice as often: it
   * costs nothing but the report, and a report that is lost is made up for.
   */
  #reportGapMs(): number {
    const { rttMs, varianceMs } = this.#roundTrip;
    const gapMs = Math.max(MIN_REPORT_GAP_MS, Math.min(rttMs, (rttMs + 4 * varianceMs) / 2));
    return this.#setup.peerVersion >= VERSION_WITH_RETRANSMISSION_GUARD ? gapMs / 2 : gapMs;
  }

  /** A full acknowledgement whenever there is news, and again while the last was not answered. */
  #acknowledge(nowMs: number): void {
    if (nowMs - this.#ackedMs < ACK_MS) return;
    const next = this.#receiver.nextSequence;
    const { rttMs, varianceMs } = this.#roundTrip;
    const unanswered = !this.#ackConfirmed && nowMs - this.#ackedMs >= rttMs + 4 * varianceMs;
    if (next === this.#ackedNext && !unanswered) return;
    this.#ackedMs = nowMs;
    this.#ackedNext = next;
    this.#ackConfirmed = false;
    this.#packetsSinceAck = 0;
    const body = writeFullAck({
      next,
      rttMicros: rttMs * 1000,
      rttVarianceMicros: varianceMs * 1000,
      availablePackets: this.#receiver.availablePackets,
      packetsPerSecond: this.#rate.packetsPerSecond,
      bytesPerSecond: this.#rate.bytesPerSecond,
    });
    this.#control({ type: CONTROL.ack, info: this.#roundTrip.ackSent(nowMs), body });
  }

  #report(ranges: readonly SequenceRange[]): void {
    if (!this.#open) return;
    for (const body of writeLossReports(ranges, this.#setup.maxPacketBytes - LOSS_REPORT_OVERHEAD_BYTES)) {
      this.#naksSent += 1;
      this.#control({ type: CONTROL.nak, body });
    }
  }

  #control(fields: { type: number; subtype?: number; info?: number; body?: Uint8Array }): void {
    this.#sentMs = this.#now;
    const timestamp = Math.round((this.#now - this.#setup.startMs) * 1000) % 2 ** 32;
    const packet = writeControl({ ...fields, timestamp, destination: this.#setup.peerId });
    this.#returnRate.add(packet.length);
    this.#output.send(packet);
  }

  #end(end: ConnectionEnd): void {
    if (!this.#open) return;
    this.#open = false;
    this.#receiver.clear();
    this.#output.ended(end);
  }
}

const NO_PAYLOAD = Buffer.alloc(0);

function keyState(state: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(state);
  return body;
}
