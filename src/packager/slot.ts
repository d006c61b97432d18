import type { LivePeriod } from './period-factory.ts';

/** A media time with its timescale: what tracks of different timescales share. */
export interface Instant {
  readonly ticks: number;
  readonly timescale: number;
}

/** One column of the window: the segments of one number in all renditions. */
export interface Slot {
  readonly number: number;
  readonly period: LivePeriod;
  readonly start: Instant;
  readonly discontinuity: boolean;
}
