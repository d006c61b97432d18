import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SequenceRange } from './control-bodies.ts';
import { Receiver, type ReceiverOptions } from './receiver.ts';
import { addSequence, sequenceDistance } from './sequence.ts';

const OPTIONS: ReceiverOptions = {
  latencyMs: 120,
  maxBufferPackets: 1024,
  maxBufferBytes: 1_000_000,
  maxReorderPackets: 64,
};
const FIRST = 0x7fff_fffe;
/** Sent every so often; it takes nothing to arrive. */
const SPACING_MS = 2;

/** A receiver, and packets numbered from 0 whose payload is their number. */
class Bench {
  readonly delivered: string[] = [];
  readonly reports: string[] = [];
  readonly receiver: Receiver;
  nowMs = 0;

  constructor(options: Partial<ReceiverOptions> = {}) {
    this.receiver = new Receiver(
      FIRST,
      { ...OPTIONS, ...options },
      {
        deliver: (payload) => void this.delivered.push(payload.toString()),
        gap: () => void this.delivered.push('…'),
        report: (ranges) => void this.reports.push(ranges.map((range) => this.#words(range)).join(' ')),
      },
    );
  }

  /** The packet of this number comes now; its stamp says when it was due to be sent. */
  packet(number: number, options: { again?: boolean; stampMs?: number; bytes?: number } = {}): this {
    const packet = {
      sequence: addSequence(FIRST, number),
      timestamp: Math.round((options.stampMs ?? number * SPACING_MS) * 1000) % 2 ** 32,
      retransmitted: options.again ?? false,
    };
    const payload = Buffer.from(`${number}`.padEnd(options.bytes ?? 0, ' '));
    if (this.receiver.accept(packet, payload.length)) this.receiver.take(packet, payload, this.nowMs);
    return this;
  }

  /** Each at the time of its stamp. */
  packets(...numbers: number[]): this {
    for (const number of numbers) {
      this.nowMs = Math.max(this.nowMs, number * SPACING_MS);
      this.packet(number);
    }
    return this;
  }

  tick(atMs: number, gapMs = 20): this {
    this.nowMs = atMs;
    this.receiver.tick(atMs, gapMs);
    return this;
  }

  #words({ first, last }: SequenceRange): string {
    const [from, to] = [first, last].map((sequence) => sequenceDistance(FIRST, sequence));
    return from === to ? `${from}` : `${from}-${to}`;
  }
}

const range = (first: number, last: number): SequenceRange => ({
  first: addSequence(FIRST, first),
  last: addSequence(FIRST, last),
});

describe('Receiver', () => {
  it('delivers what is in order at once, over the end of the sequence numbers', () => {
    const bench = new Bench().packets(0, 1, 2, 3, 4);
    expect(bench.delivered).toEqual(['0', '1', '2', '3', '4']);
    expect(bench.receiver.nextSequence).toBe(3);
  });

  it('asks at once for what is missing and delivers all in order when it comes', () => {
    const bench = new Bench().packets(0, 3, 4);
    expect(bench.reports).toEqual(['1-2']);
    expect(bench.delivered).toEqual(['0']);
    bench.packet(2, { again: true }).packet(1, { again: true });
    expect(bench.delivered).toEqual(['0', '1', '2', '3', '4']);
    expect(bench.receiver.counters).toMatchObject({ lost: 2, retransmitted: 2, dropped: 0 });
  });

  it('asks for the first packets of all when they are missing', () => {
    expect(new Bench().packets(2).reports).toEqual(['0-1']);
  });

  it('asks again for what is still missing every 20 ms, each hole at its own time', () => {
    const bench = new Bench().packets(0, 2).tick(18).tick(19).packets(10).tick(33).tick(34).tick(35);
    // Holes seen at 4 ms and 20 ms; ticks are 10 ms apart, and the nearest one counts.
    expect(bench.reports).toEqual(['1', '1', '3-9', '1', '3-9']);
  });

  it('asks again no sooner than the gap it is told', () => {
    const bench = new Bench().packets(0, 2).tick(38, 40).tick(39, 40);
    expect(bench.reports).toEqual(['1', '1']);
  });

  it('gives a hole up when the packet behind it is due, and not before', () => {
    const bench = new Bench().packets(0, 2, 3).tick(123);
    expect(bench.delivered).toEqual(['0']);
    bench.tick(124);
    expect(bench.delivered).toEqual(['0', '…', '2', '3']);
    expect(bench.receiver.counters).toMatchObject({ lost: 1, dropped: 1 });
  });

  it('counts the latency from the time a packet was sent, not from when it came at last', () => {
    const bench = new Bench().packets(0, 1);
    bench.nowMs = 80;
    bench.packet(3, { again: true }).packet(5, { again: true, stampMs: 10 });
    bench.tick(126);
    expect(bench.delivered).toEqual(['0', '1', '…', '3']);
    bench.tick(130);
    expect(bench.delivered).toEqual(['0', '1', '…', '3', '…', '5']);
  });

  it('never waits longer than the latency, whatever stamps say', () => {
    const bench = new Bench().packets(0);
    bench.packet(2, { stampMs: 900_000 }).tick(121);
    expect(bench.delivered).toEqual(['0', '…', '2']);
  });

  it('follows stamps over their wrap after 71 minutes', () => {
    const wrapMs = 2 ** 32 / 1000;
    const bench = new Bench();
    bench.packet(0, { stampMs: wrapMs - 1 });
    bench.nowMs = 3;
    bench.packet(2, { stampMs: wrapMs + 2 });
    expect(bench.tick(122).delivered).toEqual(['0']);
    expect(bench.tick(123).delivered).toEqual(['0', '…', '2']);
  });

  it('follows a sender whose clock runs 1 % fast, for hours', () => {
    const bench = new Bench();
    for (let number = 0; number < 100_000; number++) {
      bench.nowMs = number * 100;
      bench.packet(number, { stampMs: number * 101 });
    }
    bench.nowMs += 100;
    bench.packet(100_001, { stampMs: 100_001 * 101 });
    const before = bench.delivered.length;
    expect(bench.tick(bench.nowMs + 60).delivered).toHaveLength(before);
    expect(bench.tick(bench.nowMs + 121).delivered).toHaveLength(before + 2);
  });

  it('passes over doubles, early and late', () => {
    const bench = new Bench().packets(0, 1, 1, 3, 3, 2, 0);
    expect(bench.delivered).toEqual(['0', '1', '2', '3']);
    expect(bench.receiver.counters).toMatchObject({ packets: 7, duplicate: 1, belated: 2 });
  });

  it('passes over what comes after it was given up', () => {
    const bench = new Bench().packets(0, 2).tick(124).packet(1, { again: true });
    expect(bench.delivered).toEqual(['0', '…', '2']);
    expect(bench.receiver.counters.belated).toBe(1);
  });

  it('learns how far packets overtake each other, and asks later for it', () => {
    const bench = new Bench().packets(0, 2, 3, 1);
    expect(bench.reports).toEqual(['1']);
    // Packet 1 was overtaken by two: of two more nothing is said, after a third it is asked for.
    bench.packets(5, 6);
    expect(bench.reports).toEqual(['1']);
    bench.packets(7);
    expect(bench.reports).toEqual(['1', '4']);
  });

  it('does not take packets sent again for overtaken ones', () => {
    const bench = new Bench().packets(0, 2, 3).packet(1, { again: true }).packets(5);
    expect(bench.reports).toEqual(['1', '4']);
  });

  it('forgets its tolerance as order returns', () => {
    const bench = new Bench().packets(0, 2, 1);
    for (let number = 3; number < 60; number++) bench.packets(number);
    bench.packets(61);
    expect(bench.reports).toEqual(['1', '60']);
  });

  it('asks for a hole that few packets followed once an eighth of the latency is over', () => {
    const bench = new Bench().packets(0, 2, 3, 1).packets(5).tick(24).tick(25);
    expect(bench.reports).toEqual(['1', '4']);
  });

  it('gives up at once what the sender will not send again', () => {
    const bench = new Bench().packets(0, 4, 5);
    bench.receiver.giveUp(range(1, 3), 8);
    expect(bench.delivered).toEqual(['0', '…', '4', '5']);
    expect(bench.receiver.counters.dropped).toBe(3);
  });

  it('waits for the rest of a hole whose middle was given up', () => {
    const bench = new Bench().packets(0, 6);
    bench.receiver.giveUp(range(2, 4), 12);
    expect(bench.delivered).toEqual(['0']);
    bench.packet(1, { again: true });
    expect(bench.delivered).toEqual(['0', '1', '…']);
    bench.packet(5, { again: true });
    expect(bench.delivered).toEqual(['0', '1', '…', '5', '6']);
  });

  it('takes no notice of nonsense given up', () => {
    const bench = new Bench().packets(0, 2);
    bench.receiver.giveUp(range(1, -5), 4);
    bench.receiver.giveUp(range(-100, 5000), 4);
    bench.receiver.giveUp(range(100, 200), 4);
    expect(bench.packet(1, { again: true }).delivered).toEqual(['0', '1', '2']);
  });

  it('holds no more bytes than it may: the oldest hole is given up early', () => {
    const bench = new Bench({ maxBufferBytes: 250 });
    bench.packet(0).packet(2, { bytes: 100 }).packet(4, { bytes: 100 });
    expect(bench.delivered).toEqual(['0']);
    bench.packet(6, { bytes: 100 });
    expect(bench.delivered.map((text) => text.trim())).toEqual(['0', '…', '2']);
    expect(bench.receiver.counters).toMatchObject({ dropped: 1, overflowed: 1 });
    expect(bench.receiver.bufferedBytes).toBe(200);
  });

  it('does not look at one packet far ahead, but follows a sender that is really there', () => {
    const bench = new Bench().packets(0).packet(5000).packet(1);
    expect(bench.delivered).toEqual(['0', '1']);
    expect(bench.receiver.counters.stray).toBe(1);
    bench.packet(9000).packet(9001).packet(9002);
    expect(bench.delivered).toEqual(['0', '1', '…', '9001', '9002']);
  });

  it('says how much room is left', () => {
    const bench = new Bench().packets(0);
    expect(bench.receiver.availablePackets).toBe(1024);
    expect(bench.packets(11).receiver.availablePackets).toBe(1024 - 11);
  });

  it('delivers what it has when the stream is over', () => {
    const bench = new Bench().packets(0, 2, 4);
    bench.receiver.flush();
    expect(bench.delivered).toEqual(['0', '…', '2', '…', '4']);
  });

  it('delivers each packet once and in order, whatever comes', () => {
    const step = fc.oneof(
      fc.record({ number: fc.nat(60), again: fc.boolean(), afterMs: fc.nat(30) }),
      fc.record({ drop: fc.tuple(fc.nat(60), fc.nat(60)), afterMs: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const bench = new Bench({ maxBufferPackets: 40, maxBufferBytes: 60 });
        for (const each of steps) {
          bench.nowMs += each.afterMs;
          if ('number' in each) bench.packet(each.number, { again: each.again });
          else bench.receiver.giveUp(range(...each.drop), bench.nowMs);
          bench.tick(bench.nowMs);
          expect(bench.receiver.availablePackets).toBeGreaterThanOrEqual(0);
          expect(bench.receiver.bufferedBytes).toBeLessThanOrEqual(60 + 2);
        }
        bench.tick(bench.nowMs + 200);
        expect(bench.receiver.bufferedBytes).toBe(0);
        const numbers = bench.delivered.filter((text) => text !== '…').map(Number);
        expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
        const { packets, duplicate, belated, stray, lost, dropped } = bench.receiver.counters;
        expect(numbers).toHaveLength(packets - duplicate - belated - stray);
        expect(dropped).toBeLessThanOrEqual(lost);
      }),
      { numRuns: 500 },
    );
  });
});
