import { crc32Mpeg } from '../media/mpegts/crc32.ts';
import { parseSpliceInfo, type SpliceInfo, spliceDirection } from '../media/scte35.ts';
import type { Splice } from '../stream/live-window.ts';
import type { TimedEvent } from '../stream/track.ts';

/** More splices than this are not kept at one time; the oldest go. */
const MAX_SPLICES = 128;
const TICKS_PER_MS = 90;
/** One without a time of its own that comes again within this is a repetition. */
const REPEATED_TICKS = 10_000 * TICKS_PER_MS;

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** What one section says that concerns viewers. */
interface Notice {
  readonly direction: 'out' | 'in' | 'cmd';
  readonly eventId: number;
  readonly plannedTicks: number | undefined;
  readonly cancels: boolean;
}

/**
 * The splices of one stream, put together from the sections that announce them: encoders send each several times, and
 * the two ends of a break apart. Ids are unique for the life of the stream although encoders use theirs again.
 */
export class SpliceBook {
  readonly #splices: Writable<Splice>[] = [];
  #count = 0;

  /** Oldest first. */
  get splices(): readonly Splice[] {
    return this.#splices;
  }

  /** Takes a section; false when it changes nothing: a heartbeat, a repetition, damage. */
  add(event: TimedEvent): boolean {
    const info = crc32Mpeg(event.data) === 0 ? parseSpliceInfo(event.data) : undefined;
    const notice = info && noticeOf(info);
    if (!notice) return false;
    if (notice.cancels) return this.#cancel(notice.eventId);
    const open = this.#splices.findLast(
      ({ eventId, out }) => eventId === notice.eventId && out !== undefined,
    );
    if (notice.direction === 'in' && open && event.atTicks > open.atTicks) return end(open, event);
    if (this.#isKnown(notice, event)) return false;
    this.#splices.push(begin(notice, event, this.#count));
    this.#count += 1;
    if (this.#splices.length > MAX_SPLICES) this.#splices.shift();
    return true;
  }

  /** Forgets what was over before a moment; false when nothing was. */
  forgetBefore(ticks: number): boolean {
    const newest = this.#splices.at(-1);
    const kept = this.#splices.filter(
      (splice) => endOf(splice) >= ticks || (splice === newest && isOpen(splice)),
    );
    return kept.length !== this.#splices.length && this.#replace(kept);
  }

  clear(): void {
    this.#splices.length = 0;
  }

  #isKnown({ direction, eventId }: Notice, { atTicks, data }: TimedEvent): boolean {
    return this.#splices.some(
      (splice) =>
        splice.eventId === eventId &&
        splice[direction] !== undefined &&
        (splice.atTicks === atTicks ||
          (Math.abs(splice.atTicks - atTicks) < REPEATED_TICKS &&
            Buffer.compare(splice[direction], data) === 0)),
    );
  }

  #cancel(eventId: number): boolean {
    const kept = this.#splices.filter((splice) => splice.eventId !== eventId || splice.in !== undefined);
    return kept.length !== this.#splices.length && this.#replace(kept);
  }

  #replace(splices: readonly Writable<Splice>[]): boolean {
    this.#splices.splice(0, this.#splices.length, ...splices);
    return true;
  }
}

function begin(
  { direction, eventId, plannedTicks }: Notice,
  { atTicks, data }: TimedEvent,
  number: number,
): Writable<Splice> {
  return {
    id: `splice-${eventId}-${Math.round(atTicks / TICKS_PER_MS)}`,
    number,
    eventId,
    atTicks,
    plannedTicks,
    durationTicks: undefined,
    out: direction === 'out' ? data : undefined,
    in: direction === 'in' ? data : undefined,
    cmd: direction === 'cmd' ? data : undefined,
  };
}

/** The programme comes back: what was said of the break stays, its true length is added. */
function end(splice: Writable<Splice>, { atTicks, data }: TimedEvent): boolean {
  if (splice.in !== undefined) return false;
  splice.in = data;
  splice.durationTicks = atTicks - splice.atTicks;
  return true;
}

/** A break of which nobody has said how long it is: it goes on until something else is said. */
function isOpen({ out, plannedTicks, durationTicks }: Splice): boolean {
  return out !== undefined && plannedTicks === undefined && durationTicks === undefined;
}

function endOf({ atTicks, plannedTicks, durationTicks }: Splice): number {
  return atTicks + (durationTicks ?? plannedTicks ?? 0);
}

function noticeOf(info: SpliceInfo): Notice | undefined {
  const { command, segmentations } = info;
  const direction = spliceDirection(info);
  if (command.kind === 'insert') {
    const { eventId, cancel } = command;
    return { direction, eventId, cancels: cancel, plannedTicks: command.break?.ticks };
  }
  if (command.kind !== 'time_signal') return undefined;
  const [first] = segmentations;
  return {
    direction,
    eventId: first?.eventId ?? 0,
    cancels: first?.cancel ?? false,
    plannedTicks: segmentations.find(({ durationTicks }) => durationTicks !== undefined)?.durationTicks,
  };
}
