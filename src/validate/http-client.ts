import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import type { Clock } from '../base/clock.ts';
import { printable } from './printable.ts';
import type { ChunkArrival, Fetcher, FetchFailureReason, FetchOptions, FetchOutcome } from './fetcher.ts';

/** Redirects followed for one request. */
const MAX_REDIRECTS = 5;
/** What servers may make the client hold. */
export interface HttpLimits {
  /** Bytes of unfinished bodies, of all requests together. */
  readonly maxHeldBytes: number;
  /** Pieces that one body may come in. */
  readonly maxPieces: number;
}

const LIMITS: HttpLimits = { maxHeldBytes: 512 * 1024 * 1024, maxPieces: 200_000 };
/** Connections to one server: held playlists, hinted parts and media of all renditions side by side. */
const MAX_CONNECTIONS = 64;

const UNPACKERS: Readonly<Record<string, (bytes: Uint8Array, maxBytes: number) => Uint8Array>> = {
  gzip: (bytes, maxOutputLength) => gunzipSync(bytes, { maxOutputLength }),
  'x-gzip': (bytes, maxOutputLength) => gunzipSync(bytes, { maxOutputLength }),
  deflate: (bytes, maxOutputLength) => inflateSync(bytes, { maxOutputLength }),
  br: (bytes, maxOutputLength) => brotliDecompressSync(bytes, { maxOutputLength }),
};

/** Why a request came to no whole answer. */
class FetchError extends Error {
  readonly reason: FetchFailureReason;

  constructor(reason: FetchFailureReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The server closed a kept connection before it answered. */
class StaleConnection extends Error {}

/** One answer as it came off the wire. */
interface RawAnswer {
  readonly message: IncomingMessage;
  readonly pieces: readonly Uint8Array[];
  readonly chunks: readonly ChunkArrival[];
  readonly headersMs: number;
}

/** Fetches over HTTP/1.1 with kept connections. Close it when done. */
export class HttpClient implements Fetcher {
  readonly #clock: Clock;
  readonly #limits: HttpLimits;
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  readonly #https = new HttpsAgent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  #heldBytes = 0;

  constructor(clock: Clock, limits: HttpLimits = LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  async get(url: string, options: FetchOptions): Promise<FetchOutcome> {
    const startedMs = this.#clock.monotonicMs();
    const timeout = new AbortController();
    const timer = this.#clock.after(options.timeoutMs, () => timeout.abort());
    try {
      return await this.#follow(url, options, startedMs, AbortSignal.any([options.signal, timeout.signal]));
    } catch (error) {
      const failure = describe(error, options, timeout.signal);
      return { kind: 'failed', url, ...failure, startedMs, endedMs: this.#clock.monotonicMs() };
    } finally {
      timer.cancel();
    }
  }

  negotiate(url: string, timeoutMs: number): Promise<string | undefined> {
    const { hostname, port } = new URL(url);
    return new Promise((resolve) => {
      const socket = connectTls({
        host: hostname,
        port: Number(port === '' ? 443 : port),
        ALPNProtocols: ['h2', 'http/1.1'],
        ...(isIP(hostname) === 0 && { servername: hostname }),
      });
      const timer = this.#clock.after(timeoutMs, () => settle(undefined));
      const settle = (protocol: string | undefined): void => {
        timer.cancel();
        socket.destroy();
        resolve(protocol);
      };
      socket.once('secureConnect', () => settle(socket.alpnProtocol || undefined));
      socket.once('error', () => settle(undefined));
    });
  }

  /** Closes kept connections. */
  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  async #follow(
    url: string,
    options: FetchOptions,
    startedMs: number,
    signal: AbortSignal,
  ): Promise<FetchOutcome> {
    let at = url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const raw = await this.#send(at, options, signal);
      const status = raw.message.statusCode ?? 0;
      const { location } = raw.message.headers;
      if (status >= 300 && status < 400 && location !== undefined) {
        at = new URL(location, at).href;
        continue;
      }
      const headers = headerMap(raw.message);
      return {
        kind: 'response',
        status,
        url: at,
        redirects,
        headers,
        body: unpack(Buffer.concat(raw.pieces), headers.get('content-encoding'), options.maxBytes),
        startedMs,
        headersMs: raw.headersMs,
        firstByteMs: raw.chunks[0]?.atMs ?? this.#clock.monotonicMs(),
        endedMs: this.#clock.monotonicMs(),
        endedWallMs: this.#clock.wallMs(),
        chunks: raw.chunks,
      };
    }
    throw new FetchError('too-many-redirects', `more than ${MAX_REDIRECTS} redirects`);
  }

  /** A kept connection that the server closes just when it is used again is its right: then a new one is asked. */
  async #send(url: string, options: FetchOptions, signal: AbortSignal): Promise<RawAnswer> {
    try {
      return await this.#once(url, options, signal);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return this.#once(url, options, signal, { agent: false });
    }
  }

  #once(
    url: string,
    options: FetchOptions,
    signal: AbortSignal,
    fresh: { readonly agent?: false } = {},
  ): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const target = parseTarget(url);
      const secure = target.protocol === 'https:';
      const request = (secure ? httpsRequest : httpRequest)(target, {
        agent: secure ? this.#https : this.#http,
        headers: { 'user-agent': 'headwater-validate', ...options.headers },
        signal,
        ...fresh,
      });
      request.on('error', (error: NodeJS.ErrnoException) =>
        reject(request.reusedSocket && error.code === 'ECONNRESET' ? new StaleConnection() : error),
      );
      request.on('response', (message) => {
        this.#collect(message, options.maxBytes).then(resolve, reject);
      });
      request.end();
    });
  }

  #collect(message: IncomingMessage, maxBytes: number): Promise<RawAnswer> {
    const headersMs = this.#clock.monotonicMs();
    const pieces: Uint8Array[] = [];
    const chunks: ChunkArrival[] = [];
    let sizeBytes = 0;
    return new Promise((resolve, reject) => {
      message.on('data', (data: Uint8Array) => {
        sizeBytes += data.length;
        this.#heldBytes += data.length;
        const excess = this.#excessOf(sizeBytes, pieces.length, maxBytes);
        if (excess !== undefined) {
          message.destroy(new FetchError('too-large', excess));
          return;
        }
        pieces.push(data);
        chunks.push({ atMs: this.#clock.monotonicMs(), endOffset: sizeBytes });
      });
      message.on('error', reject);
      message.on('end', () => resolve({ message, pieces, chunks, headersMs }));
      message.on('close', () => {
        this.#heldBytes -= sizeBytes;
      });
    });
  }

  /** Which limit a body is over; undefined when it is over none. */
  #excessOf(sizeBytes: number, pieces: number, maxBytes: number): string | undefined {
    if (sizeBytes > maxBytes) return `the body is longer than ${maxBytes} bytes`;
    const { maxPieces, maxHeldBytes } = this.#limits;
    if (pieces >= maxPieces) return `the body comes in more than ${maxPieces} pieces`;
    if (this.#heldBytes <= maxHeldBytes) return undefined;
    return `all bodies under way are longer than ${maxHeldBytes} bytes`;
  }
}

function parseTarget(url: string): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined;
  if (target?.protocol === 'http:' || target?.protocol === 'https:') return target;
  throw new FetchError('bad-url', 'not an http or https URL');
}

function headerMap(message: IncomingMessage): Map<string, string> {
  const entries = Object.entries(message.headers);
  return new Map(
    entries.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  );
}

function unpack(bytes: Uint8Array, coding: string | undefined, maxBytes: number): Uint8Array {
  if (coding === undefined || coding === '' || coding === 'identity' || bytes.length === 0) return bytes;
  const unpacker = UNPACKERS[coding.trim().toLowerCase()];
  if (!unpacker) throw new FetchError('bad-encoding', `unknown Content-Encoding ${JSON.stringify(coding)}`);
  try {
    return unpacker(bytes, maxBytes);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new FetchError('too-large', `the body is longer than ${maxBytes} bytes once unpacked`);
    }
    throw new FetchError('bad-encoding', `the ${coding} body does not unpack: ${messageOf(error)}`);
  }
}

function describe(
  error: unknown,
  options: FetchOptions,
  timeout: AbortSignal,
): { readonly reason: FetchFailureReason; readonly detail: string } {
  if (options.signal.aborted) return { reason: 'aborted', detail: 'given up' };
  if (timeout.aborted) return { reason: 'timeout', detail: `no whole answer within ${options.timeoutMs} ms` };
  if (error instanceof FetchError) return { reason: error.reason, detail: printable(error.message) };
  return { reason: 'network', detail: printable(messageOf(error)) };
}

/** Node's AggregateError (both address families refused) has no text of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
