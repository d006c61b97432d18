import type { Report, TrackRunFacts } from '../contracts.ts';
import { type TellMedia, tellerOf } from './media-rules.ts';

/** Where one run of samples begins and ends in decode time, ticks. */
export interface DecodeSpan {
  readonly startTicks: number;
  readonly durationTicks: number;
  readonly sampleCount: number;
}

/** What rounding between timescales explains: no finding. */
const ROUNDING_SECONDS = 0.001;

/** Judges whether `next` begins in decode time where `last` ended. `where` names the place for people. */
export function checkDecodeTimes(
  last: DecodeSpan,
  next: DecodeSpan,
  timescale: number,
  where: string,
  tell: TellMedia,
): void {
  if (timescale <= 0) return;
  const endTicks = last.startTicks + last.durationTicks;
  const distance = next.startTicks - endTicks;
  const seconds = Math.abs(distance) / timescale;
  const rounding = Math.max(ROUNDING_SECONDS, 1 / timescale);
  if (next.startTicks <= last.startTicks && last.durationTicks > 0) {
    tell('media-tfdt-order', `${where}: tfdt ${next.startTicks} after ${last.startTicks}`);
    return;
  }
  if (seconds <= rounding + 1e-9) return;
  const frame = last.sampleCount > 0 ? last.durationTicks / last.sampleCount : 0;
  const figures = `tfdt ${next.startTicks}, the samples before it end at ${endTicks}`;
  const what = `${(seconds * 1000).toFixed(1)} ms ${distance > 0 ? 'missing' : 'twice'}`;
  if (Math.abs(distance) < frame / 2) tell('media-decode-time-drift', `${where}: ${what} (${figures})`);
  else tell(distance > 0 ? 'media-gap' : 'media-overlap', `${where}: ${what} (${figures})`);
}

/** Follows one rendition from segment to segment: each must begin in decode time where the last ended. */
export class TrackChain {
  readonly #last = new Map<number, TrackRunFacts>();

  /** Judges the tracks of the next segment and goes on from them. `timescaleOf` gives a track's timescale. */
  next(
    tracks: readonly TrackRunFacts[],
    timescaleOf: (trackId: number) => number | undefined,
    report: Report,
  ): void {
    const tell = tellerOf(report);
    for (const track of tracks) {
      const last = this.#last.get(track.trackId);
      const timescale = timescaleOf(track.trackId);
      if (last && timescale) {
        checkDecodeTimes(last, track, timescale, `track ${track.trackId}, from the segment before`, tell);
      }
      this.#last.set(track.trackId, track);
    }
  }

  /** What comes next need not follow: a discontinuity, another Period, segments left out. */
  break(): void {
    this.#last.clear();
  }
}
