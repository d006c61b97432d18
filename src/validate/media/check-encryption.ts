import { createHash } from 'node:crypto';
import type { Box } from '../../media/isobmff/box-reader.ts';
import type { CounterLog, MediaExpectations, SampleEncryption, TrackFacts } from '../contracts.ts';
import {
  type AuxiliaryEntry,
  type AuxiliaryOffsets,
  type AuxiliarySizes,
  readGroups,
  readIndirect,
  readSaio,
  readSaiz,
  readSenc,
  type SampleEncryptionBox,
} from './auxiliary.ts';
import { checkSystemHeaders } from './check-protection.ts';
import { type Fragment, type FragmentSample, TFHD, type TrackFragment } from './fragments.ts';
import type { TellMedia } from './media-rules.ts';
import { uuidText } from './system-header.ts';

const BLOCK_BYTES = 16;

/** One traf of a protected track. */
interface ProtectedFragment {
  readonly moof: Box;
  readonly traf: Box;
  readonly track: TrackFragment;
  readonly facts: TrackFacts;
  readonly scheme: string;
  /** How the sample of an index is encrypted; undefined when that cannot be told. */
  readonly encryptionOf: (index: number) => SampleEncryption | undefined;
  /** For people. */
  readonly where: string;
}

/** Judges the encryption of every sample, and gives the key ids that they need. */
export function checkEncryption(
  bytes: Uint8Array,
  fragments: readonly Fragment[],
  { init, counters }: MediaExpectations,
  tell: TellMedia,
): string[] {
  const kids = new Set<string>();
  for (const { moof, tracks } of fragments) {
    checkSystemHeaders(bytes, moof, tell);
    const trafs = moof.children.filter(({ type }) => type === 'traf');
    for (const [index, track] of tracks.entries()) {
      const facts = init.tracks.find(({ trackId }) => trackId === track.trackId);
      const traf = trafs[index];
      const fragment = traf && facts && protectedFragment(bytes, moof, traf, track, facts);
      if (!fragment) continue;
      const entries = checkAuxiliary(bytes, fragment, tell);
      for (const kid of checkSamples(bytes, fragment, entries, counters, tell)) kids.add(kid);
    }
  }
  return [...kids];
}

function protectedFragment(
  bytes: Uint8Array,
  moof: Box,
  traf: Box,
  track: TrackFragment,
  facts: TrackFacts,
): ProtectedFragment | undefined {
  const { scheme, encryption } = facts.protection ?? {};
  if (scheme === undefined || !encryption || track.malformed) return undefined;
  const groupOf = readGroups(bytes, traf);
  const encryptionOf = (index: number): SampleEncryption | undefined => {
    const group = groupOf?.(index);
    return group === 'elsewhere' ? undefined : (group ?? encryption);
  };
  const where = `track ${track.trackId} of the moof at byte ${moof.start}`;
  return { moof, traf, track, facts, scheme, encryptionOf, where };
}

/** Judges `senc`, `saiz` and `saio` beside each other; gives what they say of the samples, as far as they do. */
function checkAuxiliary(
  bytes: Uint8Array,
  fragment: ProtectedFragment,
  tell: TellMedia,
): readonly AuxiliaryEntry[] | undefined {
  const { moof, traf, scheme, track, encryptionOf, where } = fragment;
  const ivBytesOf = (index: number): number => {
    const encryption = encryptionOf(index);
    return encryption?.isProtected ? encryption.ivBytes : 0;
  };
  const box = traf.children.find(({ type }) => type === 'senc');
  const senc = box && readSenc(bytes, box, ivBytesOf);
  const saiz = readSaiz(bytes, traf, scheme);
  const saio = readSaio(bytes, traf, scheme);
  if ((saiz === undefined) !== (saio === undefined)) {
    tell('media-saiz', `${where} has ${saiz ? 'saiz without saio' : 'saio without saiz'}`);
  }
  if (senc) checkSenc(senc, fragment, tell);
  if (saiz) checkSizes(saiz, senc, fragment, tell);
  if (saio) checkOffsets(saio, senc, fragment, tell);
  // Where it does not fit, sizes and places of its entries are guesses.
  if (senc) return senc.left === 0 ? senc.entries : undefined;
  const isRelative = (track.headerFlags & TFHD.baseDataOffset) === 0;
  const indirect = saiz && saio && isRelative && readIndirect(bytes, moof, saiz, saio, ivBytesOf);
  if (!saiz || !saio) checkNeeded(fragment, tell);
  return indirect || undefined;
}

/** Nothing is said of the samples: that will do when all of them are whole and have a constant IV. */
function checkNeeded(
  { track: { samples }, facts, encryptionOf, where }: ProtectedFragment,
  tell: TellMedia,
): void {
  const needy = samples.findIndex((_, index) => {
    const encryption = encryptionOf(index);
    return encryption?.isProtected && encryption.ivBytes > 0;
  });
  if (needy >= 0) {
    tell('media-auxiliary-missing', `${where} has neither senc nor saiz and saio, its samples need IVs`);
  } else if (facts.kind === 'video' && samples.some((_, index) => encryptionOf(index)?.isProtected)) {
    tell('media-subsamples-missing', `${where} is video and has no senc: its samples have no clear bytes`);
  }
}

function checkSenc(
  { count, entries, left }: SampleEncryptionBox,
  { track, where }: ProtectedFragment,
  tell: TellMedia,
): void {
  if (left === undefined) tell('media-senc', `senc of ${where} ends within sample ${entries.length + 1}`);
  else if (left > 0) tell('media-senc', `senc of ${where} has ${left} bytes behind its last sample`);
  if (count !== track.samples.length) {
    tell('media-senc-count', `senc of ${where} has ${count} samples, trun ${track.samples.length}`);
  }
}

function checkSizes(
  { count, sizeOf }: AuxiliarySizes,
  senc: SampleEncryptionBox | undefined,
  { track, where }: ProtectedFragment,
  tell: TellMedia,
): void {
  if (count !== track.samples.length) {
    tell('media-saiz', `saiz of ${where} has ${count} samples, trun ${track.samples.length}`);
  }
  const wrong = senc?.entries.findIndex(
    ({ sizeBytes }, index) => index < count && sizeBytes !== sizeOf(index),
  );
  if (wrong === undefined || wrong < 0) return;
  tell(
    'media-saiz',
    `saiz of ${where} says ${sizeOf(wrong)} bytes for sample ${wrong + 1}, senc has ${senc?.entries[wrong]?.sizeBytes}`,
  );
}

function checkOffsets(
  { count, first }: AuxiliaryOffsets,
  senc: SampleEncryptionBox | undefined,
  { track, moof, where }: ProtectedFragment,
  tell: TellMedia,
): void {
  const runs = track.runVersions.length;
  if (first === undefined || (count !== 1 && count !== runs)) {
    tell('media-saio', `saio of ${where} has ${count} offsets, for ${runs} trun`);
    return;
  }
  if (!senc || track.headerFlags & TFHD.baseDataOffset) return;
  const wanted = senc.dataStart - moof.start;
  if (first !== wanted) {
    tell(
      'media-saio',
      `saio of ${where} points to byte ${first} of the moof, what senc says begins at ${wanted}`,
    );
  }
}

/** Judges sample after sample; of each rule the first one that breaks it is told. */
function checkSamples(
  bytes: Uint8Array,
  fragment: ProtectedFragment,
  entries: readonly AuxiliaryEntry[] | undefined,
  counters: CounterLog | undefined,
  tell: TellMedia,
): Set<string> {
  const kids = new Set<string>();
  const told = new Set<string>();
  const tellOnce: TellMedia = (rule, message) => {
    if (!told.has(rule)) tell(rule, message);
    told.add(rule);
  };
  for (const [index, sample] of fragment.track.samples.entries()) {
    const encryption = fragment.encryptionOf(index);
    if (!encryption?.isProtected) continue;
    kids.add(encryption.kid);
    const entry = entries?.[index];
    if (!entry) continue;
    const where = `sample ${index + 1} of ${fragment.where}`;
    checkSubsamples(entry, sample, fragment, where, tellOnce);
    if (fragment.scheme === 'cenc' && counters) {
      noteCounters(bytes, entry, sample, { kid: encryption.kid, where, counters }, tellOnce);
    }
  }
  return kids;
}

function checkSubsamples(
  { subsamples }: AuxiliaryEntry,
  { sizeBytes }: FragmentSample,
  { facts, scheme }: ProtectedFragment,
  where: string,
  tell: TellMedia,
): void {
  const isVideo = facts.kind === 'video';
  if (!subsamples) {
    if (isVideo && sizeBytes > 0) tell('media-subsamples-missing', `${where} is video without subsamples`);
    return;
  }
  const sum = subsamples.reduce(
    (all, { clearBytes, protectedBytes }) => all + clearBytes + protectedBytes,
    0,
  );
  if (sum !== sizeBytes) {
    tell('media-subsamples-sum', `the subsamples of ${where} have ${sum} bytes, it has ${sizeBytes}`);
  }
  const ragged = subsamples.find(({ protectedBytes }) => protectedBytes % BLOCK_BYTES !== 0);
  if (ragged && isVideo && scheme === 'cenc') {
    tell(
      'media-cenc-blocks',
      `${where} has ${ragged.protectedBytes} protected bytes in a row: no whole blocks`,
    );
  }
}

interface CounterContext {
  readonly kid: string;
  readonly where: string;
  readonly counters: CounterLog;
}

/** The counter is the IV, 8 bytes of it with 8 of zeros behind; it goes on over all protected bytes of the sample (9.6). */
function noteCounters(
  bytes: Uint8Array,
  { iv, subsamples }: AuxiliaryEntry,
  { offset, sizeBytes }: FragmentSample,
  { kid, where, counters }: CounterContext,
  tell: TellMedia,
): void {
  if (iv.length !== 8 && iv.length !== 16) return;
  if (offset === undefined || offset < 0 || offset + sizeBytes > bytes.length) return;
  const hidden = subsamples?.reduce((sum, { protectedBytes }) => sum + protectedBytes, 0) ?? sizeBytes;
  const blocks = Math.ceil(hidden / BLOCK_BYTES);
  if (blocks === 0) return;
  const ivText = Buffer.from(iv).toString('hex');
  const collision = counters.board.note(kid, {
    start: BigInt(`0x${ivText.padEnd(32, '0')}`),
    blocks,
    digest: digestOf(bytes.subarray(offset, offset + sizeBytes)),
    url: counters.url,
  });
  if (collision?.kind === 'same-iv') {
    tell(
      'media-iv-reused',
      `${where} has the IV ${ivText} under the key ${uuidText(kid)}, as has one of ${collision.other.url}`,
    );
  } else if (collision) {
    tell(
      'media-counter-overlap',
      `the ${blocks} blocks of ${where} from the IV ${ivText} run into those of one of ${collision.other.url} under the key ${uuidText(kid)}`,
    );
  }
}

function digestOf(sample: Uint8Array): string {
  return createHash('sha256').update(sample).digest('base64').slice(0, 22);
}
