import type { TitleSegment } from '../../stream/title.ts';
import { element, type XmlElement } from './xml.ts';

/** SegmentTimeline (ISO/IEC 23009-1 5.3.9.6): runs of segments with the same length; a time only where they do not follow on. */
export function segmentTimeline(segments: readonly TitleSegment[]): XmlElement {
  const runs: { t: number | undefined; d: number; r: number }[] = [];
  let nextTicks: number | undefined;
  for (const { startTicks, durationTicks } of segments) {
    const run = runs.at(-1);
    if (run && startTicks === nextTicks && run.d === durationTicks) run.r += 1;
    else runs.push({ t: startTicks === nextTicks ? undefined : startTicks, d: durationTicks, r: 0 });
    nextTicks = startTicks + durationTicks;
  }
  return element(
    'SegmentTimeline',
    {},
    runs.map(({ t, d, r }) => element('S', { t, d, r: r > 0 ? r : undefined })),
  );
}

/** Whether both would be the same timeline, beginning with the same number. */
export function sameTimeline(one: readonly TitleSegment[], other: readonly TitleSegment[]): boolean {
  return (
    one.length === other.length &&
    one.every((segment, index) => {
      const match = other[index];
      return (
        match?.number === segment.number &&
        match.startTicks === segment.startTicks &&
        match.durationTicks === segment.durationTicks
      );
    })
  );
}
