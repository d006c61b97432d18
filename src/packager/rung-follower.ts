import type { Period } from '../stream/live-window.ts';
import type { Sample } from '../stream/track.ts';
import type { PlannedSegment, RenditionPackager } from './rendition-packager.ts';

/** Why a sample of a rung is not in a segment. */
export type RungDropReason = 'repeated' | 'no_track' | 'awaits_boundary';

/** What is due for the rendition, in order: a cut to the next segment, or a close for now. */
type Mark =
  | { readonly kind: 'cut'; readonly startTicks: number; readonly planned: PlannedSegment }
  | { readonly kind: 'end'; readonly startTicks: number };

/**
 * An encoder may be this far behind the lead, for a restart, before its rung goes on without what is missing. Less
 * than the GOP cache holds, so that what is waited for can still be encoded.
 */
export const MAX_LATE_SECONDS = 6;

/** A frame that ends this near to a cut is the last before it: less than any frame lasts. */
const END_SLACK_SECONDS = 0.005;

/**
 * Keeps the segments of an encoded rung the same as the lead's. Its samples have the lead's times but come later:
 * while an encoder starts again, seconds later. Nothing is cut before they have come, or were waited for in vain.
 *
 * A segment either has the rung's media from its very first frame, or is a gap: after a loss the rung goes on with
 * the first frame of a segment, never in the middle of one.
 */
export class RungFollower {
  readonly packager: RenditionPackager;
  readonly #marks: Mark[] = [];
  #open: PlannedSegment | undefined;
  /** The next sample continues what the open segment has. */
  #synced = false;
  #lastDts = Number.NEGATIVE_INFINITY;
  #abandoned = false;
  readonly #mayHaveTrack: (period: Period) => boolean;

  /** `mayHaveTrack`: whether the rung may still be let into a period that does not have it yet. */
  constructor(packager: RenditionPackager, mayHaveTrack: (period: Period) => boolean) {
    this.packager = packager;
    this.#mayHaveTrack = mayHaveTrack;
  }

  /** The lead has been cut: `planned` follows the segments planned so far. */
  plan(planned: PlannedSegment): void {
    this.#marks.push({ kind: 'cut', startTicks: planned.startTicks, planned });
    if (!this.#open && this.#marks.length === 1) this.#lose();
    if (this.#abandoned) this.settle();
  }

  /** The lead's media ends at `endTicks`: the open segment is closed once the rung has come there, too. */
  end(endTicks: number): number {
    this.#marks.push({ kind: 'end', startTicks: endTicks });
    const reached = this.#synced && this.packager.endTicks >= endTicks;
    if (reached || !this.#awaitsMedia || this.#abandoned) this.settle();
    return 0;
  }

  /** Takes a sample; says why when it has no place. `predictedEnd` is where the lead's open segment will end. */
  add(sample: Sample, predictedEnd: number | undefined): RungDropReason | undefined {
    if (sample.dts <= this.#lastDts) return 'repeated';
    this.#lastDts = sample.dts;
    this.#advanceTo(sample);
    if (!this.#open?.period.tracks.has(this.packager.rendition.id)) return 'no_track';
    if (!this.#fits(sample, this.#open)) {
      this.#synced = false;
      return 'awaits_boundary';
    }
    this.#synced = true;
    const end = this.#marks[0]?.startTicks ?? predictedEnd;
    const slack = Math.min(sample.duration / 2, END_SLACK_SECONDS * this.packager.rendition.timescale);
    this.packager.add(sample, end !== undefined && sample.dts + sample.duration + slack > end);
    if (this.#marks[0]?.kind === 'end' && this.packager.endTicks >= this.#marks[0].startTicks)
      this.#advance();
    return undefined;
  }

  /** Gives up on what lies too far behind the lead, or will never come. */
  catchUp(leadPosition: number): void {
    for (let next = this.#marks[0]; next; next = this.#marks[0]) {
      const lateTicks = leadPosition - next.startTicks;
      if (this.#awaitsMedia && lateTicks <= MAX_LATE_SECONDS * this.packager.rendition.timescale) return;
      this.#lose();
    }
  }

  /** The encoder has given all there is up to the next end: nothing more is waited for before it. */
  flushed(): void {
    const end = this.#marks.findIndex(({ kind }) => kind === 'end');
    for (let i = 0; i <= end; i++) this.#lose();
  }

  /** Nobody encodes the rung any more, or somebody does again: without media it does not lag behind the lead. */
  abandon(abandoned: boolean): void {
    this.#abandoned = abandoned;
    if (abandoned) this.settle();
  }

  /** Does all that is due without waiting for media. */
  settle(): void {
    while (this.#marks.length > 0) this.#lose();
  }

  /** The open segment has a track, or may come to have one, whose media is worth waiting for. */
  get #awaitsMedia(): boolean {
    const period = this.#open?.period;
    return (
      period !== undefined && (period.tracks.has(this.packager.rendition.id) || this.#mayHaveTrack(period))
    );
  }

  /** What is decoded continuously goes on; else only the first frame of a segment can be a start. */
  #fits(sample: Sample, open: PlannedSegment): boolean {
    if (!this.packager.isEmpty) return this.#synced;
    const track = open.period.tracks.get(this.packager.rendition.id);
    const frameTicks = track?.kind === 'video' ? (track.cadence.frameTicks ?? 0) : 0;
    // Behind a lead-in a rung begins as many ticks later as there are pictures in that.
    const isFirst = Math.abs(sample.dts - open.startTicks) <= Math.max(sample.duration, frameTicks) / 2;
    return isFirst && (sample.key || this.#synced);
  }

  #advanceTo(sample: Sample): void {
    for (let next = this.#marks[0]; next && sample.dts >= next.startTicks; next = this.#marks[0])
      this.#advance();
  }

  #lose(): void {
    this.#advance();
    this.#synced = false;
  }

  #advance(): void {
    const mark = this.#marks.shift();
    if (!mark) return;
    this.packager.close(mark.startTicks);
    this.#open = mark.kind === 'cut' ? mark.planned : undefined;
    if (this.#open) this.packager.open(this.#open);
  }
}
