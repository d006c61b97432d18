import { readFragments } from '../media/isobmff/fragment-reader.ts';
import type { Rendition, Segment } from '../stream/live-window.ts';
import type { IndexedSegment } from './live-archive-records.ts';

/** The same, when its media is not there. */
export function asLost(entry: IndexedSegment): IndexedSegment {
  return { ...entry, state: 'lost', sizeBytes: 0, keyFrameBytes: 0 };
}

/** A segment of a window as it is when it has been stored. */
export function indexedSegment({ kind, timescale }: Rendition, segment: Segment): IndexedSegment {
  const { number, period, startTicks, durationTicks, discontinuity, independent, sizeBytes } = segment;
  const isKept = segment.state === 'closed' && segment.place === 'memory';
  return {
    ...{ number, periodId: period.id, timescale, startTicks, durationTicks, discontinuity, independent },
    brokenOff: segment.brokenOff ?? false,
    state: segment.state === 'gap' ? 'gap' : isKept ? 'kept' : 'lost',
    sizeBytes: isKept ? sizeBytes : 0,
    keyFrameBytes: isKept && kind === 'video' ? keyFrameBytesOf(segment) : 0,
  };
}

/** See {@link ArchivedSegment.keyFrameBytes}. */
function keyFrameBytesOf({ chunks, independent }: Segment): number {
  const [first] = chunks;
  if (!first || !independent) return 0;
  const samples = readFragments(first.bytes)?.flatMap(({ tracks }) =>
    tracks.flatMap((track) => track.samples),
  );
  return samples?.length === 1 && samples[0]?.key ? first.bytes.length : 0;
}
