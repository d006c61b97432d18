import type { Timeline } from '../stream/track.ts';
import { KeyRotation } from './key-rotation.ts';
import type { PackagerDeps } from './packager-deps.ts';
import type { PeriodReason } from './packager-metrics.ts';
import { LivePeriod, nextPeriodId, type PreparedTrack, type Programme } from './period-factory.ts';
import type { Instant, Slot } from './slot.ts';
import { ticksToMs } from './ticks.ts';
import type { WindowStore } from './window-store.ts';

/** An announced period begins as it was foretold, but for so much. */
const FORECAST_SLACK_MS = 5;

/** Where a period is to begin. */
interface PlannedStart {
  /** Of the lead. */
  readonly ticks: number;
  readonly number: number;
  /** See {@link Period.continues}. */
  readonly continues: string | undefined;
}

/** The periods of one stream: gives out their ids and keys, and makes the next change of keys known ahead. */
export class StreamPeriods {
  readonly #stream: string;
  readonly #store: WindowStore;
  readonly #deps: PackagerDeps;
  readonly #rotation: KeyRotation | undefined;
  #lastId: string | undefined;
  /** A change of keys could not be made known, as nobody saw the stream. */
  #isRekeyUntold = false;

  /** `lastId`: of the newest period before, by whichever process. */
  constructor(stream: string, lastId: string | undefined, store: WindowStore, deps: PackagerDeps) {
    this.#stream = stream;
    this.#lastId = lastId;
    this.#store = store;
    this.#deps = deps;
    const encryption = deps.encryptionOf?.(stream);
    this.#rotation = encryption && new KeyRotation(encryption, { ...deps, stream });
  }

  /** Of the newest period; undefined before the first. */
  get lastId(): string | undefined {
    return this.#lastId;
  }

  /** Whether a timeline that begins at `start` may be packaged at all; see {@link KeyRotation.canBegin}. */
  mayBegin(timeline: Timeline, start: Instant): boolean {
    return this.#rotation?.canBegin(timeline, ticksToMs(start.ticks, start.timescale)) ?? true;
  }

  /** Whether a segment that begins at `start` is to have other keys than `open`, the slot before it. */
  rekeyDue(open: Slot, start: Instant): boolean {
    return this.#rotation?.isDue(open.period, ticksToMs(start.ticks, start.timescale)) ?? false;
  }

  /** Behind `open`, if there is such a slot. The rungs are those that are there by now. */
  begin(
    open: Slot | undefined,
    programme: Programme,
    rungs: ReadonlyMap<string, PreparedTrack>,
    start: PlannedStart,
    reason: PeriodReason,
  ): LivePeriod {
    const period =
      this.#announced(programme, rungs, start) ?? this.#make(open?.period, programme, rungs, start);
    this.#store.addPeriod(period);
    this.#deps.metrics.periods.inc({ reason });
    this.#deps.log.info(
      { stream: this.#stream, period: period.id, number: start.number, reason },
      'period begun',
    );
    return period;
  }

  /**
   * Makes the next change of keys known ahead, where regular key frames foretell it: slot `open` ends at `predictedEnd`,
   * ticks of the lead.
   */
  announceRekey(
    open: Slot,
    programme: Programme,
    rungs: ReadonlyMap<string, PreparedTrack>,
    predictedEnd: number | undefined,
  ): void {
    if (!this.#rotation) return;
    // Before anybody sees the stream its rungs are not known, and what is announced must hold.
    this.#isRekeyUntold = !this.#store.published;
    if (this.#isRekeyUntold) return;
    const startMs = ticksToMs(open.start.ticks, open.start.timescale);
    const left = this.#rotation.segmentsLeft(open.period, startMs, open.period.segmentMs);
    if (left === undefined || predictedEnd === undefined) return this.#store.announce(undefined);
    const start = {
      ticks: predictedEnd + (left - 1) * programme.segmentTicks,
      number: open.number + left,
      continues: open.period.id,
    };
    if (this.#announced(programme, rungs, start)) return;
    const period = this.#make(open.period, programme, rungs, start);
    this.#store.announce(period.rekeyed ? period : undefined);
  }

  /** The stream is seen only since the last call of {@link announceRekey}: it is to be called again. */
  get owesAnnouncement(): boolean {
    return this.#isRekeyUntold && this.#store.published;
  }

  /** The announced period, if it is the one that would begin so. */
  #announced(
    programme: Programme,
    rungs: ReadonlyMap<string, PreparedTrack>,
    start: PlannedStart,
  ): LivePeriod | undefined {
    const { upcoming } = this.#store;
    if (!upcoming || upcoming.continues !== start.continues || upcoming.startNumber !== start.number) {
      return undefined;
    }
    const offMs = Math.abs(upcoming.startMs - ticksToMs(start.ticks, programme.lead.timescale));
    return offMs <= FORECAST_SLACK_MS && upcoming.carries(tracksOf(programme, rungs)) ? upcoming : undefined;
  }

  #make(
    before: LivePeriod | undefined,
    programme: Programme,
    rungs: ReadonlyMap<string, PreparedTrack>,
    start: PlannedStart,
  ): LivePeriod {
    const startMs = ticksToMs(start.ticks, programme.lead.timescale);
    const cipher = this.#rotation?.cipherAt(startMs, before);
    const id = nextPeriodId(startMs, this.#lastId);
    this.#lastId = id;
    const period = new LivePeriod(programme, {
      id,
      startMs,
      startNumber: start.number,
      continues: start.continues,
      rekeyed: start.continues !== undefined && cipher !== before?.cipher,
      cipher,
    });
    if (programme.lead.kind === 'video') for (const [rung, prepared] of rungs) period.admit(rung, prepared);
    return period;
  }
}

/** Every track that a period of the programme has. */
function tracksOf(
  programme: Programme,
  rungs: ReadonlyMap<string, PreparedTrack>,
): ReadonlyMap<string, PreparedTrack> {
  return programme.lead.kind === 'video' ? new Map([...programme.tracks, ...rungs]) : programme.tracks;
}
