/** What srt-live-transmit sends at a time: seven packets of MPEG-TS. */
export const RECORD_BYTES = 1316;

/** One datagram of a bench: which it is, and when it was given to the sender. */
export interface SrtRecord {
  readonly channel: number;
  readonly index: number;
  /** Epoch milliseconds, fractional. */
  readonly sentMs: number;
}

/** Now, the same in all processes of this machine. */
export function epochMs(): number {
  return performance.timeOrigin + performance.now();
}

export function writeRecord(record: SrtRecord): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.writeUInt32BE(record.channel, 4);
  bytes.writeUInt32BE(record.index, 8);
  bytes.writeDoubleBE(record.sentMs, 12);
  return bytes;
}

export function readRecord(bytes: Buffer): SrtRecord {
  return { channel: bytes.readUInt32BE(4), index: bytes.readUInt32BE(8), sentMs: bytes.readDoubleBE(12) };
}

/** What came of the records of all channels. */
export class RecordTally {
  readonly delaysMs: number[] = [];
  readonly #seen = new Map<number, Set<number>>();

  take(bytes: Buffer): void {
    if (bytes.length !== RECORD_BYTES) return;
    const { channel, index, sentMs } = readRecord(bytes);
    const seen = this.#seen.get(channel) ?? new Set();
    this.#seen.set(channel, seen);
    seen.add(index);
    this.delaysMs.push(epochMs() - sentMs);
  }

  /** Forgets what came so far. */
  clear(): void {
    this.delaysMs.length = 0;
    this.#seen.clear();
  }

  get records(): number {
    return [...this.#seen.values()].reduce((sum, seen) => sum + seen.size, 0);
  }

  /** Groups of `size` records among the first `count` of a channel of which one is missing. */
  damagedGroups(channel: number, count: number, size: number): number {
    const seen = this.#seen.get(channel) ?? new Set();
    const damaged = new Set<number>();
    for (let index = 0; index < count; index++) if (!seen.has(index)) damaged.add(Math.floor(index / size));
    return damaged.size;
  }

  missing(channel: number, count: number): number {
    const seen = this.#seen.get(channel) ?? new Set();
    return count - [...seen].filter((index) => index < count).length;
  }
}
