import { ApiError, errorOf } from './api-error.ts';
import { backOffMs, type SdkClock, waitFor } from './clock.ts';
import { EventParser, type ServerEvent } from './event-parser.ts';

export interface EventStreamOptions {
  /** Asks for the stream. `lastId` is '' at first. */
  readonly connect: (lastId: string, signal: AbortSignal) => Promise<Response>;
  readonly onEvent: (event: ServerEvent) => void;
  /** It is there, or was lost. */
  readonly onState?: (isOpen: boolean) => void;
  /** May mend a refusal, with a new token say; false: it stands, and the stream is given up. */
  readonly onRefused: (error: ApiError) => Promise<boolean>;
  readonly clock: SdkClock;
}

/** The server says something every 15 s: silent for so long, the connection is dead. */
const SILENCE_MS = 40_000;
const BACK_OFF = { firstMs: 1000, mostMs: 30_000 };

/** A stream of server-sent events by `fetch`, with headers, and for as long as it is wanted: it comes again by itself. */
export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #closed = new AbortController();
  /** Ends the wait for the next attempt. */
  #hurry = new AbortController();
  #lastId = '';
  #retryMs = 0;
  #failures = 0;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    void this.#run();
  }

  /** Comes again now, when it waits: the network is back. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Idempotent. */
  close(): void {
    this.#closed.abort();
    this.#hurry.abort();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#closed.signal.aborted) {
      // One connection at a time.
      // oxlint-disable-next-line no-await-in-loop
      const waitMs = await this.#once();
      if (waitMs === undefined || this.#closed.signal.aborted) return;
      this.#hurry = new AbortController();
      // oxlint-disable-next-line no-await-in-loop
      await waitFor(clock, waitMs, this.#hurry.signal);
    }
  }

  /** One connection, to its end; how long to wait before the next. Undefined: there is to be none. */
  async #once(): Promise<number | undefined> {
    try {
      await this.#read();
      return this.#waitMs(undefined);
    } catch (error) {
      if (!(error instanceof ApiError) || error.isPassing) return this.#waitMs(error);
      const isMended = await this.#options.onRefused(error).catch(() => false);
      return isMended ? this.#waitMs(error) : undefined;
    }
  }

  #waitMs(error: unknown): number {
    const { clock } = this.#options;
    this.#failures++;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(
      asked,
      Math.min(this.#retryMs, BACK_OFF.mostMs),
      backOffMs(this.#failures, BACK_OFF, clock.random()),
    );
  }

  async #read(): Promise<void> {
    const { connect, onState, clock } = this.#options;
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    this.#closed.signal.addEventListener('abort', stop);
    let cancel = clock.after(SILENCE_MS, stop);
    try {
      const response = await connect(this.#lastId, abort.signal);
      if (!response.ok || !response.body) throw await errorOf(response);
      onState?.(true);
      const parser = new EventParser();
      const reader = response.body.getReader();
      abort.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined));
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop
        const { done, value } = await reader.read();
        if (done) return;
        cancel();
        cancel = clock.after(SILENCE_MS, stop);
        this.#failures = 0;
        this.#tell(parser, value);
      }
    } finally {
      cancel();
      this.#closed.signal.removeEventListener('abort', stop);
      onState?.(false);
    }
  }

  #tell(parser: EventParser, bytes: Uint8Array): void {
    for (const event of parser.push(bytes)) {
      if (event.id !== '') this.#lastId = event.id;
      this.#options.onEvent(event);
    }
    this.#retryMs = parser.retryMs ?? this.#retryMs;
  }
}
