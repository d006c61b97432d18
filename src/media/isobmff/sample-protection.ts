import { type BoxWriter, fourCc } from './box-writer.ts';

/** A run of clear bytes and the protected bytes behind it (ISO/IEC 23001-7 9.5). */
export interface Subsample {
  /** At most 65535. */
  readonly clearBytes: number;
  readonly protectedBytes: number;
}

/** What a player must know to decrypt one sample, beside `tenc`. */
export interface SampleProtection {
  /** 8 bytes; undefined when `tenc` has a constant IV. */
  readonly iv?: Uint8Array | undefined;
  /** Together as long as the sample; undefined when it is protected as a whole. */
  readonly subsamples?: readonly Subsample[] | undefined;
}

/** How the sample auxiliary information of one chunk is laid out in `saiz`, `saio` and `senc`. */
export interface AuxiliaryLayout {
  readonly hasSubsamples: boolean;
  /** Of each sample; 0 when they differ. Undefined: one is larger than `saiz` can say, only `senc` is written. */
  readonly sampleInfoBytes: number | undefined;
  /** Of the three boxes. */
  readonly boxBytes: number;
}

const TYPE = { saiz: fourCc('saiz'), saio: fourCc('saio'), senc: fourCc('senc') };

const SENC_USES_SUBSAMPLES = 0x2;
/** Header of a FullBox and the number of samples. */
const SENC_HEAD_BYTES = 16;
const SAIZ_HEAD_BYTES = 17;
const SAIO_BYTES = 20;
const SUBSAMPLE_BYTES = 6;
/** `saiz` says sizes in one byte each: 40 subsamples beside an IV. */
const MAX_SAIZ_BYTES = 255;

/**
 * Undefined when the samples have no auxiliary information: they are clear, or whole with a constant IV.
 * All samples of a chunk must be alike; throws RangeError when they are not.
 */
export function layOutAuxiliary(samples: readonly SampleProtection[]): AuxiliaryLayout | undefined {
  const [first] = samples;
  const ivBytes = first?.iv?.length ?? 0;
  const hasSubsamples = first?.subsamples !== undefined;
  if (samples.some((sample) => !isLike(sample, ivBytes, hasSubsamples))) {
    throw new RangeError('the samples of a chunk must be protected alike');
  }
  if (ivBytes === 0 && !hasSubsamples) return undefined;
  const sizes = samples.map(sampleInfoBytes);
  const alike = sizes.every((size) => size === sizes[0]);
  const fits = sizes.every((size) => size <= MAX_SAIZ_BYTES);
  const saizBytes = SAIZ_HEAD_BYTES + (alike ? 0 : samples.length);
  return {
    hasSubsamples,
    sampleInfoBytes: fits ? (alike ? sizes[0] : 0) : undefined,
    boxBytes:
      (fits ? saizBytes + SAIO_BYTES : 0) + SENC_HEAD_BYTES + sizes.reduce((sum, size) => sum + size, 0),
  };
}

function isLike({ iv, subsamples }: SampleProtection, ivBytes: number, hasSubsamples: boolean): boolean {
  return (iv?.length ?? 0) === ivBytes && (subsamples !== undefined) === hasSubsamples;
}

function sampleInfoBytes({ iv, subsamples }: SampleProtection): number {
  return (iv?.length ?? 0) + (subsamples ? 2 + SUBSAMPLE_BYTES * subsamples.length : 0);
}

/** Writes `saiz`, `saio` and `senc` into an open `traf`; `moofStart` is where its `moof` begins in the writer. */
export function writeAuxiliary(
  writer: BoxWriter,
  moofStart: number,
  samples: readonly SampleProtection[],
  layout: AuxiliaryLayout,
): void {
  if (layout.sampleInfoBytes !== undefined) {
    writeSizes(writer, samples, layout.sampleInfoBytes);
    const saio = writer.beginFull(TYPE.saio, 0, 0);
    writer.u32(1);
    writer.u32(saio + SAIO_BYTES + SENC_HEAD_BYTES - moofStart);
    writer.end(saio);
  }
  const senc = writer.beginFull(TYPE.senc, 0, layout.hasSubsamples ? SENC_USES_SUBSAMPLES : 0);
  writer.u32(samples.length);
  for (const { iv, subsamples } of samples) {
    if (iv) writer.raw(iv);
    if (subsamples) writeSubsamples(writer, subsamples);
  }
  writer.end(senc);
}

function writeSizes(writer: BoxWriter, samples: readonly SampleProtection[], defaultBytes: number): void {
  const saiz = writer.beginFull(TYPE.saiz, 0, 0);
  writer.u8(defaultBytes);
  writer.u32(samples.length);
  if (defaultBytes === 0) for (const sample of samples) writer.u8(sampleInfoBytes(sample));
  writer.end(saiz);
}

function writeSubsamples(writer: BoxWriter, subsamples: readonly Subsample[]): void {
  writer.u16(subsamples.length);
  for (const { clearBytes, protectedBytes } of subsamples) {
    writer.u16(clearBytes);
    writer.u32(protectedBytes);
  }
}
