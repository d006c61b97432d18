import type { SequenceRange } from './control-bodies.ts';
import { type Hole, LossList } from './loss-list.ts';
import { PeerClock } from './peer-clock.ts';
import { ReorderTolerance } from './reorder-tolerance.ts';
import { addSequence, sequenceDistance } from './sequence.ts';

export interface ReceiverOptions {
  /** How long after its time a packet is waited for, negotiated with the peer. */
  readonly latencyMs: number;
  /** The receive window: how far a packet may lie ahead of the first missing one. */
  readonly maxBufferPackets: number;
  /** Payload held behind holes. */
  readonly maxBufferBytes: number;
  /** The reorder tolerance grows no further. */
  readonly maxReorderPackets: number;
}

export interface ReceiverOutput {
  /** Payload in order. */
  deliver(payload: Buffer): void;
  /** What comes next does not follow what was delivered last: packets between were given up or are not readable. */
  gap(): void;
  /** Asks for packets, for the first time or again. */
  report(ranges: readonly SequenceRange[]): void;
}

/** Numbers of packets, and bytes of payload, since the connection began. */
export interface ReceiverCounters {
  /** All data packets, whatever became of them. */
  packets: number;
  bytes: number;
  /** Found missing. */
  lost: number;
  /** Came marked as sent again. */
  retransmitted: number;
  /** Came when they were there already. */
  duplicate: number;
  /** Came after what they hold had been delivered or given up. */
  belated: number;
  /** Given up: too late, over the buffer's limits, or by the sender. */
  dropped: number;
  /** Of those, given up early because the buffer was full. */
  overflowed: number;
  /** Too far ahead to be part of the stream, not looked at. */
  stray: number;
  undecrypted: number;
}

interface Held {
  readonly payload: Buffer;
  /** When what is missing before it is given up. */
  readonly dueMs: number;
}

/** A packet of the peer, decrypted. An empty payload counts as received and is not delivered. */
export interface ReceivedPacket {
  readonly sequence: number;
  readonly timestamp: number;
  readonly retransmitted: boolean;
}

/** Before the first packet. */
export const NO_RECEIVER_COUNTS: Readonly<ReceiverCounters> = {
  packets: 0,
  bytes: 0,
  lost: 0,
  retransmitted: 0,
  duplicate: 0,
  belated: 0,
  dropped: 0,
  overflowed: 0,
  stray: 0,
  undecrypted: 0,
};

/** Half a tick: what would be due before the next tick is nearer is reported with this one. */
const TICK_SLACK_MS = 5;
/** For so long a part of the latency a new hole may be taken for reordering. */
const REORDER_LATENCY_SHARE = 8;
/** A second packet this near to a stray one shows that the sender is really there. */
const STRAY_NEIGHBOUR_PACKETS = 64;

/**
 * Puts packets in order. What is in order is delivered at once; the latency is spent only on holes: what is missing is
 * asked for at once and then again and again, until the packet behind it is due. Pure: packets and time come in.
 */
export class Receiver {
  readonly counters: ReceiverCounters = { ...NO_RECEIVER_COUNTS };
  readonly #options: ReceiverOptions;
  readonly #output: ReceiverOutput;
  readonly #clock = new PeerClock();
  readonly #losses = new LossList();
  readonly #reorder: ReorderTolerance;
  /** Packets behind holes, by number. */
  readonly #held = new Map<number, Held>();
  #heldBytes = 0;
  /** The first number not delivered. */
  #next: number;
  /** The greatest number seen. */
  #highest: number;
  /** Holes that were not reported yet. */
  #fresh = false;
  #stray: number | undefined;

  constructor(initialSequence: number, options: ReceiverOptions, output: ReceiverOutput) {
    this.#next = initialSequence;
    this.#highest = addSequence(initialSequence, -1);
    this.#options = options;
    this.#output = output;
    this.#reorder = new ReorderTolerance(options.maxReorderPackets);
  }

  /** The first number that is missing: all before it were delivered or given up. */
  get nextSequence(): number {
    return this.#next;
  }

  get bufferedBytes(): number {
    return this.#heldBytes;
  }

  /** Packets there is room for. */
  get availablePackets(): number {
    return this.#options.maxBufferPackets - Math.max(0, sequenceDistance(this.#next, this.#highest) + 1);
  }

  /** Whether the packet is still wanted; those that are not need no decryption. Counts what comes. */
  accept(packet: ReceivedPacket, sizeBytes: number): boolean {
    const { counters } = this;
    counters.packets += 1;
    counters.bytes += sizeBytes;
    if (packet.retransmitted) counters.retransmitted += 1;
    const ahead = sequenceDistance(this.#next, packet.sequence);
    if (ahead < 0) {
      counters.belated += 1;
      return false;
    }
    if (this.#held.has(packet.sequence)) {
      counters.duplicate += 1;
      return false;
    }
    return ahead < this.#options.maxBufferPackets || this.#follow(packet.sequence);
  }

  /** Takes a packet that {@link accept} wants. */
  take(packet: ReceivedPacket, payload: Buffer, nowMs: number): void {
    const { sequence, timestamp, retransmitted } = packet;
    const expectedMs = this.#clock.expectedMs(timestamp, !retransmitted, nowMs);
    if (sequenceDistance(this.#highest, sequence) > 0) this.#advanceTo(sequence, nowMs);
    else if (this.#losses.remove(sequence) && !retransmitted) {
      this.#reorder.overtaken(sequenceDistance(sequence, this.#highest));
    }
    if (sequence === this.#next) {
      this.#next = addSequence(sequence, 1);
      this.#deliver(payload);
      if (sequence !== this.#highest) this.#advance();
    } else {
      // However the clocks stand, what is here is waited with no longer than the latency.
      const dueMs = Math.min(expectedMs, nowMs) + this.#options.latencyMs;
      this.#held.set(sequence, { payload, dueMs });
      this.#heldBytes += payload.length;
    }
    if (this.#losses.packets > 0) this.#mendHoles(nowMs);
  }

  /** The sender will not send these any more (DROPREQ). */
  giveUp(range: SequenceRange, nowMs: number): void {
    const ahead = sequenceDistance(range.first, range.last);
    if (ahead < 0 || ahead >= this.#options.maxBufferPackets) return;
    this.counters.dropped += this.#losses.removeRange(range);
    this.#advance();
    if (this.#losses.packets > 0) this.#mendHoles(nowMs);
  }

  /** Time goes on: gives up what is due, and asks again for what is missing. `reportGapMs`: between two askings. */
  tick(nowMs: number, reportGapMs: number): void {
    if (this.#losses.packets === 0) return;
    this.#mendHoles(nowMs);
    this.#reportWhere(
      (hole) =>
        hole.nakMs === undefined
          ? nowMs - hole.sinceMs >= this.#options.latencyMs / REORDER_LATENCY_SHARE
          : nowMs - hole.nakMs >= reportGapMs - TICK_SLACK_MS,
      nowMs,
    );
  }

  /** The stream is over: delivers what is there without waiting for what is missing. */
  flush(): void {
    while (this.#losses.packets > 0) this.#dropFirstHole();
  }

  /** Lets go of everything. */
  clear(): void {
    this.#held.clear();
    this.#heldBytes = 0;
  }

  #advanceTo(sequence: number, nowMs: number): void {
    const expected = addSequence(this.#highest, 1);
    this.#highest = sequence;
    if (sequence === expected) {
      this.#reorder.inOrder();
      return;
    }
    this.#losses.add(expected, addSequence(sequence, -1), nowMs);
    this.counters.lost += sequenceDistance(expected, sequence);
    this.#fresh = true;
  }

  /** A packet beyond the window: an error or a forgery when alone; when another is near it, the sender left us behind. */
  #follow(sequence: number): boolean {
    const near =
      this.#stray !== undefined &&
      Math.abs(sequenceDistance(this.#stray, sequence)) <= STRAY_NEIGHBOUR_PACKETS;
    this.#stray = near ? undefined : sequence;
    if (!near) {
      this.counters.stray += 1;
      return false;
    }
    this.flush();
    const skipped = sequenceDistance(this.#next, sequence);
    this.counters.lost += skipped;
    this.counters.dropped += skipped;
    this.#next = sequence;
    this.#output.gap();
    this.#highest = addSequence(sequence, -1);
    return true;
  }

  #mendHoles(nowMs: number): void {
    this.#dropDue(nowMs);
    if (!this.#fresh) return;
    const tolerance = this.#reorder.packets;
    this.#fresh = false;
    this.#reportWhere((hole) => {
      if (hole.nakMs !== undefined) return false;
      if (sequenceDistance(hole.last, this.#highest) > tolerance) return true;
      this.#fresh = true;
      return false;
    }, nowMs);
  }

  #reportWhere(isDue: (hole: Hole) => boolean, nowMs: number): void {
    const due = this.#losses.holes.filter(isDue);
    if (due.length === 0) return;
    for (const hole of due) hole.nakMs = nowMs;
    this.#output.report(due);
  }

  #dropDue(nowMs: number): void {
    const { maxBufferBytes } = this.#options;
    for (let hole = this.#losses.first; hole; hole = this.#losses.first) {
      const full = this.#heldBytes > maxBufferBytes;
      if (this.#firstHeldDueMs() > nowMs && !full) return;
      const before = this.counters.dropped;
      this.#dropFirstHole();
      if (full) this.counters.overflowed += this.counters.dropped - before;
    }
  }

  /** When the first packet behind a hole is due. What the sender gave up may lie between two holes. */
  #firstHeldDueMs(): number {
    for (const hole of this.#losses.holes) {
      const behind = this.#held.get(addSequence(hole.last, 1));
      if (behind) return behind.dueMs;
    }
    return Number.NEGATIVE_INFINITY;
  }

  #dropFirstHole(): void {
    const hole = this.#losses.shift();
    if (!hole) return;
    this.counters.dropped += sequenceDistance(hole.first, hole.last) + 1;
    this.#advance();
  }

  /** Delivers what lies next, over what nobody waits for any more, up to the next hole. */
  #advance(): void {
    for (;;) {
      const held = this.#held.get(this.#next);
      if (held) {
        this.#held.delete(this.#next);
        this.#heldBytes -= held.payload.length;
        this.#next = addSequence(this.#next, 1);
        this.#deliver(held.payload);
      } else if (!this.#skipGivenUp()) return;
    }
  }

  #skipGivenUp(): boolean {
    const from = this.#next;
    const hole = this.#losses.first;
    const stop = hole ? hole.first : addSequence(this.#highest, 1);
    while (this.#next !== stop && !this.#held.has(this.#next)) this.#next = addSequence(this.#next, 1);
    if (this.#next === from) return false;
    this.#output.gap();
    return true;
  }

  #deliver(payload: Buffer): void {
    if (payload.length > 0) this.#output.deliver(payload);
    else this.#output.gap();
  }
}
