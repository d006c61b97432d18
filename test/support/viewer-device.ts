import type { TestDevice } from './license-fixture.ts';
import { until } from './until.ts';

/** One event as it came. */
export interface ReceivedEvent {
  readonly event: string;
  readonly id: string;
  readonly data: unknown;
  /** `performance.now()` when its last byte was read. */
  readonly atMs: number;
}

export interface Answered {
  readonly status: number;
  readonly json: Record<string, unknown>;
  readonly headers: Headers;
}

/** A device of a user, as a player speaks to the control port. Whoever makes one closes it. */
export class ViewerDevice {
  readonly events: ReceivedEvent[] = [];
  readonly name: string;
  /** Proves itself with each call where there is a key. */
  readonly key: TestDevice | undefined;
  readonly #origin: string;
  readonly #token: string;
  readonly #leaving = new AbortController();
  streamEnded = false;

  constructor(origin: string, token: string, name: string, key?: TestDevice) {
    this.#origin = origin;
    this.#token = token;
    this.name = name;
    this.key = key;
  }

  /** Asks again while the store is too busy to answer in time, as every client should. */
  call(method: string, path: string, body?: unknown, token = this.#token): Promise<Answered> {
    return until(async () => {
      const answer = await this.callOnce(method, path, body, token);
      return answer.json['code'] === 'RESUME_UNAVAILABLE' ? undefined : answer;
    }, 'an answer of the store');
  }

  async callOnce(method: string, path: string, body?: unknown, token = this.#token): Promise<Answered> {
    const response = await fetch(this.#origin + path, {
      method,
      headers: this.#headers(method, path, token),
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    return { status: response.status, json, headers: response.headers };
  }

  /** A play gesture; gives the epoch. */
  async claim(title: string, profile?: string): Promise<number> {
    const body = { device: this.name, ...(profile !== undefined && { profile }) };
    const { status, json } = await this.call('POST', `/v1/resume/${title}`, body);
    if (status !== 201) throw new Error(`no claim: ${status} ${JSON.stringify(json)}`);
    return json['epoch'] as number;
  }

  /** A report that must hold; gives the record. */
  async reported(
    title: string,
    epoch: number,
    seq: number,
    positionMs: number,
    more: object = {},
  ): Promise<unknown> {
    const { status, json } = await this.report(title, epoch, seq, positionMs, more);
    const record = json['record'] as { readonly epoch: number; readonly seq: number } | null;
    // The answer that came too late may have been a yes.
    const isOurs = status === 409 && record?.epoch === epoch && record.seq === seq;
    if (status !== 200 && !isOurs) throw new Error(`not stored: ${status} ${JSON.stringify(json)}`);
    return record;
  }

  report(
    title: string,
    epoch: number,
    seq: number,
    positionMs: number,
    more: object = {},
  ): Promise<Answered> {
    return this.call('PUT', `/v1/resume/${title}`, this.place(epoch, seq, positionMs, more));
  }

  /** The body of a report. */
  place(epoch: number, seq: number, positionMs: number, more: object = {}): object {
    return {
      device: this.name,
      ...{ epoch, seq, positionMs },
      durationMs: 3_600_000,
      state: 'playing',
      ...more,
    };
  }

  /** Listens to events from here on, and resolves once the stream is open. */
  async listen(query = ''): Promise<number> {
    const path = '/v1/resume/events';
    const response = await fetch(`${this.#origin}${path}${query}`, {
      headers: query.includes('ticket=') ? {} : this.#headers('GET', path, this.#token),
      signal: this.#leaving.signal,
    });
    if (response.status === 200) {
      void this.#read(response).catch(() => {
        this.streamEnded = true;
      });
    }
    return response.status;
  }

  of(event: string): ReceivedEvent[] {
    return this.events.filter((each) => each.event === event);
  }

  close(): void {
    this.#leaving.abort();
  }

  #headers(method: string, path: string, token: string): Record<string, string> {
    const url = this.#origin + (path.split('?')[0] ?? '');
    const nowMs = Date.now();
    return this.key
      ? { authorization: `DPoP ${token}`, dpop: this.key.proof({ method, url, token, nowMs }) }
      : { authorization: `Bearer ${token}` };
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) this.#take(block);
    }
    this.streamEnded = true;
  }

  #take(block: string): void {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
    const data = field('data');
    if (data === '') return;
    this.events.push({
      event: field('event'),
      id: field('id'),
      data: JSON.parse(data),
      atMs: performance.now(),
    });
  }
}
