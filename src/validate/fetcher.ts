/** What one request asks for beyond its URL. */
export interface FetchOptions {
  readonly signal: AbortSignal;
  /** From the call to the last byte. */
  readonly timeoutMs: number;
  /** A body longer than this, unpacked, is a failure. */
  readonly maxBytes: number;
  /** Lower-case names. Nothing is asked for packed unless `accept-encoding` is among them. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The moment some of a body arrived: all bytes before `endOffset` were there at `atMs`. */
export interface ChunkArrival {
  readonly atMs: number;
  /** Offset in the body as sent (before unpacking). */
  readonly endOffset: number;
}

/** A whole answer, whatever its status. Times are of `Clock.monotonicMs`. */
export interface FetchResult {
  readonly kind: 'response';
  readonly status: number;
  /** Where the answer came from, after redirects. */
  readonly url: string;
  /** How often the request was redirected. */
  readonly redirects: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  /** Unpacked. */
  readonly body: Uint8Array;
  readonly startedMs: number;
  /** When the headers were there. */
  readonly headersMs: number;
  /** When the first byte of the body was there; `endedMs` for an empty one. */
  readonly firstByteMs: number;
  readonly endedMs: number;
  /** Wall time at `endedMs`. */
  readonly endedWallMs: number;
  /** One for each piece the body came in, in order. */
  readonly chunks: readonly ChunkArrival[];
}

export type FetchFailureReason =
  | 'timeout'
  | 'aborted'
  | 'too-large'
  | 'too-many-redirects'
  | 'bad-url'
  | 'bad-encoding'
  | 'network';

/** No whole answer came. */
export interface FetchFailure {
  readonly kind: 'failed';
  readonly url: string;
  readonly reason: FetchFailureReason;
  /** For people. */
  readonly detail: string;
  readonly startedMs: number;
  readonly endedMs: number;
}

export type FetchOutcome = FetchResult | FetchFailure;

/** The only way a validator touches the network. Never rejects: what goes wrong is an outcome. */
export interface Fetcher {
  get(url: string, options: FetchOptions): Promise<FetchOutcome>;
  /** The protocol that the server of an https URL picks when offered `h2` and `http/1.1`; undefined when none is known. */
  negotiate?(url: string, timeoutMs: number): Promise<string | undefined>;
}
