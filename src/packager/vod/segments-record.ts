import type { TitleSegment } from '../../stream/title.ts';
import type { RecordReader } from './record-reader.ts';

/** Of one track of one period: two days of one second each. */
const MAX_SEGMENTS = 200_000;

/**
 * Segments in columns. A run of `[ticks, count]` stands for segments of the same length one behind the other; those that
 * do not begin where the one before ended say so in `jumps`: `[index, startTicks]`.
 */
export function segmentsRecord(segments: readonly TitleSegment[]) {
  const durations: [number, number][] = [];
  const jumps: [number, number][] = [];
  const gaps: number[] = [];
  const [first] = segments;
  let nextTicks = first?.startTicks ?? 0;
  for (const [index, { startTicks, durationTicks, isGap }] of segments.entries()) {
    const run = durations.at(-1);
    if (run?.[0] === durationTicks) run[1] += 1;
    else durations.push([durationTicks, 1]);
    if (startTicks !== nextTicks) jumps.push([index, startTicks]);
    if (isGap) gaps.push(index);
    nextTicks = startTicks + durationTicks;
  }
  return {
    number: first?.number ?? 0,
    startTicks: first?.startTicks ?? 0,
    durations,
    jumps,
    gaps,
    sizes: segments.map(({ sizeBytes }) => sizeBytes),
    keyFrames: segments.some(({ keyFrameBytes }) => keyFrameBytes > 0)
      ? segments.map(({ keyFrameBytes }) => keyFrameBytes)
      : undefined,
  };
}

export function readSegments(reader: RecordReader, value: unknown): TitleSegment[] {
  const fields = reader.object(value);
  const sizes = reader.list(fields['sizes'], MAX_SEGMENTS, readWhole);
  const keyFrames = reader.optional(fields['keyFrames'], (own, each) =>
    own.list(each, MAX_SEGMENTS, readWhole),
  );
  const durations = reader.list(fields['durations'], MAX_SEGMENTS, readPair);
  const jumps = new Map(reader.list(fields['jumps'], MAX_SEGMENTS, readPair));
  const gaps = new Set(reader.list(fields['gaps'], MAX_SEGMENTS, readWhole));
  const number = reader.whole(fields['number']);
  const count = durations.reduce((sum, [, times]) => sum + times, 0);
  if (count !== sizes.length || (keyFrames && keyFrames.length !== count)) reader.fail();
  let nextTicks = reader.whole(fields['startTicks']);
  if (reader.failed) return [];
  const segments: TitleSegment[] = [];
  for (const [durationTicks, times] of durations) {
    for (let repeat = 0; repeat < times; repeat++) {
      const index = segments.length;
      const startTicks = jumps.get(index) ?? nextTicks;
      segments.push({
        number: number + index,
        startTicks,
        durationTicks,
        sizeBytes: sizes[index] ?? 0,
        keyFrameBytes: keyFrames?.[index] ?? 0,
        isGap: gaps.has(index),
      });
      nextTicks = startTicks + durationTicks;
    }
  }
  return segments;
}

function readWhole(reader: RecordReader, value: unknown): number {
  return reader.whole(value);
}

function readPair(reader: RecordReader, value: unknown): [number, number] {
  const pair = reader.list(value, 2, readWhole);
  if (pair.length !== 2) reader.fail();
  return [pair[0] ?? 0, pair[1] ?? 0];
}
