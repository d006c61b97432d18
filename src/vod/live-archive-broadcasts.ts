import type { Clock, Timer } from '../base/clock.ts';
import type { Broadcast } from './broadcast.ts';
import type { BroadcastFacts } from './live-archive-records.ts';

export interface BroadcastBookDeps {
  readonly clock: Clock;
  /** A publisher that is gone for longer has ended its broadcast. */
  readonly graceMs: number;
  /** Writes what is known of one. */
  readonly save: (stream: string, facts: BroadcastFacts) => void;
  /** Forgets one of which nothing is kept. */
  readonly forget: (stream: string, facts: BroadcastFacts) => void;
  /** Whether anything of it is in the store. */
  readonly hasKept: (broadcast: Broadcast) => boolean;
  /** Whether everything of it is stored, or never will be. */
  readonly isWhole: (broadcast: Broadcast) => boolean;
  /** One has ended, and is whole. */
  readonly onEnded: () => void;
}

/** One that goes on: its end is where its media ends so far. */
interface Going {
  readonly firstNumber: number;
  readonly startMs: number;
  lastNumber: number;
  endMs: number;
}

interface StreamBroadcasts {
  going: Going | undefined;
  /** A packager has the stream. */
  isOpen: boolean;
  grace: Timer | undefined;
  /** Ended; not all of them whole. */
  readonly ended: Broadcast[];
  /** Those that were told of. */
  readonly told: Set<number>;
}

/** The broadcasts that are not recorded yet. */
export class BroadcastBook {
  readonly #deps: BroadcastBookDeps;
  readonly #streams = new Map<string, StreamBroadcasts>();

  constructor(deps: BroadcastBookDeps) {
    this.#deps = deps;
  }

  /**
   * Takes one of an earlier process. One that went on when that ended goes on when its publisher comes back in time.
   * @param last its newest stored segment; undefined: nothing of it is stored
   */
  restore(
    stream: string,
    facts: BroadcastFacts,
    last: { readonly lastNumber: number; readonly endMs: number } | undefined,
    slackMs: number,
  ): void {
    const { firstNumber, startMs, ended } = facts;
    const own = this.#of(stream);
    const end = ended ?? last;
    if (!last || !end) return this.#deps.forget(stream, facts);
    if (ended) {
      own.ended.push({ stream, firstNumber, startMs, ...ended });
      return;
    }
    own.going = { firstNumber, startMs, ...end };
    if (this.#deps.clock.wallMs() - end.endMs > this.#deps.graceMs + slackMs) this.end(stream);
    else this.#armGrace(stream, own);
  }

  opened(stream: string): void {
    const own = this.#of(stream);
    own.isOpen = true;
    own.grace?.cancel();
    own.grace = undefined;
  }

  closed(stream: string): void {
    const own = this.#of(stream);
    own.isOpen = false;
    if (own.going) this.#armGrace(stream, own);
  }

  /** A segment with media is complete. */
  media(stream: string, number: number, startMs: number, endMs: number): void {
    const own = this.#of(stream);
    if (!own.going) {
      own.going = { firstNumber: number, startMs, lastNumber: number, endMs };
      this.#deps.save(stream, { firstNumber: number, startMs, ended: undefined });
    }
    own.going.lastNumber = Math.max(own.going.lastNumber, number);
    own.going.endMs = Math.max(own.going.endMs, endMs);
  }

  end(stream: string): void {
    const own = this.#of(stream);
    const { going } = own;
    own.grace?.cancel();
    own.grace = undefined;
    own.going = undefined;
    if (!going) return;
    const { firstNumber, startMs, lastNumber, endMs } = going;
    own.ended.push({ stream, firstNumber, lastNumber, startMs, endMs });
    this.#deps.save(stream, { firstNumber, startMs, ended: { lastNumber, endMs } });
    this.check(stream);
  }

  /** Something was stored, or will never be: those that are whole now are told of. */
  check(stream: string): void {
    const own = this.#streams.get(stream);
    if (!own) return;
    let isOneMore = false;
    for (const broadcast of [...own.ended]) {
      if (own.told.has(broadcast.firstNumber) || !this.#deps.isWhole(broadcast)) continue;
      if (this.#deps.hasKept(broadcast)) {
        own.told.add(broadcast.firstNumber);
        isOneMore = true;
      } else this.#drop(own, broadcast);
    }
    if (isOneMore) this.#deps.onEnded();
  }

  /** Those that are over and whole, the oldest first. */
  ended(): readonly Broadcast[] {
    return [...this.#streams.values()]
      .flatMap((own) => own.ended.filter(({ firstNumber }) => own.told.has(firstNumber)))
      .sort((one, other) => one.endMs - other.endMs);
  }

  /** False: there is none such. */
  finish({ stream, firstNumber }: Broadcast): boolean {
    const own = this.#streams.get(stream);
    const index = own?.ended.findIndex((each) => each.firstNumber === firstNumber) ?? -1;
    if (!own || index < 0) return false;
    own.ended.splice(index, 1);
    own.told.delete(firstNumber);
    return true;
  }

  /** The oldest number of a stream that must stay; Infinity: none must. */
  protectedFrom(stream: string): number {
    const own = this.#streams.get(stream);
    if (!own) return Infinity;
    const firsts = own.ended.map(({ firstNumber }) => firstNumber);
    return Math.min(own.going?.firstNumber ?? Infinity, ...firsts);
  }

  /** Those that go on, and those that are not finished. */
  get count(): number {
    let count = 0;
    for (const { going, ended } of this.#streams.values()) count += ended.length + (going ? 1 : 0);
    return count;
  }

  /** Forgets a stream that has none. */
  tidy(stream: string): void {
    const own = this.#streams.get(stream);
    if (own && !own.isOpen && !own.going && own.ended.length === 0) this.#streams.delete(stream);
  }

  close(): void {
    for (const own of this.#streams.values()) own.grace?.cancel();
  }

  #drop(own: StreamBroadcasts, broadcast: Broadcast): void {
    own.ended.splice(own.ended.indexOf(broadcast), 1);
    this.#deps.forget(broadcast.stream, { ...broadcast, ended: undefined });
  }

  #armGrace(stream: string, own: StreamBroadcasts): void {
    own.grace?.cancel();
    own.grace = this.#deps.clock.after(this.#deps.graceMs, () => {
      if (!own.isOpen) this.end(stream);
    });
  }

  #of(stream: string): StreamBroadcasts {
    const known = this.#streams.get(stream);
    if (known) return known;
    const own: StreamBroadcasts = {
      going: undefined,
      isOpen: false,
      grace: undefined,
      ended: [],
      told: new Set(),
    };
    this.#streams.set(stream, own);
    return own;
  }
}
