import type { TsCounters } from './ts-counters.ts';

export const TS_PACKET_BYTES = 188;
const SYNC_BYTE = 0x47;
/** Plain packets; with a 4-byte arrival time before each (M2TS); with 16 bytes of Reed-Solomon parity behind each. */
const STRIDES = [TS_PACKET_BYTES, 192, 204] as const;
/** Sync bytes in a row, a stride apart, that make a beginning. */
const SYNC_RUN = 3;
const LOOK_AHEAD_BYTES = (SYNC_RUN - 1) * 204 + 1;
const WINDOW_BYTES = 16 * LOOK_AHEAD_BYTES;

/**
 * Finds the 188-byte packets in bytes that come in pieces of any size. The packets are the same however the bytes are
 * split. A packet is given as soon as its last byte is there; while in search of the first, three are needed.
 */
export class TsPacketReader {
  readonly #onPacket: (bytes: Buffer, at: number) => void;
  readonly #counters: TsCounters;
  /** Distance between packets; 0 while in search of them. */
  #stride = 0;
  /** Bytes to pass over before the next packet. */
  #skip = 0;
  readonly #partial = Buffer.alloc(TS_PACKET_BYTES);
  #partialBytes = 0;
  /** Bytes in which packets are searched for. */
  readonly #window = Buffer.alloc(WINDOW_BYTES);
  #windowBytes = 0;

  /** @param onPacket gets the packet at `at`; the bytes are only its until it returns */
  constructor(counters: TsCounters, onPacket: (bytes: Buffer, at: number) => void) {
    this.#counters = counters;
    this.#onPacket = onPacket;
  }

  push(bytes: Uint8Array): void {
    const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < input.length; ) {
      at = this.#stride === 0 ? this.#gather(input, at) : this.#packets(input, at, input.length);
    }
  }

  /** The bytes are over: what is left is searched without waiting for more. A packet cut short is dropped. */
  flush(): void {
    if (this.#stride === 0) this.#search(true);
    this.#counters.skippedBytes += this.#windowBytes + this.#partialBytes;
    this.#windowBytes = 0;
    this.#partialBytes = 0;
    this.#skip = 0;
    this.#stride = 0;
  }

  /** In sync: gives packets; returns where it stopped, which is `end` or where sync was lost. */
  #packets(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, end - at);
        this.#skip -= skipped;
        at += skipped;
      } else if (this.#partialBytes > 0) {
        at = this.#continuePartial(bytes, at, end);
      } else if (bytes[at] !== SYNC_BYTE) {
        this.#stride = 0;
        this.#counters.fault('sync_loss');
        return at;
      } else if (end - at < TS_PACKET_BYTES) {
        at = this.#continuePartial(bytes, at, end);
      } else {
        this.#deliver(bytes, at);
        at += TS_PACKET_BYTES;
      }
    }
    return at;
  }

  #continuePartial(bytes: Buffer, at: number, end: number): number {
    const taken = Math.min(TS_PACKET_BYTES - this.#partialBytes, end - at);
    bytes.copy(this.#partial, this.#partialBytes, at, at + taken);
    this.#partialBytes += taken;
    if (this.#partialBytes === TS_PACKET_BYTES) {
      this.#partialBytes = 0;
      this.#deliver(this.#partial, 0);
    }
    return at + taken;
  }

  #deliver(bytes: Buffer, at: number): void {
    this.#skip = this.#stride - TS_PACKET_BYTES;
    this.#counters.packets++;
    this.#onPacket(bytes, at);
  }

  #gather(input: Buffer, at: number): number {
    const taken = Math.min(WINDOW_BYTES - this.#windowBytes, input.length - at);
    input.copy(this.#window, this.#windowBytes, at, at + taken);
    this.#windowBytes += taken;
    this.#search(false);
    return at + taken;
  }

  #search(final: boolean): void {
    let at = 0;
    while (this.#stride === 0 && at < this.#windowBytes) {
      const found = this.#acquire(at, final);
      this.#counters.skippedBytes += found - at;
      at = this.#stride === 0 ? found : this.#packets(this.#window, found, this.#windowBytes);
      if (this.#stride === 0 && at === found) break;
    }
    this.#window.copyWithin(0, at, this.#windowBytes);
    this.#windowBytes -= at;
  }

  /**
   * Looks for a beginning. Sets the stride and returns where packets begin, or else where the search must go on when
   * more bytes are there.
   */
  #acquire(from: number, final: boolean): number {
    const needed = final ? TS_PACKET_BYTES : LOOK_AHEAD_BYTES;
    for (let at = from; ; at++) {
      at = this.#window.indexOf(SYNC_BYTE, at);
      if (at < 0 || at >= this.#windowBytes) return this.#windowBytes;
      if (at + needed > this.#windowBytes) return at;
      const stride = STRIDES.find((candidate) => this.#isRun(at, candidate));
      if (stride !== undefined) {
        this.#stride = stride;
        this.#skip = 0;
        return at;
      }
    }
  }

  #isRun(at: number, stride: number): boolean {
    for (let packet = 1; packet < SYNC_RUN; packet++) {
      const next = at + packet * stride;
      if (next < this.#windowBytes && this.#window[next] !== SYNC_BYTE) return false;
    }
    return true;
  }
}
