import type { LadderSink } from '../stream/ladder.ts';
import type { Sample, VideoTrack } from '../stream/track.ts';
import type { Rung } from './ladder-choice.ts';
import type { TranscodeMetrics } from './transcode-metrics.ts';

interface Delivered {
  /** Of the last frame given; frames up to it are not given again. */
  lastPts: number | undefined;
  /** What the next frame is of, when that was not said yet. */
  nextTrack: VideoTrack | undefined;
  awaitsKey: boolean;
}

/**
 * One stream's way to its ladder sink, over all the encoders that come and go: whatever they do, a rung's times only
 * grow, it begins with a key frame, and what its frames are is said before them.
 */
export class RungDelivery {
  readonly #sink: LadderSink;
  readonly #metrics: TranscodeMetrics;
  readonly #rungs = new Map<string, Delivered>();
  #closed = false;

  constructor(sink: LadderSink, metrics: TranscodeMetrics) {
    this.#sink = sink;
    this.#metrics = metrics;
  }

  /** The rungs that are to be shown from now on, best first. One that was not before begins with a key frame. */
  expect(rungs: readonly Rung[]): void {
    if (!this.#closed) this.#sink.expect(rungs.map(({ id }) => id));
  }

  /** The rung's next frame is to be a key frame. */
  awaitKey(rung: Rung): void {
    this.#of(rung).awaitsKey = true;
  }

  /** What the frames from here on are. Said to the sink with the next frame: those before it may still be others. */
  track(rung: Rung, track: VideoTrack): void {
    this.#of(rung).nextTrack = track;
  }

  sample(rung: Rung, sample: Sample): void {
    const delivered = this.#of(rung);
    if (this.#closed) return;
    if (delivered.lastPts !== undefined && sample.pts <= delivered.lastPts) {
      this.#metrics.dropped('behind');
      return;
    }
    if (delivered.awaitsKey && !sample.key) return;
    delivered.awaitsKey = false;
    delivered.lastPts = sample.pts;
    const { nextTrack } = delivered;
    delivered.nextTrack = undefined;
    if (nextTrack) this.#sink.track(rung.id, nextTrack);
    this.#sink.sample(rung.id, sample);
  }

  flushed(rungs: readonly Rung[]): void {
    if (!this.#closed) for (const { id } of rungs) this.#sink.flushed(id);
  }

  /** The last frame given of a rung. */
  lastPts(rung: Rung): number | undefined {
    return this.#rungs.get(rung.id)?.lastPts;
  }

  /** The last frame that all of them have; undefined when one has none. */
  lowestPts(rungs: readonly Rung[]): number | undefined {
    let lowest = Number.POSITIVE_INFINITY;
    for (const rung of rungs) lowest = Math.min(lowest, this.lastPts(rung) ?? Number.NEGATIVE_INFINITY);
    return Number.isFinite(lowest) ? lowest : undefined;
  }

  /** A rung that comes back joins the others where they are. */
  joinAt(rung: Rung, others: readonly Rung[]): void {
    const newest = Math.max(
      ...[rung, ...others].map((each) => this.lastPts(each) ?? Number.NEGATIVE_INFINITY),
    );
    if (Number.isFinite(newest)) this.#of(rung).lastPts = newest;
  }

  /** Nothing is given any more. */
  close(): void {
    this.#closed = true;
  }

  #of(rung: Rung): Delivered {
    const known = this.#rungs.get(rung.id);
    if (known) return known;
    const delivered: Delivered = {
      lastPts: undefined,
      nextTrack: undefined,
      awaitsKey: true,
    };
    this.#rungs.set(rung.id, delivered);
    return delivered;
  }
}
