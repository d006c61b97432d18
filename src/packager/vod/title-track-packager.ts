import { type ChunkSample, writeChunk } from '../../media/isobmff/chunk.ts';
import { writeInitSegment } from '../../media/isobmff/init-segment.ts';
import type { SampleEncryptor } from '../../media/isobmff/sample-encryptor.ts';
import type { TitleSegment } from '../../stream/title.ts';
import type { Sample, Track } from '../../stream/track.ts';
import type { LockedTrack } from '../period-cipher.ts';
import { SegmentMemory } from './segment-memory.ts';

export interface TitleTrackOptions {
  /** Ticks of the track a segment; may be fractional. */
  readonly segmentTicks: number;
  /** Number of the segment that the first sample to come begins. */
  readonly startNumber: number;
  /** Media time at the start of the period: segment 0 begins here. */
  readonly offsetTicks: number;
  /** What encrypts it; undefined: it stays in the clear. */
  readonly sealed?: LockedTrack | undefined;
}

export interface PackagedSegment {
  /** The whole file; of a gap: empty. */
  readonly bytes: Uint8Array;
  readonly segment: TitleSegment;
}

/** Without a cadence, a picture may be this much early for the segment that it begins: what clocks round. */
const ROUNDING_TICKS = 2;
/** mfhd sequence_number of a segment's chunks: at most two, and the same whoever wrote the segments before. */
const CHUNKS_A_SEGMENT = 2;
const TWO_32 = 2 ** 32;

/**
 * Makes the segments of one track of one period. Segment `n` has the samples from `n · segmentTicks` on, counted from the
 * start of the period: of pictures from the key frame there, of sound from the frame boundary nearest to it. Only the
 * times of samples decide, so that a packager that begins with segment `k` makes the very segments of one that began
 * before. Encrypted, the segments are the same in all but their ciphertext.
 *
 * A segment of pictures is two chunks, the key frame alone and all the others. Where a track has no key frame at the
 * place, the segment is cut all the same and begins with another picture. Where it has no sample for a whole
 * segment, that is a gap.
 */
export class TitleTrackPackager {
  readonly init: Uint8Array;
  readonly #track: Track;
  readonly #segmentTicks: number;
  readonly #offsetTicks: number;
  readonly #earlyTicks: number;
  readonly #encryptor: SampleEncryptor | undefined;
  /** The open segment. */
  #number: number;
  #samples: Sample[] = [];

  constructor(track: Track, { segmentTicks, startNumber, offsetTicks, sealed }: TitleTrackOptions) {
    if (!(segmentTicks > 0)) throw new RangeError('a segment has a length');
    this.#track = track;
    this.#segmentTicks = segmentTicks;
    this.#offsetTicks = offsetTicks;
    this.#earlyTicks = mostEarly(track);
    this.#encryptor = sealed?.encryptor;
    this.#number = startNumber;
    // With the pssh boxes, as live: hls.js asks for Clear Key licences only when the browser has found one in the media.
    this.init = writeInitSegment(track, sealed?.protection, { pssh: true });
  }

  /** Takes samples, in decode order; gives the segments that they complete. Holds those of the segment that is open. */
  add(samples: readonly Sample[]): PackagedSegment[] {
    const complete: PackagedSegment[] = [];
    for (const sample of samples) {
      const number = this.#numberOf(sample);
      if (number > this.#number) complete.push(...this.#close(number));
      this.#samples.push(sample);
    }
    return complete;
  }

  /** The last segment, when there is one: no sample follows. */
  flush(): PackagedSegment[] {
    return this.#samples.length === 0 ? [] : this.#close(this.#number + 1);
  }

  /** Samples from before the first segment, as the priming of sound, belong to it. */
  #numberOf({ dts }: Sample): number {
    return Math.floor((dts - this.#offsetTicks + this.#earlyTicks) / this.#segmentTicks);
  }

  /** Ends the open segment; the next one is `next`, and those between are gaps. */
  #close(next: number): PackagedSegment[] {
    const complete: PackagedSegment[] = [];
    for (let number = this.#number; number < next; number++) {
      complete.push(this.#samples.length > 0 ? this.#write(number) : this.#gap(number));
      this.#samples = [];
    }
    this.#number = next;
    return complete;
  }

  #gap(number: number): PackagedSegment {
    const startTicks = Math.round(this.#offsetTicks + number * this.#segmentTicks);
    const endTicks = Math.round(this.#offsetTicks + (number + 1) * this.#segmentTicks);
    return {
      bytes: new Uint8Array(0),
      segment: {
        number,
        startTicks,
        durationTicks: endTicks - startTicks,
        sizeBytes: 0,
        keyFrameBytes: 0,
        isGap: true,
      },
    };
  }

  #write(number: number): PackagedSegment {
    const samples = this.#sealed();
    const [first] = samples;
    const last = samples.at(-1);
    if (!first || !last) throw new Error('a segment has samples');
    const memory = new SegmentMemory(samples);
    const sequence = (CHUNKS_A_SEGMENT * number + 1) % TWO_32;
    const beginsWithKey = this.#track.kind === 'video' && first.key;
    const firstChunk = beginsWithKey ? samples.slice(0, 1) : samples;
    writeChunk({
      sequence,
      samples: firstChunk,
      position: 'segment-start',
      reference: undefined,
      allocate: memory.take,
    });
    const keyFrameBytes = beginsWithKey ? memory.usedBytes : 0;
    const rest = samples.slice(firstChunk.length);
    if (rest.length > 0) {
      writeChunk({
        sequence: sequence + 1,
        samples: rest,
        position: 'inside',
        reference: undefined,
        allocate: memory.take,
      });
    }
    return {
      bytes: memory.used,
      segment: {
        number,
        startTicks: first.dts,
        durationTicks: last.dts + last.duration - first.dts,
        sizeBytes: memory.usedBytes,
        keyFrameBytes,
        isGap: false,
      },
    };
  }

  /** The samples as they are stored: each is encrypted once, here. */
  #sealed(): readonly ChunkSample[] {
    const samples = this.#samples;
    const encryptor = this.#encryptor;
    if (!encryptor) return samples;
    const sealed = encryptor.encrypt(samples.map(({ data }) => data));
    return samples.map(({ dts, pts, duration, key }, index) => ({
      dts,
      pts,
      duration,
      key,
      ...(sealed[index] as (typeof sealed)[number]),
    }));
  }
}

/** How long before its place a sample may begin a segment: up to the middle between two frames. */
function mostEarly(track: Track): number {
  if (track.kind === 'audio') return track.frameTicks / 2;
  return (track.cadence.frameTicks ?? 2 * ROUNDING_TICKS) / 2;
}
