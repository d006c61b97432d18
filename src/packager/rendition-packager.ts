import type { Series } from '../base/batched-counter.ts';
import type { Observations } from '../base/batched-histogram.ts';
import type { Clock } from '../base/clock.ts';
import { Slab } from '../base/slab.ts';
import { type ChunkEvent, type ChunkPosition, type ChunkSample, writeChunk } from '../media/isobmff/chunk.ts';
import type { Sample } from '../stream/track.ts';
import type { LiveRendition, LiveSegment, SegmentStart } from './live-rendition.ts';
import type { PackagerMetrics } from './packager-metrics.ts';
import { HOLE_SECONDS, type PartRule } from './segment-plan.ts';
import { ticksToMs } from './ticks.ts';
import type { WindowStore } from './window-store.ts';

/** A segment to come: where it starts and how its samples become chunks and parts. */
export interface PlannedSegment extends SegmentStart {
  /** Ticks a second of the samples to come. */
  readonly timescale: number;
  readonly rule: PartRule;
}

/**
 * prft flags (ISO/IEC 14496-12 8.16.5): the time of capture. On our timeline media time is the capture time as far
 * as it can be known, because the hub anchors it to the wall clock; so the instant written is the media time itself,
 * the MPD's ProducerReferenceTime maps 0 to 1970, and players add no offset to the latency target. It also makes
 * the chunk a pure function of its samples: a standby packager writes the same bytes.
 */
const CAPTURE_TIME = 24;

/** No samples. Never written to. */
const NONE: Sample[] = [];

/** What the end of a segment may be off what its parts say: less than half a frame. */
const END_SLACK_SECONDS = 0.01;

/** A last part may say that it lasts this much longer than its media: up to the cut behind a lost frame. */
const MAX_STRETCH_SECONDS = 0.05;

/**
 * Makes the chunks, parts and segments of one rendition. It is told where segments begin and end; it closes parts
 * by its {@link PartRule} as soon as their end is reached, without waiting for the next frame.
 *
 * What parts say they last must keep to bounds that frames do not know of. Where frames are uneven, or some are lost, a
 * part says the duration nearest to its own that is allowed, and the next one begins, in what is said, where it ended:
 * so all that parts say adds up to what the segment lasts.
 */
export class RenditionPackager {
  readonly rendition: LiveRendition;
  readonly #store: WindowStore;
  readonly #clock: Clock;
  readonly #metrics: PackagerMetrics;
  readonly #chunksMade: Series;
  readonly #partsMade: Series;
  readonly #partLateSeconds: Observations;
  #rule: PartRule;
  /** Memory of the chunks, which live and go segment by segment. */
  readonly #slab = new Slab();
  readonly #allocate = (sizeBytes: number): Uint8Array => this.#slab.take(sizeBytes);
  #sequence = 0;
  #pending: Sample[] = NONE;
  #pendingBytes = 0;
  /** Where the open part starts by what is said: where the one before ended. */
  #partStart = 0;
  #partFrames = 0;
  /** Where the media ends. */
  #endTicks = 0;
  #lastDts = 0;
  #nextEventId: number;

  constructor(
    rendition: LiveRendition,
    rule: PartRule,
    store: WindowStore,
    deps: { readonly clock: Clock; readonly metrics: PackagerMetrics },
  ) {
    this.rendition = rendition;
    this.#rule = rule;
    this.#store = store;
    this.#clock = deps.clock;
    this.#metrics = deps.metrics;
    this.#chunksMade = deps.metrics.chunks[rendition.origin];
    this.#partsMade = deps.metrics.parts[rendition.origin];
    this.#partLateSeconds = deps.metrics.partLateSeconds[rendition.origin];
    this.#nextEventId = store.nextEventId;
  }

  get rule(): PartRule {
    return this.#rule;
  }

  get isOpen(): boolean {
    return this.rendition.open !== undefined;
  }

  /** The open segment has no sample yet, or there is none open. */
  get isEmpty(): boolean {
    return this.#pending.length === 0 && (this.rendition.open?.chunks.length ?? 0) === 0;
  }

  /** dts + duration of the last sample. */
  get endTicks(): number {
    return this.#endTicks;
  }

  get lastDts(): number {
    return this.#lastDts;
  }

  /** Bytes of the open segment, samples that are not yet in a chunk included. */
  get openBytes(): number {
    return (this.rendition.open?.sizeBytes ?? 0) + this.#pendingBytes;
  }

  open(planned: PlannedSegment): void {
    if (this.isOpen) throw new Error('the segment before is still open');
    this.#rule = planned.rule;
    if (planned.timescale !== this.rendition.timescale) {
      this.rendition.changeTimescale(planned.timescale);
    }
    this.#endTicks = planned.startTicks;
    this.#store.openSegment(this.rendition, planned);
  }

  /** Adds a sample to the open segment; `last` when it is predicted to be the segment's last. */
  add(sample: Sample, last: boolean): void {
    const end = sample.dts + sample.duration;
    if (this.isEmpty) this.#partStart = sample.dts;
    else if (sample.dts !== this.#endTicks) this.#passHole(sample.dts);
    if (this.#partFrames > 0 && end - this.#partStart > this.#rule.maxTicks) this.#makeRoom(sample.dts, end);
    if (sample.duration > this.#rule.maxTicks)
      this.#metrics.clippedParts.inc({ rendition: this.rendition.origin });
    // Mostly it is the only one: an array of one place is made for it, not the larger one that `push` makes.
    if (this.#pending.length === 0) this.#pending = [sample];
    else this.#pending.push(sample);
    this.#pendingBytes += sample.data.length;
    this.#partFrames += 1;
    this.#lastDts = sample.dts;
    this.#endTicks = end;
    if (this.rendition.open) this.rendition.open.partsForetold = last;
    if (last || end - this.#partStart >= this.#rule.closeTicks) this.closePart();
    else if (this.#pending.length >= this.#rule.chunkFrames) this.#flushChunk();
  }

  /** Publishes what the open part has; does nothing when it is empty. */
  closePart(): void {
    this.#closePartAt(this.#endTicks);
  }

  /** Media goes on at `nextDts`, not where it ended: no chunk reaches over that, and no part over a real hole. */
  #passHole(nextDts: number): void {
    this.#flushChunk();
    if (nextDts - this.#endTicks <= this.#longestCarry()) return;
    this.#closePartAt(this.#isShort(this.#endTicks) ? this.#partStart + this.#rule.minTicks : this.#endTicks);
    this.#partStart = nextDts;
  }

  /** The sample that begins at `dts` makes the open part too long: it ends before, or takes it, whichever is nearer. */
  #makeRoom(dts: number, endTicks: number): void {
    const { minTicks, maxTicks } = this.#rule;
    const tooShort = this.#partStart + minTicks - dts;
    const tooLong = endTicks - this.#partStart - maxTicks;
    if (!this.#isShort(dts)) this.#closePartAt(dts);
    else if (tooShort <= tooLong) this.#closePartAt(this.#partStart + minTicks);
  }

  /**
   * A part that ended there would say less than it may. Sound is independent and may be short; parts with a key frame
   * may, too, but a rung may have one where the source has none, and is to have the source's parts.
   */
  #isShort(endTicks: number): boolean {
    return this.rendition.kind === 'video' && endTicks - this.#partStart < this.#rule.minTicks;
  }

  /** How far what parts say may be off the media. */
  #longestCarry(): number {
    return HOLE_SECONDS * this.rendition.timescale;
  }

  /** Publishes the open part as one that ends at `endTicks`, or as near to it as it may. */
  #closePartAt(endTicks: number): void {
    this.#flushChunk();
    const segment = this.rendition.open;
    if (!segment || this.#partFrames === 0) return;
    const firstChunk = segment.parts.at(-1)?.endChunk ?? 0;
    const chunks = segment.chunks.slice(firstChunk);
    // One frame, or a hole before it, may last longer than a part may say: DURATION must not exceed
    // PART-TARGET (RFC 8216bis 4.4.4.9). What a part said too much may be all that its last frame lasts.
    const durationTicks = Math.max(1, Math.min(endTicks - this.#partStart, this.#rule.maxTicks));
    this.#store.addPart(this.rendition, segment, {
      index: segment.parts.length,
      firstChunk,
      endChunk: segment.chunks.length,
      durationTicks,
      sizeBytes: chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0),
      independent: chunks.some(({ independent }) => independent),
    });
    this.#partsMade.inc();
    const lateMs = this.#clock.wallMs() - ticksToMs(this.#endTicks, this.rendition.timescale);
    this.#partLateSeconds.observe(lateMs / 1000);
    this.#partStart += durationTicks;
    if (this.#endTicks - this.#partStart > this.#longestCarry()) this.#partStart = this.#endTicks;
    this.#partFrames = 0;
  }

  /**
   * Ends the open segment, whose successor starts at `endTicks`; without media it becomes a gap. It lasts as long as
   * what it holds, which is less where media ended before; but a track that stopped while the lead went on keeps in
   * step with it. Does nothing when none is open.
   */
  close(endTicks: number): void {
    const segment = this.rendition.open;
    if (!segment) return;
    const isEmpty = this.isEmpty;
    const stretched = Math.max(endTicks, this.#endTicks);
    const fits =
      stretched - this.#endTicks <= MAX_STRETCH_SECONDS * this.rendition.timescale &&
      stretched - this.#partStart <= this.#rule.maxTicks;
    this.#closePartAt(fits ? stretched : this.#endTicks);
    const end = isEmpty ? endTicks : this.#endOfMedia(endTicks);
    const durationTicks = Math.max(0, end - segment.startTicks);
    if (!isEmpty && this.#isCutShort(segment, durationTicks)) segment.brokenOff = true;
    this.#store.closeSegment(this.rendition, segment, durationTicks);
  }

  /** What the parts of a rung say falls short of the segment by more than a part: its encoder stopped. */
  #isCutShort({ parts }: LiveSegment, durationTicks: number): boolean {
    if (this.rendition.origin !== 'rung') return false;
    const said = parts.reduce((sum, part) => sum + part.durationTicks, 0);
    const { partTargetSeconds } = this.#store.plan;
    return durationTicks - said > partTargetSeconds * this.rendition.timescale;
  }

  /** Where a segment with media ends that is followed by one at `nextTicks`, by what it holds. */
  #endOfMedia(nextTicks: number): number {
    const missing = nextTicks - Math.max(this.#endTicks, this.#partStart);
    const leads = this.#store.renditions[0] === this.rendition;
    if (!leads && missing > this.#rule.maxTicks) {
      if (this.rendition.open) this.rendition.open.brokenOff = true;
      return nextTicks;
    }
    return missing > END_SLACK_SECONDS * this.rendition.timescale ? nextTicks - missing : nextTicks;
  }

  #flushChunk(): void {
    const segment = this.rendition.open;
    const first = this.#pending[0];
    if (!segment || !first) return;
    this.#store.addChunk(
      this.rendition,
      segment,
      { bytes: this.#writeChunk(segment, first), independent: first.key },
      first.dts,
    );
    this.#chunksMade.inc();
    this.#pending = NONE;
    this.#pendingBytes = 0;
  }

  #writeChunk(segment: LiveSegment, first: Sample): Uint8Array {
    const position: ChunkPosition = segment.chunks.length === 0 ? 'segment-start' : 'inside';
    this.#sequence += 1;
    return writeChunk({
      sequence: this.#sequence,
      samples: this.#sealed(segment),
      position,
      reference: {
        wallMs: ticksToMs(first.dts, this.rendition.timescale),
        mediaTicks: first.dts,
        flags: CAPTURE_TIME,
      },
      events: this.#dueEvents(),
      allocate: this.#allocate,
    });
  }

  /** The samples as they are sent: each is encrypted once, here. */
  #sealed({ period }: LiveSegment): readonly ChunkSample[] {
    const samples = this.#pending;
    const encryptor = period.encryptor(this.rendition.id);
    if (!encryptor) return samples;
    const sealed = encryptor.encrypt(samples.map(({ data }) => data));
    let unread = 0;
    const result = sealed.map((sample, index) => {
      unread += sample.unreadSlices;
      return { ...(samples[index] as Sample), ...sample };
    });
    if (unread > 0) this.#metrics.unreadSlices.inc({ rendition: this.rendition.origin }, unread);
    return result;
  }

  /** What happened since the last chunk. Pictures carry it; sound only when it leads, being alone. */
  #dueEvents(): readonly ChunkEvent[] {
    const events = this.#store.inbandFrom(this.#nextEventId);
    if (events.length === 0) return [];
    this.#nextEventId = this.#store.nextEventId;
    const carries = this.rendition.kind === 'video' || this.rendition.id === this.#store.renditions[0]?.id;
    return carries ? events.map(({ id, kind, atTicks, data }) => ({ id, kind, atTicks, data })) : [];
  }
}
