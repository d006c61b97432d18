import { type EventMessage, readEventMessage } from './event-message.ts';
import {
  type FragmentEntry,
  type FragmentFault,
  type MovieFragment,
  readMovieFragment,
} from './movie-fragment.ts';
import { readStreamInit, type StreamTrack } from './stream-init.ts';

/** What a peer may make the reader hold. Past each the stream is refused with the fault named. */
export interface StreamReaderLimits {
  /** `ftyp` and `moov`, each: `box_too_large`. */
  readonly maxInitBytes: number;
  /** One `moof`: `box_too_large`. */
  readonly maxMoofBytes: number;
  /** One `mdat`: `box_too_large`. */
  readonly maxMdatBytes: number;
  /** One `emsg`: a larger one is passed over. */
  readonly maxEventBytes: number;
  /** Any box that is passed over: `box_too_large`. */
  readonly maxSkippedBytes: number;
  /** Samples of one fragment: `too_many_samples`. */
  readonly maxSamples: number;
  /** `sample_too_large`. */
  readonly maxSampleBytes: number;
}

export const STREAM_READER_LIMITS: StreamReaderLimits = {
  maxInitBytes: 256 * 1024,
  maxMoofBytes: 512 * 1024,
  maxMdatBytes: 64 * 1024 * 1024,
  maxEventBytes: 64 * 1024,
  maxSkippedBytes: 4 * 1024 * 1024,
  maxSamples: 8192,
  maxSampleBytes: 4 * 1024 * 1024,
};

/** Why a stream cannot be read on. */
export type StreamFault =
  | FragmentFault
  /** Not the boxes of an ISO base media file. */
  | 'not_mp4'
  | 'box_too_large'
  /** The `moov` cannot be used; see {@link readStreamInit}. */
  | 'init_unusable'
  /** Media without a `moov` before it. */
  | 'init_missing'
  /** A sample lies before bytes that have passed. */
  | 'data_misplaced'
  /** The stream ended inside a box or before the data of its samples. */
  | 'truncated';

/** A sample with its bytes. Its `data` is a buffer of its own. */
export interface StreamSample extends FragmentEntry {
  readonly data: Uint8Array;
}

/** What a {@link StreamReader} finds, in the order of the bytes. Each call gets a value of its own. */
export interface StreamReaderSink {
  /** A `moov`. The tracks stand for what follows. False refuses them: `init_unusable`. */
  init(tracks: readonly StreamTrack[]): boolean;
  /** A `moof` was read; its samples follow. */
  fragment(fragment: MovieFragment): void;
  /** Told at the sample's last byte, not at the end of the `mdat`. */
  sample(sample: StreamSample): void;
  event(message: EventMessage): void;
  /** The sender says that nothing follows after this: brand `lmsg`, or a `mfra`. */
  last(): void;
}

type State =
  /** Collecting a box's header: 8 bytes, or 16 with a long size. */
  | { readonly kind: 'header'; readonly bytes: Uint8Array; filled: number }
  /** Collecting a whole box, header included. */
  | {
      readonly kind: 'whole';
      readonly type: string;
      readonly sizeBytes: number;
      bytes: Uint8Array;
      filled: number;
    }
  | { readonly kind: 'skip'; left: number }
  | { readonly kind: 'data'; left: number }
  | { readonly kind: 'fault'; readonly fault: StreamFault };

interface Assembly {
  readonly entry: FragmentEntry;
  readonly data: Uint8Array;
  filled: number;
}

const HEADER_BYTES = 8;
const LONG_HEADER_BYTES = 16;
/** Buffers of collected boxes grow from this: a size that is only claimed costs nothing. */
const FIRST_BUFFER_BYTES = 4096;
const UNBOUNDED = Number.POSITIVE_INFINITY;

/** Boxes that may stand at the top of a file or segment; anything else at the very start is no such file. */
const OPENING_BOXES: ReadonlySet<string> = new Set([
  ...[
    'ftyp',
    'styp',
    'moov',
    'moof',
    'mdat',
    'emsg',
    'prft',
    'sidx',
    'free',
    'skip',
    'uuid',
    'mfra',
    'pdin',
    'meta',
  ],
]);

/**
 * Reads fragmented MP4 (CMAF) as it comes, in pieces of any size: samples are told as soon as their bytes are there.
 * Never throws on bytes; what it holds is bounded by its limits.
 */
export class StreamReader {
  readonly #sink: StreamReaderSink;
  readonly #limits: StreamReaderLimits;
  #tracks: readonly StreamTrack[];
  #state: State = newHeader();
  /** Position of the next byte, from the start of the stream. */
  #position = 0;
  #boxStart = 0;
  #sawBox = false;
  #entries: readonly FragmentEntry[] = [];
  #nextEntry = 0;
  #assembly: Assembly | undefined;

  /** `tracks`: of an initialization segment that came before, in another stream. */
  constructor(sink: StreamReaderSink, limits: StreamReaderLimits, tracks: readonly StreamTrack[] = []) {
    this.#sink = sink;
    this.#limits = limits;
    this.#tracks = tracks;
  }

  /** Bytes held for what is not complete yet. */
  get heldBytes(): number {
    const state = this.#state;
    return (state.kind === 'whole' ? state.bytes.length : 0) + (this.#assembly?.data.length ?? 0);
  }

  /** Takes the next bytes; they are not kept. The fault is final, and given again by every later call. */
  push(bytes: Uint8Array): StreamFault | undefined {
    let at = 0;
    while (at < bytes.length) {
      const state = this.#state;
      if (state.kind === 'fault') return state.fault;
      const taken = this.#take(state, bytes, at);
      at += taken;
      this.#position += taken;
      this.#settle();
    }
    return this.#fault;
  }

  /** The stream has ended: a fault when that was in the middle of something. */
  end(): StreamFault | undefined {
    const state = this.#state;
    if (state.kind === 'fault') return state.fault;
    const unbounded = state.kind === 'data' && state.left === UNBOUNDED;
    const between = state.kind === 'header' && state.filled === 0;
    return (between || unbounded) && this.#nextEntry >= this.#entries.length
      ? undefined
      : this.#fail('truncated');
  }

  /** Samples of the last fragment are not complete. */
  get #owesData(): boolean {
    return this.#assembly !== undefined || this.#nextEntry < this.#entries.length;
  }

  get #fault(): StreamFault | undefined {
    return this.#state.kind === 'fault' ? this.#state.fault : undefined;
  }

  #fail(fault: StreamFault): StreamFault {
    this.#state = { kind: 'fault', fault };
    this.#entries = [];
    this.#assembly = undefined;
    return fault;
  }

  /** Takes bytes from `at` on, at least one; gives how many. */
  #take(state: Exclude<State, { kind: 'fault' }>, bytes: Uint8Array, at: number): number {
    switch (state.kind) {
      case 'header':
        return fill(state, bytes, at, this.#headerSize(state));
      case 'whole':
        growFor(state, bytes.length - at);
        return fill(state, bytes, at, state.sizeBytes);
      case 'skip': {
        const taken = Math.min(state.left, bytes.length - at);
        state.left -= taken;
        return taken;
      }
      default: {
        const taken = Math.min(state.left, bytes.length - at);
        this.#feed(bytes.subarray(at, at + taken));
        state.left -= taken;
        return taken;
      }
    }
  }

  /** Moves on when what was being taken is complete. */
  #settle(): void {
    const state = this.#state;
    switch (state.kind) {
      case 'header':
        if (state.filled === this.#headerSize(state)) this.#open(state.bytes);
        return;
      case 'whole':
        if (state.filled < state.sizeBytes) return;
        this.#state = newHeader();
        this.#read(state.type, state.bytes.subarray(0, state.sizeBytes));
        return;
      case 'skip':
      case 'data':
        if (state.left <= 0) this.#state = newHeader();
        return;
      case 'fault':
        return;
    }
  }

  #headerSize({ bytes, filled }: { bytes: Uint8Array; filled: number }): number {
    return filled >= HEADER_BYTES && u32(bytes, 0) === 1 ? LONG_HEADER_BYTES : HEADER_BYTES;
  }

  /** A box's header is complete: decides what to do with the box. */
  #open(header: Uint8Array): void {
    const type = fourCc(header, 4);
    const size32 = u32(header, 0);
    const headerBytes = size32 === 1 ? LONG_HEADER_BYTES : HEADER_BYTES;
    const sizeBytes =
      size32 === 0 ? UNBOUNDED : size32 === 1 ? u32(header, 8) * 2 ** 32 + u32(header, 12) : size32;
    this.#boxStart = this.#position - headerBytes;
    if (sizeBytes < headerBytes || !isPrintable(type) || (!this.#sawBox && !OPENING_BOXES.has(type))) {
      this.#fail('not_mp4');
      return;
    }
    this.#sawBox = true;
    if (type === 'mdat') this.#openData(sizeBytes - headerBytes);
    else if (type === 'mfra') this.#openLast(sizeBytes - headerBytes);
    else this.#openWhole(type, sizeBytes, header.subarray(0, headerBytes));
  }

  #openData(leftBytes: number): void {
    if (leftBytes !== UNBOUNDED && leftBytes > this.#limits.maxMdatBytes) this.#fail('box_too_large');
    else if (this.#tracks.length === 0) this.#fail('init_missing');
    else if (leftBytes > 0) this.#state = { kind: 'data', left: leftBytes };
    else this.#state = newHeader();
  }

  #openLast(leftBytes: number): void {
    this.#sink.last();
    this.#skip(leftBytes);
  }

  #openWhole(type: string, sizeBytes: number, header: Uint8Array): void {
    const limit = this.#collectLimit(type);
    if (limit === undefined || (type === 'emsg' && sizeBytes > limit)) {
      this.#skip(sizeBytes - header.length);
      return;
    }
    if (sizeBytes > limit) {
      this.#fail('box_too_large');
      return;
    }
    const bytes = new Uint8Array(Math.min(sizeBytes, FIRST_BUFFER_BYTES));
    bytes.set(header);
    if (sizeBytes > header.length) {
      this.#state = { kind: 'whole', type, sizeBytes, bytes, filled: header.length };
      return;
    }
    this.#state = newHeader();
    this.#read(type, bytes);
  }

  /** How large a box of this type may be to be collected; undefined: it is passed over. */
  #collectLimit(type: string): number | undefined {
    switch (type) {
      case 'moov':
      case 'styp':
        return this.#limits.maxInitBytes;
      case 'moof':
        return this.#limits.maxMoofBytes;
      case 'emsg':
        return this.#limits.maxEventBytes;
      default:
        return undefined;
    }
  }

  #skip(leftBytes: number): void {
    if (leftBytes > this.#limits.maxSkippedBytes) this.#fail('box_too_large');
    else this.#state = leftBytes > 0 ? { kind: 'skip', left: leftBytes } : newHeader();
  }

  /** A collected box is complete. */
  #read(type: string, box: Uint8Array): void {
    switch (type) {
      case 'moov':
        this.#readInit(box);
        return;
      case 'moof':
        this.#readFragment(box);
        return;
      case 'styp':
        if (hasBrand(box, 'lmsg')) this.#sink.last();
        return;
      default: {
        const message = readEventMessage(box, wholeBox(box));
        if (message) this.#sink.event(message);
      }
    }
  }

  #readInit(moov: Uint8Array): void {
    const tracks = readStreamInit(moov);
    if (!tracks || !this.#sink.init(tracks)) {
      this.#fail('init_unusable');
      return;
    }
    this.#tracks = tracks;
  }

  #readFragment(moof: Uint8Array): void {
    if (this.#tracks.length === 0) {
      this.#fail('init_missing');
      return;
    }
    if (this.#owesData) {
      this.#fail('truncated');
      return;
    }
    const find = (id: number): StreamTrack | undefined => this.#tracks.find((track) => track.id === id);
    const fragment = readMovieFragment(moof, this.#boxStart, find, this.#limits);
    if (typeof fragment === 'string') {
      this.#fail(fragment);
      return;
    }
    this.#entries = fragment.entries;
    this.#nextEntry = 0;
    this.#sink.fragment(fragment);
  }

  /** Hands bytes of an `mdat` to the samples they belong to. */
  #feed(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length || this.#startsEmpty(at)) {
      const assembly = this.#assembly ?? this.#begin();
      if (!assembly) return;
      const gap = assembly.entry.position + assembly.filled - (this.#position + at);
      if (gap < 0) {
        this.#fail('data_misplaced');
        return;
      }
      at += gap;
      if (at > bytes.length) return;
      const piece = bytes.subarray(at, at + assembly.data.length - assembly.filled);
      assembly.data.set(piece, assembly.filled);
      assembly.filled += piece.length;
      at += piece.length;
      if (assembly.filled < assembly.data.length) return;
      this.#assembly = undefined;
      this.#sink.sample({ ...assembly.entry, data: assembly.data });
    }
  }

  /** Whether the next sample has no bytes and so is complete where the last one ended. */
  #startsEmpty(at: number): boolean {
    const next = this.#assembly ? undefined : this.#entries[this.#nextEntry];
    return next?.sizeBytes === 0 && next.position <= this.#position + at;
  }

  #begin(): Assembly | undefined {
    const entry = this.#entries[this.#nextEntry];
    if (!entry) return undefined;
    this.#nextEntry++;
    this.#assembly = { entry, data: new Uint8Array(entry.sizeBytes), filled: 0 };
    return this.#assembly;
  }
}

function newHeader(): State {
  return { kind: 'header', bytes: new Uint8Array(LONG_HEADER_BYTES), filled: 0 };
}

/** Copies what is there into `target` up to `sizeBytes`; gives how much. */
function fill(
  target: { bytes: Uint8Array; filled: number },
  bytes: Uint8Array,
  at: number,
  sizeBytes: number,
): number {
  const piece = bytes.subarray(at, at + sizeBytes - target.filled);
  target.bytes.set(piece, target.filled);
  target.filled += piece.length;
  return piece.length;
}

/** Makes room for `incoming` more bytes, at least doubling, at most to the size of the box. */
function growFor(
  state: { bytes: Uint8Array; filled: number; readonly sizeBytes: number },
  incoming: number,
): void {
  const needed = Math.min(state.sizeBytes, state.filled + incoming);
  if (needed <= state.bytes.length) return;
  const grown = new Uint8Array(Math.min(state.sizeBytes, Math.max(needed, 2 * state.bytes.length)));
  grown.set(state.bytes.subarray(0, state.filled));
  state.bytes = grown;
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) * 2 ** 24 +
    ((bytes[at + 1] ?? 0) << 16) +
    ((bytes[at + 2] ?? 0) << 8) +
    (bytes[at + 3] ?? 0)
  );
}

function fourCc(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function isPrintable(type: string): boolean {
  return /^[\x20-\x7e\xa9]{4}$/.test(type);
}

/** A buffer that is one box, as {@link readEventMessage} wants it. */
function wholeBox(bytes: Uint8Array): Parameters<typeof readEventMessage>[1] {
  const bodyStart = u32(bytes, 0) === 1 ? LONG_HEADER_BYTES : HEADER_BYTES;
  return { type: fourCc(bytes, 4), start: 0, bodyStart, end: bytes.length, children: [] };
}

/** Whether a `styp` names the brand, as its major one or among the compatible ones. */
function hasBrand(styp: Uint8Array, brand: string): boolean {
  const bodyStart = u32(styp, 0) === 1 ? LONG_HEADER_BYTES : HEADER_BYTES;
  for (let at = bodyStart; at + 4 <= styp.length; at += 4) {
    // Behind the major brand stands its version.
    if (at !== bodyStart + 4 && fourCc(styp, at) === brand) return true;
  }
  return false;
}
