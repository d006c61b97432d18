import { type SharedBytes, type BodyStream } from '../../http/types.ts';

/** One device that listens. */
export interface EventClientInit {
  readonly profile: string;
  /** What its user has seen up to. */
  readonly after: number;
  readonly addressGroup: string;
  /** Its token counts until then, ms since the Unix epoch. */
  readonly untilMs: number;
  /** At which of the hub's steps it is kept awake. */
  readonly turn: number;
  /** Longest run of bytes that may wait for it. */
  readonly maxBacklogBytes: number;
}

/** The answering side of one event stream. */
export class EventClient {
  readonly profile: string;
  readonly addressGroup: string;
  readonly untilMs: number;
  readonly turn: number;
  /** Version that everything has been sent up to. */
  sentVersion: number;
  /** Connected, and not compared with the state yet. */
  isNew = true;
  readonly #stream: BodyStream;
  readonly #maxBacklogBytes: number;
  #ended = false;

  constructor(stream: BodyStream, init: EventClientInit) {
    this.profile = init.profile;
    this.sentVersion = init.after;
    this.addressGroup = init.addressGroup;
    this.untilMs = init.untilMs;
    this.turn = init.turn;
    this.#stream = stream;
    this.#maxBacklogBytes = init.maxBacklogBytes;
  }

  /** Too much waits for it: it does not read. */
  get isBehind(): boolean {
    return this.#stream.backlogBytes > this.#maxBacklogBytes;
  }

  write(bytes: SharedBytes): void {
    if (!this.#ended) this.#stream.write(bytes);
  }

  /** What waits leaves, or the listener's own limit on readers that take nothing cuts it. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
  }
}
