import type { Clock } from '../base/clock.ts';
import { type ChunkEvent, type ChunkPosition, writeChunk } from '../media/isobmff/chunk.ts';
import type { Sample } from '../stream/track.ts';
import type { PackagerMetrics } from './packager-metrics.ts';
import type { PartRule } from './segment-plan.ts';
import { rescaleTicks, ticksToMs } from './ticks.ts';
import type { LiveRendition, LiveSegment, SegmentStart, WindowStore } from './window-store.ts';

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

/**
 * Makes the chunks, parts and segments of one rendition. It is told where segments begin and end; it closes parts
 * by its {@link PartRule} as soon as their end is reached, without waiting for the next frame.
 */
export class RenditionPackager {
  readonly rendition: LiveRendition;
  readonly #store: WindowStore;
  readonly #clock: Clock;
  readonly #metrics: PackagerMetrics;
  #rule: PartRule;
  #sequence = 0;
  #pending: Sample[] = [];
  #pendingBytes = 0;
  /** Where the open part starts: where the one before ended, so that parts add up even across a lost frame. */
  #partStart = 0;
  #partFrames = 0;
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
      changeTimescale(this.rendition, planned.timescale);
    }
    this.#endTicks = planned.startTicks;
    this.#store.openSegment(this.rendition, planned);
  }

  /** Adds a sample to the open segment; `last` when it is predicted to be the segment's last. */
  add(sample: Sample, last: boolean): void {
    const end = sample.dts + sample.duration;
    if (this.isEmpty) this.#partStart = sample.dts;
    else if (sample.dts !== this.#endTicks) this.#flushChunk();
    if (this.#partFrames > 0 && end - this.#partStart > this.#rule.maxTicks)
      this.#closePartBefore(sample.dts);
    this.#pending.push(sample);
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
    this.#flushChunk();
    const segment = this.rendition.open;
    if (!segment || this.#partFrames === 0) return;
    const firstChunk = segment.parts.at(-1)?.endChunk ?? 0;
    const chunks = segment.chunks.slice(firstChunk);
    const ticks = this.#endTicks - this.#partStart;
    if (ticks > this.#rule.maxTicks) this.#metrics.clippedParts.inc({ rendition: this.rendition.origin });
    this.#store.addPart(this.rendition, segment, {
      index: segment.parts.length,
      firstChunk,
      endChunk: segment.chunks.length,
      // One frame, or a hole before it, may last longer than a part may say: DURATION must not exceed
      // PART-TARGET (RFC 8216bis 4.4.4.9).
      durationTicks: Math.min(ticks, this.#rule.maxTicks),
      sizeBytes: chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0),
      independent: chunks.some(({ independent }) => independent),
    });
    const lateMs = this.#clock.wallMs() - ticksToMs(this.#endTicks, this.rendition.timescale);
    this.#metrics.partLateSeconds.observe({ rendition: this.rendition.origin }, lateMs / 1000);
    this.#partStart = this.#endTicks;
    this.#partFrames = 0;
  }

  /** The next sample does not fit: the part lasts until it, should frames be missing in between. */
  #closePartBefore(nextDts: number): void {
    this.#endTicks = Math.min(Math.max(nextDts, this.#endTicks), this.#partStart + this.#rule.maxTicks);
    this.closePart();
  }

  /** Ends the open segment at `endTicks`; without media it becomes a gap. Does nothing when none is open. */
  close(endTicks: number): void {
    this.closePart();
    const segment = this.rendition.open;
    if (segment)
      this.#store.closeSegment(this.rendition, segment, Math.max(0, endTicks - segment.startTicks));
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
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  #writeChunk(segment: LiveSegment, first: Sample): Uint8Array {
    const position: ChunkPosition = segment.chunks.length === 0 ? 'segment-start' : 'inside';
    this.#sequence += 1;
    return writeChunk({
      sequence: this.#sequence,
      samples: this.#pending,
      position,
      reference: {
        wallMs: ticksToMs(first.dts, this.rendition.timescale),
        mediaTicks: first.dts,
        flags: CAPTURE_TIME,
      },
      events: this.#dueEvents(),
    });
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

/**
 * Restates a rendition's segments in another timescale (an encoder came back with another sample rate). Only the
 * model changes; durations stay the same seconds and may become fractional ticks.
 */
function changeTimescale(rendition: LiveRendition, timescale: number): void {
  const from = rendition.timescale;
  for (const segment of rendition.segments) {
    segment.startTicks = rescaleTicks(segment.startTicks, from, timescale);
    segment.durationTicks = (segment.durationTicks * timescale) / from;
    segment.parts.forEach((part, index) => {
      segment.parts[index] = { ...part, durationTicks: (part.durationTicks * timescale) / from };
    });
  }
  rendition.timescale = timescale;
}
