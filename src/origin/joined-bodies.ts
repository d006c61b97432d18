import type { Gauge } from 'prom-client';

/**
 * Most bytes kept as joined copies, of all streams together. Enough for the segments and parts that the viewers of
 * dozens of streams ask for at one time; past it the copies that were not asked for lately go, and are made again
 * when somebody asks: slower, never wrong.
 */
export const MAX_JOINED_BYTES = 64 * 1024 * 1024;

/** The joined copy of one body, kept beside the media it is a copy of. */
export class JoinedBody {
  /** While it is in the cache. */
  bytes: Uint8Array | undefined;
  /** Out of the cache, and perhaps still on its way to a slow reader. */
  sending: WeakRef<Uint8Array> | undefined;
  /** Asked for since the cache last looked for room. */
  wanted = false;
}

/**
 * Copies of parts and segments in one piece. A body of many chunks costs one system call a chunk for every reader
 * (measured: a part of six chunks 60 µs instead of 20), so it is joined once for all of them. Of each body there is
 * never more than one copy, slow readers included, so the copies are bounded by the live windows themselves.
 */
export class JoinedBodies {
  readonly #limitBytes: number;
  readonly #gauge: Pick<Gauge, 'set'>;
  /** First come, first to go, unless it was wanted meanwhile. */
  readonly #held = new Set<JoinedBody>();
  #heldBytes = 0;

  constructor(limitBytes: number, gauge: Pick<Gauge, 'set'>) {
    this.#limitBytes = limitBytes;
    this.#gauge = gauge;
  }

  /** The body in one piece. `chunks` is only called when there is no copy. */
  get(body: JoinedBody, chunks: () => readonly Uint8Array[]): Uint8Array {
    if (body.bytes) {
      body.wanted = true;
      return body.bytes;
    }
    const alive = body.sending?.deref();
    if (alive) return this.#hold(body, alive);
    const pieces = chunks();
    const [only] = pieces;
    if (only && pieces.length === 1) {
      // No copy: it goes with its media and counts for nothing.
      body.bytes = only;
      return only;
    }
    return this.#hold(body, joined(pieces));
  }

  #hold(body: JoinedBody, bytes: Uint8Array): Uint8Array {
    if (bytes.length > this.#limitBytes) {
      body.sending = new WeakRef(bytes);
      return bytes;
    }
    this.#makeRoom(bytes.length);
    body.bytes = bytes;
    body.sending = undefined;
    body.wanted = false;
    this.#held.add(body);
    this.#heldBytes += bytes.length;
    this.#gauge.set(this.#heldBytes);
    return bytes;
  }

  #makeRoom(bytes: number): void {
    for (const oldest of this.#held) {
      if (this.#heldBytes + bytes <= this.#limitBytes) return;
      this.#held.delete(oldest);
      if (oldest.wanted) {
        oldest.wanted = false;
        this.#held.add(oldest);
      } else {
        this.#letGo(oldest);
      }
    }
  }

  #letGo(body: JoinedBody): void {
    if (!body.bytes) return;
    this.#heldBytes -= body.bytes.length;
    body.sending = new WeakRef(body.bytes);
    body.bytes = undefined;
  }
}

/** Not from the pool of small buffers: a slice of it would keep all of the pool alive. */
function joined(chunks: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const chunk of chunks) size += chunk.length;
  const bytes = Buffer.allocUnsafeSlow(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
