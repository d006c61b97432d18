import type { ErrorCode } from '../../base/errors.ts';
import type { EventMessage } from '../../media/isobmff/event-message.ts';
import type { MovieFragment } from '../../media/isobmff/movie-fragment.ts';
import type { StreamTrack } from '../../media/isobmff/stream-init.ts';
import {
  type StreamFault,
  StreamReader,
  type StreamReaderLimits,
  type StreamReaderSink,
  type StreamSample,
} from '../../media/isobmff/stream-reader.ts';
import type { CmafSession, SessionSource } from './cmaf-session.ts';
import type { MediaName } from './media-name.ts';

export interface CmafBodyDeps {
  readonly name: MediaName;
  readonly limits: StreamReaderLimits;
  readonly monotonicMs: () => number;
  /** The stream's session, if it has one. */
  readonly session: () => CmafSession | undefined;
  /** The stream's session, made now if it has none. */
  readonly openSession: () => CmafSession;
  /** The body must not be read on. */
  readonly onCut: (code: ErrorCode) => void;
}

/** Events of version 0 that wait for the fragment they are counted from; more are dropped. */
const MAX_WAITING_EVENTS = 64;

const FAULT_CODES: Readonly<Record<StreamFault, ErrorCode>> = {
  not_mp4: 'INGEST_CMAF_MALFORMED',
  malformed: 'INGEST_CMAF_MALFORMED',
  unknown_track: 'INGEST_CMAF_INIT_MISSING',
  data_misplaced: 'INGEST_CMAF_MALFORMED',
  truncated: 'INGEST_CMAF_MALFORMED',
  init_unusable: 'INGEST_CMAF_INIT_UNUSABLE',
  init_missing: 'INGEST_CMAF_INIT_MISSING',
  too_many_samples: 'HTTP_BODY_TOO_LARGE',
  sample_too_large: 'HTTP_BODY_TOO_LARGE',
  box_too_large: 'HTTP_BODY_TOO_LARGE',
};

/** Faults of a body that can be neither an init nor media. */
const SHAPELESS: ReadonlySet<StreamFault> = new Set(['not_mp4', 'malformed', 'truncated']);

/**
 * The body of one request: an init, one or more segments, or all of a broadcast. It finds out which tracks it is about,
 * and gives the stream's session what it brings.
 */
export class CmafBody implements SessionSource, StreamReaderSink {
  readonly #deps: CmafBodyDeps;
  #reader: StreamReader | undefined;
  #session: CmafSession | undefined;
  #refusal: ErrorCode | undefined;
  /** Names of the session's tracks by the track ids of this body. */
  #names = new Map<number, string>();
  #beganWithInit = false;
  #saysLast = false;
  #waiting: EventMessage[] = [];
  #lastProgressMs: number;

  constructor(deps: CmafBodyDeps) {
    this.#deps = deps;
    this.#lastProgressMs = deps.monotonicMs();
  }

  get beganWithInit(): boolean {
    return this.#beganWithInit;
  }

  /** When it last brought something whole: an init, a fragment, or a sample. */
  get lastProgressMs(): number {
    return this.#lastProgressMs;
  }

  /** Takes the next bytes; gives the code that ends the request. */
  push(bytes: Uint8Array): ErrorCode | undefined {
    this.#reader ??= this.#begin();
    const fault = this.#reader.push(bytes);
    if (fault) return this.#codeOf(fault);
    if (this.#session && !this.#session.received(bytes.length)) return 'INGEST_CMAF_BITRATE';
    return undefined;
  }

  /** The body is complete. */
  end(): ErrorCode | undefined {
    const fault = this.#reader?.end();
    return fault && this.#codeOf(fault);
  }

  /** The request is over. `complete`: its body came in full and was good. */
  close(complete: boolean): void {
    const ended = complete && this.#saysLast ? [...this.#names.values()] : [];
    this.#session?.leave(this, ended);
    this.#waiting = [];
  }

  cut(code: ErrorCode): void {
    this.#deps.onCut(code);
  }

  init(tracks: readonly StreamTrack[]): boolean {
    const session = this.#join(this.#deps.openSession());
    const base = this.#deps.name.candidates[0] ?? '';
    const names = new Map<number, string>();
    for (const track of tracks) {
      const name = trackName(base, track.id);
      this.#refusal = session.declare(name, track);
      if (this.#refusal) return false;
      names.set(track.id, name);
    }
    this.#names = names;
    this.#beganWithInit = true;
    if (tracks.length > 1) session.complete();
    this.#progress();
    return true;
  }

  fragment({ first }: MovieFragment): void {
    this.#progress();
    for (const message of this.#waiting) {
      const { timescale, editTicks } = first.track;
      const deltaTicks = Math.round((Number(message.time.ticks) * timescale) / message.timescale);
      const time = { baseTicks: first.baseTicks, offsetTicks: editTicks + deltaTicks };
      this.#session?.event(message, time, timescale);
    }
    this.#waiting = [];
  }

  sample(sample: StreamSample): void {
    this.#progress();
    this.#session?.sample(this, this.#names.get(sample.track.id) ?? '', sample);
  }

  event(message: EventMessage): void {
    if (message.time.kind === 'delta') {
      if (this.#waiting.length < MAX_WAITING_EVENTS) this.#waiting.push(message);
      return;
    }
    this.#session?.event(message, { baseTicks: message.time.ticks, offsetTicks: 0 }, message.timescale);
  }

  last(): void {
    this.#saysLast = true;
  }

  #progress(): void {
    this.#lastProgressMs = this.#deps.monotonicMs();
  }

  #join(session: CmafSession): CmafSession {
    if (this.#session !== session) {
      this.#session?.leave(this, []);
      this.#session = session;
      session.join(this);
    }
    return session;
  }

  /** Looks up which tracks the body may be of, by its name: it need not bring its init. */
  #begin(): StreamReader {
    const session = this.#deps.session();
    const known = session ? findTracks(session, this.#deps.name) : [];
    if (session && known.length > 0) this.#join(session);
    this.#names = new Map(known.map(({ name, init }) => [init.id, name]));
    const tracks = known.map(({ init }) => init);
    return new StreamReader(this, this.#deps.limits, tracks);
  }

  /** What is no media at all, where no init is known, is a bad init: the sender must begin again with one. */
  #codeOf(fault: StreamFault): ErrorCode {
    if (this.#refusal) return this.#refusal;
    if (this.#names.size === 0 && SHAPELESS.has(fault)) return 'INGEST_CMAF_INIT_UNUSABLE';
    return FAULT_CODES[fault];
  }
}

/** The name of one track of the files called `base`. */
export function trackName(base: string, id: number): string {
  return `${base}#${id}`;
}

type KnownTrack = ReturnType<CmafSession['inits']>[number];

/** The tracks of the first candidate that is known; else those of the folder, when their ids tell them apart. */
export function findTracks(session: CmafSession, name: MediaName): readonly KnownTrack[] {
  const known = session.inits();
  for (const candidate of name.candidates) {
    const found = known.filter((track) => track.name === trackName(candidate, track.init.id));
    if (found.length > 0) return found;
  }
  const near = known.filter((track) => track.name.slice(0, track.name.lastIndexOf('/')) === name.folder);
  const ids = new Set(near.map(({ init }) => init.id));
  return ids.size === near.length ? near : [];
}
