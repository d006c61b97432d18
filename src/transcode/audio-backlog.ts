/** A tag that was received, and is kept until what was made of it is safe. */
export interface FedTag {
  /** On the source's unwrapped clock. */
  readonly sourceMs: number;
  readonly body: Uint8Array;
  /** When it was received, monotonic milliseconds. */
  readonly receivedAtMs: number;
}

export interface BacklogLimits {
  /** Longest stretch of media that is kept. */
  readonly maxMs: number;
  readonly maxBytes: number;
  readonly maxTags: number;
}

/** The last tags of one source: those an encoder has yet to take, those it has yet to answer, and a few before them. */
export class AudioBacklog {
  readonly #limits: BacklogLimits;
  #tags: FedTag[] = [];
  /** Index of the next tag to be given to the encoder. */
  #next = 0;
  #sizeBytes = 0;

  constructor(limits: BacklogLimits) {
    this.#limits = limits;
  }

  get first(): FedTag | undefined {
    return this.#tags[0];
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Adds a tag; the oldest are given up for it where it is over a limit. Gives those. */
  add(tag: FedTag): readonly FedTag[] {
    this.#tags.push(tag);
    this.#sizeBytes += tag.body.byteLength;
    let excess = 0;
    let sizeBytes = this.#sizeBytes;
    for (const oldest of this.#tags) {
      const within =
        tag.sourceMs - oldest.sourceMs <= this.#limits.maxMs &&
        sizeBytes <= this.#limits.maxBytes &&
        this.#tags.length - excess <= this.#limits.maxTags;
      if (within) break;
      sizeBytes -= oldest.body.byteLength;
      excess++;
    }
    return this.#forget(excess);
  }

  /** The next tag for the encoder. */
  take(): FedTag | undefined {
    const tag = this.#tags[this.#next];
    if (tag) this.#next++;
    return tag;
  }

  /** A new encoder is to be given all tags again. */
  rewind(): void {
    this.#next = 0;
  }

  /** Tags that end before this time are not needed any more. The last one is kept: nothing tells where it ends. */
  settle(beforeMs: number): void {
    let old = 0;
    while (old < this.#next && (this.#tags[old + 1]?.sourceMs ?? Number.POSITIVE_INFINITY) <= beforeMs) old++;
    this.#forget(old);
  }

  /**
   * Since when the encoder owes audio after `afterMs`, monotonic milliseconds: an encoder rightly holds the last tags,
   * so many of them and so much media. Undefined when it owes nothing.
   */
  owedSince(afterMs: number, held: { readonly ms: number; readonly tags: number }): number | undefined {
    const owed = this.#tags.findIndex(({ sourceMs }) => sourceMs > afterMs);
    const from = this.#tags[owed];
    if (!from) return undefined;
    for (let index = owed + held.tags; index < this.#next; index++) {
      const tag = this.#tags[index];
      if (tag && tag.sourceMs >= from.sourceMs + held.ms) return tag.receivedAtMs;
    }
    return undefined;
  }

  clear(): void {
    this.#forget(this.#tags.length);
  }

  #forget(count: number): readonly FedTag[] {
    if (count === 0) return [];
    const gone = this.#tags.splice(0, count);
    for (const { body } of gone) this.#sizeBytes -= body.byteLength;
    this.#next = Math.max(0, this.#next - count);
    return gone;
  }
}
