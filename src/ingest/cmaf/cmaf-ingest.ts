import { type Clock, every, type Timer } from '../../base/clock.ts';
import { AppError, type ErrorCode, errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { StreamReaderLimits } from '../../media/isobmff/stream-reader.ts';
import type { PublishRole } from '../../stream/publisher.ts';
import type { Authoriser } from '../authorise.ts';
import { publishRole } from '../publish-role.ts';
import type { PublishTarget } from '../publish-target.ts';
import { Admissions } from './admission.ts';
import { CmafBody, findTracks } from './cmaf-body.ts';
import { CmafMetrics, type SessionEnd } from './cmaf-metrics.ts';
import type { CmafOptions } from './cmaf-options.ts';
import { CmafSession } from './cmaf-session.ts';
import { type Credentials, credentialsHash, parseCredentials } from './credentials.ts';
import { INGEST_PREFIX, type IngestPath, parseIngestPath } from './ingest-path.ts';
import { isAcceptedType, type MediaName, parseMediaName } from './media-name.ts';

export interface CmafIngestDeps {
  readonly hub: PublishTarget;
  readonly authoriser: Authoriser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Unpredictable bytes, for session ids. */
  readonly randomBytes: (size: number) => Uint8Array;
  /** Serve peers on this machine only: where nobody is asked for a key and others can connect. */
  readonly localOnly?: boolean;
}

/** What is needed of an HTTP request. Fields and `header()` are read before anything is awaited. */
export interface IngestRequest {
  readonly method: string;
  /** As sent. */
  readonly path: string;
  readonly query: string;
  readonly remoteAddress: string;
  /** Value of a header (lower-case name); '' when absent. */
  header(name: string): string;
  /** The body as it comes; throws what `signal` is aborted with, and an AppError when the body breaks off. */
  bodyPieces(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** The answer to an {@link IngestRequest}: 200, or the error with its status. */
export interface IngestReply {
  readonly error?: AppError | undefined;
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

/** A request that was understood: which stream, and all that is read of it. */
interface Call {
  readonly method: string;
  readonly path: Extract<IngestPath, { kind: 'point' | 'file' }>;
  readonly role: PublishRole;
  readonly query: string;
  readonly remoteAddress: string;
  readonly credentials: Credentials | undefined;
  readonly contentType: string;
  readonly request: IngestRequest;
}

/** A stream somebody was let in for. */
interface Point {
  /** Of its session, in logs and for the authoriser; the same from the first grant on. */
  readonly id: string;
  session: CmafSession | undefined;
  /** Requests with a body open now. */
  requests: number;
  /** Forgets it when nothing comes of it. */
  timer: Timer | undefined;
}

/** Inits of a stream that fell silent. */
interface Remembered {
  readonly inits: ReturnType<CmafSession['inits']>;
  readonly timer: Timer;
}

const METHODS: ReadonlySet<string> = new Set(['PUT', 'POST', 'DELETE']);
const ALLOW = [['Allow', 'DELETE, POST, PUT']] as const;
const CHALLENGE = [['WWW-Authenticate', 'Basic realm="Headwater ingest", charset="UTF-8"']] as const;
const RETRY_SOON = [['Retry-After', '1']] as const;
const RETRY_LATER = [['Retry-After', '60']] as const;
const REPLY_HEADERS: ReadonlyMap<ErrorCode, NonNullable<IngestReply['headers']>> = new Map<
  ErrorCode,
  NonNullable<IngestReply['headers']>
>([
  ['HTTP_METHOD_NOT_ALLOWED', ALLOW],
  ['INGEST_CMAF_UNAUTHORIZED', CHALLENGE],
  ['INGEST_CMAF_BUSY', RETRY_SOON],
  ['INGEST_AUTH_UNAVAILABLE', RETRY_SOON],
  ['HTTP_TOO_MANY_FAILURES', RETRY_LATER],
]);

const LOCAL = /^(127\.|::1$)/;
/** A point without a session is forgotten after so long. */
const POINT_IDLE_MS = 10_000;
/**
 * For so long after a stream fell silent its inits still stand: the network was away, and the encoder goes on with the
 * next segment. By the letter it should begin again with its inits when it is answered 412; not all do.
 */
const INIT_MEMORY_MS = 60_000;
/** Silent streams whose inits are kept; the oldest are forgotten first. */
const MAX_REMEMBERED = 100;
/** How often open requests are looked at. */
const WATCH_MS = 500;

/**
 * DASH-IF Live Media Ingest 1.2, interface 1: CMAF by HTTP PUT or POST below `/ingest/<stream>/`. All requests of a stream
 * (a track each, a segment each, or hours long) are one publisher. Speaks no HTTP itself: whoever serves
 * {@link owns} paths hands their requests to {@link handle}.
 */
export class CmafIngest {
  readonly #options: CmafOptions;
  readonly #deps: CmafIngestDeps;
  readonly #metrics: CmafMetrics;
  readonly #admissions: Admissions;
  readonly #limits: StreamReaderLimits;
  /** By stream and role. */
  readonly #points = new Map<string, Point>();
  readonly #remembered = new Map<string, Remembered>();
  readonly #bodies = new Map<CmafBody, AbortController>();
  /** The latest admission under way, by point and credentials. */
  readonly #admitting = new Map<string, Promise<unknown>>();
  readonly #watch: Timer;
  #openRequests = 0;
  #closed = false;

  constructor(options: CmafOptions, deps: CmafIngestDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#metrics = new CmafMetrics(deps.metrics);
    this.#admissions = new Admissions({ ...deps, ...options });
    this.#limits = {
      maxInitBytes: options.maxInitBytes,
      maxMoofBytes: MAX_MOOF_BYTES,
      maxMdatBytes: options.maxFragmentBytes,
      maxEventBytes: MAX_EVENT_BYTES,
      maxSkippedBytes: MAX_SKIPPED_BYTES,
      maxSamples: options.maxFragmentSamples,
      maxSampleBytes: options.maxSampleBytes,
    };
    this.#watch = every(deps.clock, WATCH_MS, () => this.#cutSilent());
  }

  /** Whether a path is of CMAF ingest. */
  owns(path: string): boolean {
    return path.startsWith(INGEST_PREFIX);
  }

  /** Streams that are published by CMAF ingest or about to be. */
  get sessionCount(): number {
    let count = 0;
    for (const { session } of this.#points.values()) if (session) count++;
    return count;
  }

  /** Serves one request, from its headers to the end of its body. Never rejects on what a peer does. */
  async handle(request: IngestRequest): Promise<IngestReply> {
    const code = await this.#serve(request);
    const error = code && new AppError(code);
    this.#metrics.answered(error?.status ?? 200, code);
    if (!code) return {};
    return { error, headers: REPLY_HEADERS.get(code) ?? [] };
  }

  /** Ends all sessions and requests. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.cancel();
    for (const { session, timer } of [...this.#points.values()]) {
      timer?.cancel();
      session?.end('shutdown');
    }
    for (const abort of this.#bodies.values()) abort.abort(new AppError('STREAM_CLOSING'));
    for (const { timer } of this.#remembered.values()) timer.cancel();
    this.#remembered.clear();
    this.#points.clear();
  }

  async #serve(request: IngestRequest): Promise<ErrorCode | undefined> {
    if (this.#closed) return 'STREAM_CLOSING';
    const call = readCall(request);
    if (typeof call === 'string') return call;
    if (this.#deps.localOnly && !LOCAL.test(call.remoteAddress)) return 'INGEST_CMAF_FORBIDDEN';
    if (!this.#hasRoom(call)) return 'INGEST_CMAF_BUSY';
    this.#openRequests++;
    try {
      return (await this.#admitInTurn(call)) ?? (await this.#perform(call));
    } finally {
      this.#openRequests--;
    }
  }

  #hasRoom(call: Call): boolean {
    const requests = this.#points.get(pointKey(call))?.requests ?? 0;
    return this.#openRequests < this.#options.maxRequests && requests < this.#options.maxRequestsPerStream;
  }

  /**
   * In the order in which requests with the same credentials came: a segment that overtook its init, because it was
   * asked about for a shorter time, would be refused.
   */
  async #admitInTurn(call: Call): Promise<ErrorCode | undefined> {
    const key = `${pointKey(call)} ${credentialsHash(call.credentials)}`;
    const before = this.#admitting.get(key);
    const admission = before ? before.then(() => this.#admit(call)) : this.#admit(call);
    this.#admitting.set(key, admission);
    try {
      return await admission;
    } finally {
      if (this.#admitting.get(key) === admission) this.#admitting.delete(key);
    }
  }

  /**
   * Until a stream is published each request is asked about, so that the answer is never old; then those with the same
   * credentials belong to it, for as long as it lasts.
   */
  async #admit(call: Call): Promise<ErrorCode | undefined> {
    const { query, remoteAddress, credentials } = call;
    const key = pointKey(call);
    const known = this.#points.get(key);
    const hash = credentialsHash(credentials);
    if (known?.session?.publishing && known.session.admitted.has(hash)) return undefined;
    const session = known?.id ?? Buffer.from(this.#deps.randomBytes(6)).toString('hex');
    const refusal = await this.#admissions.ask({
      session,
      stream: call.path.stream,
      query,
      remoteAddress,
      credentials,
    });
    if (refusal) return refusal;
    if (this.#closed) return 'STREAM_CLOSING';
    const point = this.#points.get(key) ?? this.#addPoint(key, session);
    point.session?.admitted.add(hash);
    return undefined;
  }

  #addPoint(key: string, id: string): Point {
    const point: Point = { id, session: undefined, requests: 0, timer: undefined };
    this.#points.set(key, point);
    this.#armForget(key, point);
    return point;
  }

  #armForget(key: string, point: Point): void {
    point.timer?.cancel();
    point.timer = this.#deps.clock.after(POINT_IDLE_MS, () => {
      if (point.requests > 0 && !point.session) this.#armForget(key, point);
      else if (!point.session && this.#points.get(key) === point) this.#points.delete(key);
    });
  }

  async #perform(call: Call): Promise<ErrorCode | undefined> {
    const { path, method, contentType } = call;
    const name = path.kind === 'file' ? parseMediaName(path.levels) : undefined;
    if (method === 'DELETE') return this.#delete(call, name);
    if (!name) return this.#discard(call, 0);
    if (!isAcceptedType(name.kind, contentType)) return 'INGEST_CMAF_MEDIA_TYPE';
    return name.kind === 'media'
      ? this.#takeMedia(call, name)
      : this.#discard(call, this.#options.maxManifestBytes);
  }

  /**
   * Taken back are: all of a stream with its publishing point or its MPD; a track with the file that is its init. That of
   * a segment changes nothing: encoders delete what has left their own window.
   */
  #delete(call: Call, name: MediaName | undefined): undefined {
    const session = this.#points.get(pointKey(call))?.session;
    if (!session) return undefined;
    if (!name || name.kind === 'mpd') session.end('deleted');
    else if (name.kind === 'media') {
      const base = name.candidates[0] ?? '';
      for (const track of findTracks(session, { ...name, candidates: [base] })) {
        if (track.name.startsWith(`${base}#`)) session.remove(track.name);
      }
    }
    return undefined;
  }

  /** Reads a body that is not looked at. */
  async #discard(call: Call, limitBytes: number): Promise<ErrorCode | undefined> {
    const abort = new AbortController();
    const timer = this.#deps.clock.after(this.#options.silenceTimeoutMs, () =>
      abort.abort(new AppError('INGEST_CMAF_SILENT')),
    );
    let sizeBytes = 0;
    try {
      for await (const piece of call.request.bodyPieces(abort.signal)) {
        this.#metrics.received(piece.length);
        sizeBytes += piece.length;
        if (sizeBytes > limitBytes) return 'HTTP_BODY_TOO_LARGE';
      }
      return undefined;
    } catch (error) {
      return this.#codeOf(error, call);
    } finally {
      timer.cancel();
    }
  }

  async #takeMedia(call: Call, name: MediaName): Promise<ErrorCode | undefined> {
    const key = pointKey(call);
    const abort = new AbortController();
    const point = this.#points.get(key);
    if (point) point.requests++;
    const body = new CmafBody({
      name,
      limits: this.#limits,
      monotonicMs: () => this.#deps.clock.monotonicMs(),
      session: () => this.#points.get(key)?.session ?? this.#resume(call),
      openSession: () => this.#openSession(call),
      onCut: (code) => abort.abort(new AppError(code)),
    });
    this.#bodies.set(body, abort);
    this.#metrics.bodyOpened();
    let complete = false;
    try {
      const code = (await this.#read(call.request, body, abort.signal)) ?? body.end();
      complete = code === undefined;
      return code;
    } catch (error) {
      return this.#codeOf(error, call);
    } finally {
      this.#bodies.delete(body);
      this.#metrics.bodyClosed();
      if (point) point.requests--;
      body.close(complete);
    }
  }

  async #read(request: IngestRequest, body: CmafBody, signal: AbortSignal): Promise<ErrorCode | undefined> {
    for await (const piece of request.bodyPieces(signal)) {
      this.#metrics.received(piece.length);
      const code = body.push(piece);
      if (code) return code;
    }
    return undefined;
  }

  /** The point is there: its request was admitted. It may have been forgotten since, in a body that began slowly. */
  #openSession(call: Call): CmafSession {
    const key = pointKey(call);
    const point =
      this.#points.get(key) ?? this.#addPoint(key, Buffer.from(this.#deps.randomBytes(6)).toString('hex'));
    if (point.session) return point.session;
    const { clock, hub, log } = this.#deps;
    const { role, remoteAddress, path } = call;
    point.timer?.cancel();
    point.session = new CmafSession(
      { session: point.id, stream: path.stream, role, remoteAddress },
      {
        options: this.#options,
        hub,
        clock,
        log,
        metrics: this.#metrics,
        onEnd: (reason) => this.#ended(key, point, reason),
      },
    );
    point.session.admitted.add(credentialsHash(call.credentials));
    return point.session;
  }

  #ended(key: string, point: Point, reason: SessionEnd): void {
    if (this.#points.get(key) === point) this.#points.delete(key);
    if (reason !== 'silence' || !point.session) return;
    this.#forget(key);
    const timer = this.#deps.clock.after(INIT_MEMORY_MS, () => this.#remembered.delete(key));
    this.#remembered.set(key, { inits: point.session.inits(), timer });
    const [oldest] = this.#remembered.keys();
    if (oldest !== undefined && this.#remembered.size > MAX_REMEMBERED) this.#forget(oldest);
  }

  #forget(key: string): void {
    this.#remembered.get(key)?.timer.cancel();
    this.#remembered.delete(key);
  }

  /** Opens the session of a stream that fell silent again, with the inits it had. */
  #resume(call: Call): CmafSession | undefined {
    const key = pointKey(call);
    const remembered = this.#remembered.get(key);
    if (!remembered) return undefined;
    this.#forget(key);
    const session = this.#openSession(call);
    for (const { name, init } of remembered.inits) session.declare(name, init);
    session.complete();
    return session;
  }

  /** What a body was cut with or broke off with; anything else is a bug of ours. */
  #codeOf(error: unknown, { path }: Call): ErrorCode {
    if (!(error instanceof AppError))
      this.#deps.log.error({ err: error, stream: path.stream }, 'CMAF request failed');
    return errorCode(error);
  }

  #cutSilent(): void {
    const sinceMs = this.#deps.clock.monotonicMs() - this.#options.silenceTimeoutMs;
    for (const [body, abort] of this.#bodies) {
      if (body.lastProgressMs <= sinceMs) abort.abort(new AppError('INGEST_CMAF_SILENT'));
    }
  }
}

/** A `moof` of as many samples as may be has about 16 bytes for each. */
const MAX_MOOF_BYTES = 512 * 1024;
const MAX_EVENT_BYTES = 64 * 1024;
/** Of the boxes passed over the largest is the `mfra` at the end of a long file. */
const MAX_SKIPPED_BYTES = 4 * 1024 * 1024;

/** Reads all of a request that is to be read before something is awaited; the code that refuses it, when it is wrong. */
function readCall(request: IngestRequest): Call | ErrorCode {
  const { method, query, remoteAddress } = request;
  if (!METHODS.has(method)) return 'HTTP_METHOD_NOT_ALLOWED';
  const path = parseIngestPath(request.path);
  if (path.kind === 'unknown') return 'INGEST_CMAF_POINT_UNKNOWN';
  if (path.kind === 'refused') return 'INGEST_CMAF_PATH_REFUSED';
  return {
    method,
    path,
    role: publishRole(query),
    query,
    remoteAddress,
    credentials: parseCredentials(request.header('authorization')),
    contentType: request.header('content-type'),
    request,
  };
}

function pointKey({ path, role }: Call): string {
  return `${path.stream} ${role}`;
}
