import { type Box, type BoxTree, findBox, readBoxes } from '../../media/isobmff/box-reader.ts';
import type { CheckInitSegment, InitExpectations } from '../contracts.ts';
import { matchCodec } from './codec-match.ts';
import {
  type InitTrack,
  readBrands,
  readInitTrack,
  readMovieDuration,
  readTrackDefaults,
} from './init-tracks.ts';
import { checkProtection, checkSystemHeaders } from './check-protection.ts';
import { type TellMedia, tellerOf } from './media-rules.ts';

const CMAF_BRANDS = ['cmfc', 'cmf2'];
/** iso6 and what was derived from it (ISO/IEC 14496-12 Annex E, 23000-19 7.2, 23009-1 6.3). */
const ISO6_OR_LATER = /^(iso[6-9a-c]|cmf[c2]|cmff|dash|msdh)$/;

/** Judges an initialization segment (CMAF header) of anybody's. */
export const checkInitSegment: CheckInitSegment = (bytes, expectations, report) => {
  const tell = tellerOf(report);
  const tree = readBoxes(bytes);
  if (tree.fault) tell('media-box-structure', faultText(tree, bytes.length));
  const moov = findBox(tree.boxes, ['moov']);
  if (!moov) {
    tell('media-init-no-moov', `no moov among ${boxList(tree.boxes)}`);
    return undefined;
  }
  const brands = checkFileType(bytes, tree.boxes, expectations, tell);
  checkNoMedia(tree.boxes, tell);
  const tracks = readTracks(bytes, moov, tell);
  const cmaf = brands.some((brand) => CMAF_BRANDS.includes(brand));
  if (cmaf && tracks.length > 1) {
    tell('media-init-several-tracks', `a CMAF header with ${tracks.length} tracks`);
  }
  const mvex = findBox(moov.children, ['mvex']);
  if (!mvex) tell('media-init-no-mvex', 'moov has no mvex: players take the file for a complete one');
  const defaults = mvex ? readTrackDefaults(bytes, mvex) : new Map();
  for (const track of tracks) {
    checkTrack(track, defaults.has(track.facts.trackId) || !mvex, tell);
    checkEntry(track, tell);
    checkProtection(track, cmaf, tell);
  }
  checkSystemHeaders(bytes, moov, tell);
  if (expectations.format === 'hls') checkDurations(bytes, moov, tracks, tell);
  checkExpectations(tracks, expectations, tell);
  return { tracks: tracks.map(({ facts }) => facts), defaults, cmaf };
};

/** How a box tree is broken, for people. */
export function faultText({ boxes, fault }: BoxTree, length: number): string {
  const end = boxes.at(-1)?.end ?? 0;
  return `${fault} box at or after byte ${end} of ${length}`;
}

/** Types of the boxes at the top, for people. */
export function boxList(boxes: readonly Box[]): string {
  const types = boxes.slice(0, 12).map(({ type }) => type.replace(/[^\x20-\x7e]/g, '?'));
  return types.length === 0 ? 'no boxes' : `[${types.join(' ')}${boxes.length > 12 ? ' …' : ''}]`;
}

function checkFileType(
  bytes: Uint8Array,
  boxes: readonly Box[],
  { format }: InitExpectations,
  tell: TellMedia,
): string[] {
  const ftyp = findBox(boxes, ['ftyp']);
  if (!ftyp) {
    tell('media-init-ftyp', `no ftyp among ${boxList(boxes)}`);
    return [];
  }
  if (boxes[0] !== ftyp) tell('media-init-ftyp', `ftyp is not the first box: ${boxList(boxes)}`);
  const brands = readBrands(bytes, ftyp);
  if (format === 'hls' && !brands.some((brand) => ISO6_OR_LATER.test(brand))) {
    tell('media-init-brand', `brands ${brands.join(' ')}: none is iso6 or later`);
  }
  return brands;
}

function checkNoMedia(boxes: readonly Box[], tell: TellMedia): void {
  const media = boxes.find(({ type }) => type === 'moof' || type === 'mdat');
  if (media) tell('media-init-media', `a ${media.type} at byte ${media.start} of an initialization segment`);
}

function readTracks(bytes: Uint8Array, moov: Box, tell: TellMedia): InitTrack[] {
  const boxes = moov.children.filter(({ type }) => type === 'trak');
  if (boxes.length === 0) tell('media-init-no-track', 'moov has no trak');
  return boxes.flatMap((trak, index) => {
    const track = readInitTrack(bytes, trak);
    if (track) return [track];
    tell('media-init-track-unreadable', `trak ${index + 1} lacks tkhd, mdhd, hdlr or a sample entry`);
    return [];
  });
}

function checkTrack(track: InitTrack, hasDefaults: boolean, tell: TellMedia): void {
  const { trackId, timescale } = track.facts;
  if (!hasDefaults) tell('media-init-no-trex', `no trex for track ${trackId}`);
  if (timescale === 0) tell('media-init-timescale', `timescale of track ${trackId} is 0`);
  if (track.tableEntries > 0) {
    tell('media-init-samples', `the sample tables of track ${trackId} have ${track.tableEntries} entries`);
  }
}

function checkDurations(bytes: Uint8Array, moov: Box, tracks: readonly InitTrack[], tell: TellMedia): void {
  const movie = readMovieDuration(bytes, moov);
  if (movie !== 0) tell('media-init-duration', `mvhd has the duration ${movie}, must be 0`);
  for (const { facts, durationTicks } of tracks) {
    if (durationTicks === 0) continue;
    tell(
      'media-init-duration',
      `tkhd of track ${facts.trackId} has the duration ${durationTicks}, must be 0`,
    );
  }
}

/** The size in the sample entry is that of the pictures that the parameter sets describe. */
function checkEntry(track: InitTrack, tell: TellMedia): void {
  const { codedSize, width, height } = track.entry;
  if (!codedSize || (codedSize.width === width && codedSize.height === height)) return;
  tell(
    'media-entry-size',
    `the sample entry says ${width}x${height}, its parameter sets ${codedSize.width}x${codedSize.height}`,
  );
}

function checkExpectations(tracks: readonly InitTrack[], expected: InitExpectations, tell: TellMedia): void {
  checkKind(tracks, expected, tell);
  for (const track of tracks) checkCodec(track, expected.codecs, tell);
  const video = tracks.find(({ facts }) => facts.kind === 'video');
  if (video) checkPictureSize(video, expected, tell);
}

function checkKind(tracks: readonly InitTrack[], { kind }: InitExpectations, tell: TellMedia): void {
  if (kind === undefined || tracks.length === 0) return;
  if (tracks.some(({ facts }) => facts.kind === kind)) return;
  tell('media-init-kind', `declared as ${kind}, has ${tracks.map(({ facts }) => facts.kind).join(', ')}`);
}

/** One of the declared codecs must be the track's; a text track may be left out of the list. */
function checkCodec(track: InitTrack, codecs: InitExpectations['codecs'], tell: TellMedia): void {
  const { codec, kind } = track.facts;
  if (codec === undefined || codecs === undefined || codecs.length === 0) return;
  if (kind !== 'video' && kind !== 'audio') return;
  const matches = codecs.map((declared) => matchCodec(declared, codec));
  if (matches.includes('same')) return;
  const tooLow = codecs[matches.indexOf('level-too-low')];
  if (tooLow === undefined) {
    tell('media-codec-mismatch', `declared ${codecs.join(', ')}, the ${kind} track is ${codec}`);
  } else {
    tell('media-codec-level', `declared ${tooLow}, the ${kind} track needs the higher level of ${codec}`);
  }
}

/** The manifest may give the coded size, or the one to present the picture at (`tkhd`, pixels made square). */
function checkPictureSize(track: InitTrack, { width, height }: InitExpectations, tell: TellMedia): void {
  if (width === undefined || height === undefined) return;
  const { entry, presentedSize } = track;
  const sizes = [entry, presentedSize];
  const fits = sizes.some(
    (size) => Math.round(size.width ?? 0) === width && Math.round(size.height ?? 0) === height,
  );
  if (!fits) {
    tell('media-picture-size', `declared ${width}x${height}, the track has ${entry.width}x${entry.height}`);
  }
}
