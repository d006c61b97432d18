/** One server-sent event. */
export interface ServerEvent {
  /** `message` where the server names none. */
  readonly type: string;
  readonly data: string;
  /** The last id that the stream had, with this event or before. */
  readonly id: string;
}

/** Longest line that is waited for; a server that sends longer ones is not ours. */
const MAX_LINE_CHARACTERS = 256 * 1024;

/** Reads server-sent events (HTML Living Standard 9.2.6) from bytes that come in any pieces. */
export class EventParser {
  /** `retry:`, ms. */
  retryMs: number | undefined;
  readonly #decoder = new TextDecoder();
  #line = '';
  /** The piece before ended in CR: an LF at the start of the next belongs to it. */
  #sawCr = false;
  #type = '';
  #data: string[] = [];
  #id = '';

  /** The events that are complete with these bytes. @throws RangeError for a line without end */
  push(bytes: Uint8Array): ServerEvent[] {
    const events: ServerEvent[] = [];
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#sawCr && text.startsWith('\n')) text = text.slice(1);
    // No text, no change: bytes of a character that is not complete.
    if (text !== '') this.#sawCr = text.endsWith('\r');
    const lines = text.split(/\r\n|\n|\r/);
    const rest = lines.pop() ?? '';
    for (const line of lines) {
      this.#take(this.#line + line, events);
      this.#line = '';
    }
    this.#line += rest;
    if (this.#line.length > MAX_LINE_CHARACTERS) throw new RangeError('an event without end');
    return events;
  }

  #take(line: string, events: ServerEvent[]): void {
    if (line === '') return this.#finish(events);
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#type = value;
    else if (name === 'data') this.#data.push(value);
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #finish(events: ServerEvent[]): void {
    if (this.#data.length > 0) {
      events.push({
        type: this.#type === '' ? 'message' : this.#type,
        data: this.#data.join('\n'),
        id: this.#id,
      });
    }
    this.#type = '';
    this.#data = [];
  }
}
