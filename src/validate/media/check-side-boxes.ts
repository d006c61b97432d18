import { type Box, findBox } from '../../media/isobmff/box-reader.ts';
import type { InitFacts, MediaExpectations, ReferenceTimeFacts } from '../contracts.ts';
import type { Fragment } from './fragments.ts';
import { readBrands } from './init-tracks.ts';
import type { TellMedia } from './media-rules.ts';
import { readEventMessage, readReferenceTime, readSegmentIndex } from './side-boxes.ts';

/** A reference time may belong to any sample around its fragment; further off it is of another timescale. */
const MAX_REFERENCE_DISTANCE_SECONDS = 10;

/** Judges styp: where it stands and, in DASH, its brand. Gives the brands of the first. */
export function checkSegmentType(
  bytes: Uint8Array,
  boxes: readonly Box[],
  { scope, format, init }: MediaExpectations,
  tell: TellMedia,
): string[] {
  const styp = findBox(boxes, ['styp']);
  if (!styp) return [];
  const brands = readBrands(bytes, styp);
  if (scope === 'part') return brands;
  if (boxes[0] !== styp) {
    tell('media-styp-order', `the segment begins with ${boxes[0]?.type}, styp comes at byte ${styp.start}`);
  } else if (format === 'dash' && !init.cmaf && !brands.includes('msdh')) {
    tell('media-styp-brand', `styp has the brands ${brands.join(' ')}, msdh is not among them`);
  }
  return brands;
}

/** Judges the prft boxes and gives what they say. */
export function checkReferenceTimes(
  bytes: Uint8Array,
  boxes: readonly Box[],
  fragments: readonly Fragment[],
  init: InitFacts,
  tell: TellMedia,
): ReferenceTimeFacts[] {
  const references: ReferenceTimeFacts[] = [];
  for (const [index, box] of boxes.entries()) {
    if (box.type !== 'prft') continue;
    const reference = readReferenceTime(bytes, box);
    const moof = nextMoof(boxes, index);
    if (!reference) {
      tell('media-box-structure', `the prft at byte ${box.start} is too short`);
      continue;
    }
    if (!moof) tell('media-prft-order', `the prft at byte ${box.start} is followed by no moof`);
    const fragment = fragments.find((each) => each.moof === moof);
    checkReference(reference, references.at(-1), fragment, init, tell);
    references.push(reference);
  }
  return references;
}

/** The next moof before any mdat: the one that a box in front of it belongs to. */
function nextMoof(boxes: readonly Box[], index: number): Box | undefined {
  const next = boxes.slice(index + 1).find(({ type }) => type === 'moof' || type === 'mdat');
  return next?.type === 'moof' ? next : undefined;
}

function checkReference(
  reference: ReferenceTimeFacts,
  previous: ReferenceTimeFacts | undefined,
  fragment: Fragment | undefined,
  init: InitFacts,
  tell: TellMedia,
): void {
  const track = init.tracks.find(({ trackId }) => trackId === reference.trackId);
  if (!track) {
    if (init.tracks.length > 0) tell('media-prft-track', `a prft for track ${reference.trackId}: not there`);
    return;
  }
  if (previous && previous.trackId === reference.trackId && reference.wallMs < previous.wallMs) {
    const back = (previous.wallMs - reference.wallMs).toFixed(3);
    tell('media-prft-time', `the wall time of a prft lies ${back} ms before that of the prft before it`);
  }
  const base = fragment?.tracks.find(({ trackId }) => trackId === reference.trackId)?.baseTicks;
  if (base === undefined || track.timescale === 0) return;
  const distance = (reference.mediaTicks - base) / track.timescale;
  if (Math.abs(distance) <= MAX_REFERENCE_DISTANCE_SECONDS) return;
  tell(
    'media-prft-time',
    `media_time of a prft is ${distance.toFixed(3)} s from the tfdt of its fragment: another timescale?`,
  );
}

/** Judges the emsg boxes. */
export function checkEventMessages(
  bytes: Uint8Array,
  boxes: readonly Box[],
  init: InitFacts,
  tell: TellMedia,
): void {
  for (const [index, box] of boxes.entries()) {
    if (box.type !== 'emsg') continue;
    const event = readEventMessage(bytes, box);
    if (!event) {
      tell('media-emsg', `the emsg at byte ${box.start} is not of version 0 or 1, or too short`);
      continue;
    }
    if (event.timescale === 0) tell('media-emsg', `the emsg at byte ${box.start} has the timescale 0`);
    if (event.scheme === '') tell('media-emsg', `the emsg at byte ${box.start} has no scheme_id_uri`);
    if (init.cmaf && event.version === 0) {
      tell('media-emsg-version', `the emsg at byte ${box.start} is of version 0, CMAF wants 1`);
    }
    if (!nextMoof(boxes, index)) {
      tell('media-emsg-order', `the emsg at byte ${box.start} stands before no moof`);
    }
  }
}

/** Judges the sidx of a whole segment: what it refers to must be the rest of the segment. */
export function checkSegmentIndex(
  bytes: Uint8Array,
  boxes: readonly Box[],
  init: InitFacts,
  tell: TellMedia,
): void {
  const indexes = boxes.filter(({ type }) => type === 'sidx');
  for (const box of indexes) {
    const index = readSegmentIndex(bytes, box);
    if (!index) {
      tell('media-sidx', `the sidx at byte ${box.start} is too short for its references`);
      continue;
    }
    if (index.timescale === 0) tell('media-sidx', `the sidx at byte ${box.start} has the timescale 0`);
    if (init.tracks.length > 0 && !init.tracks.some(({ trackId }) => trackId === index.referenceId)) {
      tell('media-sidx', `the sidx at byte ${box.start} is for track ${index.referenceId}: not there`);
    }
    // Several, or one that refers to further ones, share the segment between them.
    if (indexes.length > 1 || index.references.some(({ toIndex }) => toIndex)) continue;
    const referenced = index.references.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const rest = bytes.length - box.end - index.firstOffset;
    if (referenced !== rest) {
      tell('media-sidx', `sidx refers to ${referenced} bytes, ${rest} follow it in the segment`);
    }
  }
}
