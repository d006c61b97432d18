import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StreamTrack } from '../../media/isobmff/stream-init.ts';
import type { StreamSample } from '../../media/isobmff/stream-reader.ts';
import { type MergeSource, TrackMerge } from './track-merge.ts';

const TRACK: StreamTrack = {
  id: 1,
  handler: 'vide',
  timescale: 90_000,
  entry: 'avc1',
  config: undefined,
  width: 0,
  height: 0,
  bitrateBps: 0,
  editTicks: 0,
  defaults: { duration: 0, size: 0, flags: 0 },
};
const FRAME = 3000;
const EPOCH = 1_795_000_000n * 90_000n;

/** Frame `n` of the broadcast as `label` encoded it. */
function frame(n: number, label = 'x', timescale = 90_000): StreamSample {
  return {
    track: timescale === 90_000 ? TRACK : { ...TRACK, timescale },
    baseTicks: ((EPOCH + BigInt(n * FRAME)) * BigInt(timescale)) / 90_000n,
    offsetTicks: 0,
    durationTicks: (FRAME * timescale) / 90_000,
    compositionOffset: 0,
    key: n % 60 === 0,
    position: 0,
    sizeBytes: 4,
    data: Buffer.from(`${label}${n}`),
  };
}

function merging(options = { maxLeadMs: 1000, maxHeldBytes: 100_000 }) {
  const given: string[] = [];
  const counts = { superseded: 0, switched: 0 };
  const merge = new TrackMerge(options, {
    sample: ({ data }) => given.push(Buffer.from(data).toString()),
    superseded: (samples) => (counts.superseded += samples),
    switched: () => counts.switched++,
  });
  return { merge, given, counts, numbers: () => given.map((text) => Number(text.slice(1))) };
}

const source = (beganWithInit = false): MergeSource => ({ beganWithInit });
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('TrackMerge', () => {
  it('passes one source through, request after request', () => {
    const { merge, numbers } = merging();
    for (const segment of [range(0, 60), range(60, 120)]) {
      const request = source();
      for (const n of segment) expect(merge.offer(request, frame(n))).toBe('taken');
      merge.leave(request);
    }
    expect(numbers()).toEqual(range(0, 120));
  });

  it('ignores a segment that comes again, whole or in part', () => {
    const { merge, numbers } = merging();
    const first = source();
    for (const n of range(0, 60)) merge.offer(first, frame(n));
    merge.leave(first);
    const again = source();
    expect(range(0, 60).map((n) => merge.offer(again, frame(n)))).toEqual(
      range(0, 60).map(() => 'duplicate'),
    );
    expect(merge.offer(again, frame(60))).toBe('taken');
    expect(numbers()).toEqual(range(0, 61));
  });

  it('knows copies whose times are rounded to another timescale', () => {
    const { merge, numbers } = merging();
    const [a, b] = [source(), source()];
    for (const n of range(0, 30)) {
      merge.offer(a, frame(n));
      expect(merge.offer(b, frame(n, 'y', 1000))).toBe('duplicate');
    }
    expect(numbers()).toEqual(range(0, 30));
  });

  it('keeps what another source has ahead of the one in use, and goes on with it when that breaks off', () => {
    const { merge, given, counts } = merging();
    const [a, b] = [source(), source()];
    for (const n of range(0, 10)) merge.offer(a, frame(n, 'a'));
    for (const n of range(0, 15)) merge.offer(b, frame(n, 'b'));
    expect(given.at(-1)).toBe('a9');
    expect(merge.heldBytes).toBeGreaterThan(0);
    merge.leave(a);
    for (const n of range(15, 20)) expect(merge.offer(b, frame(n, 'b'))).toBe('taken');
    expect(given).toEqual([...range(0, 10).map((n) => `a${n}`), ...range(10, 20).map((n) => `b${n}`)]);
    expect(merge.heldBytes).toBe(0);
    expect(counts).toEqual({ superseded: 0, switched: 0 });
  });

  it('goes on with requests that have ended meanwhile, in the order of their times', () => {
    const { merge, numbers } = merging({ maxLeadMs: 10_000, maxHeldBytes: 100_000 });
    const a = source();
    merge.offer(a, frame(0));
    for (const segment of [range(0, 60), range(60, 120)]) {
      const request = source();
      for (const n of segment) merge.offer(request, frame(n));
      merge.leave(request);
    }
    const third = source();
    merge.offer(third, frame(120));
    merge.leave(a);
    expect(numbers()).toEqual(range(0, 121));
    expect(merge.offer(third, frame(121))).toBe('taken');
    expect(merge.fed).toBe(true);
    merge.leave(third);
    expect(merge.fed).toBe(false);
  });

  it('leaves a source that has fallen behind by more than the limit', () => {
    const { merge, given, counts } = merging();
    const [a, b] = [source(), source()];
    for (const n of range(0, 10)) merge.offer(a, frame(n, 'a'));
    for (const n of range(0, 50)) merge.offer(b, frame(n, 'b'));
    expect(counts.switched).toBe(1);
    expect(given.slice(0, 41)).toEqual([
      ...range(0, 10).map((n) => `a${n}`),
      ...range(10, 41).map((n) => `b${n}`),
    ]);
    // It wakes up: what it sends late is known, and it is there should the other fail.
    expect(merge.offer(a, frame(10, 'a'))).toBe('duplicate');
    merge.leave(b);
    expect(merge.offer(a, frame(49, 'a'))).toBe('duplicate');
    expect(merge.offer(a, frame(50, 'a'))).toBe('taken');
  });

  it('holds no more than its limit', () => {
    const { merge, counts } = merging({ maxLeadMs: 1e6, maxHeldBytes: 10 });
    const [a, b] = [source(), source()];
    merge.offer(a, frame(0));
    for (const n of range(1, 20)) {
      merge.offer(b, frame(n, 'b'));
      expect(merge.heldBytes).toBeLessThanOrEqual(12);
    }
    expect(counts.switched).toBe(1);
  });

  it('does not mix in a source with another clock while one is in use', () => {
    const { merge, numbers } = merging();
    const [a, b] = [source(), source(true)];
    for (const n of range(1000, 1010)) merge.offer(a, frame(n));
    expect(merge.offer(b, frame(0))).toBe('foreign');
    expect(merge.offer(b, frame(9000))).toBe('foreign');
    merge.leave(a);
    expect(merge.offer(b, frame(0))).toBe('taken');
    expect(numbers()).toEqual([...range(1000, 1010), 0]);
  });

  it('takes an encoder that begins anew where nobody else sends, and not a segment that comes late', () => {
    const { merge } = merging();
    const first = source();
    for (const n of range(0, 100)) merge.offer(first, frame(n));
    merge.leave(first);
    const late = source();
    expect(merge.offer(late, frame(40))).toBe('duplicate');
    merge.leave(late);
    expect(merge.offer(source(true), frame(0))).toBe('taken');
  });

  it('gives every frame once and in order whatever two equal sources do, as long as one of them lives', () => {
    const event = fc.record({
      who: fc.boolean(),
      frames: fc.integer({ min: 1, max: 12 }),
      breaks: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const { merge, numbers } = merging({ maxLeadMs: 300, maxHeldBytes: 1e6 });
        const sources = [source(), source()];
        const next = [0, 0];
        for (const { who, frames, breaks } of events) {
          const i = who ? 1 : 0;
          const from = next[i] ?? 0;
          const mine = sources[i] ?? source();
          for (const n of range(from, from + frames)) merge.offer(mine, frame(n));
          next[i] = from + frames;
          if (breaks) {
            // A segment ends, or the connection breaks; the encoder goes on with another request.
            merge.leave(mine);
            sources[i] = source();
          }
        }
        for (const last of sources) merge.leave(last);
        expect(numbers()).toEqual(range(0, Math.max(...next)));
        expect(merge.heldBytes).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });
});
