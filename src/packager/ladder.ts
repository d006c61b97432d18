import { sameBytes } from '../base/same-bytes.ts';
import type { Sample, VideoTrack } from '../stream/track.ts';
import type { DropReason, PackagerMetrics } from './packager-metrics.ts';
import { type LivePeriod, type PreparedTrack, prepareTrack } from './period-factory.ts';
import { MAX_LATE_SECONDS, RungFollower } from './rung-follower.ts';
import type { SlotLedger } from './slot-ledger.ts';
import type { WindowStore } from './window-store.ts';

/** What a ladder works on once the stream's first frame has fixed the plan. */
interface LadderHome {
  readonly store: WindowStore;
  readonly ledger: SlotLedger;
}

interface Rung {
  /** Whether the encoder means to make it. */
  expected: boolean;
  /** Undefined until the encoder has said what the rung is. */
  prepared: PreparedTrack<VideoTrack> | undefined;
  /** Undefined until the rung has a rendition. */
  follower: RungFollower | undefined;
}

/**
 * The encoded rungs of one stream. Until the stream is first shown, the rungs that are expected belong to it from its
 * first segment on, and it is not shown before they have one (see {@link WindowStore.hold}). After that a rung joins
 * or leaves with a new period, at the lead's next cut.
 */
export class Ladder {
  readonly #home: () => LadderHome | undefined;
  readonly #metrics: PackagerMetrics;
  /** Best first. */
  readonly #rungs = new Map<string, Rung>();
  #announced = false;
  /** Where the lead was when waiting for a first word of the encoder began. */
  #heldSince: number | undefined;

  constructor(home: () => LadderHome | undefined, metrics: PackagerMetrics) {
    this.#home = home;
    this.#metrics = metrics;
  }

  /** Each rung's follower, of those that have a rendition. */
  follower(id: string): RungFollower | undefined {
    return this.#rungs.get(id)?.follower;
  }

  /** Whether an encoder has said which rungs there are to be. */
  get announced(): boolean {
    return this.#announced;
  }

  /** The rungs that a period beginning now has. */
  get members(): ReadonlyMap<string, PreparedTrack> {
    const members = new Map<string, PreparedTrack>();
    for (const [id, { expected, prepared }] of this.#rungs)
      if (expected && prepared) members.set(id, prepared);
    return members;
  }

  /** The window is there now: rungs that were named before belong to it. */
  opened(): void {
    for (const [id, rung] of this.#rungs) this.#join(id, rung);
  }

  /** See {@link LadderSink.expect}. */
  expect(ids: readonly string[]): void {
    this.#announced = true;
    this.#home()?.store.release();
    for (const [id, rung] of this.#rungs) if (!ids.includes(id)) this.#dismiss(id, rung);
    for (const id of ids) {
      const rung: Rung = this.#rungs.get(id) ?? { expected: true, prepared: undefined, follower: undefined };
      this.#rungs.set(id, rung);
      rung.expected = true;
      rung.follower?.abandon(false);
      this.#join(id, rung);
    }
  }

  /** See {@link LadderSink.track}. */
  track(id: string, track: VideoTrack): void {
    const rung = this.#rungs.get(id);
    const prepared = prepareTrack(track);
    if (!rung?.expected || (rung.prepared && sameBytes(rung.prepared.init, prepared.init))) return;
    rung.prepared = prepared;
    this.#join(id, rung);
  }

  /** See {@link LadderSink.sample}; `predictedEnd` is where the lead's open segment is foretold to end. */
  sample(id: string, sample: Sample, predictedEnd: number | undefined): void {
    const follower = this.#rungs.get(id)?.follower;
    const reason: DropReason | undefined = follower ? follower.add(sample, predictedEnd) : 'no_track';
    if (reason) this.#metrics.droppedSamples.inc({ reason });
  }

  /** See {@link LadderSink.flushed}. */
  flushed(id: string): void {
    this.#rungs.get(id)?.follower?.flushed();
  }

  /** The source is another from here on: what the encoder will make of it is not known yet. */
  sourceChanged(): void {
    for (const rung of this.#rungs.values()) rung.prepared = undefined;
  }

  /** Whether the rungs of `period` are not those that there should be. */
  changeDue(period: LivePeriod): boolean {
    const { members } = this;
    const missing = [...members.keys()].some((id) => !period.inits.has(id));
    const gone = [...this.#rungs.keys()].some((id) => period.tracks.has(id) && !members.has(id));
    return missing || gone || this.replaces(period);
  }

  /**
   * Whether a rung got another initialization segment than it had in `period`, or, when it was away, in the last one
   * before that `period` goes on from: players must be told of a discontinuity.
   */
  replaces(period: LivePeriod): boolean {
    return [...this.members].some(([id, { init }]) => {
      const known = this.#lastWith(id, period)?.prepared.get(id);
      return known !== undefined && !sameBytes(known.init, init);
    });
  }

  /** The newest period that has the rung, of `period` and those that it goes on from. */
  #lastWith(id: string, period: LivePeriod): LivePeriod | undefined {
    const periods = this.#home()?.store.periods ?? [];
    let at: LivePeriod | undefined = period;
    while (at && !at.inits.has(id)) {
      const before: string | undefined = at.continues;
      at = before === undefined ? undefined : periods.find((other) => other.id === before);
    }
    return at;
  }

  /** The lead's media reaches `positionTicks`: rungs too far behind it go on without what is missing. */
  leadMoved(positionTicks: number, timescale: number): void {
    for (const { follower } of this.#rungs.values()) follower?.catchUp(positionTicks);
    const store = this.#home()?.store;
    if (!store?.held) return;
    this.#heldSince ??= positionTicks;
    if (positionTicks - this.#heldSince > MAX_LATE_SECONDS * timescale) store.release();
  }

  /** Closes or cuts whatever is due, without waiting for encoders. */
  settle(): void {
    for (const { follower } of this.#rungs.values()) follower?.settle();
  }

  /** Gives a rung its rendition once it can have one, and what it is to the periods that nobody has seen yet. */
  #join(id: string, rung: Rung): void {
    const home = this.#home();
    if (!home) return;
    const { prepared } = rung;
    if (!home.store.published) {
      rung.follower ??= joinEarly(id, home);
      if (prepared) for (const period of unseenPeriods(home)) admitEarly(period, id, prepared);
    } else if (prepared) {
      rung.follower ??= joinLate(id, prepared, home);
    }
  }

  #dismiss(id: string, rung: Rung): void {
    rung.expected = false;
    rung.follower?.abandon(true);
    const home = this.#home();
    if (home?.store.published) return;
    if (home?.ledger.removeRung(id) ?? true) this.#rungs.delete(id);
  }
}

/** A rung that is there from the beginning of the broadcast has every segment of it that the lead has. */
function joinEarly(id: string, { store, ledger }: LadderHome): RungFollower | undefined {
  const lead = store.renditions[0];
  if (lead?.kind !== 'video') return undefined;
  const packager = ledger.addRung(id, lead.timescale, store.firstOwn);
  const follower = new RungFollower(packager, () => !store.published);
  ledger.planFrom(ledger.sourceFrom(store.firstOwn), follower);
  return follower;
}

/** A rung that comes late has gaps for what it missed, up to the segment that is open now. */
function joinLate(
  id: string,
  { track }: PreparedTrack<VideoTrack>,
  { store, ledger }: LadderHome,
): RungFollower {
  const { rendition } = ledger.packager('video');
  const number = rendition.open?.number ?? ledger.nextNumber;
  const follower = new RungFollower(ledger.addRung(id, track.timescale, number), () => false);
  ledger.planFrom(ledger.sourceFrom(number), follower);
  store.touchMpd();
  return follower;
}

/** Those that begin with this broadcast, while it is not shown. */
function unseenPeriods({ store }: LadderHome): readonly LivePeriod[] {
  return store.periods.filter(({ startNumber }) => startNumber >= store.firstOwn);
}

/** Lets a rung into a period that nobody has seen yet. */
function admitEarly(period: LivePeriod, id: string, prepared: PreparedTrack): void {
  if (period.lead.kind === 'video' && !period.tracks.has(id)) period.admit(id, prepared);
}
