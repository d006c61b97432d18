import { writeChunk } from '../../src/media/isobmff/chunk.ts';
import { writeInitSegment } from '../../src/media/isobmff/init-segment.ts';
import type { LadderSink } from '../../src/stream/ladder.ts';
import type { Sample, VideoTrack } from '../../src/stream/track.ts';

/** A sample as it came, with the moment. */
export interface Arrival extends Sample {
  readonly atMs: number;
}

interface RecordedRung {
  readonly tracks: VideoTrack[];
  readonly arrivals: Arrival[];
  flushes: number;
}

/** A ladder sink that remembers, and checks what every sink may rely on. */
export class RecordingLadder implements LadderSink {
  /** Every list that was given to `expect`. */
  readonly expected: string[][] = [];
  readonly #rungs = new Map<string, RecordedRung>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  expect(rungs: readonly string[]): void {
    this.expected.push([...rungs]);
  }

  track(rung: string, track: VideoTrack): void {
    this.rung(rung).tracks.push(track);
  }

  sample(rung: string, sample: Sample): void {
    const { tracks, arrivals } = this.rung(rung);
    const last = arrivals.at(-1);
    if (tracks.length === 0) throw new Error(`${rung}: a sample before its track`);
    if (sample.dts !== sample.pts || !(sample.duration > 0)) throw new Error(`${rung}: bad times`);
    if (last && sample.pts <= last.pts) throw new Error(`${rung}: ${sample.pts} after ${last.pts}`);
    if (!last && !sample.key) throw new Error(`${rung}: does not begin with a key frame`);
    arrivals.push({ ...sample, atMs: this.#nowMs() });
  }

  flushed(rung: string): void {
    this.rung(rung).flushes++;
  }

  rung(id: string): RecordedRung {
    const known = this.#rungs.get(id);
    if (known) return known;
    const rung: RecordedRung = { tracks: [], arrivals: [], flushes: 0 };
    this.#rungs.set(id, rung);
    return rung;
  }

  pts(id: string): number[] {
    return this.rung(id).arrivals.map(({ pts }) => pts);
  }

  keys(id: string): number[] {
    return this.rung(id).arrivals.flatMap(({ key, pts }) => (key ? [pts] : []));
  }

  /** The rung as one fragmented MP4. */
  file(id: string): Uint8Array[] {
    const { tracks, arrivals } = this.rung(id);
    const [track] = tracks;
    if (!track) throw new Error(`${id}: no track`);
    return [
      writeInitSegment(track),
      ...arrivals.map((sample, index) =>
        writeChunk({ sequence: index + 1, samples: [sample], position: 'inside', reference: undefined }),
      ),
    ];
  }
}
