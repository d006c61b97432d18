import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { FakeResponse } from '../../test/support/fake-exchange.ts';
import { audioTrack } from '../../test/support/sample-source.ts';
import type { Chunk, Segment, SegmentState } from '../stream/live-window.ts';
import { flushIntervalMs } from './flush-policy.ts';
import { RELEASE_BATCH, Releaser } from './releaser.ts';
import { type ReaderCount, SegmentStreamer } from './segment-streamer.ts';

/** A segment that grows as a test tells it to. */
class GrowingSegment implements Segment {
  readonly number = 7;
  readonly startTicks = 0;
  readonly durationTicks = 0;
  readonly discontinuity = false;
  readonly independent = true;
  readonly partsForetold = false;
  readonly place = 'memory';
  readonly parts = [];
  readonly chunks: Chunk[] = [];
  state: SegmentState = 'open';
  readonly period = {
    id: 'p',
    startMs: 0,
    startNumber: 7,
    segmentTicks: 1,
    segmentTimescale: 1,
    continues: undefined,
    lead: audioTrack(),
    tracks: new Map(),
    inits: new Map(),
    protections: new Map(),
    rekeyed: false,
  };

  get sizeBytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
  }

  add(text: string): void {
    this.chunks.push({ bytes: Buffer.from(text), independent: this.chunks.length === 0 });
  }

  text(): string {
    return Buffer.concat(this.chunks.map((chunk) => chunk.bytes)).toString();
  }
}

let clock: FakeClock;
let count: ReaderCount;
let segment: GrowingSegment;
let streamer: SegmentStreamer;
let turns: (() => void)[];

function runTurns(): void {
  for (let turn = turns.shift(); turn; turn = turns.shift()) turn();
}

function join(): FakeResponse {
  const response = new FakeResponse();
  const leave = streamer.join(response.open(200, { entries: [] }));
  response.onAbort(leave);
  return response;
}

function addChunk(text: string): void {
  segment.add(text);
  streamer.changed();
}

function closeSegment(): void {
  segment.state = 'closed';
  streamer.changed();
}

beforeEach(() => {
  clock = new FakeClock();
  count = { readers: 0 };
  turns = [];
  segment = new GrowingSegment();
  streamer = new SegmentStreamer(segment, {
    clock,
    count,
    releaser: new Releaser((turn) => void turns.push(turn)),
  });
});

describe('SegmentStreamer', () => {
  it('sends every chunk whole as soon as it is there, and ends with the segment', () => {
    const reader = join();
    expect(reader.bytes()).toHaveLength(0);
    addChunk('one,');
    addChunk('two,');
    expect(reader.body?.writes.map(String)).toEqual(['one,', 'two,']);
    closeSegment();
    expect(reader.finished).toBe(true);
    expect(reader.text()).toBe(segment.text());
    expect(count.readers).toBe(0);
    expect(streamer.finished).toBe(true);
  });

  it('gives who comes late all finished chunks at once and then the rest, in order, none twice', () => {
    addChunk('one,');
    addChunk('two,');
    addChunk('three,');
    const late = join();
    expect(late.body?.writes.map(String)).toEqual(['one,two,three,']);
    addChunk('four,');
    const later = join();
    closeSegment();
    expect([late.text(), later.text()]).toEqual([segment.text(), segment.text()]);
  });

  it('starts with the chunks the segment had before anyone asked', () => {
    segment.add('early,');
    segment.add('more,');
    streamer = new SegmentStreamer(segment, {
      clock,
      count,
      releaser: new Releaser((turn) => void turns.push(turn)),
    });
    expect(join().text()).toBe('early,more,');
  });

  it('hands the same shared bytes to every reader, for the live chunk and for the catch-up', () => {
    const readers = [join(), join(), join()];
    addChunk('one,');
    addChunk('two,');
    const late = [join(), join()];
    const shared = readers.map((reader) => reader.body?.shared[1]);
    expect(new Set(shared).size).toBe(1);
    expect(new Set(late.map((reader) => reader.body?.shared[0])).size).toBe(1);
  });

  it('ends a reader whose last chunk came together with the end', () => {
    const reader = join();
    segment.add('only');
    closeSegment();
    expect(reader.text()).toBe('only');
    expect(reader.finished).toBe(true);
  });

  it('lets chunks share a flush when very many read, and still delivers every byte in order', () => {
    count.readers = 1_500;
    const reader = join();
    const waitMs = flushIntervalMs(count.readers);
    addChunk('a');
    clock.advance(waitMs / 4);
    addChunk('b');
    clock.advance(waitMs / 4);
    addChunk('c');
    expect(reader.text()).toBe('a');
    clock.advance(waitMs / 2);
    runTurns();
    expect(reader.body?.writes.map(String)).toEqual(['a', 'bc']);

    addChunk('d');
    closeSegment();
    runTurns();
    expect(reader.text()).toBe('abcd');
    expect(reader.finished).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('serves more readers than fit one turn, with a flush and newcomers in between', () => {
    const readers = Array.from({ length: RELEASE_BATCH + 100 }, join);
    const flush = (text: string): void => {
      clock.advance(1_000);
      addChunk(text);
    };
    flush('a');
    flush('b');
    readers.push(join());
    turns.shift()?.();
    readers.push(join());
    flush('c');
    segment.add('d');
    closeSegment();
    runTurns();
    expect(new Set(readers.map((reader) => reader.text()))).toEqual(new Set(['abcd']));
    expect(readers.every((reader) => reader.finished)).toBe(true);
    expect(count.readers).toBe(0);
  });

  it('forgets a reader that goes away, and sends it nothing more', () => {
    const reader = join();
    addChunk('one,');
    reader.abort();
    addChunk('two,');
    expect(reader.text()).toBe('one,');
    expect(count.readers).toBe(0);
  });

  it('never ends a body that is cut short by closing', () => {
    const reader = join();
    addChunk('one,');
    streamer.close();
    closeSegment();
    runTurns();
    expect(reader.finished).toBe(false);
    expect(count.readers).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });
});
