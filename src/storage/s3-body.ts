import { AppError } from '../base/errors.ts';
import type { ByteSpan } from './blob-range.ts';
import type { S3Client, S3Stream } from './s3-client.ts';
import { S3Failure } from './s3-failure.ts';
import { plainEtag } from './s3-texts.ts';

/** Times in a row that a body is asked for again without a byte having come. */
const MAX_RESUMES = 5;

export interface S3BodySource {
  readonly client: S3Client;
  readonly url: string;
  /** Without quotes. */
  readonly etag: string;
  readonly onClosed: (body: S3Body) => void;
}

/** The header of a range; the span is not empty. */
export function rangeHeader({ start, end }: ByteSpan): string {
  return `bytes=${start}-${end - 1}`;
}

/**
 * Part of an object, piece by piece. A connection that breaks is replaced, and the reader sees nothing of it: the rest is
 * asked for of the very same version.
 */
export class S3Body implements AsyncIterableIterator<Uint8Array> {
  readonly #source: S3BodySource;
  readonly #end: number;
  #position: number;
  /** Undefined: nothing is to be read any more. */
  #stream: S3Stream | undefined;
  /** Bytes that come before what was asked for, from a store that does not know ranges. */
  #toSkip: number;
  #resumes = 0;
  #abandoned = false;

  /** `stream`: the answer for `span`; undefined: that is empty. */
  constructor(source: S3BodySource, span: ByteSpan, stream: S3Stream | undefined) {
    this.#source = source;
    this.#position = span.start;
    this.#end = span.end;
    this.#stream = stream;
    this.#toSkip = stream?.status === 200 ? span.start : 0;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#requireWanted();
    while (this.#stream && this.#position < this.#end) {
      const piece = await this.#nextPiece(this.#stream);
      const wanted = piece && this.#cut(piece);
      if (!wanted || wanted.length === 0) continue;
      this.#position += wanted.length;
      this.#resumes = 0;
      return { done: false, value: wanted };
    }
    this.#requireWanted();
    // All is there; the end of the answer makes its connection free for others.
    await this.#stream?.pieces.next().catch(() => undefined);
    return this.return();
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#source.onClosed(this);
    await stream?.pieces.return();
    return { done: true, value: undefined };
  }

  /** Ends the answer under its reader, who is told. */
  async abandon(): Promise<void> {
    this.#abandoned ||= this.#stream !== undefined;
    await this.return();
  }

  #requireWanted(): void {
    if (this.#abandoned) throw new AppError('STORAGE_UNAVAILABLE', 'the store was closed');
  }

  /** Undefined: the connection broke and was replaced. */
  async #nextPiece(stream: S3Stream): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await stream.pieces.next();
      if (!done) return value;
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error;
    }
    if (this.#stream) await this.#resume();
    return undefined;
  }

  async #resume(): Promise<void> {
    const { client, url, etag } = this.#source;
    this.#resumes += 1;
    if (this.#resumes > MAX_RESUMES) {
      await this.return();
      throw new AppError('STORAGE_UNAVAILABLE', 'the connection breaks again and again');
    }
    const span = { start: this.#position, end: this.#end };
    const headers = { range: rangeHeader(span), 'if-match': `"${etag}"` };
    const answer = await client.stream({ method: 'GET', url, headers });
    if (!('pieces' in answer) || plainEtag(answer.headers.etag ?? '') !== etag) {
      if ('pieces' in answer) await answer.pieces.return();
      await this.return();
      throw new AppError('STORAGE_UNAVAILABLE', 'the blob was replaced or deleted while it was read');
    }
    this.#stream = answer;
    this.#toSkip = answer.status === 200 ? this.#position : 0;
  }

  #cut(piece: Uint8Array): Uint8Array {
    const skipped = Math.min(this.#toSkip, piece.length);
    this.#toSkip -= skipped;
    return piece.subarray(skipped, skipped + this.#end - this.#position);
  }
}
