import type { Timeline, TimelineSegment } from './mpd-model.ts';
import { parseUnsigned } from './time-values.ts';
import { childrenOf, type XmlElement } from './xml.ts';

/** Segments written out of one timeline: five days of two-second ones. */
const MAX_SEGMENTS = 220_000;
/** The same of all Representations of one MPD together. */
const MAX_SEGMENTS_OF_ALL = 2 * MAX_SEGMENTS;

/** The timelines of one MPD, those that several Representations inherit once each. */
export class TimelineReader {
  #room = MAX_SEGMENTS_OF_ALL;

  /** `endTicks`: where its Period ends, if known. */
  read(element: XmlElement, endTicks: number | undefined): Timeline {
    const timeline = readTimeline(element, endTicks, Math.min(MAX_SEGMENTS, this.#room));
    this.#room -= timeline.segments.length;
    return timeline;
  }
}

/** Writes the repeats of a SegmentTimeline out (ISO/IEC 23009-1 5.3.9.6). */
function readTimeline(element: XmlElement, endTicks: number | undefined, maxSegments: number): Timeline {
  const segments: TimelineSegment[] = [];
  const faults: string[] = [];
  const entries = childrenOf(element, 'S').map((entry) => readEntry(entry, faults));
  let next = 0;
  for (const [index, entry] of entries.entries()) {
    if (entry.start !== undefined) next = entry.start;
    const repeats = repeatsOf(entry, next, entries[index + 1]?.start ?? endTicks);
    for (let i = 0; i <= repeats; i++) {
      if (segments.length >= maxSegments) return { segments, faults, truncated: true };
      segments.push({ start: next, duration: entry.duration });
      next += entry.duration;
    }
  }
  return { segments, faults, truncated: false };
}

interface Entry {
  readonly start: number | undefined;
  readonly duration: number;
  readonly repeats: number;
}

function readEntry(element: XmlElement, faults: string[]): Entry {
  const text = (name: string): string | undefined => element.attributes.get(name);
  const [t, d, r] = [text('t'), text('d'), text('r')];
  const duration = d === undefined ? undefined : parseUnsigned(d);
  const start = t === undefined ? undefined : parseUnsigned(t);
  const repeats = r === undefined ? 0 : Number(r);
  if (!duration) faults.push(`S has the duration ${d ?? '(none)'}`);
  if (t !== undefined && start === undefined) faults.push(`S has the time ${t}`);
  if (!Number.isInteger(repeats)) faults.push(`S has the repeat count ${r}`);
  return { start, duration: duration ?? 0, repeats: Number.isInteger(repeats) ? repeats : 0 };
}

/** A negative count repeats until the next S, or the end of the Period. */
function repeatsOf({ repeats, duration }: Entry, start: number, untilTicks: number | undefined): number {
  if (repeats >= 0) return repeats;
  if (untilTicks === undefined || duration === 0) return 0;
  return Math.max(0, Math.ceil((untilTicks - start) / duration) - 1);
}
