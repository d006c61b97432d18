import type { CloseReason } from './close-reason.ts';
import { DEFAULT_CHUNK_BYTES, isMediaType, type RtmpMessage } from './protocol.ts';

/** What a peer may make the reader hold. The session raises the message limits once publishing is granted. */
export interface ChunkLimits {
  readonly maxMediaMessageBytes: number;
  readonly maxOtherMessageBytes: number;
  readonly maxChunkStreams: number;
}

/** Why the peer's bytes cannot be read on. */
export type ChunkFault = Extract<
  CloseReason,
  'chunk_invalid' | 'chunk_streams' | 'message_too_large' | 'bytes_in_flight'
>;

export type ChunkStep =
  | { readonly kind: 'message'; readonly message: RtmpMessage }
  /** All input is read; the message under way needs more. */
  | { readonly kind: 'starved' }
  | { readonly kind: 'fault'; readonly fault: ChunkFault };

/** What is remembered of one chunk stream: the header its next chunks may leave out, and the message under way. */
interface ChunkStream {
  timestamp: number;
  /** Timestamp field (absolute or delta) of the last type 0, 1 or 2 header. */
  timestampField: number;
  extended: boolean;
  length: number;
  type: number;
  streamId: number;
  payload: Buffer;
  received: number;
  /** A message has begun and is not complete. */
  partial: boolean;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
/** Basic header 3, message header 11, extended timestamp 4. */
const MAX_HEADER_BYTES = 18;
/** Bytes of message header after the basic header, by chunk type. */
const MESSAGE_HEADER_BYTES = [11, 7, 3, 0] as const;
const EXTENDED = 0xffffff;
/**
 * First allocation of a message; it doubles as bytes arrive, so memory follows what was sent, not what was declared.
 * Most frames fit at once: growing each through several buffers costs a third of an ingest's CPU in garbage
 * collection. Before a publisher is accepted no message may be as large.
 */
const FIRST_ALLOCATION_BYTES = 65_536;
/** Chunk type of a continuation, and the largest chunk stream id whose basic header is one byte (5.3.1.1). */
const TYPE_3 = 3 << 6;
const MAX_ID_1_BYTE = 63;
const STARVED: ChunkStep = { kind: 'starved' };

/**
 * Reads RTMP chunks (Adobe RTMP 1.0, 5.3) into messages, however the bytes are cut. Memory is bounded: messages under
 * way together hold at most twice the largest allowed message. Give bytes with `feed`, then call `next` until it is
 * starved; limits and chunk size may change between two calls of `next`.
 */
export class ChunkReader {
  limits: ChunkLimits;
  /** The peer's chunk size. */
  chunkBytes = DEFAULT_CHUNK_BYTES;
  readonly #streams = new Map<number, ChunkStream>();
  readonly #header = Buffer.alloc(MAX_HEADER_BYTES);
  #headerBytes = 0;
  #input = NO_BYTES;
  #offset = 0;
  /** The chunk whose payload is being read, and how much of it is missing. */
  #current: ChunkStream | undefined;
  #missing = 0;
  #bufferedBytes = 0;
  /** Lengths of the messages under way, as their headers say. */
  #declaredBytes = 0;
  /** Whether the peer repeats the extended timestamp in type 3 chunks; unknown until the first one tells. */
  #repeatsExtended: boolean | undefined;

  constructor(limits: ChunkLimits) {
    this.limits = limits;
  }

  /** Bytes allocated for messages under way. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /**
   * Gives the next input, for good: its memory may become that of a message. What was given before must have been read
   * to the end, or taken back with `rest`.
   */
  feed(data: Buffer): void {
    this.#input = data;
    this.#offset = 0;
  }

  /** Takes back the input not yet read. */
  rest(): Buffer {
    const rest = this.#input.subarray(this.#offset);
    this.feed(NO_BYTES);
    return rest;
  }

  /** Reads up to the end of the next message. After a fault the reader must not be used again. */
  next(): ChunkStep {
    for (;;) {
      if (this.#current === undefined) {
        const step = this.#readHeader();
        if (step !== undefined) return step;
      } else {
        const complete = this.#readPayload(this.#current);
        if (complete === undefined) return STARVED;
        if (complete) return { kind: 'message', message: complete };
      }
    }
  }

  /** Drops the message under way on a chunk stream (5.4.2). */
  abort(chunkStreamId: number): void {
    const stream = this.#streams.get(chunkStreamId);
    if (stream?.partial) this.#release(stream);
  }

  /** Reads one chunk header. Undefined: it is whole and `#current` is set. A message: all of it was there, too. */
  #readHeader(): ChunkStep | undefined {
    if (!this.#fill(1)) return STARVED;
    const first = byteAt(this.#header, 0);
    const basicBytes = (first & 0x3f) === 0 ? 2 : (first & 0x3f) === 1 ? 3 : 1;
    if (!this.#fill(basicBytes)) return STARVED;
    const format = (first >> 6) as 0 | 1 | 2 | 3;
    const fieldsEnd = basicBytes + MESSAGE_HEADER_BYTES[format];
    if (!this.#fill(fieldsEnd)) return STARVED;
    const id = this.#chunkStreamId(basicBytes);
    const known = this.#streams.get(id);
    // A new chunk stream begins with a full header; type 1 is tolerated because librtmp pings that way.
    if (known === undefined && format > 1) return fault('chunk_invalid');
    if (known === undefined && this.#streams.size >= this.limits.maxChunkStreams)
      return fault('chunk_streams');
    // A message goes on in type 3 chunks only: anything else would change its length or type half way.
    if (known?.partial && format !== 3) return fault('chunk_invalid');
    if (known?.partial) return this.#continueMessage(known, basicBytes);
    return this.#beginMessage(id, known ?? this.#addStream(id), format, basicBytes);
  }

  #addStream(id: number): ChunkStream {
    const stream = newStream();
    this.#streams.set(id, stream);
    return stream;
  }

  #chunkStreamId(basicBytes: 1 | 2 | 3): number {
    const header = this.#header;
    if (basicBytes === 1) return byteAt(header, 0) & 0x3f;
    if (basicBytes === 2) return 64 + byteAt(header, 1);
    return 64 + header.readUInt16LE(1);
  }

  #beginMessage(
    id: number,
    stream: ChunkStream,
    format: 0 | 1 | 2 | 3,
    basicBytes: number,
  ): ChunkStep | undefined {
    const header = this.#header;
    const field = format === 3 ? stream.timestampField : uint24(header, basicBytes);
    const extended = format === 3 ? stream.extended : field === EXTENDED;
    const fieldsEnd = basicBytes + MESSAGE_HEADER_BYTES[format];
    if (extended && !this.#fill(fieldsEnd + 4)) return STARVED;
    const timestampField = extended ? header.readUInt32BE(fieldsEnd) : field;
    const length = format <= 1 ? uint24(header, basicBytes + 3) : stream.length;
    const type = format <= 1 ? byteAt(header, basicBytes + 6) : stream.type;
    const { maxMediaMessageBytes, maxOtherMessageBytes } = this.limits;
    const maxBytes = isMediaType(type) ? maxMediaMessageBytes : maxOtherMessageBytes;
    if (length > maxBytes) return fault('message_too_large');
    if (this.#declaredBytes + length > this.#maxDeclaredBytes()) return fault('bytes_in_flight');
    if (format === 0) stream.streamId = header.readUInt32LE(basicBytes + 7);
    stream.timestamp = format === 0 ? timestampField : (stream.timestamp + timestampField) >>> 0;
    stream.timestampField = timestampField;
    stream.extended = extended;
    stream.length = length;
    stream.type = type;
    const whole = extended ? undefined : this.#takeWhole(id, length);
    if (whole !== undefined) {
      this.#headerBytes = 0;
      return {
        kind: 'message',
        message: { type, streamId: stream.streamId, timestamp: stream.timestamp, payload: whole },
      };
    }
    stream.partial = true;
    this.#declaredBytes += length;
    stream.received = 0;
    stream.payload = Buffer.allocUnsafe(Math.min(length, FIRST_ALLOCATION_BYTES));
    this.#bufferedBytes += stream.payload.length;
    this.#beginPayload(stream);
    return undefined;
  }

  /**
   * The payload of the message that begins here, when all of it is in the input and no other chunk is between its own:
   * the usual case. It is closed up where it lies, over the headers between its chunks, and not copied to memory of its
   * own unless it would keep more than as much again from being freed. Undefined when it is not so.
   */
  #takeWhole(id: number, length: number): Buffer | undefined {
    const input = this.#input;
    const start = this.#offset;
    const { chunkBytes } = this;
    const continuations = length === 0 ? 0 : Math.ceil(length / chunkBytes) - 1;
    const end = start + length + continuations;
    if (end > input.length || id > MAX_ID_1_BYTE) return undefined;
    const header = TYPE_3 | id;
    for (let at = start + chunkBytes; at < end; at += chunkBytes + 1)
      if (input[at] !== header) return undefined;
    for (let i = 1; i <= continuations; i++) {
      const from = start + i * (chunkBytes + 1);
      input.copyWithin(from - i, from, Math.min(from + chunkBytes, end));
    }
    this.#offset = end;
    const payload = input.subarray(start, start + length);
    return 2 * length < input.length ? Buffer.from(payload) : payload;
  }

  /** A type 3 chunk in the middle of a message; with an extended timestamp the field stands again (5.3.1.3). */
  #continueMessage(stream: ChunkStream, basicBytes: number): ChunkStep | undefined {
    if (!stream.extended || this.#repeatsExtended === false) {
      this.#beginPayload(stream);
      return undefined;
    }
    if (!this.#fill(basicBytes + 4)) return STARVED;
    const value = this.#header.readUInt32BE(basicBytes);
    const left = Math.min(this.chunkBytes, stream.length - stream.received);
    // Some senders leave the field out. The first such chunk tells: these four bytes are the timestamp or payload.
    if (this.#repeatsExtended === undefined && left >= 4) {
      this.#repeatsExtended = value === stream.timestampField || value === stream.timestamp;
    }
    this.#beginPayload(stream);
    if (this.#repeatsExtended === false) {
      this.#append(stream, this.#header, basicBytes, 4);
      this.#missing -= 4;
    }
    return undefined;
  }

  #beginPayload(stream: ChunkStream): void {
    this.#current = stream;
    this.#missing = Math.min(this.chunkBytes, stream.length - stream.received);
    this.#headerBytes = 0;
  }

  /** Undefined: starved. False: the chunk is complete, the message is not. */
  #readPayload(stream: ChunkStream): RtmpMessage | false | undefined {
    const available = Math.min(this.#missing, this.#input.length - this.#offset);
    this.#append(stream, this.#input, this.#offset, available);
    this.#offset += available;
    this.#missing -= available;
    if (this.#missing > 0) return undefined;
    this.#current = undefined;
    if (stream.received < stream.length) return false;
    const { type, streamId, timestamp, payload } = stream;
    this.#release(stream);
    return { type, streamId, timestamp, payload };
  }

  #append(stream: ChunkStream, source: Buffer, start: number, sizeBytes: number): void {
    const end = stream.received + sizeBytes;
    if (end > stream.payload.length) this.#grow(stream, end);
    source.copy(stream.payload, stream.received, start, start + sizeBytes);
    stream.received = end;
  }

  /** Doubles, and ends exactly at the message's length, so that a complete payload needs no copy. */
  #grow(stream: ChunkStream, neededBytes: number): void {
    const sizeBytes = Math.min(stream.length, Math.max(neededBytes, stream.payload.length * 2));
    const grown = Buffer.allocUnsafe(sizeBytes);
    stream.payload.copy(grown, 0, 0, stream.received);
    this.#bufferedBytes += sizeBytes - stream.payload.length;
    stream.payload = grown;
  }

  #maxDeclaredBytes(): number {
    return 2 * Math.max(this.limits.maxMediaMessageBytes, this.limits.maxOtherMessageBytes);
  }

  #release(stream: ChunkStream): void {
    this.#bufferedBytes -= stream.payload.length;
    this.#declaredBytes -= stream.length;
    stream.payload = NO_BYTES;
    stream.partial = false;
  }

  /** Brings the header under way to `sizeBytes`; false when the input ends before. */
  #fill(sizeBytes: number): boolean {
    const wanted = sizeBytes - this.#headerBytes;
    if (wanted <= 0) return true;
    const taken = Math.min(wanted, this.#input.length - this.#offset);
    // A call to copy so few bytes costs more than they do.
    for (let i = 0; i < taken; i++) this.#header[this.#headerBytes + i] = this.#input[this.#offset + i] ?? 0;
    this.#headerBytes += taken;
    this.#offset += taken;
    return taken === wanted;
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function uint24(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
}

function newStream(): ChunkStream {
  return {
    timestamp: 0,
    timestampField: 0,
    extended: false,
    length: 0,
    type: 0,
    streamId: 0,
    payload: NO_BYTES,
    received: 0,
    partial: false,
  };
}

function fault(reason: ChunkFault): ChunkStep {
  return { kind: 'fault', fault: reason };
}
