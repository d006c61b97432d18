import type { VideoConfig } from '../media/video-config.ts';
import type { LadderSink } from './ladder.ts';
import type { StreamCounters } from './stream-metrics.ts';
import type { Cadence, Sample } from './track.ts';
import type { SourceSample } from './warm-up.ts';

/** Frames kept of a rung whose source frame has not come, and of the source whose rungs have not: about 10 s. */
const MAX_WAITING = 600;
const TICKS_PER_MS = 90;
const VIDEO_TIMESCALE = 90_000;
/** Offsets of presentation that differ by less are the same, rounded. */
const SAME_OFFSET_MS = 1.5;

/** A frame of the source that has its place on the timeline. */
interface Placed {
  readonly compositionMs: number;
  readonly sample: Sample;
}

interface Rung {
  readonly id: string;
  config: VideoConfig;
  waiting: SourceSample[];
}

/**
 * The lesser encodings that one publisher makes of its picture by itself. They become rungs of the ladder as they are:
 * a frame gets the place of the source's frame of the same decode time, so that all have the same segments and parts.
 * Frames are kept until the other's has come; a frame that the source does not have is left out.
 */
export class SourceRungs {
  readonly #counters: StreamCounters;
  readonly #rungs = new Map<number, Rung>();
  readonly #placed = new Map<number, Placed>();
  #newestPlaced = Number.NEGATIVE_INFINITY;
  #sink: LadderSink | undefined;
  #cadence: Cadence | undefined;

  constructor(counters: StreamCounters) {
    this.#counters = counters;
  }

  /** A track was declared or changed. */
  configure(track: number, config: VideoConfig): void {
    const known = this.#rungs.get(track);
    const id = this.#idFor(track, config);
    this.#rungs.set(track, { id, config, waiting: known?.waiting ?? [] });
    if (!this.#sink || !this.#cadence) return;
    if (known?.id !== id) this.#sink.expect(this.#ids);
    this.#declare(id, config);
  }

  /** A frame of a track. */
  add(track: number, sample: SourceSample): void {
    const rung = this.#rungs.get(track);
    if (!rung) return;
    rung.waiting.push(sample);
    if (rung.waiting.length > MAX_WAITING) this.#forgetGop(rung);
    if (this.#sink) this.#give(rung);
  }

  /** The publisher goes on air: what it makes belongs to this ladder from here on. */
  open(sink: LadderSink): void {
    this.#sink = sink;
  }

  /** A timeline begins, whose frames stand as `cadence` says. */
  begin(cadence: Cadence): void {
    this.#cadence = cadence;
    this.#sink?.expect(this.#ids);
    for (const { id, config } of this.#rungs.values()) this.#declare(id, config);
  }

  /** A frame of the source got its place. */
  place(source: SourceSample, sample: Sample): void {
    const key = keyOf(source);
    this.#newestPlaced = key;
    this.#placed.set(key, { compositionMs: source.compositionMs, sample });
    if (this.#placed.size > MAX_WAITING) this.#forgetOldestPlace();
    for (const rung of this.#rungs.values()) this.#give(rung);
  }

  /** No frame of the source comes any more: nothing is to be waited for. */
  close(): void {
    for (const { id } of this.#rungs.values()) this.#sink?.flushed(id);
    this.#sink = undefined;
    this.#placed.clear();
  }

  /** Best first. */
  get #ids(): string[] {
    const byHeight = [...this.#rungs.values()].sort(
      (a, b) => b.config.picture.height - a.config.picture.height,
    );
    return byHeight.map(({ id }) => id);
  }

  /** Named after its height, like a rung that an encoder makes; a second one of the same height by its track, too. */
  #idFor(track: number, { picture }: VideoConfig): string {
    const name = `${picture.height}p`;
    const taken = [...this.#rungs].some(([other, { id }]) => other !== track && id === name);
    return taken ? `${name}-${track}` : name;
  }

  #declare(id: string, config: VideoConfig): void {
    const { width, height } = config.picture;
    this.#sink?.track(id, {
      kind: 'video',
      codec: config.codec,
      codecString: config.codecString,
      timescale: VIDEO_TIMESCALE,
      config: config.record,
      width,
      height,
      cadence: this.#cadence ?? { frameTicks: undefined, gopTicks: undefined },
    });
  }

  /** Gives on what waits at the front of a rung, as far as the source has come. */
  #give(rung: Rung): void {
    let given = 0;
    for (const sample of rung.waiting) {
      const key = keyOf(sample);
      if (key > this.#newestPlaced) break;
      given++;
      const placed = this.#placed.get(key);
      if (placed) this.#sink?.sample(rung.id, placeLike(placed, sample));
      else this.#counters.dropped('video', 'no_source_frame');
    }
    if (given > 0) rung.waiting.splice(0, given);
  }

  /** Up to the next key frame: nothing behind a frame that is lost can be decoded before it. */
  #forgetGop(rung: Rung): void {
    const next = rung.waiting.findIndex(({ key }, index) => index > 0 && key);
    const lost = next < 0 ? rung.waiting.length : next;
    rung.waiting.splice(0, lost);
    this.#counters.dropped('video', 'no_source_frame', lost);
  }

  #forgetOldestPlace(): void {
    for (const key of this.#placed.keys()) {
      this.#placed.delete(key);
      return;
    }
  }
}

/** Decode time in whole 90 kHz ticks of the source's clock: what names a frame in all tracks. */
function keyOf({ sourceMs }: SourceSample): number {
  return Math.round(sourceMs * TICKS_PER_MS);
}

function placeLike({ compositionMs, sample: lead }: Placed, rung: SourceSample): Sample {
  const differenceMs = lead.leadIn ? 0 : rung.compositionMs - compositionMs;
  const shift = Math.abs(differenceMs) < SAME_OFFSET_MS ? 0 : Math.round(differenceMs * TICKS_PER_MS);
  return {
    kind: 'video',
    dts: lead.dts,
    pts: lead.pts + shift,
    duration: lead.duration,
    key: rung.key,
    data: rung.data,
  };
}
