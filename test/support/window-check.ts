import { readBoxes } from '../../src/media/isobmff/box-reader.ts';
import { type FragmentSample, readFragments } from '../../src/media/isobmff/fragment-reader.ts';
import type { LiveWindow, Rendition, Segment } from '../../src/stream/live-window.ts';

/** Everything about a window that must hold at any moment; a line per fault. Reads all bytes with our own reader. */
export function windowFaults(
  window: LiveWindow,
  options: { readonly continuousParts?: boolean } = {},
): string[] {
  const { continuousParts = true } = options;
  return [
    ...alignmentFaults(window),
    ...rungFaults(window, continuousParts),
    ...window.renditions.flatMap((rendition) => renditionFaults(window, rendition, continuousParts)),
  ];
}

/** The samples of a segment, read from its chunks. */
export function segmentSamples(segment: Segment): FragmentSample[] {
  return segment.chunks.flatMap((chunk) => {
    const fragments = readFragments(chunk.bytes);
    if (!fragments) throw new Error(`unreadable chunk in segment ${segment.number}`);
    return fragments.flatMap((fragment) => fragment.tracks.flatMap((track) => track.samples));
  });
}

function alignmentFaults(window: LiveWindow): string[] {
  const [model, ...others] = window.renditions;
  if (!model) return ['no rendition'];
  const faults: string[] = [];
  for (const other of others) {
    if (other.firstListed !== model.firstListed) faults.push(`${other.id}: another first number`);
    if (other.discontinuitySequence !== model.discontinuitySequence)
      faults.push(`${other.id}: another sequence`);
    for (const segment of other.segments) {
      const twin = model.segments.find((one) => one.number === segment.number);
      if (!twin) continue;
      if (twin.discontinuity !== segment.discontinuity)
        faults.push(`${other.id} ${segment.number}: discontinuity differs`);
      if (twin.period !== segment.period) faults.push(`${other.id} ${segment.number}: period differs`);
    }
  }
  return faults;
}

/**
 * Encoded rungs have the very cuts of the source: segments, and every part of a complete one, unless it was cut off. They
 * may have key frames where the source has none.
 */
function rungFaults(window: LiveWindow, continuousParts: boolean): string[] {
  const [source, ...others] = window.renditions.filter(({ kind }) => kind === 'video');
  return others.flatMap(({ id, segments }) =>
    segments.flatMap((segment) => {
      const twin = source?.segments.find(({ number }) => number === segment.number);
      if (!twin || segment.chunks.length === 0 || twin.chunks.length === 0) return [];
      const faults: string[] = [];
      const cuts = ({ parts }: Segment): string => parts.map(({ durationTicks }) => durationTicks).join(' ');
      if (twin.startTicks !== segment.startTicks) faults.push('starts elsewhere');
      if (segment.state === 'closed' && twin.durationTicks !== segment.durationTicks)
        faults.push('lasts another time');
      const cut = cuts(twin).startsWith(cuts(segment)) && !(continuousParts && segment.state === 'closed');
      if (!cut && cuts(twin) !== cuts(segment)) faults.push(`parts are ${cuts(segment)}`);
      if (twin.independent && !segment.independent) faults.push('starts with another kind of frame');
      return faults.map((fault) => `${id} ${segment.number}: ${fault}`);
    }),
  );
}

function renditionFaults(window: LiveWindow, rendition: Rendition, continuousParts: boolean): string[] {
  const faults: string[] = [];
  rendition.segments.forEach((segment, index) => {
    const before = rendition.segments[index - 1];
    const name = `${rendition.id} ${segment.number}`;
    if (before && segment.number !== before.number + 1) faults.push(`${name}: follows ${before.number}`);
    if (segment.state === 'open' && index < rendition.segments.length - 1)
      faults.push(`${name}: open amid the list`);
    faults.push(
      ...segmentFaults(window, rendition, segment, continuousParts).map((fault) => `${name}: ${fault}`),
    );
  });
  return faults;
}

function segmentFaults(
  window: LiveWindow,
  rendition: Rendition,
  segment: Segment,
  continuousParts: boolean,
): string[] {
  const faults: string[] = [];
  const seconds = segment.durationTicks / rendition.timescale;
  if (segment.state !== 'open' && Math.round(seconds) > window.plan.targetDurationSeconds)
    faults.push(`lasts ${seconds} s`);
  if (segment.state === 'gap') {
    if (segment.chunks.length > 0 || segment.parts.length > 0) faults.push('a gap with media');
    if (seconds <= 0) faults.push('a gap without duration');
    return faults;
  }
  if (segment.state === 'closed' && (segment.chunks.length === 0 || segment.parts.length === 0))
    faults.push('closed without media');
  if (segment.state === 'closed' && seconds <= 0) faults.push('closed without duration');
  faults.push(...chunkFaults(segment), ...partFaults(window, rendition, segment, continuousParts));
  return faults;
}

function chunkFaults(segment: Segment): string[] {
  const faults: string[] = [];
  segment.chunks.forEach((chunk, index) => {
    const types = readBoxes(chunk.bytes)
      .boxes.map((box) => box.type)
      .join(' ');
    if (types !== 'styp prft moof mdat') faults.push(`chunk ${index} is ${types}`);
  });
  const samples = segmentSamples(segment);
  if (samples[0] && samples[0].dts !== segment.startTicks) faults.push('does not start at its first tfdt');
  samples.forEach((sample, index) => {
    const next = samples[index + 1];
    if (next && next.dts <= sample.dts) faults.push(`sample ${index}: time stands still`);
  });
  const bytes = segment.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
  if (bytes !== segment.sizeBytes) faults.push('sizeBytes is wrong');
  if (samples[0] && samples[0].key !== segment.independent) faults.push('independent is wrong');
  return faults;
}

function partFaults(
  window: LiveWindow,
  rendition: Rendition,
  segment: Segment,
  continuousParts: boolean,
): string[] {
  const faults: string[] = [];
  const target = window.plan.partTargetSeconds;
  segment.parts.forEach((part, index) => {
    const seconds = part.durationTicks / rendition.timescale;
    const isLast = index === segment.parts.length - 1;
    if (part.index !== index) faults.push(`part ${index}: index ${part.index}`);
    if (part.firstChunk !== (segment.parts[index - 1]?.endChunk ?? 0))
      faults.push(`part ${index}: chunks missing`);
    if (part.endChunk <= part.firstChunk) faults.push(`part ${index}: empty`);
    if (seconds > target) faults.push(`part ${index}: ${seconds} s is over PART-TARGET`);
    if (continuousParts && !isLast && !part.independent && seconds < 0.85 * target)
      faults.push(`part ${index}: ${seconds} s is too short`);
    const chunks = segment.chunks.slice(part.firstChunk, part.endChunk);
    if (chunks.some(({ independent }) => independent) !== part.independent)
      faults.push(`part ${index}: independent is wrong`);
  });
  if (segment.state === 'closed' && segment.parts.at(-1)?.endChunk !== segment.chunks.length)
    faults.push('chunks outside parts');
  return faults;
}
