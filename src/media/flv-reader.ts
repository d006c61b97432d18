/**
 * A streaming reader of FLV files (Adobe Flash Video File Format 10.1, annex E): the header, then tags, each with the
 * size of the one before it. What a tag's body means is `flv.ts`'s.
 */

/** One tag. `body` is its own bytes, not a view of what was pushed. */
export interface FlvTag {
  readonly type: 'audio' | 'video' | 'script' | 'other';
  /** Unsigned 32 bits, milliseconds. */
  readonly timestampMs: number;
  readonly body: Uint8Array;
}

/** Why a file cannot be read on. */
export type FlvFault =
  /** It does not begin with an FLV header. */
  | 'not_flv'
  /** A tag is longer than the limit. */
  | 'tag_too_large'
  /** The size written behind a tag is not its size: bytes were lost or are not FLV any more. */
  | 'size_mismatch';

export interface FlvReaderLimits {
  /** Longest tag body that is read. */
  readonly maxTagBytes: number;
}

type State =
  | { readonly kind: 'file-header' }
  /** Bytes between the header and the first size field, for versions whose header is longer. */
  | { readonly kind: 'header-rest'; readonly left: number }
  | { readonly kind: 'previous-size' }
  | { readonly kind: 'tag-header' }
  | { readonly kind: 'body'; readonly type: FlvTag['type']; readonly timestampMs: number };

const FILE_HEADER_BYTES = 9;
const TAG_HEADER_BYTES = 11;
const SIZE_BYTES = 4;
/** The header says itself how long it is; more than this is nonsense. */
const MAX_HEADER_BYTES = 1024;
const DEFAULT_LIMITS: FlvReaderLimits = { maxTagBytes: 8 * 1024 * 1024 };
const EMPTY = new Uint8Array(0);

const TYPES = new Map<number, FlvTag['type']>([
  [8, 'audio'],
  [9, 'video'],
  [18, 'script'],
]);

/**
 * Takes a file in pieces of any size and gives its tags as they become complete. Never throws: bytes that are not FLV
 * set {@link fault}, and from then on nothing is read. Holds at most one tag.
 */
export class FlvReader {
  readonly #limits: FlvReaderLimits;
  #state: State = { kind: 'file-header' };
  /** The field being gathered: a header, a size or a body. */
  #field = new Uint8Array(FILE_HEADER_BYTES);
  #filled = 0;
  #lastTagBytes = 0;
  #fault: FlvFault | undefined;

  constructor(limits: FlvReaderLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  get fault(): FlvFault | undefined {
    return this.#fault;
  }

  /** True between tags: a file that ends here ends well. */
  get atTagBoundary(): boolean {
    return this.#filled === 0 && (this.#state.kind === 'tag-header' || this.#state.kind === 'previous-size');
  }

  /** Reads on; gives the tags that became complete. */
  push(bytes: Uint8Array): FlvTag[] {
    const tags: FlvTag[] = [];
    let at = 0;
    while (at < bytes.length && this.#fault === undefined) {
      if (this.#state.kind === 'header-rest') {
        at += this.#skip(this.#state.left, bytes.length - at);
        continue;
      }
      const taken = Math.min(this.#field.length - this.#filled, bytes.length - at);
      this.#field.set(bytes.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === this.#field.length) this.#fieldDone(tags);
    }
    return tags;
  }

  #skip(left: number, available: number): number {
    const skipped = Math.min(left, available);
    if (skipped === left) this.#expect({ kind: 'previous-size' }, SIZE_BYTES);
    else this.#state = { kind: 'header-rest', left: left - skipped };
    return skipped;
  }

  #expect(state: State, sizeBytes: number): void {
    this.#state = state;
    this.#field = new Uint8Array(sizeBytes);
    this.#filled = 0;
  }

  #fieldDone(tags: FlvTag[]): void {
    const state = this.#state;
    const field = this.#field;
    switch (state.kind) {
      case 'file-header':
        this.#fileHeader(field);
        break;
      case 'previous-size':
        if (uint(field, 0, 4) === this.#lastTagBytes) this.#expect({ kind: 'tag-header' }, TAG_HEADER_BYTES);
        else this.#fault = 'size_mismatch';
        break;
      case 'tag-header':
        this.#tagHeader(field, tags);
        break;
      case 'body':
        this.#tagDone(tags, state.type, state.timestampMs, field);
        break;
      case 'header-rest':
        break;
    }
  }

  #fileHeader(field: Uint8Array): void {
    const headerBytes = uint(field, 5, 4);
    const isFlv = field[0] === 0x46 && field[1] === 0x4c && field[2] === 0x56;
    if (!isFlv || headerBytes < FILE_HEADER_BYTES || headerBytes > MAX_HEADER_BYTES) {
      this.#fault = 'not_flv';
    } else if (headerBytes === FILE_HEADER_BYTES) {
      this.#expect({ kind: 'previous-size' }, SIZE_BYTES);
    } else {
      this.#state = { kind: 'header-rest', left: headerBytes - FILE_HEADER_BYTES };
    }
  }

  #tagHeader(field: Uint8Array, tags: FlvTag[]): void {
    const sizeBytes = uint(field, 1, 3);
    if (sizeBytes > this.#limits.maxTagBytes) {
      this.#fault = 'tag_too_large';
      return;
    }
    // Bit 5 of the type says that the body is encrypted: the number is then of no known type, as it should be.
    const type = TYPES.get(field[0] ?? 0) ?? 'other';
    const timestampMs = uint(field, 4, 3) + (field[7] ?? 0) * 0x1000000;
    this.#lastTagBytes = TAG_HEADER_BYTES + sizeBytes;
    if (sizeBytes === 0) this.#tagDone(tags, type, timestampMs, EMPTY);
    else this.#expect({ kind: 'body', type, timestampMs }, sizeBytes);
  }

  #tagDone(tags: FlvTag[], type: FlvTag['type'], timestampMs: number, body: Uint8Array): void {
    tags.push({ type, timestampMs, body });
    this.#expect({ kind: 'previous-size' }, SIZE_BYTES);
  }
}

/** Big-endian. */
function uint(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}
