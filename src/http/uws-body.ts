import type { Clock } from '../base/clock.ts';
import { MAX_CORKED_WRITE_BYTES, type NativeResponse } from './uws-native.ts';
import type { BodyStream, SharedBytes } from './types.ts';

/**
 * Sends a body of known length that may be larger than what the socket takes at once: each buffer is offered with
 * `tryEnd`, which keeps nothing in user space, and is offered again from where it stopped when the socket drains.
 */
export class UwsWholeBody {
  readonly #res: NativeResponse;
  readonly #parts: readonly Uint8Array[];
  readonly #totalBytes: number;
  readonly #clock: Clock;
  readonly #onDone: () => void;
  #index = 0;
  /** Where part `#index` starts in the body. */
  #partStart = 0;
  #waiting = false;
  /** When the socket last took bytes; counts from the first time that it did not take all. */
  lastProgressMs = Number.POSITIVE_INFINITY;

  constructor(
    res: NativeResponse,
    parts: readonly Uint8Array[],
    totalBytes: number,
    clock: Clock,
    onDone: () => void,
  ) {
    this.#res = res;
    this.#parts = parts;
    this.#totalBytes = totalBytes;
    this.#clock = clock;
    this.#onDone = onDone;
  }

  /** Offers bytes from `offset` of the body on. `false` when the socket is full. */
  pump(offset: number): boolean {
    this.#seek(offset);
    for (let part = this.#parts[this.#index]; part; part = this.#parts[++this.#index]) {
      const from = Math.max(0, offset - this.#partStart);
      const [ok, done] = this.#res.tryEnd(from > 0 ? part.subarray(from) : part, this.#totalBytes);
      if (done) {
        this.#onDone();
        return true;
      }
      if (!ok) {
        this.waitForDrain();
        return false;
      }
      this.#partStart += part.length;
    }
    return true;
  }

  #seek(offset: number): void {
    for (let part = this.#parts[this.#index]; part; part = this.#parts[++this.#index]) {
      if (offset < this.#partStart + part.length) return;
      this.#partStart += part.length;
    }
  }

  /** Goes on when the socket, which is full now, has room again. */
  waitForDrain(): void {
    this.lastProgressMs = this.#clock.monotonicMs();
    if (this.#waiting) return;
    this.#waiting = true;
    this.#res.onWritable((offset) => this.pump(offset));
  }
}

/**
 * A body of known length that comes in pieces: each is offered with `tryEnd`, and again from where it stopped when the socket
 * drains. Nothing of it is kept in user space but the one piece that waits.
 */
export class UwsSizedBody {
  readonly #owner: Pick<UwsStreamOwner, 'pending' | 'cork'>;
  readonly #res: NativeResponse;
  readonly #totalBytes: number;
  readonly #clock: Clock;
  readonly #onDone: () => void;
  #piece: Uint8Array = new Uint8Array(0);
  /** Where the piece begins in the body. */
  #pieceStart = 0;
  #isWatched = false;
  #taken: (() => void) | undefined;
  /** When the socket last took bytes while some wait. */
  lastProgressMs = Number.POSITIVE_INFINITY;

  constructor(
    owner: Pick<UwsStreamOwner, 'pending' | 'cork'>,
    res: NativeResponse,
    totalBytes: number,
    clock: Clock,
    onDone: () => void,
  ) {
    this.#owner = owner;
    this.#res = res;
    this.#totalBytes = totalBytes;
    this.#clock = clock;
    this.#onDone = onDone;
  }

  async write(piece: Uint8Array): Promise<void> {
    if (!this.#owner.pending) return;
    this.#pieceStart += this.#piece.length;
    this.#piece = piece;
    let isTaken = true;
    this.#owner.cork(() => {
      isTaken = this.#offer(0);
    });
    if (isTaken) return;
    await new Promise<void>((resolve) => {
      this.#taken = resolve;
    });
  }

  /** Its last byte has ended it. */
  end(): void {}

  /** The peer has gone: who waits need wait no more. */
  lost(): void {
    this.#settle();
  }

  /** Offers the piece from its byte `from` on. False: the socket is full. */
  #offer(from: number): boolean {
    const [ok, done] = this.#res.tryEnd(
      from > 0 ? this.#piece.subarray(from) : this.#piece,
      this.#totalBytes,
    );
    if (done) this.#onDone();
    if (ok || done) return true;
    this.lastProgressMs = this.#clock.monotonicMs();
    if (!this.#isWatched) this.#res.onWritable((offset) => this.#onWritable(offset));
    this.#isWatched = true;
    return false;
  }

  #onWritable(offset: number): boolean {
    if (!this.#taken) return true;
    const from = offset - this.#pieceStart;
    if (from < this.#piece.length && !this.#offer(from)) return false;
    this.#settle();
    return true;
  }

  #settle(): void {
    this.lastProgressMs = Number.POSITIVE_INFINITY;
    this.#taken?.();
    this.#taken = undefined;
  }
}

/** What a stream asks of its response. */
export interface UwsStreamOwner {
  readonly pending: boolean;
  cork(write: () => void): void;
  cut(reason: 'backlog' | 'stalled'): void;
  endStream(): void;
}

/** A chunked body in pieces that fit the native cork buffer. */
export class UwsBodyStream implements BodyStream {
  readonly #owner: UwsStreamOwner;
  readonly #res: NativeResponse;
  readonly #clock: Clock;
  readonly #limits: { readonly maxBacklogBytes: number; readonly stallTimeoutMs: number };
  #ended = false;
  #piece: Uint8Array = new Uint8Array(0);
  #wasEmpty = false;
  #behindSinceMs: number | undefined;

  /**
   * Bytes written since the native buffer was last seen empty. The binary does not tell how full it is, only, one
   * write late, that it is not empty: so this is an upper bound.
   */
  backlogBytes = 0;

  constructor(
    owner: UwsStreamOwner,
    res: NativeResponse,
    clock: Clock,
    limits: { readonly maxBacklogBytes: number; readonly stallTimeoutMs: number },
  ) {
    this.#owner = owner;
    this.#res = res;
    this.#clock = clock;
    this.#limits = limits;
  }

  write(shared: SharedBytes): void {
    const { data } = shared;
    for (let start = 0; start < data.length; start += MAX_CORKED_WRITE_BYTES) {
      if (this.#ended || !this.#owner.pending) return;
      this.#writePiece(data.subarray(start, start + MAX_CORKED_WRITE_BYTES));
    }
  }

  end(): void {
    if (this.#ended || !this.#owner.pending) return;
    this.#ended = true;
    this.#owner.endStream();
  }

  /** One for all pieces: a closure for each piece of each reader would be most of the garbage of a stream. */
  readonly #writeCorked = (): void => {
    this.#wasEmpty = this.#res.write(this.#piece);
  };

  #writePiece(piece: Uint8Array): void {
    this.#piece = piece;
    this.#owner.cork(this.#writeCorked);
    if (this.#wasEmpty) {
      this.backlogBytes = 0;
      this.#behindSinceMs = undefined;
      return;
    }
    const now = this.#clock.monotonicMs();
    this.backlogBytes += piece.length;
    this.#behindSinceMs ??= now;
    if (this.backlogBytes > this.#limits.maxBacklogBytes) this.#owner.cut('backlog');
    else if (now - this.#behindSinceMs >= this.#limits.stallTimeoutMs) this.#owner.cut('stalled');
  }
}
