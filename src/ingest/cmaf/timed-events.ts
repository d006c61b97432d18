import { EVENT_SCHEMES } from '../../media/isobmff/chunk.ts';
import type { EventMessage } from '../../media/isobmff/event-message.ts';
import type { RawEvent } from '../../stream/publisher.ts';

/** Schemes of `emsg` that are carried, and as what. */
const SCHEMES: ReadonlyMap<string, RawEvent['kind']> = new Map([
  [EVENT_SCHEMES.scte35, 'scte35'],
  [EVENT_SCHEMES.id3, 'id3'],
  ['https://developer.apple.com/streaming/emsg-id3', 'id3'],
  [EVENT_SCHEMES.klv, 'klv'],
]);

/** Events remembered to know their repeats by; the oldest is forgotten first. */
const MAX_REMEMBERED = 256;

/** What an event message is to us; undefined: nothing. */
export function eventKind(message: EventMessage): RawEvent['kind'] | undefined {
  return SCHEMES.get(message.schemeIdUri);
}

/**
 * Knows repeats of events: the same message stands in every track, in later segments while it is active, and in what
 * redundant sources send. Scheme, value and id name an event; its data is looked at too, for senders that give every
 * event the same id.
 */
export class EventMemory {
  #remembered: EventMessage[] = [];

  /** Whether it has not been seen; then it is remembered. */
  isNew(message: EventMessage): boolean {
    if (this.#remembered.some((known) => isSame(known, message))) return false;
    if (this.#remembered.length >= MAX_REMEMBERED) this.#remembered = this.#remembered.slice(1);
    this.#remembered.push(message);
    return true;
  }
}

function isSame(a: EventMessage, b: EventMessage): boolean {
  return (
    a.id === b.id &&
    a.schemeIdUri === b.schemeIdUri &&
    a.value === b.value &&
    a.data.length === b.data.length &&
    Buffer.compare(a.data, b.data) === 0
  );
}
