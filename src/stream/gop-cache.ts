import type { Sample, Timeline } from './track.ts';

export interface GopCacheLimits {
  /** With 0 nothing is kept but the timeline. */
  readonly maxMs: number;
  /** Video frames; audio frames when there is no video. */
  readonly maxFrames: number;
  readonly maxBytes: number;
}

interface Gop {
  readonly startMs: number;
  readonly samples: Sample[];
  frames: number;
  sizeBytes: number;
}

/** Audio without video is kept in groups of this length. */
const AUDIO_GROUP_MS = 1000;

/**
 * The last GOPs of a stream's current timeline, for those who join. Only whole GOPs from a key frame on are kept; the
 * oldest go first. A GOP that alone is over a limit is let go, and nothing is kept until the next key frame.
 */
export class GopCache {
  readonly #limits: GopCacheLimits;
  #timeline: Timeline | undefined;
  #gops: Gop[] = [];
  #sizeBytes = 0;
  #frames = 0;

  constructor(limits: GopCacheLimits) {
    this.#limits = limits;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get frames(): number {
    return this.#frames;
  }

  /** The timeline the samples are on; undefined before the first and after {@link clear}. */
  get timeline(): Timeline | undefined {
    return this.#timeline;
  }

  begin(timeline: Timeline): void {
    this.clear();
    this.#timeline = timeline;
  }

  clear(): void {
    this.#timeline = undefined;
    this.#gops = [];
    this.#sizeBytes = 0;
    this.#frames = 0;
  }

  add(sample: Sample): void {
    const timeline = this.#timeline;
    if (!timeline || this.#limits.maxMs === 0) return;
    const atMs = (sample.dts / timescaleOf(timeline, sample)) * 1000;
    if (this.#opensGop(timeline, sample, atMs)) {
      this.#gops.push({ startMs: atMs, samples: [], frames: 0, sizeBytes: 0 });
    }
    const gop = this.#gops.at(-1);
    if (!gop) return;
    const counts = sample.kind === 'video' || !timeline.video ? 1 : 0;
    gop.samples.push(sample);
    gop.frames += counts;
    gop.sizeBytes += sample.data.length;
    this.#frames += counts;
    this.#sizeBytes += sample.data.length;
    while (this.#isOver(atMs)) this.#dropOldest();
  }

  /** Everything kept, oldest first; begins with a key frame, or is empty. */
  *samples(): Generator<Sample> {
    for (const gop of this.#gops) yield* gop.samples;
  }

  #opensGop(timeline: Timeline, sample: Sample, atMs: number): boolean {
    if (timeline.video) return sample.kind === 'video' && sample.key;
    const open = this.#gops.at(-1);
    return !open || atMs - open.startMs >= AUDIO_GROUP_MS;
  }

  #isOver(nowMs: number): boolean {
    const oldest = this.#gops[0];
    if (!oldest) return false;
    return (
      nowMs - oldest.startMs > this.#limits.maxMs ||
      this.#frames > this.#limits.maxFrames ||
      this.#sizeBytes > this.#limits.maxBytes
    );
  }

  #dropOldest(): void {
    const gop = this.#gops.shift();
    this.#frames -= gop?.frames ?? 0;
    this.#sizeBytes -= gop?.sizeBytes ?? 0;
  }
}

function timescaleOf(timeline: Timeline, sample: Sample): number {
  const track = sample.kind === 'video' ? timeline.video : timeline.audio;
  return track?.timescale ?? 1;
}
