import { EsBuffer } from './es-buffer.ts';
import type { EsReader } from './pes-reader.ts';
import type { TsCounters } from './ts-counters.ts';
import type { TsEvent, TsSink } from './ts-sink.ts';

/** metadata_AU_cell (ISO/IEC 13818-1 2.12.4). */
const CELL_HEADER_BYTES = 5;
const CELL_FIRST = 2;
const CELL_WHOLE = 3;
const CELL_LAST = 1;
/** Cells of one access unit. */
const MAX_CELLS = 1024;
const ID3_HEADER_BYTES = 10;
const ID3_FOOTER = 0x10;
const KLV_KEY_BYTES = 16;
/** SMPTE 336M: every universal label begins so. */
const KLV_LABEL = Buffer.from([0x06, 0x0e, 0x2b, 0x34]);

export interface MetadataTrackOptions {
  readonly kind: 'id3' | 'klv';
  /** In access unit cells. */
  readonly cells: boolean;
  /** Bytes of a PES packet, and of an access unit put together of cells. */
  readonly maxBytes: number;
}

/** Timed metadata in PES packets → one event an ID3 tag or KLV packet. */
export class MetadataTrack implements EsReader {
  readonly #options: MetadataTrackOptions;
  readonly #sink: TsSink;
  readonly #counters: TsCounters;
  readonly #es: EsBuffer;
  #pts: number | undefined;
  /** Cells of an access unit whose last has not come. */
  #fragments: Uint8Array[] = [];
  #fragmentBytes = 0;

  constructor(options: MetadataTrackOptions, sink: TsSink, counters: TsCounters) {
    this.#options = options;
    this.#sink = sink;
    this.#counters = counters;
    this.#es = new EsBuffer(options.maxBytes);
  }

  get heldBytes(): number {
    return this.#es.heldBytes + this.#fragmentBytes;
  }

  begin(pts: number | undefined): void {
    this.#pts = pts;
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    return this.#es.append(bytes, start, end);
  }

  end(): void {
    const bytes = this.#es.view(this.#es.start, this.#es.end);
    if (this.#options.cells) this.#cells(bytes);
    else this.#unit(bytes);
    this.#es.discardTo(this.#es.end);
  }

  lost(): void {
    if (this.heldBytes > 0) this.#damaged();
    this.#es.discardTo(this.#es.end);
    this.#forgetFragments();
  }

  close(): void {
    this.#es.discardTo(this.#es.end);
    this.#forgetFragments();
  }

  #damaged(): void {
    this.#counters.drop('data', 'damaged');
  }

  #forgetFragments(): void {
    this.#fragments = [];
    this.#fragmentBytes = 0;
  }

  #cells(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const start = at + CELL_HEADER_BYTES;
      const end = start + (start <= bytes.length ? bytes.readUInt16BE(at + 3) : 0);
      if (start > bytes.length || end > bytes.length) {
        this.#damaged();
        this.#forgetFragments();
        return;
      }
      this.#cell((bytes[at + 2] ?? 0) >> 6, bytes.subarray(start, end));
      at = end;
    }
  }

  #cell(place: number, data: Buffer): void {
    if (place === CELL_WHOLE) {
      this.#unit(data);
      return;
    }
    if (place === CELL_FIRST) this.#forgetFragments();
    else if (this.#fragments.length === 0) return;
    this.#fragmentBytes += data.length;
    if (this.#fragmentBytes > this.#options.maxBytes || this.#fragments.length >= MAX_CELLS) {
      this.#damaged();
      this.#forgetFragments();
      return;
    }
    this.#fragments.push(Buffer.from(data));
    if (place !== CELL_LAST) return;
    const whole = Buffer.concat(this.#fragments);
    this.#forgetFragments();
    this.#unit(whole);
  }

  /** What one PES packet or access unit holds: tags or packets one after the other. */
  #unit(bytes: Buffer): void {
    const { kind } = this.#options;
    for (let at = 0; at < bytes.length; ) {
      const sizeBytes = kind === 'id3' ? id3Bytes(bytes, at) : klvBytes(bytes, at);
      if (sizeBytes === undefined || at + sizeBytes > bytes.length) {
        this.#damaged();
        return;
      }
      this.#emit(kind, bytes.subarray(at, at + sizeBytes));
      at += sizeBytes;
    }
  }

  #emit(kind: TsEvent['kind'], data: Buffer): void {
    this.#sink.event({ kind, pts: this.#pts, data: Uint8Array.from(data) });
  }
}

/** Length of the ID3v2 tag at `at` (ID3v2.4 3.1): its size is written in seven bits a byte. */
function id3Bytes(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < ID3_HEADER_BYTES || bytes.toString('latin1', at, at + 3) !== 'ID3')
    return undefined;
  let size = 0;
  for (const byte of bytes.subarray(at + 6, at + ID3_HEADER_BYTES)) {
    if (byte > 0x7f) return undefined;
    size = size * 128 + byte;
  }
  const footer = ((bytes[at + 5] ?? 0) & ID3_FOOTER) !== 0;
  return ID3_HEADER_BYTES + size + (footer ? ID3_HEADER_BYTES : 0);
}

/** Length of the KLV packet at `at`: a 16-byte key, a BER length, a value. */
function klvBytes(bytes: Buffer, at: number): number | undefined {
  if (
    bytes.compare(KLV_LABEL, 0, KLV_LABEL.length, at, Math.min(bytes.length, at + KLV_LABEL.length)) !== 0
  ) {
    return undefined;
  }
  const length = bytes[at + KLV_KEY_BYTES];
  if (length === undefined) return undefined;
  const start = at + KLV_KEY_BYTES + 1;
  if (length < 0x80) return start - at + length;
  const lengthBytes = length & 0x7f;
  if (lengthBytes === 0 || lengthBytes > 4 || start + lengthBytes > bytes.length) return undefined;
  return start - at + lengthBytes + bytes.readUIntBE(start, lengthBytes);
}
