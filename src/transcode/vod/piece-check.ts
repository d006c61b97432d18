import { StreamReader, STREAM_READER_LIMITS, type StreamSample } from '../../media/isobmff/stream-reader.ts';
import type { StreamTrack } from '../../media/isobmff/stream-init.ts';

/** A key frame of a large picture. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;

export interface PieceShape {
  readonly timescale: number;
  readonly frameTicks: number;
  readonly gopFrames: number;
}

/** What a file of a piece turned out to be. */
export interface PieceFound {
  readonly frames: number;
  /** Of the first frame, in frames; more than 0 when the beginning is missing. */
  readonly firstFrame: number;
  /** Why it is not what was asked for, for people. */
  readonly fault: string | undefined;
}

/** Looks at every frame of one rung's file: times on the grid, key frames where they belong, nothing cut off. */
export class PieceCheck {
  readonly #shape: PieceShape;
  readonly #reader: StreamReader;
  #frames = 0;
  #firstTicks = 0;
  #fault: string | undefined;

  constructor(shape: PieceShape) {
    this.#shape = shape;
    this.#reader = new StreamReader(
      {
        init: (tracks) => this.#init(tracks),
        fragment() {},
        sample: (sample) => this.#sample(sample),
        event() {},
        last() {},
      },
      { ...STREAM_READER_LIMITS, maxSampleBytes: MAX_FRAME_BYTES },
    );
  }

  push(bytes: Uint8Array): void {
    const fault = this.#reader.push(bytes);
    if (fault !== undefined) this.#fault ??= `it cannot be read (${fault})`;
  }

  end(): PieceFound {
    const fault = this.#reader.end();
    if (fault !== undefined) this.#fault ??= `it cannot be read (${fault})`;
    return {
      frames: this.#frames,
      firstFrame: this.#firstTicks / this.#shape.frameTicks,
      fault: this.#fault,
    };
  }

  #init(tracks: readonly StreamTrack[]): boolean {
    const [track] = tracks;
    return tracks.length === 1 && track?.handler === 'vide' && track.timescale === this.#shape.timescale;
  }

  #sample({ baseTicks, offsetTicks, durationTicks, compositionOffset, key }: StreamSample): void {
    const { frameTicks, gopFrames } = this.#shape;
    const decodeTicks = Number(baseTicks) + offsetTicks;
    const n = this.#frames++;
    if (n === 0) this.#firstTicks = decodeTicks + compositionOffset;
    const onGrid = decodeTicks === this.#firstTicks + n * frameTicks && compositionOffset % frameTicks === 0;
    if (!onGrid || durationTicks !== frameTicks) this.#fault ??= `the time of frame ${n} is off the grid`;
    const shouldBeKey = n % gopFrames === 0;
    if (key !== shouldBeKey) this.#fault ??= `frame ${n} is ${key ? 'a' : 'no'} key frame`;
    if (key && compositionOffset !== 0) this.#fault ??= `key frame ${n} is shown later than it is decoded`;
  }
}
