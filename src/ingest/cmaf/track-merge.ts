import type { StreamSample } from '../../media/isobmff/stream-reader.ts';

/** One request's part in a track; told apart by identity. */
export interface MergeSource {
  /** It brought its own initialization segment: an encoder that begins, not one that goes on. */
  readonly beganWithInit: boolean;
}

/** What became of a sample. `held`: it is kept in case the source in use fails. */
export type MergeOutcome = 'taken' | 'held' | 'duplicate' | 'foreign';

export interface MergeOptions {
  /** A source this far ahead of the one in use takes its place. */
  readonly maxLeadMs: number;
  /** Bytes held from sources not in use. */
  readonly maxHeldBytes: number;
}

/**
 * A source whose clock is further than this from the one in use does not keep the same time: it is no copy. Where no
 * source is in use, time that goes back by more than this is a new beginning.
 */
const FOREIGN_MS = 10_000;
/** Copies may differ by so much in time, or half a frame if that is less: sources round differently. */
const ROUNDING_MS = 2;
/** An encoder that begins anew while nobody else sends may go back by more than this. */
const RESTART_MS = 1_000;

/** What a merge gives out. */
export interface MergeSink {
  /** The next sample of the track. */
  sample(sample: StreamSample): void;
  /** So many held samples turned out to be duplicates. */
  superseded(samples: number): void;
  /** Another source took the place of one that was still sending. */
  switched(): void;
}

interface Standby {
  readonly held: StreamSample[];
  /** Its request has ended; what it left is still good. */
  gone: boolean;
}

/**
 * Makes one track out of the copies that redundant sources send: epoch-locked encoders give the same decode times, so
 * a sample at a time that has passed is a duplicate. One source is in use until its request ends, breaks off or
 * falls behind; what others send ahead of it is held, so that nothing is missing when one of them takes over.
 */
export class TrackMerge {
  readonly #options: MergeOptions;
  readonly #sink: MergeSink;
  readonly #standbys = new Map<MergeSource, Standby>();
  #source: MergeSource | undefined;
  #heldBytes = 0;
  /** Decode time of the last sample taken, and what it is counted in. */
  #last: { ticks: bigint; timescale: number; durationTicks: number } | undefined;

  constructor(options: MergeOptions, sink: MergeSink) {
    this.#options = options;
    this.#sink = sink;
  }

  /** Bytes held from sources not in use. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether a source is sending this track. */
  get fed(): boolean {
    if (this.#source) return true;
    for (const { gone } of this.#standbys.values()) if (!gone) return true;
    return false;
  }

  offer(source: MergeSource, sample: StreamSample): MergeOutcome {
    const aheadMs = this.#aheadMs(sample);
    if (aheadMs === undefined || source === this.#source || this.#source === undefined) {
      return this.#offerInUse(source, sample, aheadMs);
    }
    if (Math.abs(aheadMs) > FOREIGN_MS) return 'foreign';
    if (this.#isPast(sample)) return 'duplicate';
    this.#hold(source, sample);
    if (aheadMs > this.#options.maxLeadMs || this.#heldBytes > this.#options.maxHeldBytes) {
      this.#sink.switched();
      this.#retire();
      this.#promoteFirst();
    }
    return 'held';
  }

  /** A source's request has ended, well or not. */
  leave(source: MergeSource): void {
    const standby = this.#standbys.get(source);
    if (standby) standby.gone = true;
    if (standby?.held.length === 0) this.#standbys.delete(source);
    if (source !== this.#source) return;
    this.#source = undefined;
    this.#promoteFirst();
  }

  #offerInUse(source: MergeSource, sample: StreamSample, aheadMs: number | undefined): MergeOutcome {
    const restarts =
      aheadMs !== undefined &&
      (aheadMs < -FOREIGN_MS || (source !== this.#source && source.beganWithInit && aheadMs < -RESTART_MS));
    if (!restarts && this.#isPast(sample)) return 'duplicate';
    this.#source = source;
    this.#take(sample);
    return 'taken';
  }

  #take(sample: StreamSample): void {
    const ticks = sample.baseTicks + BigInt(sample.offsetTicks);
    this.#last = { ticks, timescale: sample.track.timescale, durationTicks: sample.durationTicks };
    if (this.#standbys.size > 0) this.#dropPast();
    this.#sink.sample(sample);
  }

  #hold(source: MergeSource, sample: StreamSample): void {
    let standby = this.#standbys.get(source);
    if (!standby) {
      standby = { held: [], gone: false };
      this.#standbys.set(source, standby);
    }
    standby.held.push(sample);
    this.#heldBytes += sample.data.length;
  }

  /** The source in use has fallen behind; it may take its place back when it is ahead. */
  #retire(): void {
    const source = this.#source;
    this.#source = undefined;
    if (source) this.#standbys.set(source, { held: [], gone: false });
  }

  /** Goes on with what is held, earliest first, until a source that still sends is in use. */
  #promoteFirst(): void {
    for (;;) {
      const first = this.#earliest();
      if (!first) return;
      const [source, standby] = first;
      this.#standbys.delete(source);
      if (!standby.gone) this.#source = source;
      for (const sample of standby.held) {
        this.#heldBytes -= sample.data.length;
        if (!this.#isPast(sample)) this.#take(sample);
      }
      if (!standby.gone) return;
    }
  }

  #earliest(): [MergeSource, Standby] | undefined {
    let found: [MergeSource, Standby] | undefined;
    let foundMs = Number.POSITIVE_INFINITY;
    for (const [source, standby] of this.#standbys) {
      const next = standby.held[0];
      const aheadMs = next && this.#aheadMs(next);
      if (aheadMs === undefined || aheadMs >= foundMs) continue;
      found = [source, standby];
      foundMs = aheadMs;
    }
    return found;
  }

  #dropPast(): void {
    for (const [source, standby] of this.#standbys) {
      const kept = standby.held.findIndex((sample) => !this.#isPast(sample));
      const dropped = standby.held.splice(0, kept < 0 ? standby.held.length : kept);
      for (const { data } of dropped) this.#heldBytes -= data.length;
      if (dropped.length > 0) this.#sink.superseded(dropped.length);
      if (standby.gone && standby.held.length === 0) this.#standbys.delete(source);
    }
  }

  /** At or before the last sample. */
  #isPast(sample: StreamSample): boolean {
    const last = this.#last;
    const aheadMs = this.#aheadMs(sample);
    if (!last || aheadMs === undefined) return false;
    return aheadMs <= Math.min(ROUNDING_MS, (last.durationTicks / last.timescale) * 500);
  }

  /** Undefined when there is nothing before it. */
  #aheadMs({ baseTicks, offsetTicks, track }: StreamSample): number | undefined {
    const last = this.#last;
    if (!last) return undefined;
    const lastTicks =
      last.timescale === track.timescale
        ? last.ticks
        : (last.ticks * BigInt(track.timescale)) / BigInt(last.timescale);
    return (Number(baseTicks + BigInt(offsetTicks) - lastTicks) / track.timescale) * 1000;
  }
}
