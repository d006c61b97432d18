import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../base/errors.ts';
import type { ByteSpan } from './blob-range.ts';
import { asStorageError } from './fs-errors.ts';

/** Read at once; each piece is a buffer of its own, which the reader may keep. */
const PIECE_BYTES = 256 * 1024;

/** Part of an open file, piece by piece. Owns the file: closes it at the end, at a failure and at `return()`. */
export class FileBody implements AsyncIterableIterator<Uint8Array> {
  readonly #file: FileHandle;
  readonly #end: number;
  readonly #onClosed: (body: FileBody) => void;
  #position: number;
  #abandoned = false;
  #closing: Promise<void> | undefined;

  constructor(file: FileHandle, { start, end }: ByteSpan, onClosed: (body: FileBody) => void) {
    this.#file = file;
    this.#position = start;
    this.#end = end;
    this.#onClosed = onClosed;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#abandoned) throw new AppError('STORAGE_UNAVAILABLE', 'the store was closed');
    if (this.#closing || this.#position >= this.#end) return this.return();
    const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, this.#end - this.#position));
    try {
      const size = await readAt(this.#file, piece, this.#position);
      this.#position += size;
      return { done: false, value: piece.subarray(0, size) };
    } catch (error) {
      await this.close();
      throw asStorageError(error);
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** Closes the file under its reader, who is told. */
  abandon(): Promise<void> {
    this.#abandoned ||= !this.#closing;
    return this.close();
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#file.close().finally(() => this.#onClosed(this));
    return this.#closing;
  }
}

/** Fills `into` from `position` on. @throws AppError STORAGE_UNAVAILABLE when the file was cut short meanwhile */
export async function readWhole(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    done += await readAt(file, into.subarray(done), position + done);
  }
}

async function readAt(file: FileHandle, into: Uint8Array, position: number): Promise<number> {
  const { bytesRead } = await file.read(into, 0, into.length, position);
  if (bytesRead > 0) return bytesRead;
  throw new AppError('STORAGE_UNAVAILABLE', 'a stored file is shorter than it was when it was opened');
}
