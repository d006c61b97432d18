import { BoxWriter, fourCc } from './box-writer.ts';
import { TRACK_ID } from './init-segment.ts';
import {
  type AuxiliaryLayout,
  layOutAuxiliary,
  type SampleProtection,
  writeAuxiliary,
} from './sample-protection.ts';

/**
 * What a chunk needs to know of a sample. Times and durations are whole ticks of the track. With an IV or subsamples
 * its data are encrypted.
 */
export interface ChunkSample extends SampleProtection {
  readonly dts: number;
  readonly pts: number;
  readonly duration: number;
  readonly key: boolean;
  readonly data: Uint8Array;
}

/** Where a chunk stands: it decides the brands of its styp. */
export type ChunkPosition = 'segment-start' | 'inside';

/** The wall-clock instant that belongs to a media time (ISO/IEC 14496-12 8.16.5). */
export interface ReferenceTime {
  /** Milliseconds since the Unix epoch, fractional. */
  readonly wallMs: number;
  /** Ticks of the track. */
  readonly mediaTicks: number;
  /** What `wallMs` is the time of: 24 is "captured", and media time advances with it at the rate of real time. */
  readonly flags: number;
}

/** Something that players are told beside the media, as an Event Message box. */
export interface ChunkEvent {
  /** Unique in the stream: the same message in another chunk or rendition has the same. */
  readonly id: number;
  readonly kind: keyof typeof EVENT_SCHEMES;
  /** Presentation time, 90 kHz. */
  readonly atTicks: number;
  readonly data: Uint8Array;
}

/** scheme_id_uri of each kind of event: SCTE 214-3, AOM's carriage of ID3 in CMAF, MISB ST 1910. */
export const EVENT_SCHEMES = {
  scte35: 'urn:scte:scte35:2013:bin',
  id3: 'https://aomedia.org/emsg/ID3',
  klv: 'urn:misb:KLV:bin:1910.1',
} as const;

export interface ChunkOptions {
  /** mfhd sequence_number: grows from chunk to chunk of a track. */
  readonly sequence: number;
  /** At least one, in decode order, without a hole. */
  readonly samples: readonly ChunkSample[];
  readonly position: ChunkPosition;
  readonly reference: ReferenceTime | undefined;
  readonly events?: readonly ChunkEvent[];
  /** Gives the memory for the chunk, which need not be zeroed; without it the chunk has a buffer of its own. */
  readonly allocate?: (sizeBytes: number) => Uint8Array;
}

const TYPE = {
  styp: fourCc('styp'),
  prft: fourCc('prft'),
  emsg: fourCc('emsg'),
  moof: fourCc('moof'),
  mfhd: fourCc('mfhd'),
  traf: fourCc('traf'),
  tfhd: fourCc('tfhd'),
  tfdt: fourCc('tfdt'),
  trun: fourCc('trun'),
  mdat: fourCc('mdat'),
  msdh: fourCc('msdh'),
  cmfs: fourCc('cmfs'),
  cmfl: fourCc('cmfl'),
};

const BRANDS_AT_START: readonly number[] = [TYPE.msdh, TYPE.cmfs, TYPE.cmfl];
const BRANDS_INSIDE: readonly number[] = [TYPE.cmfl];

/** sample_flags (ISO/IEC 14496-12 8.8.3.1): depends on no other; depends on others and is no sync sample. */
const FLAGS_SYNC = 0x02000000;
const FLAGS_NON_SYNC = 0x01010000;

const TFHD_DEFAULT_DURATION = 0x8;
const TFHD_DEFAULT_FLAGS = 0x20;
const TFHD_DEFAULT_BASE_IS_MOOF = 0x20000;

const TRUN_DATA_OFFSET = 0x1;
const TRUN_FIRST_FLAGS = 0x4;
const TRUN_DURATION = 0x100;
const TRUN_SIZE = 0x200;
const TRUN_FLAGS = 0x400;
const TRUN_OFFSET = 0x800;

const PRFT_BYTES = 32;
const MFHD_BYTES = 16;
const TFDT_BYTES = 20;
const BOX_HEADER = 8;

/** 1900 to 1970, seconds: NTP against Unix. */
const NTP_EPOCH_SECONDS = 2_208_988_800;
const TWO_32 = 2 ** 32;

const EVENT_TIMESCALE = 90_000;
const UNKNOWN_DURATION = 0xffffffff;

/** Which fields the samples of one chunk need, and what that makes of the sizes. */
interface Layout {
  readonly tfhdFlags: number;
  readonly trunFlags: number;
  readonly auxiliary: AuxiliaryLayout | undefined;
  readonly trafBytes: number;
  readonly mdatBytes: number;
}

/**
 * One CMAF chunk (ISO/IEC 23000-19 7.3.2.3): `styp [prft] [emsg…] moof mdat` in one piece of memory. It needs no defaults
 * from trex; duration and flags stand in tfhd while all samples share them.
 */
export function writeChunk(options: ChunkOptions): Uint8Array {
  const { samples } = options;
  const [first] = samples;
  if (!first) throw new RangeError('a chunk needs a sample');
  const layout = layOut(samples);
  const brands = options.position === 'inside' ? BRANDS_INSIDE : BRANDS_AT_START;
  const moofBytes = BOX_HEADER + MFHD_BYTES + layout.trafBytes;
  const events = options.events ?? [];
  const headBytes = BOX_HEADER + 8 + 4 * brands.length + (options.reference ? PRFT_BYTES : 0);
  const eventBytes = events.reduce((sum, event) => sum + eventMessageBytes(event), 0);
  const sizeBytes = headBytes + eventBytes + moofBytes + layout.mdatBytes;
  const writer = new BoxWriter(options.allocate?.(sizeBytes) ?? sizeBytes);

  writeSegmentType(writer, brands);
  if (options.reference) writeReferenceTime(writer, options.reference);
  for (const event of events) writeEventMessage(writer, event);
  const moof = writer.begin(TYPE.moof);
  const mfhd = writer.beginFull(TYPE.mfhd, 0, 0);
  writer.u32(options.sequence);
  writer.end(mfhd);
  writeTrackFragment(writer, moof, samples, layout, moofBytes + BOX_HEADER);
  writer.end(moof);
  const mdat = writer.begin(TYPE.mdat);
  for (const sample of samples) writer.raw(sample.data);
  writer.end(mdat);
  return writer.finish();
}

function layOut(samples: readonly ChunkSample[]): Layout {
  const [first] = samples;
  let dataBytes = 0;
  let sameDuration = true;
  let sameFlags = true;
  let sameFlagsAfterFirst = true;
  let anyOffset = false;
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i];
    if (!sample || !first) break;
    dataBytes += sample.data.length;
    sameDuration &&= sample.duration === first.duration;
    sameFlags &&= sample.key === first.key;
    sameFlagsAfterFirst &&= i < 2 || sample.key === samples[1]?.key;
    anyOffset ||= sample.pts !== sample.dts;
  }
  const tfhdFlags =
    TFHD_DEFAULT_BASE_IS_MOOF |
    (sameDuration ? TFHD_DEFAULT_DURATION : 0) |
    (sameFlagsAfterFirst ? TFHD_DEFAULT_FLAGS : 0);
  const flagsForm = sameFlags ? 0 : sameFlagsAfterFirst ? TRUN_FIRST_FLAGS : TRUN_FLAGS;
  const trunFlags =
    TRUN_DATA_OFFSET |
    TRUN_SIZE |
    flagsForm |
    (sameDuration ? 0 : TRUN_DURATION) |
    (anyOffset ? TRUN_OFFSET : 0);
  const tfhdBytes = 16 + (sameDuration ? 4 : 0) + (sameFlagsAfterFirst ? 4 : 0);
  const perSample = 4 + (sameDuration ? 0 : 4) + (flagsForm === TRUN_FLAGS ? 4 : 0) + (anyOffset ? 4 : 0);
  const trunBytes = 20 + (flagsForm === TRUN_FIRST_FLAGS ? 4 : 0) + perSample * samples.length;
  const auxiliary = layOutAuxiliary(samples);
  return {
    tfhdFlags,
    trunFlags,
    auxiliary,
    trafBytes: BOX_HEADER + tfhdBytes + TFDT_BYTES + trunBytes + (auxiliary?.boxBytes ?? 0),
    mdatBytes: BOX_HEADER + dataBytes,
  };
}

function writeSegmentType(writer: BoxWriter, brands: readonly number[]): void {
  const styp = writer.begin(TYPE.styp);
  writer.u32(brands[0] ?? 0);
  writer.u32(0);
  for (const brand of brands) writer.u32(brand);
  writer.end(styp);
}

function writeReferenceTime(writer: BoxWriter, reference: ReferenceTime): void {
  const prft = writer.beginFull(TYPE.prft, 1, reference.flags);
  const seconds = Math.floor(reference.wallMs / 1000);
  writer.u32(TRACK_ID);
  // NTP seconds wrap in 2036; setUint32 takes them modulo 2^32, which is what an NTP era is.
  writer.u32((seconds + NTP_EPOCH_SECONDS) % TWO_32);
  writer.u32(Math.floor(((reference.wallMs - seconds * 1000) / 1000) * TWO_32));
  writer.u64(reference.mediaTicks);
  writer.end(prft);
}

/** Full box header, four numbers, two texts with their terminators (ISO/IEC 23009-1 5.10.3.3, version 1). */
function eventMessageBytes({ kind, data }: ChunkEvent): number {
  return 12 + 4 + 8 + 4 + 4 + EVENT_SCHEMES[kind].length + 1 + 1 + data.length;
}

function writeEventMessage(writer: BoxWriter, { id, kind, atTicks, data }: ChunkEvent): void {
  const emsg = writer.beginFull(TYPE.emsg, 1, 0);
  writer.u32(EVENT_TIMESCALE);
  writer.u64(atTicks);
  writer.u32(UNKNOWN_DURATION);
  writer.u32(id % TWO_32);
  writer.ascii(EVENT_SCHEMES[kind]);
  writer.zeros(1 + 1);
  writer.raw(data);
  writer.end(emsg);
}

function writeTrackFragment(
  writer: BoxWriter,
  moofStart: number,
  samples: readonly ChunkSample[],
  layout: Layout,
  dataOffset: number,
): void {
  const { tfhdFlags, trunFlags, auxiliary } = layout;
  const [first] = samples;
  if (!first) return;
  const traf = writer.begin(TYPE.traf);
  const tfhd = writer.beginFull(TYPE.tfhd, 0, tfhdFlags);
  writer.u32(TRACK_ID);
  if (tfhdFlags & TFHD_DEFAULT_DURATION) writer.u32(first.duration);
  if (tfhdFlags & TFHD_DEFAULT_FLAGS) writer.u32(sampleFlags(samples[1] ?? first));
  writer.end(tfhd);

  const tfdt = writer.beginFull(TYPE.tfdt, 1, 0);
  writer.u64(first.dts);
  writer.end(tfdt);

  const trun = writer.beginFull(TYPE.trun, 1, trunFlags);
  writer.u32(samples.length);
  writer.i32(dataOffset);
  if (trunFlags & TRUN_FIRST_FLAGS) writer.u32(sampleFlags(first));
  for (const sample of samples) {
    if (trunFlags & TRUN_DURATION) writer.u32(sample.duration);
    writer.u32(sample.data.length);
    if (trunFlags & TRUN_FLAGS) writer.u32(sampleFlags(sample));
    if (trunFlags & TRUN_OFFSET) writer.i32(sample.pts - sample.dts);
  }
  writer.end(trun);
  if (auxiliary) writeAuxiliary(writer, moofStart, samples, auxiliary);
  writer.end(traf);
}

function sampleFlags(sample: ChunkSample): number {
  return sample.key ? FLAGS_SYNC : FLAGS_NON_SYNC;
}
