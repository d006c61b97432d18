import { AppError } from '../base/errors.ts';
import { sameBytes } from '../base/same-bytes.ts';
import type { LockedTrack, PeriodCipher } from '../packager/period-cipher.ts';
import { type PackagedSegment, TitleTrackPackager } from '../packager/vod/title-track-packager.ts';
import type { Sample, Track } from '../stream/track.ts';
import type { TitleSegment, TitleTrack } from '../stream/title.ts';

/** How the tracks of one title are packaged. */
export interface LineOptions {
  /** Seconds, exact. */
  readonly segmentSeconds: number;
  /** Undefined: in the clear. */
  readonly cipher: PeriodCipher | undefined;
}

/**
 * One rendition that is growing: takes samples in order, gives segments to store. A line that is begun in the middle, after a
 * restart, goes on with the segment that comes next.
 */
export class TitleLine {
  readonly #options: LineOptions;
  /** What was listed before this line began: segments that it makes again are left out. */
  readonly #before: TitleTrack | undefined;
  #startNumber: number;
  readonly #made: TitleSegment[] = [];
  #packager: TitleTrackPackager | undefined;
  #locked: LockedTrack | undefined;
  #track: Omit<TitleTrack, 'segments'> | undefined;

  /** `startNumber`: of the segment that the first sample to come begins. */
  constructor(options: LineOptions, before?: TitleTrack, startNumber = 0) {
    this.#options = options;
    this.#before = before;
    this.#startNumber = startNumber;
  }

  /** What there is so far; undefined before the first segment is complete. */
  get track(): TitleTrack | undefined {
    const segments = [...(this.#before?.segments ?? []), ...this.#made];
    return this.#track && segments.length > 0 ? { ...this.#track, segments } : undefined;
  }

  get init(): Uint8Array | undefined {
    return this.#track?.init;
  }

  /** @throws AppError DRM_KEYS_UNAVAILABLE, DRM_TRACK_REFUSED, VOD_WORK_DAMAGED */
  add(track: Track, samples: readonly Sample[]): readonly PackagedSegment[] {
    this.#packager ??= this.#begin(track);
    return this.#keep(this.#packager.add(samples));
  }

  /** No sample follows, or the next one begins a segment: what there is of the open one is the whole of it. */
  closeSegment(): readonly PackagedSegment[] {
    const last = this.#packager ? this.#keep(this.#packager.flush()) : [];
    this.#packager = undefined;
    this.#startNumber = this.#listed + this.#made.length;
    return last;
  }

  /** Segments that were listed before. */
  get #listed(): number {
    return this.#before?.segments.length ?? 0;
  }

  #begin(track: Track): TitleTrackPackager {
    // There is one initialization segment: with that of another encode pictures would be decoded wrongly.
    const first = (this.#track ?? this.#before)?.track;
    if (first && !sameBytes(first.config, track.config)) {
      throw new AppError('VOD_WORK_DAMAGED', 'a piece has other parameter sets than the first one');
    }
    const locked = (this.#locked ??= this.#options.cipher?.lock(track));
    const packager = new TitleTrackPackager(track, {
      segmentTicks: this.#options.segmentSeconds * track.timescale,
      startNumber: this.#startNumber,
      offsetTicks: 0,
      sealed: locked,
    });
    this.#track ??= {
      track,
      init: packager.init,
      protection: locked?.protection,
      offsetTicks: 0,
    };
    return packager;
  }

  #keep(packaged: readonly PackagedSegment[]): readonly PackagedSegment[] {
    const fresh = packaged.filter(({ segment }) => segment.number >= this.#listed);
    for (const { segment } of fresh) this.#made.push(segment);
    return fresh;
  }
}
